// What the events of a ConverseStream tell of its answer, one after the other.

import type { ConverseStreamOutput } from "@aws-sdk/client-bedrock-runtime";
import { isObject } from "./incoming.js";
import { acts, ofAnswer, ofError, type CallOutcome, type Usage } from "./outcome.js";

/** An error event inside a stream; `name` is the AWS error code. */
export class StreamError extends Error {
  constructor(code: string, message = "") {
    super(message || code);
    this.name = code;
  }
}

export function incomplete(): StreamError {
  return new StreamError("IncompleteStream", "the stream ended before the answer did");
}

/** The text that an event adds to the answer; reasoning, citations and inputs of tools are none. */
export function textIn(event: ConverseStreamOutput): string {
  return event.contentBlockDelta?.delta?.text ?? "";
}

/** The answer so far. It is `complete` once its stop reason came: what follows, its usage, may be lost. */
export class Progress {
  /** Milliseconds to the first text, image or use of a tool; reasoning is none. */
  firstMs: number | undefined;
  stopReason: string | undefined;
  usage: Usage = {};
  text = "";
  #acts = false;
  /** Indexes of the blocks that are reasoning. */
  readonly #thoughts = new Set<number | undefined>();
  #stoppedMs: number | undefined;

  get complete(): boolean {
    return this.stopReason !== undefined;
  }

  /** Whether some of the answer came. */
  get answered(): boolean {
    return this.firstMs !== undefined || this.complete;
  }

  /** Take note of an event that came so long after the request began; throws StreamError when it is an error's. */
  note(event: ConverseStreamOutput, elapsedMs: number): void {
    for (const [name, value] of Object.entries(event)) {
      if (name.endsWith("Exception") && value !== undefined) {
        const message = isObject(value) || value instanceof Error ? (value as { message?: unknown }).message : "";
        throw new StreamError(name[0]!.toUpperCase() + name.slice(1), String(message ?? ""));
      }
    }
    if (event.contentBlockDelta?.delta?.reasoningContent) this.#thoughts.add(event.contentBlockDelta.contentBlockIndex);
    const text = textIn(event);
    const shows = acts(event.contentBlockStart?.start) || acts(event.contentBlockDelta?.delta);
    if (text || shows) this.firstMs ??= elapsedMs;
    this.text += text;
    this.#acts ||= shows;
    if (event.messageStop) {
      this.stopReason = event.messageStop.stopReason ?? "";
      this.#stoppedMs = elapsedMs;
    }
    if (event.metadata) this.usage = (event.metadata.usage ?? {}) as Usage;
  }

  /** Whether an event that was noted is of what the model thinks, and not of its answer. */
  thinks(event: ConverseStreamOutput): boolean {
    return this.#thoughts.has((event.contentBlockDelta ?? event.contentBlockStop)?.contentBlockIndex);
  }

  /** Of an answer that is complete, or that its reader left: what would have come then is not known. */
  outcome(elapsedMs: number, slowAfterMs: number): CallOutcome {
    return ofAnswer({
      text: this.text,
      stopReason: this.stopReason,
      acts: this.#acts || !this.complete,
      usage: this.usage,
      latencyMs: this.#stoppedMs ?? elapsedMs,
      slowAfterMs,
      timeToFirstTokenMs: this.firstMs,
    });
  }

  /** Of an answer that broke off: its error, but for one that was complete before. */
  broken(error: unknown, elapsedMs: number, slowAfterMs: number): CallOutcome {
    if (this.complete) return this.outcome(elapsedMs, slowAfterMs);
    return ofError(error, { latencyMs: elapsedMs, slowAfterMs, timeToFirstTokenMs: this.firstMs });
  }
}
