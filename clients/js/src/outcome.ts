// What one model call came to: by which guard metrics it is a bad one, and the figures for people. The rules are the
// rows of promptlane/domain/metrics.py; clients/conformance/outcomes.json holds both clients to them.

import { isBlank, isObject } from "./incoming.js";
import { isRefusal } from "./refusal.js";
import { TOLD_BY_CALLS } from "./shared.js";

const GUARDRAIL_STOP = "guardrail_intervened";
const TRUNCATED = new Set(["max_tokens", "model_context_window_exceeded"]);
const MALFORMED = new Set(["malformed_model_output", "malformed_tool_use"]);
const FILTERED = new Set(["content_filtered", "refusal"]);

interface Call {
  readonly latencyMs: number;
  readonly slowAfterMs: number;
  readonly text: string;
  readonly stopReason: string | undefined;
  readonly raised: boolean;
  /** Asks for the use of a tool. */
  readonly acts: boolean;
}

const failed = (c: Call): boolean => c.raised || MALFORMED.has(c.stopReason ?? "");

const COUNTS: Readonly<Record<string, (call: Call, refused: () => boolean) => boolean>> = {
  Error: failed,
  Refusal: (c, refused) => FILTERED.has(c.stopReason ?? "") || (c.stopReason !== GUARDRAIL_STOP && refused()),
  Empty: (c) => {
    const told = FILTERED.has(c.stopReason ?? "") || c.stopReason === GUARDRAIL_STOP;
    return !(failed(c) || told || c.acts || !isBlank(c.text));
  },
  Guardrail: (c) => c.stopReason === GUARDRAIL_STOP,
  Truncation: (c) => TRUNCATED.has(c.stopReason ?? ""),
  Slow: (c) => c.latencyMs > c.slowAfterMs,
};

/** Names of the guard metrics that count the call as bad, and its figures; undefined where the call did not tell. */
export interface CallOutcome {
  readonly bad: ReadonlySet<string>;
  readonly latencyMs: number;
  readonly timeToFirstTokenMs?: number | undefined;
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  readonly stopReason?: string | undefined;
  readonly errorType?: string | undefined;
  readonly cacheReadTokens?: number | undefined;
  readonly cacheWriteTokens?: number | undefined;
}

function badOf(call: Call): Set<string> {
  const refused = () => isRefusal(call.text);
  return new Set(TOLD_BY_CALLS.filter((name) => COUNTS[name]?.(call, refused) ?? false));
}

/** Converse's `usage`, as an SDK gives it. */
export type Usage = Readonly<Record<string, unknown>>;

function count(value: unknown): number {
  return typeof value === "number" && value > 0 ? Math.trunc(value) : 0;
}

export interface Answered {
  text: string;
  stopReason: string | undefined;
  acts?: boolean;
  usage?: Usage | undefined;
  latencyMs: number;
  slowAfterMs: number;
  timeToFirstTokenMs?: number | undefined;
}

/** The outcome of a call that was answered. */
export function ofAnswer(said: Answered): CallOutcome {
  const call: Call = { ...said, raised: false, acts: said.acts ?? false };
  const usage = said.usage ?? {};
  const [read, written] = [count(usage["cacheReadInputTokens"]), count(usage["cacheWriteInputTokens"])];
  const cached = read > 0 || written > 0;
  return {
    bad: badOf(call),
    latencyMs: said.latencyMs,
    timeToFirstTokenMs: said.timeToFirstTokenMs,
    inputTokens: "inputTokens" in usage ? count(usage["inputTokens"]) + read + written : undefined,
    outputTokens: "outputTokens" in usage ? count(usage["outputTokens"]) : undefined,
    stopReason: said.stopReason,
    errorType: failed(call) ? said.stopReason : undefined,
    cacheReadTokens: cached ? read : undefined,
    cacheWriteTokens: cached ? written : undefined,
  };
}

/** The blocks of a Converse answer; none where it has no message, or one without content. */
function contentOf(response: unknown): Record<string, unknown>[] {
  const output = isObject(response) ? response["output"] : undefined;
  const message = isObject(output) ? output["message"] : undefined;
  const content = isObject(message) ? message["content"] : undefined;
  return Array.isArray(content) ? content.filter(isObject) : [];
}

/** The text of a Converse answer, joined, that with citations too; reasoning and tool use are left out. */
export function textOf(response: unknown): string {
  let text = "";
  for (const block of contentOf(response)) {
    const cited = isObject(block["citationsContent"]) ? block["citationsContent"]["content"] : undefined;
    for (const part of Array.isArray(cited) && cited.length ? cited : [block]) {
      if (isObject(part) && part["text"] !== undefined) text += String(part["text"]);
    }
  }
  return text;
}

/** Kinds of blocks that answer without a text; reasoning, and what a tool found, are none. */
const NO_TEXT = ["toolUse", "image", "document", "video", "audio"];

/** Whether a block, or its start or delta in a stream, asks for the use of a tool, or shows what is no text. */
export function acts(block: unknown): boolean {
  return isObject(block) && NO_TEXT.some((kind) => block[kind] !== undefined);
}

/** The outcome of a whole Converse response. */
export function ofResponse(response: unknown, took: { latencyMs: number; slowAfterMs: number }): CallOutcome {
  const said = isObject(response) ? response : {};
  return ofAnswer({
    text: textOf(response),
    stopReason: said["stopReason"] as string | undefined,
    acts: contentOf(response).some(acts),
    usage: said["usage"] as Usage | undefined,
    ...took,
  });
}

/** The outcome of a call that failed. It counts as slow too when it took that long. */
export function ofError(
  error: unknown,
  took: { latencyMs: number; slowAfterMs: number; timeToFirstTokenMs?: number | undefined },
): CallOutcome {
  const call: Call = { ...took, text: "", stopReason: undefined, raised: true, acts: false };
  return {
    bad: badOf(call),
    latencyMs: took.latencyMs,
    timeToFirstTokenMs: took.timeToFirstTokenMs,
    errorType: errorType(error),
  };
}

/** The AWS error code of an SDK's error, the system's code of a network error, else the class name. */
export function errorType(error: unknown): string {
  if (!isObject(error)) return typeof error;
  const { name, code } = error;
  if ((name === undefined || name === "Error") && typeof code === "string") return code;
  return typeof name === "string" ? name : "Error";
}

const OF_THE_REQUEST = new Set(["ValidationException", "SerializationException"]);

/** Whether the request itself may be what was not accepted; a guardrail that is gone is told by the same code. */
export function invalid(error: unknown): boolean {
  const said = isObject(error) ? String(error["message"] ?? "") : "";
  return OF_THE_REQUEST.has(errorType(error)) && !said.toLowerCase().includes("guardrail identifier");
}
