// What a unit gets, and the live route it is read from: promptlane/client/decision.py.

import type { ConverseCommandInput, GuardrailStreamConfiguration, Message } from "@aws-sdk/client-bedrock-runtime";
import { InvalidInput, InvalidVariables, UnsupportedRoute } from "./errors.js";
import { isObject, kindOf, tornProblem, versionNumber } from "./incoming.js";
import type { PerToken } from "./metrics.js";
import * as sent from "./sent.js";
import { MAX_VARIABLES, ROUTE_SCHEMA } from "./shared.js";
import { BUCKETS, below, keys, type Keys } from "./split.js";

export type Track = "stable" | "canary" | "holdback";
export type Variables = Readonly<Record<string, string>>;
export type Guardrail = Partial<GuardrailStreamConfiguration>;
/** A route item as the table holds it, in plain values. */
export type Item = Readonly<Record<string, unknown>>;

/** What goes with a request beside its variables. */
export interface Extras {
  /** Appended to the prompt's own. */
  messages?: readonly Message[] | undefined;
  /** One that names a guardrail wins over the version's own; else it says how the version's own is applied. */
  guardrail?: Guardrail | undefined;
  /** At most twelve entries of requestMetadata of your own. */
  metadata?: Readonly<Record<string, string>> | undefined;
}

interface Facts {
  readonly prompt: string;
  readonly version: number;
  readonly versionArn: string;
  readonly track: Track;
  readonly releaseId?: string;
  readonly fingerprint?: string;
  readonly revision?: number;
  readonly phase?: string;
  readonly variables?: readonly string[] | undefined;
  readonly salt?: string;
  readonly instead?: Decision | undefined;
  readonly guardrail?: Guardrail | undefined;
  readonly perToken?: PerToken;
}

/** Which version answers. Shared by all units that get it. */
export class Decision {
  readonly prompt: string;
  readonly version: number;
  /** What Converse takes as modelId. */
  readonly versionArn: string;
  readonly track: Track;
  readonly releaseId: string;
  readonly fingerprint: string;
  readonly revision: number;
  /** The route's: "steady", "canary" or "watch". */
  readonly phase: string;
  readonly salt: string;
  /** The variables that the version declares; undefined where the route does not say. */
  readonly variables: ReadonlySet<string> | undefined;
  /** Stable's decision when this one is the canary's. */
  readonly instead: Decision | undefined;
  /** The guardrailConfig that the version was tested and approved with. */
  readonly guardrail: Guardrail | undefined;
  readonly perToken: PerToken;
  /** The other version of the release, which is asked when Bedrock refuses a request to this one. */
  second: Decision | undefined;

  constructor(facts: Facts) {
    this.prompt = facts.prompt;
    this.version = facts.version;
    this.versionArn = facts.versionArn;
    this.track = facts.track;
    this.releaseId = facts.releaseId ?? "";
    this.fingerprint = facts.fingerprint ?? "";
    this.revision = facts.revision ?? 0;
    this.phase = facts.phase ?? "steady";
    this.salt = facts.salt ?? "";
    this.variables = facts.variables === undefined ? undefined : new Set(facts.variables);
    this.instead = facts.instead;
    this.second = facts.instead;
    this.guardrail = facts.guardrail;
    this.perToken = facts.perToken ?? {};
  }

  /** Throws InvalidVariables, naming them, when they do not fit this version. */
  check(variables: Variables): void {
    if (!isObject(variables)) {
      throw new InvalidVariables(`variables of ${this.prompt} are ${kindOf(variables)}; give texts by name`);
    }
    const given = Object.entries(variables);
    const wrong = given
      .filter(([, value]) => typeof value !== "string")
      .map(([name]) => name)
      .sort();
    if (wrong.length) {
      throw new InvalidVariables(`variables of ${this.prompt} must be text; ${wrong.join(", ")} is not: use String()`);
    }
    for (const [name, value] of given) {
      let problem = tornProblem(name);
      if (problem) throw new InvalidVariables(`the name of a variable of ${this.prompt} ${problem}`);
      problem = tornProblem(value);
      if (problem) throw new InvalidVariables(`variable ${name} of ${this.prompt} ${problem}`);
    }
    if (given.length > MAX_VARIABLES) {
      throw new InvalidVariables(`${given.length} variables for ${this.prompt}; Bedrock takes ${MAX_VARIABLES}`);
    }
    if (this.variables === undefined) return;
    const declared = this.variables;
    const missing = [...declared].filter((name) => !Object.hasOwn(variables, name)).sort();
    const unknown = given
      .map(([name]) => name)
      .filter((name) => !declared.has(name))
      .sort();
    if (missing.length || unknown.length) {
      const parts: string[] = [];
      if (missing.length) parts.push(`needs ${missing.join(", ")}`);
      if (unknown.length) parts.push(`has no ${unknown.join(", ")}`);
      const known = [...declared].sort().join(", ") || "none";
      throw new InvalidVariables(`${this.prompt} ${parts.join(" and ")}; it declares: ${known}`, missing, unknown);
    }
  }

  /** The arguments of Converse or ConverseStream, with nothing in them that a prompt resource forbids. */
  request(variables: Variables = {}, { messages, guardrail, metadata }: Extras = {}): ConverseCommandInput {
    this.check(variables);
    sent.check({ messages, guardrail, metadata });
    sent.checkGuardrail(guardrail);
    const request: ConverseCommandInput = {
      modelId: this.versionArn,
      promptVariables: Object.fromEntries(Object.entries(variables).map(([name, text]) => [name, { text }])),
      requestMetadata: {
        ...metadata,
        prompt: this.prompt,
        version: String(this.version),
        track: this.track,
        release: this.releaseId || "none",
      },
    };
    if (messages?.length) request.messages = [...messages];
    const config = this.#guardrail(guardrail);
    if (config) request.guardrailConfig = config as NonNullable<ConverseCommandInput["guardrailConfig"]>;
    return request;
  }

  #guardrail(given: Guardrail | undefined): Guardrail | undefined {
    if (given?.guardrailIdentifier !== undefined) return { ...given };
    return this.guardrail && { ...this.guardrail, ...given };
  }

  toString(): string {
    return `<Decision ${this.prompt} version ${this.version} (${this.track})>`;
  }
}

/** One revision of a prompt's route, ready to decide by: an upper word below `threshold` gets `low`, any other `high`. */
export interface LiveRoute {
  readonly revision: number;
  readonly epoch: number;
  readonly schema: number;
  /** Epoch and revision of the latest of this route and those before it. */
  readonly latest: readonly [number, number];
  /** Fingerprints that were rolled back, as far as this route and those before it told. */
  readonly barred: ReadonlySet<string>;
  readonly stable: Decision;
  readonly low: Decision;
  readonly high: Decision;
  readonly split: boolean;
  readonly threshold: number;
  readonly keys: Keys;
}

type Standing = Pick<LiveRoute, "epoch" | "schema" | "barred">;

function live(stable: Decision, low: Decision, high: Decision, buckets: number, standing: Standing): LiveRoute {
  return {
    revision: stable.revision,
    latest: [standing.epoch, stable.revision],
    ...standing,
    stable,
    low,
    high,
    split: low !== high,
    threshold: below(buckets),
    keys: keys(stable.salt),
  };
}

/**
 * Parses a stored route; UnsupportedRoute when only a newer client can read it, InvalidInput when it is none.
 *
 * What it does not know of a route it leaves aside: fields, tracks, and phases, in which everybody gets stable.
 * `barred`: fingerprints that get nothing here but what stable gets; InvalidInput where stable is one of them.
 */
export function liveRoute(prompt: string, item: Item, barred: ReadonlySet<string> = new Set()): LiveRoute {
  const malformed = (what: string) =>
    new InvalidInput(`the route of ${prompt} is malformed (${what}); restore the table`);
  const schema = Number(item["schema"] ?? 0);
  if (Number(item["readable_by"] ?? schema) > ROUTE_SCHEMA) {
    throw new UnsupportedRoute(
      `the route of ${prompt} has schema ${schema}, this client knows ${ROUTE_SCHEMA}; upgrade promptlane here`,
    );
  }
  const revision = item["revision"];
  if (!Number.isSafeInteger(revision)) throw malformed("revision");
  const phase = String(item["phase"] ?? "steady");
  const decide = (name: string, track: Track, instead?: Decision): Decision | undefined => {
    const ref = item[name];
    if (!ref || (isObject(ref) && barred.has(String(ref["fingerprint"])))) return undefined;
    if (!isObject(ref) || !Number.isSafeInteger(ref["version"]) || typeof ref["arn"] !== "string")
      throw malformed(name);
    const declared = ref["variables"];
    return new Decision({
      prompt: String(item["prompt"] ?? prompt),
      version: ref["version"] as number,
      versionArn: ref["arn"],
      track,
      releaseId: String(item["release_id"] ?? ""),
      fingerprint: String(ref["fingerprint"] ?? ""),
      revision: revision as number,
      phase,
      variables: Array.isArray(declared) ? declared.map(String) : undefined,
      salt: String(item["salt"] ?? ""),
      instead,
      guardrail: config(ref["guardrail"]),
      perToken: phase === "steady" ? {} : perToken(item, String(ref["version"])),
    });
  };
  const stable = decide("stable", "stable");
  if (stable === undefined) {
    throw new InvalidInput(`the route of ${prompt} names no stable version; \`promptlane status ${prompt}\` shows it`);
  }
  let low = stable;
  let high = stable;
  let buckets = 0;
  if (phase === "canary") {
    low = decide("canary", "canary", stable) ?? stable;
    buckets = Number(item["weight"] ?? 0);
  } else if (phase === "watch") {
    high = decide("previous", "holdback") ?? stable;
    buckets = BUCKETS - Number(item["holdback"] ?? 0);
    if (high !== stable) {
      stable.second = high;
      high.second = stable;
    }
  }
  if (buckets === 0) low = high;
  if (buckets === BUCKETS) high = low;
  const quarantined = isObject(item["quarantined"]) ? Object.keys(item["quarantined"]) : [];
  const epoch = Number(item["epoch"] ?? 0);
  return live(stable, low, high, buckets, { epoch, schema, barred: new Set([...barred, ...quarantined]) });
}

function config(named: unknown): Guardrail | undefined {
  return isObject(named)
    ? { guardrailIdentifier: String(named["id"]), guardrailVersion: String(named["version"]) }
    : undefined;
}

/** What is not two numbers from 0 on is left out: no mean is worth a route that cannot be used. */
function perToken(item: Item, version: string): PerToken {
  const found: Record<string, readonly [number, number]> = {};
  const given = item["per_token"];
  for (const [metric, of] of isObject(given) ? Object.entries(given) : []) {
    const pair = isObject(of) ? of[version] : undefined;
    if (!Array.isArray(pair) || pair.length !== 2) continue;
    const [input, output] = pair.map(Number) as [number, number];
    if (input >= 0 && input < Infinity && output >= 0 && output < Infinity) found[metric] = [input, output];
  }
  return found;
}

/** A route that gives everybody one version: the fallback when no route was ever read. */
export function pinned(prompt: string, fallback: string): LiveRoute {
  const [versionArn = "", ...rest] = String(fallback).split("#");
  const named = rest.join("#");
  const version = versionNumber(versionArn.slice(versionArn.lastIndexOf(":") + 1));
  if (!versionArn.includes("/") || version === undefined) {
    throw new InvalidInput(
      `the fallback of ${prompt} is ${JSON.stringify(fallback)}; give the ARN of a version, which ends in its number, ` +
        "for example arn:aws:bedrock:eu-west-1:111122223333:prompt/ABCDEFGHIJ:3",
    );
  }
  const colon = named.lastIndexOf(":");
  const [id, of] = [named.slice(0, Math.max(colon, 0)), named.slice(colon + 1)];
  if (named && (!id || versionNumber(of) === undefined)) {
    throw new InvalidInput(
      `the fallback of ${prompt} ends in #${named}; give its guardrail's id and the number of its version, for ` +
        `example ${versionArn}#gr1234567890:1`,
    );
  }
  const guardrail = named ? { guardrailIdentifier: id, guardrailVersion: of } : undefined;
  const stable = new Decision({ prompt, version, versionArn, track: "stable", guardrail });
  return live(stable, stable, stable, 0, { epoch: 0, schema: ROUTE_SCHEMA, barred: new Set() });
}
