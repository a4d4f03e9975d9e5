// What converse and converseStream hand back.

import type { ConverseCommandOutput, ConverseStreamOutput } from "@aws-sdk/client-bedrock-runtime";
import { failure, TimeoutError, type Call, type Caller, type Response } from "./calls.js";
import type { Clock } from "./clock.js";
import type { Decision, Track } from "./decision.js";
import { StreamInterrupted } from "./errors.js";
import { errorType, textOf, type CallOutcome, type Usage } from "./outcome.js";
import { incomplete, Progress, textIn } from "./progress.js";
import type { Request } from "./request.js";

/** What a reader is handed: texts, events that are of the answer, or all that there are. */
type Wanted = "text" | "answer" | "all";

export type Sign = (request: Request) => Promise<string | undefined>;

/** A whole answer. */
export class Answer {
  constructor(
    /** Converse's response as the SDK gave it. */
    readonly response: ConverseCommandOutput,
    /** Which version answered. */
    readonly decision: Decision,
    /** Whether another version answered than the split chose. */
    readonly shielded: boolean,
    /** What feedback() takes; undefined when no receipt key is configured. */
    readonly receipt: string | undefined,
  ) {}

  get text(): string {
    return textOf(this.response);
  }

  get stopReason(): string {
    return this.response.stopReason ?? "";
  }

  get version(): number {
    return this.decision.version;
  }

  get track(): Track {
    return this.decision.track;
  }
}

/** What is known of a stream: apart from it, so that one which nobody holds any more is counted still. */
class Reading {
  soFar = new Progress();
  open = true;

  constructor(
    readonly request: Request,
    readonly caller: Caller,
    public response: Response,
  ) {}

  /** Its reader leaves: counted as what came, or as cancelled. */
  leave(): void {
    if (!this.ends()) return;
    const { request } = this;
    if (this.soFar.answered) this.caller.count(request, this.outcome());
    else request.countCancelled();
  }

  outcome(): CallOutcome {
    return this.soFar.outcome(this.request.elapsedMs(), this.request.slowAfterMs);
  }

  /** Whether it ends now and here, for the first time. */
  ends(): boolean {
    const first = this.open;
    this.open = false;
    return first;
  }
}

const forsaken = new FinalizationRegistry<Reading>((reading) => {
  reading.leave();
  reading.response.hangUp();
});

/**
 * An answer as it comes: iterate for text, or over `events()` for Converse's own events. Read it once.
 *
 * A stream that breaks before any of it reached its reader is answered by stable when it was a canary's: before the
 * first text to who iterates for text, and before what follows `messageStart` to who reads events. Later it throws
 * StreamInterrupted with the text so far; after its stop reason it is complete, whatever comes. `decision` is sure once
 * the first text came.
 *
 * `close()` it, or break out of the loop, to hang up early: what was delivered until then is counted, and no error;
 * where nothing was, the request counts as cancelled. Time that the reader takes is not the request's.
 */
export class StreamedAnswer implements AsyncIterable<string> {
  readonly #reading: Reading;
  readonly #call: Call;
  readonly #sign: Sign;
  readonly #clock: Clock;
  #handedAt: number;
  #busy = false;
  /** Its beginning was handed on. */
  #began = false;
  /** And some of the answer. */
  #reached = false;
  #receipt: Promise<string | undefined> | undefined;

  constructor(request: Request, caller: Caller, call: Call, response: Response, sign: Sign, clock: Clock) {
    this.#reading = new Reading(request, caller, response);
    this.#call = call;
    this.#sign = sign;
    this.#clock = clock;
    this.#handedAt = clock.steady();
    forsaken.register(this, this.#reading, this);
  }

  get decision(): Decision {
    return this.#reading.request.answeredBy;
  }

  get shielded(): boolean {
    return this.#reading.request.answeredBy !== this.#reading.request.decided;
  }

  /** The text so far. */
  get text(): string {
    return this.#reading.soFar.text;
  }

  get stopReason(): string | undefined {
    return this.#reading.soFar.stopReason;
  }

  get usage(): Usage {
    return this.#reading.soFar.usage;
  }

  get timeToFirstTokenMs(): number | undefined {
    return this.#reading.soFar.firstMs;
  }

  /** What feedback() takes; undefined before anything was answered, since another version may answer still. */
  async receipt(): Promise<string | undefined> {
    const { soFar, request } = this.#reading;
    if (soFar.complete || (this.#reached && soFar.answered)) this.#receipt ??= this.#sign(request);
    return this.#receipt;
  }

  /**
   * Converse's own events. The last, `metadata`, counts tokens: it is not for whoever must not learn the track. Without
   * `reasoning` what the model thinks is left out, and nothing of an answer whose canary broke while it thought.
   */
  async *events({ reasoning = true } = {}): AsyncGenerator<ConverseStreamOutput, void, void> {
    const wanted = reasoning ? "all" : "answer";
    try {
      for (let event; (event = await this.#advance(wanted)) !== undefined;) yield event;
    } finally {
      await this.close();
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, void> {
    try {
      for (let event; (event = await this.#advance("text")) !== undefined;) yield textIn(event);
    } finally {
      await this.close();
    }
  }

  /** Hang up. Harmless after the end; whoever reads finds the end. */
  async close(): Promise<void> {
    const left = this.#reading.open;
    this.#reading.leave();
    if (left) this.#reading.response.hangUp();
    forsaken.unregister(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The next event, or the next that holds text; undefined at the end. */
  async #advance(wanted: Wanted): Promise<ConverseStreamOutput | undefined> {
    if (this.#busy) throw new Error("this answer is being read already; read it once, one reader at a time");
    this.#busy = true;
    this.#reading.request.pause(this.#clock.steady() - this.#handedAt);
    try {
      return await this.#next(wanted);
    } finally {
      this.#handedAt = this.#clock.steady();
      this.#busy = false;
    }
  }

  async #next(wanted: Wanted): Promise<ConverseStreamOutput | undefined> {
    const reading = this.#reading;
    while (reading.open) {
      let event: ConverseStreamOutput | undefined;
      try {
        event = await this.#event();
        if (event === undefined && !reading.soFar.complete) throw incomplete();
        if (event !== undefined && reading.open) this.#note(event);
      } catch (error) {
        event = undefined;
        if (!reading.soFar.complete) {
          await this.#broken(error);
          continue;
        }
        reading.response.hangUp();
      }
      if (event === undefined) this.#complete();
      else if (reading.open && this.#handsOn(event, wanted)) return event;
    }
    return undefined;
  }

  /** The SDK's next event, within the time that is left; undefined at the end. */
  async #event(): Promise<ConverseStreamOutput | undefined> {
    const { request, caller, response, soFar } = this.#reading;
    const left = caller.left(request);
    if (left <= 0 && !soFar.complete) throw new TimeoutError("the stream took longer than the request may take");
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const ms = Math.min(response.limitMs, soFar.complete ? Math.max(left, 1000) : left);
      timer = setTimeout(() => reject(new TimeoutError("the stream took longer than the request may take")), ms);
    });
    try {
      const { done, value } = await Promise.race([response.events!.next(), late]);
      return done ? undefined : (value as ConverseStreamOutput);
    } finally {
      clearTimeout(timer);
    }
  }

  #note(event: ConverseStreamOutput): void {
    const { request, caller, soFar } = this.#reading;
    soFar.note(event, request.elapsedMs());
    if (event.messageStart === undefined) caller.settle(request, false); // whoever was asked second takes the request
  }

  #handsOn(event: ConverseStreamOutput, wanted: Wanted): boolean {
    if (event.messageStart !== undefined) {
      // A second one begins stable's answer in a canary's place, which nobody is to tell by that.
      const first = !this.#began;
      this.#began ||= wanted !== "text";
      return wanted !== "text" && first;
    }
    const handsOn = wanted === "text" ? textIn(event) !== "" : wanted === "all" || !this.#reading.soFar.thinks(event);
    this.#reached ||= handsOn;
    return handsOn;
  }

  #complete(): void {
    const reading = this.#reading;
    if (reading.ends()) reading.caller.count(reading.request, reading.outcome());
    reading.response.over();
  }

  /** Go on with another version's stream when nothing was delivered yet; else throw. Nothing, if it was left. */
  async #broken(error: unknown): Promise<void> {
    const reading = this.#reading;
    const { request, caller } = reading;
    const { decision } = this;
    reading.response.hangUp();
    if (!reading.open) return;
    if (this.#call.signal?.aborted) {
      reading.leave();
      throw this.#call.signal.reason;
    }
    if (this.#reached) {
      reading.ends();
      caller.count(request, reading.soFar.broken(error, request.elapsedMs(), request.slowAfterMs));
      const code = errorType(error);
      const reason = error instanceof Error ? error.message : String(error);
      const said = `after ${this.text.length} characters: ${failure(decision, error).message}`;
      throw new StreamInterrupted(said, { code, text: this.text, reason, cause: error });
    }
    let response: Response;
    try {
      response = await caller.fallBack(request, error, this.#call);
    } catch (failed) {
      if (reading.ends()) throw failed;
      return;
    }
    if (!reading.open) return response.hangUp();
    reading.soFar = new Progress();
    reading.response = response;
  }
}
