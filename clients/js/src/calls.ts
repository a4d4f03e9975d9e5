// One request from decision to answer: the calls to Bedrock, the shield, and what is counted when.
// promptlane/client/calls.py has the same words for it:
//
// refused     what no version could take throws InvalidInput before anything is counted
// assigned    counted first, on the version that the split decided for
// shielded    the breaker is open: stable answers, counted as Shielded, neither as a canary nor as a stable request
// called      the call's outcome is counted once, on the version that was called
// fell back   a canary call failed: one canary error; stable answers, and that call is counted nowhere
// invalid     Bedrock does not accept the request: the release's other version is asked. If it does not either, the
//             request counts for neither; if it does, that was an error of the version that the split decided for
// cancelled   whoever asked left before anything of an answer came: no version's error, and slow if it was by then

import type { ConverseCommandOutput } from "@aws-sdk/client-bedrock-runtime";
import type { Bedrock, Events } from "./aws.js";
import type { Breaker } from "./breaker.js";
import { pause } from "./clock.js";
import type { Decision, Extras, Variables } from "./decision.js";
import { InvalidVariables, ModelCallFailed, RequestRefused } from "./errors.js";
import { errorType, invalid, type CallOutcome } from "./outcome.js";
import type { Request } from "./request.js";
import * as sent from "./sent.js";

/** Failures that come at once and may be gone the next moment: tried once more, on either track alike. */
const PASSING = new Set([
  "ThrottlingException",
  "TooManyRequestsException",
  "ServiceUnavailableException",
  "InternalServerException",
  "ModelNotReadyException",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EPIPE",
]);

const REMEDY: Readonly<Record<string, string>> = {
  ResourceNotFoundException:
    "the version, its model or its guardrail is gone: `promptlane rollback {prompt}` restores a safe one",
  AccessDeniedException:
    "allow bedrock:RenderPrompt on the prompt, bedrock:InvokeModel on its model and bedrock:ApplyGuardrail on its " +
    "guardrail",
  ValidationException:
    "Bedrock does not accept this request: check the length of variables and messages, and the error's reason; where " +
    "it accepts none at all, the prompt has changed or its guardrail is gone: `promptlane diff {prompt}` shows it",
  SerializationException: "the SDK does not send this request: the error's reason names the argument",
  ThrottlingException: "the model's quota is used up; slow down or raise it",
  TimeoutError: "raise the client's timeout, or stream the answer",
};

/** What the application sends, whichever version answers. */
export interface Call extends Extras {
  readonly stream: boolean;
  readonly variables: Variables;
  readonly signal?: AbortSignal | undefined;
}

/** An answer, or one on its way: `hangUp` ends what is left of it. */
export interface Response {
  readonly whole?: ConverseCommandOutput;
  readonly events?: AsyncIterator<unknown>;
  /** Milliseconds that its version may take to begin. */
  readonly limitMs: number;
  hangUp(reason?: unknown): void;
  /** Says that all of it was read: its connection is kept. */
  over(): void;
}

export class TimeoutError extends Error {
  override name = "TimeoutError";
}

export interface Limits {
  timeoutMs: number;
  reserveMs: number;
  shield: boolean;
}

/** Makes the calls of one client, shielded and within time. */
export class Caller {
  readonly #bedrock: () => Bedrock;
  readonly #breaker: Breaker;
  readonly #timeout: number;
  readonly #reserve: number;
  readonly #shield: boolean;

  constructor(bedrock: () => Bedrock, breaker: Breaker, { timeoutMs, reserveMs, shield }: Limits) {
    this.#bedrock = bedrock;
    this.#breaker = breaker;
    this.#timeout = timeoutMs;
    this.#reserve = Math.min(reserveMs, timeoutMs / 2);
    this.#shield = shield;
  }

  /** The response of whoever answers; InvalidInput before anything is counted, else ModelCallFailed. */
  async call(request: Request, call: Call): Promise<Response> {
    sent.check(call);
    sent.checkGuardrail(call.guardrail, call.stream);
    call.signal?.throwIfAborted();
    let wrong: unknown = this.#admit(request, call);
    if (wrong === undefined) {
      try {
        return await this.#attempt(request, call);
      } catch (error) {
        wrong = error;
      }
    }
    return this.fallBack(request, wrong, call);
  }

  /**
   * Another version's response to a request that failed; else the failure, typed.
   *
   * Counts the failure, but for one that may be the request's own: of a stream, only its first event tells.
   */
  async fallBack(request: Request, error: unknown, call: Call): Promise<Response> {
    this.#leave(request, call);
    const decision = request.answeredBy;
    let other: Decision | undefined;
    if (invalid(error)) {
      other = this.#second(request);
      if (other !== undefined) request.holdError(error);
      else if (!this.settle(request, true)) this.#refused(request, error);
    } else {
      this.settle(request, false);
      this.count(request, request.failed(error));
      other = this.#shield && this.left(request) > 0 ? decision.instead : undefined;
    }
    if (other === undefined) throw failure(decision, error);
    request.answeredBy = other;
    let response: Response;
    try {
      response = await this.#attempt(request, call);
    } catch (second) {
      this.#leave(request, call);
      this.settle(request, invalid(second));
      if (invalid(error) && second instanceof InvalidVariables) throw failure(decision, error); // it was not asked
      throw failure(other, second);
    }
    if (!call.stream) this.settle(request, false);
    return response;
  }

  /** Count what came of the version that the split decided for; of a canary's the breaker hears, too. */
  count(request: Request, outcome: CallOutcome): void {
    const { decided, half } = request;
    if (request.count(outcome) && decided.track === "canary") {
      this.#breaker.record(decided.prompt, decided.releaseId, half, outcome.errorType !== undefined);
    }
  }

  /** Count the error that was held, or, if it is `everybodys`, the request as invalid. Whether one was held. */
  settle(request: Request, everybodys: boolean): boolean {
    const held = request.release();
    if (held === undefined) return false;
    if (everybodys) request.countInvalid();
    else this.count(request, held);
    return true;
  }

  /** Milliseconds that are left of the request's time. */
  left(request: Request): number {
    return this.#timeout - request.elapsedMs();
  }

  /** Who is asked whether it is the request that Bedrock does not accept, or the version that it went to. */
  #second(request: Request): Decision | undefined {
    const left = this.left(request);
    if (!this.#shield || request.answeredBy !== request.decided || left <= 0) return undefined;
    if (request.decided.instead === undefined && left < this.#reserve) return undefined; // no time was kept for it
    return request.decided.second;
  }

  /** Count what nobody else was asked about: promptlane/client/calls.py says why so. */
  #refused(request: Request, error: unknown): void {
    if (request.compared && (!this.#shield || request.decided.second !== undefined)) {
      this.count(request, request.failed(error));
    } else request.countInvalid();
  }

  /** Count the assignment and choose who answers; the error that already fails the canary call, if one does. */
  #admit(request: Request, call: Call): InvalidVariables | undefined {
    const { decided } = request;
    let wrong: InvalidVariables | undefined;
    try {
      decided.check(call.variables);
    } catch (error) {
      if (!(error instanceof InvalidVariables) || decided.instead === undefined || !this.#shield) throw error;
      decided.instead.check(call.variables);
      wrong = error;
    }
    request.countAssigned();
    if (decided.instead !== undefined && this.#shield && this.#breaker.isOpen(decided.prompt, decided.releaseId)) {
      request.answeredBy = decided.instead;
      request.countShielded();
      return undefined;
    }
    return wrong;
  }

  /** Throws the caller's own reason when the caller has left. */
  #leave(request: Request, call: Call): void {
    if (!call.signal?.aborted) return;
    request.countCancelled();
    throw call.signal.reason;
  }

  async #attempt(request: Request, call: Call): Promise<Response> {
    try {
      return await this.#once(request, call);
    } catch (error) {
      const late = this.left(request) < this.#timeout / 2;
      if (!PASSING.has(errorType(error)) || late || call.signal?.aborted) throw error;
    }
    await pause(50 + Math.random() * 100);
    return this.#once(request, call);
  }

  async #once(request: Request, call: Call): Promise<Response> {
    const input = request.answeredBy.request(call.variables, call);
    const limitMs = this.limitMs(request);
    const controller = new AbortController();
    const leave = (): void => controller.abort(call.signal?.reason);
    const done = (): void => call.signal?.removeEventListener("abort", leave);
    const hangUp = (reason?: unknown): void => {
      done();
      controller.abort(reason);
    };
    call.signal?.addEventListener("abort", leave, { once: true });
    const timer = setTimeout(() => hangUp(new TimeoutError(`no answer within ${limitMs / 1000} s`)), limitMs);
    const over = new Promise<never>((_, reject) => {
      controller.signal.addEventListener("abort", () => reject(controller.signal.reason), { once: true });
    });
    over.catch(() => undefined);
    try {
      if (!call.stream) {
        const whole = await Promise.race([this.#bedrock().converse(input, controller.signal), over]);
        done();
        return { whole, limitMs, hangUp, over: done };
      }
      const { stream } = await Promise.race([this.#bedrock().converseStream(input, controller.signal), over]);
      const source = (stream ?? nothing())[Symbol.asyncIterator]();
      return { events: { next: () => Promise.race([source.next(), over]) }, limitMs, hangUp, over: done };
    } catch (error) {
      hangUp();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Milliseconds that this call may wait.
   *
   * Whoever answers in another's place has as long as on its own track, where so much is left, and the reserve at
   * least: else what it answers its own units would fail here.
   */
  limitMs(request: Request): number {
    const beforeReserve = this.#timeout - this.#reserve;
    const first = request.decided.phase === "canary" && this.#shield ? beforeReserve : this.#timeout;
    if (request.answeredBy === request.decided) return first;
    const left = this.left(request);
    return [first, beforeReserve].find((limit) => limit <= left) ?? this.#reserve;
  }
}

async function* nothing(): Events {}

/**
 * The typed error for what the SDK threw; InvalidVariables stays itself.
 *
 * Its text may reach an end user, who must not learn the track: it names neither version nor what AWS says of it.
 */
export function failure(decision: Decision, error: unknown): Error {
  if (error instanceof InvalidVariables) return error;
  const code = errorType(error);
  const remedy = (REMEDY[code] ?? "try again; if it stays, see the error's reason, which is what AWS says").replaceAll(
    "{prompt}",
    decision.prompt,
  );
  const Kind = invalid(error) ? RequestRefused : ModelCallFailed;
  const reason = error instanceof Error ? error.message : String(error);
  return new Kind(`${decision.prompt} was not answered: ${code}; ${remedy}`, { code, reason, cause: error });
}
