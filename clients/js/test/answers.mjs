// What the TypeScript client answers to each case of a conformance file: plain data, as the file holds it.
// The twin of tests/conformance/python.py.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Breaker } from "../dist/esm/breaker.js";
import { Caller } from "../dist/esm/calls.js";
import { checkUnit } from "../dist/esm/client.js";
import { Decision, liveRoute } from "../dist/esm/decision.js";
import { line } from "../dist/esm/emf.js";
import { PromptlaneError } from "../dist/esm/errors.js";
import { invalid, ofError, ofResponse } from "../dist/esm/outcome.js";
import { OwnKeys, Source } from "../dist/esm/receipt-keys.js";
import { checkFresh, headOf, mark, seal, unseal, voiceOf } from "../dist/esm/receipts.js";
import { isRefusal } from "../dist/esm/refusal.js";
import { Routes } from "../dist/esm/routes.js";
import * as sent from "../dist/esm/sent.js";
import * as split from "../dist/esm/split.js";
import { FakeBedrock, fakeClient, ListSink, StaticRoutes, versionArn } from "../dist/esm/testing.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PROMPT = "greeter";
const TIMES = ["Latency", "TimeToFirstToken"];

class AwsError extends Error {
  constructor({ code, message = "" }) {
    super(message);
    this.name = code;
    this.$metadata = {};
  }
}

/** The cases of a file: `name`, `given`, and the `answer` that is published. */
export function cases(kind) {
  const document = JSON.parse(readFileSync(`${ROOT}${FILES[kind]}`, "utf8"));
  if (kind === "split") {
    const of = ({ number, bucket, group }) => ({ number, bucket, group });
    return [
      ...document.vectors.map((v) => ({
        name: `${v.salt}, ${v.unit}`,
        given: { salt: v.salt, unit: v.unit },
        answer: of(v),
      })),
      ...document.tracks.map(({ track, ...given }) => ({
        name: `${given.phase}, ${given.unit}`,
        given,
        answer: track,
      })),
    ];
  }
  if (kind === "routes") {
    const { units, prompt } = document;
    return [
      ...document.routes.map(({ name, item, error, answer }) => ({
        name,
        given: { units, prompt, item },
        answer: answer ?? { error },
      })),
      ...document.sequences.map(({ name, items, steps }) => {
        const answer = steps.map(({ again, stale, revision, epoch, units }) => ({
          again: again !== undefined,
          stale,
          revision,
          epoch,
          units,
        }));
        return { name, given: { units, prompt, items, steps }, answer };
      }),
    ];
  }
  if (kind !== "refusals") return document.cases;
  const rows = readFileSync(`${ROOT}tests/data/refusals.tsv`, "utf8").trimEnd().split("\n").slice(1);
  return rows.map((row, i) => {
    const given = row.split("\t").slice(4).join("\t");
    return { name: given.slice(0, 60), given, answer: document.declines[i] === "1" };
  });
}

function splitOf(given) {
  if (given.phase !== undefined) return split.track(given, given.unit);
  const number = split.number(given.salt, given.unit).toString(16).padStart(16, "0");
  return { number, bucket: split.bucket(given.salt, given.unit), group: split.group(given.salt, given.unit) };
}

function named(error) {
  if (error instanceof PromptlaneError) return { error: error.name };
  throw error;
}

async function routeOf(given) {
  if (given.steps !== undefined) return sequenceOf(given);
  try {
    const route = liveRoute(given.prompt, given.item);
    const client = fakeClient({
      read: async () => new Map([[given.prompt, given.item]]),
      nameOf: async () => undefined,
    });
    const units = {};
    const versions = {};
    for (const unit of given.units) {
      const found = await client.route(given.prompt, unit);
      units[unit] = [found.track, found.version];
      versions[found.version] = {
        version_arn: found.versionArn,
        fingerprint: found.fingerprint,
        variables: found.variables ? [...found.variables].sort() : null,
        guardrail: found.guardrail ?? null,
        per_token: found.perToken,
      };
    }
    const { releaseId, revision, phase } = route.stable;
    return { revision, epoch: route.epoch, release_id: releaseId, units, versions, phase, schema: route.schema };
  } catch (error) {
    return named(error);
  }
}

async function sequenceOf({ prompt, units, items, steps }) {
  const clock = { at: 0, steady: () => clock.at, wall: () => 1.78e12 + clock.at };
  let shown;
  let again;
  const reader = {
    read: async (_, consistent = false) => {
      if (consistent) asked = true;
      return new Map([[prompt, consistent ? (again ?? shown) : shown]]);
    },
    nameOf: async () => undefined,
  };
  let asked = false;
  let stale = false;
  const settings = { refresh: 0.001, fallback: {}, onStale: () => (stale = true), log: () => undefined };
  const routes = new Routes(reader, clock, settings);
  const found = [];
  for (const step of steps) {
    clock.at = step.at * 1000;
    shown = items[step.read];
    again = items[step.again];
    asked = stale = false;
    const route = await routes.current(prompt);
    const of = (unit) => (split.upperOf(route.keys, unit) < route.threshold ? route.low : route.high);
    const got = Object.fromEntries(units.map((unit) => [unit, [of(unit).track, of(unit).version]]));
    found.push({ again: asked, stale, revision: route.revision, epoch: route.epoch, units: got });
  }
  return found;
}

function outcomeOf(given) {
  const took = { latencyMs: given.latency_ms, slowAfterMs: 10_000 };
  if (given.error !== undefined) {
    const error = new AwsError(given.error);
    const found = ofError(error, took);
    return { bad: [...found.bad].sort(), error_type: found.errorType, invalid: invalid(error) };
  }
  const found = ofResponse(given.response, took);
  return {
    bad: [...found.bad].sort(),
    error_type: found.errorType ?? null,
    stop_reason: found.stopReason ?? null,
    input_tokens: found.inputTokens ?? null,
    output_tokens: found.outputTokens ?? null,
    cache_read_tokens: found.cacheReadTokens ?? null,
    cache_write_tokens: found.cacheWriteTokens ?? null,
  };
}

function requestOf(given) {
  const { declared, own_guardrail: guardrail } = given;
  const decision = new Decision({
    prompt: PROMPT,
    version: 3,
    versionArn: versionArn(PROMPT, 3),
    track: "canary",
    releaseId: "R-3-1",
    variables: declared,
    guardrail,
  });
  try {
    checkUnit("unit" in given ? given.unit : "u");
    sent.check(given);
    sent.checkGuardrail(given.guardrail, given.operation === "converse_stream");
    return decision.request(given.variables, given);
  } catch (error) {
    return named(error);
  }
}

function deadlineOf(given) {
  const caller = new Caller(() => undefined, new Breaker(5, 30, () => 0), {
    timeoutMs: given.timeout * 1000,
    reserveMs: given.reserve * 1000,
    shield: given.shield,
  });
  const decided = { phase: given.phase };
  const request = { decided, answeredBy: given.other ? {} : decided, elapsedMs: () => given.elapsed * 1000 };
  return caller.limitMs(request) / 1000;
}

async function receiptOf(given) {
  if (given.mark !== undefined) return mark(...given.mark);
  const keys = new OwnKeys(new Source(given.secret, "receiptKey", () => undefined));
  const { prompt } = given;
  if (given.seal !== undefined) {
    const { version, track, release_id: releaseId, group, started_at: startedAt, unit } = given.seal;
    const by = new Decision({ prompt, version, versionArn: versionArn(prompt, version), track, releaseId });
    const key = keys.key(given.secret.split(" ").at(-1), prompt, given.day);
    const nonce = Buffer.from(given.nonce, "hex");
    return seal(key, by, { group, startedAt: startedAt * 1000, unit, nonce }) ?? "";
  }
  try {
    const now = given.now * 1000;
    const head = headOf(given.open, now);
    const found = unseal(given.open, head, await keys.named(prompt, head), prompt, now);
    checkFresh(found, now);
    const { version, track, releaseId: release_id, group, startedAt, unit } = found;
    return { version, track, release_id, group, started_at: startedAt / 1000, unit, voice: voiceOf(found) };
  } catch (error) {
    return named(error);
  }
}

async function answerOf(given) {
  const routes = new StaticRoutes();
  routes.put(PROMPT, { salt: "s", ...given.route });
  const replies = Object.entries(given.replies).map(([version, reply]) => [version, replyOf(reply)]);
  const bedrock = new FakeBedrock(Object.fromEntries(replies));
  const sink = new ListSink();
  const { shield, breaker_errors: breakerErrors } = given.settings ?? {};
  const client = fakeClient(routes, bedrock, { sink, receiptKey: "", shield, breakerErrors });
  let found = {};
  for (const unit of given.units) found = await asked(client, given, unit);
  const calls = bedrock.calls.map(({ modelId }) => modelId.slice(modelId.lastIndexOf(":") + 1));
  return { ...found, calls, counted: counted(sink), ...(given.emf ? { emf: lines(sink) } : {}) };
}

function counted(sink) {
  const found = {};
  for (const { directives, dimensions, values } of sink.documents) {
    for (const { dimensionSets, metrics } of directives) {
      for (const names of dimensionSets) {
        const under = names
          .filter((name) => name !== "Prompt")
          .map((name) => `${name}=${dimensions[name]}`)
          .join(" ");
        const sums = (found[under] ??= {});
        for (const metric of metrics) {
          const [total, count] = sums[metric] ?? [0, 0];
          sums[metric] = [total + (TIMES.includes(metric) ? 0 : values[metric]), count + 1];
        }
      }
    }
  }
  const told = (sums) =>
    Object.entries(sums)
      .map(([metric, [total, count]]) => `${metric} ${total}/${count}`)
      .join(", ");
  return Object.fromEntries(Object.entries(found).map(([under, sums]) => [under, told(sums)]));
}

function lines(sink) {
  return sink.documents.map((document) => {
    const told = JSON.parse(line(document));
    delete told._aws.Timestamp;
    for (const name of TIMES) if (name in told) told[name] = "some";
    return told;
  });
}

async function asked(client, given, unit) {
  const { variables, messages, metadata } = given;
  const ask = { unit, variables, messages, metadata };
  const came = [];
  try {
    if (given.read === undefined) {
      const answer = await client.converse(PROMPT, ask);
      return { ...told(answer), came: [answer.text], stop_reason: answer.stopReason };
    }
    const stream = await client.converseStream(PROMPT, ask);
    for await (const piece of given.read === "text" ? stream : stream.events()) {
      came.push(typeof piece === "string" ? piece : Object.keys(piece)[0]);
      if (came.length === given.leave_after) break;
    }
    return { ...told(stream), came, stop_reason: stream.stopReason ?? null };
  } catch (error) {
    return { ...named(error), code: error.code ?? null, came };
  }
}

function told(answer) {
  return { version: answer.decision.version, track: answer.decision.track, shielded: answer.shielded };
}

function replyOf(reply) {
  if (reply.error) return new AwsError(reply.error);
  if (reply.events) return reply.events.map((event) => (event.error ? new AwsError(event.error) : event));
  return reply.text ?? reply.response;
}

export const ANSWERS = {
  answers: answerOf,
  deadlines: deadlineOf,
  outcomes: outcomeOf,
  receipts: receiptOf,
  refusals: isRefusal,
  requests: requestOf,
  routes: routeOf,
  split: splitOf,
};

const FILES = {
  ...Object.fromEntries(Object.keys(ANSWERS).map((kind) => [kind, `clients/conformance/${kind}.json`])),
  routes: "docs/route-vectors.json",
  split: "docs/split-vectors.json",
};
