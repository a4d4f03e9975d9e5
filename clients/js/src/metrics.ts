// What each request tells CloudWatch: promptlane/client/metrics.py, in the same documents.

import type { Decision } from "./decision.js";
import type { CallOutcome } from "./outcome.js";
import type { Receipt } from "./receipts.js";
import { TOLD_BY_CALLS, TOLD_BY_HALVES } from "./shared.js";

export const NAMESPACE = "Promptlane";
export type PerToken = Readonly<Record<string, readonly [number, number]>>;

/** Metrics that go out under each of several sets of dimensions. */
export interface Directive {
  readonly dimensionSets: readonly (readonly string[])[];
  readonly metrics: readonly string[];
}

/** `at`: epoch milliseconds. `values` holds every metric that the directives name. */
export interface Document {
  readonly at: number;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly directives: readonly Directive[];
  readonly values: Readonly<Record<string, number>>;
  readonly releaseId: string;
}

/** Takes documents and never fails or delays a request. */
export interface Sink {
  emit(document: Document): void;
  flush(): Promise<void>;
  close(): Promise<void>;
}

type Named = Pick<Decision | Receipt, "prompt" | "version" | "track" | "releaseId">;
type Values = Record<string, number>;

const VERSION = ["Prompt", "Version"] as const;
const GROUP = ["Prompt", "Version", "Group"] as const;
const TRACK = ["Prompt", "Track"] as const;
const HALF = ["Prompt", "Track", "Half"] as const;
const BY_HALVES = new Set([...TOLD_BY_HALVES, "Shielded"]);

function of(named: Named, group: string): Record<string, string> {
  const dimensions = { Prompt: named.prompt, Version: String(named.version), Track: named.track };
  return group ? { ...dimensions, Group: group } : dimensions;
}

/** For the fuse by track and half of the unit groups, and for people by track and version. */
function completed(by: Named, half: string, values: Values, people: Values, at: number): Document {
  const names = Object.keys(values);
  const directives: Directive[] = [
    { dimensionSets: [TRACK], metrics: ["Assigned", ...names] },
    { dimensionSets: [HALF], metrics: names.filter((name) => BY_HALVES.has(name)) },
  ];
  if (Object.keys(people).length) directives.push({ dimensionSets: [VERSION], metrics: Object.keys(people) });
  const all = { Assigned: 1, ...values, ...people };
  return { at, dimensions: { ...of(by, ""), Half: half }, directives, values: all, releaseId: by.releaseId };
}

function judged(by: Named, group: string, values: Values, at: number): Document {
  const directive = { dimensionSets: group ? [VERSION, GROUP] : [VERSION], metrics: Object.keys(values) };
  return { at, dimensions: of(by, group), directives: [directive], values, releaseId: by.releaseId };
}

interface Stamps {
  startedAt: number;
  now: number;
}

/** For the judge: the split decided for this version. Counted before anything can fail, the breaker included. */
export function assigned(decision: Decision, group: string, startedAt: number): Document {
  return judged(decision, group, { Assigned: 1 }, startedAt);
}

/** For judge (start-stamped), and for fuse and people (stamped at completion), of one call that was made. */
export function finished(
  decision: Decision,
  group: string,
  half: string,
  outcome: CallOutcome,
  { startedAt, now }: Stamps,
): Document[] {
  const counted: Values = {};
  for (const name of TOLD_BY_CALLS) counted[name] = outcome.bad.has(name) ? 1 : 0;
  if (decision.track === "canary") counted["Shielded"] = 0;
  const means = group ? valuesOf(decision.perToken, outcome.inputTokens, outcome.outputTokens) : {};
  const averaged = Object.fromEntries(Object.entries(means).filter(([name]) => name in decision.perToken));
  const figures = {
    Latency: outcome.latencyMs,
    TimeToFirstToken: outcome.timeToFirstTokenMs,
    InputTokens: outcome.inputTokens,
    OutputTokens: outcome.outputTokens,
    CacheReadTokens: outcome.cacheReadTokens,
    CacheWriteTokens: outcome.cacheWriteTokens,
  };
  const people: Values = {};
  for (const [name, value] of Object.entries(figures)) if (value !== undefined) people[name] = value;
  return [
    judged(decision, group, { ...counted, ...means }, startedAt),
    completed(decision, half, { ...counted, ...averaged }, people, now),
  ];
}

/** A unit of the canary that the breaker sent to stable: no call to judge, and seen by judge and fuse as that. */
export function shielded(decision: Decision, group: string, half: string, { startedAt, now }: Stamps): Document[] {
  const values = { Shielded: 1 };
  return [judged(decision, group, values, startedAt), completed(decision, half, values, {}, now)];
}

/** A request that counts for no version (Bedrock does not accept it, or its caller left): for people alone. */
export function nobodys(name: "InvalidRequest" | "Cancelled", decision: Decision, now: number): Document {
  const directive = { dimensionSets: [TRACK, VERSION], metrics: [name] };
  const values = { [name]: 1 };
  return { at: now, dimensions: of(decision, ""), directives: [directive], values, releaseId: decision.releaseId };
}

/** One feedback: 1 when negative, 0 when positive, so that the rate is among the feedback given. */
export function feedback(receipt: Receipt, negative: boolean, now: number): Document[] {
  const values = { NegativeFeedback: negative ? 1 : 0 };
  const directive = { dimensionSets: [TRACK], metrics: Object.keys(values) };
  return [
    judged(receipt, receipt.group, values, receipt.startedAt),
    { at: now, dimensions: of(receipt, ""), directives: [directive], values, releaseId: receipt.releaseId },
  ];
}

/** A refresh failed: the age in seconds of the route that is served instead. */
export function staleRoute(prompt: string, age: number, now: number): Document {
  const directive = { dimensionSets: [["Prompt"]], metrics: ["StaleRoute"] };
  return {
    at: now,
    dimensions: { Prompt: prompt },
    directives: [directive],
    values: { StaleRoute: age },
    releaseId: "",
  };
}

const DIGITS = 3;

/** What one answer adds to means and to the sums of their squares, by metric; nothing where it told no tokens. */
export function valuesOf(perToken: PerToken, input: number | undefined, output: number | undefined): Values {
  if (input === undefined || output === undefined) return {};
  const found: Values = {};
  for (const [name, [ofInput, ofOutput]] of Object.entries(perToken)) {
    const value = rounded(Math.min(ofInput * input + ofOutput * output, 1), DIGITS);
    found[name] = value;
    found[`${name}Squared`] = rounded(value * value, 2 * DIGITS);
  }
  return found;
}

/** As Python rounds: a tie, which at three digits only odd sixteenths are, to the even digit. */
function rounded(value: number, digits: number): number {
  const up = Number(value.toFixed(digits));
  if (digits === DIGITS && Number.isInteger(value * 16) && (value * 16) % 2 === 1) {
    const thousandths = Math.floor(value * 1000);
    return (thousandths % 2 === 0 ? thousandths : thousandths + 1) / 1000;
  }
  return up;
}
