// A call that the application makes itself, and the stream of its answer: counted, and otherwise as they are.

import type { ConverseStreamOutput } from "@aws-sdk/client-bedrock-runtime";
import type { Sign } from "./answer.js";
import { InvalidInput, InvalidVariables } from "./errors.js";
import { isObject } from "./incoming.js";
import { errorType, invalid, ofResponse, type CallOutcome } from "./outcome.js";
import { incomplete, Progress } from "./progress.js";
import type { Request } from "./request.js";

/**
 * A call that the application makes itself, in `run`.
 *
 * A response with a stream is counted at the stream's end. An error that is not the SDK's is the application's own, and
 * no version's: `failed(error)` says that one of another library is. One that was aborted counts as cancelled.
 */
export class Observation {
  readonly #request: Request;
  readonly #sign: Sign;
  #failed: unknown;
  #answered = false;

  constructor(request: Request, sign: Sign) {
    this.#request = request;
    this.#sign = sign;
  }

  /** What it was counted as; undefined before that, and where it counts for no version. */
  get outcome(): CallOutcome | undefined {
    return this.#request.outcome;
  }

  /** What feedback() takes; undefined before there is a response, since nothing was answered then. */
  async receipt(): Promise<string | undefined> {
    return this.#answered ? this.#sign(this.#request) : undefined;
  }

  /** The call failed with this error, whoever threw it: so it is the version's. Gives it back, to be thrown. */
  failed<E>(error: E): E {
    this.#failed = error;
    return error;
  }

  /** Makes the call, and counts what came of it; gives the call's own response. Once. */
  async run<T>(call: () => Promise<T>): Promise<T> {
    const request = this.#request;
    request.countAssigned();
    let response: T;
    try {
      response = await call();
    } catch (error) {
      const failed = this.#failed ?? (ofTheCall(error) ? error : undefined);
      if (failed === undefined) request.countCancelled(false);
      else if (this.#callersOwn(failed)) request.countInvalid();
      else request.count(request.failed(failed));
      throw error;
    }
    this.#answered = true;
    const { stream } = (isObject(response) ? response : {}) as { stream?: AsyncIterable<ConverseStreamOutput> };
    if (stream === undefined) {
      const took = { latencyMs: request.elapsedMs(), slowAfterMs: request.slowAfterMs };
      request.count(ofResponse(response, took));
      return response;
    }
    return { ...response, stream: observed(stream, request) };
  }

  /** Whether no version is at fault: of what Bedrock does not accept, that is known where none is compared. */
  #callersOwn(error: unknown): boolean {
    const { decided } = this.#request;
    if (error instanceof InvalidVariables && decided.instead && (error.missing.length || error.unknown.length)) {
      const given = new Set([...(decided.variables ?? [])].filter((name) => !error.missing.includes(name)));
      for (const name of error.unknown) given.add(name);
      const taken = decided.instead.variables;
      return taken !== undefined && !(given.size === taken.size && [...given].every((name) => taken.has(name)));
    }
    return error instanceof InvalidInput || (invalid(error) && !this.#request.compared);
  }
}

/** Whether an SDK threw it of a call, or we did of its arguments; not what the application's own code throws. */
function ofTheCall(error: unknown): boolean {
  if (error instanceof InvalidInput) return true;
  if (!(error instanceof Error) || error.name === "AbortError") return false;
  return (
    "$metadata" in error || "$fault" in error || error.name === "TimeoutError" || /^E[A-Z]+$/.test(errorType(error))
  );
}

/** The SDK's stream with its answer counted: at its end, where it breaks, or when its reader leaves it. */
async function* observed(
  stream: AsyncIterable<ConverseStreamOutput>,
  request: Request,
): AsyncGenerator<ConverseStreamOutput, void, void> {
  const soFar = new Progress();
  const took = (): [number, number] => [request.elapsedMs(), request.slowAfterMs];
  try {
    for await (const event of stream) {
      soFar.note(event, request.elapsedMs());
      const handedAt = performance.now();
      yield event;
      request.pause(performance.now() - handedAt);
    }
    request.count(soFar.broken(incomplete(), ...took()));
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError" && !soFar.answered) request.countCancelled();
    else request.count(soFar.broken(error, ...took()));
    throw error;
  } finally {
    if (!request.counted && soFar.answered) request.count(soFar.outcome(...took()));
    else if (!request.counted) request.countCancelled();
  }
}
