// One request: which decision answers, and what it is counted as. Counted once, by whoever comes first.

import type { Clock } from "./clock.js";
import type { Decision } from "./decision.js";
import * as metrics from "./metrics.js";
import { ofAnswer, ofError, type CallOutcome } from "./outcome.js";
import { group, half } from "./split.js";

export class Request {
  readonly decided: Decision;
  answeredBy: Decision;
  readonly unit: string;
  /** The unit's group while the split is watched, else empty. */
  readonly group: string;
  /** The half of the unit groups that the unit is in. */
  readonly half: string;
  readonly slowAfterMs: number;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** What it was counted as; undefined before that, and where it counts for no version. */
  outcome: CallOutcome | undefined;
  readonly #clock: Clock;
  readonly #sink: metrics.Sink;
  #started: number;
  #counted = false;
  #held: CallOutcome | undefined;

  constructor(decision: Decision, unit: string, sink: metrics.Sink, clock: Clock, slowAfterSeconds: number) {
    this.decided = this.answeredBy = decision;
    this.unit = unit;
    const found = group(decision.salt, unit);
    this.group = decision.phase === "steady" ? "" : found;
    this.half = half(found);
    this.slowAfterMs = slowAfterSeconds * 1000;
    this.#sink = sink;
    this.#clock = clock;
    this.startedAt = clock.wall();
    this.#started = clock.steady();
  }

  /** Whether the version that the split decided for is being compared with another. */
  get compared(): boolean {
    return this.decided.phase !== "steady";
  }

  get counted(): boolean {
    return this.#counted;
  }

  elapsedMs(): number {
    return this.#clock.steady() - this.#started;
  }

  /** Time that its caller took is not the request's. */
  pause(ms: number): void {
    this.#started += ms;
  }

  countAssigned(): void {
    this.#emit(metrics.assigned(this.decided, this.group, this.startedAt));
  }

  countShielded(): void {
    if (this.#first()) this.#emit(...metrics.shielded(this.decided, this.group, this.half, this.#stamps()));
  }

  /** Count the outcome on the version decided for, once; what comes later is a fallback's. Whether this was it. */
  count(outcome: CallOutcome): boolean {
    if (!this.#first()) return false;
    this.outcome = outcome;
    this.#emit(...metrics.finished(this.decided, this.group, this.half, outcome, this.#stamps()));
    return true;
  }

  /** The request counts for no version: Bedrock does not accept it. */
  countInvalid(): void {
    if (this.#first()) this.#emit(metrics.nobodys("InvalidRequest", this.decided, this.#clock.wall()));
  }

  /** Its caller left before anything came, which says nothing of a version: but that it was slow by then. */
  countCancelled(waited = true): void {
    this.#held = undefined;
    const latencyMs = this.elapsedMs();
    if (waited && latencyMs > this.slowAfterMs) {
      this.count(ofAnswer({ text: "", stopReason: undefined, acts: true, latencyMs, slowAfterMs: this.slowAfterMs }));
    } else if (this.#first()) {
      this.#emit(metrics.nobodys("Cancelled", this.decided, this.#clock.wall()));
    }
  }

  /** Whose error it is, the other version tells: `release` gives it. */
  holdError(error: unknown): void {
    if (!this.#counted) this.#held = this.failed(error);
  }

  /** The error that was held, which is held no more. */
  release(): CallOutcome | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held;
  }

  failed(error: unknown): CallOutcome {
    return ofError(error, { latencyMs: this.elapsedMs(), slowAfterMs: this.slowAfterMs });
  }

  #first(): boolean {
    const first = !this.#counted;
    this.#counted = true;
    return first;
  }

  #stamps(): { startedAt: number; now: number } {
    return { startedAt: this.startedAt, now: this.#clock.wall() };
  }

  #emit(...documents: metrics.Document[]): void {
    for (const document of documents) this.#sink.emit(document);
  }
}
