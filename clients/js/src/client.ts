// PromptClient: what applications hold, one per process.

import { Answer, StreamedAnswer } from "./answer.js";
import {
  Aws,
  FeedbackTable,
  putMetricData,
  RouteTable,
  SdkBedrock,
  type AwsSettings,
  type Bedrock,
  type FeedbackMemory,
} from "./aws.js";
import { Breaker } from "./breaker.js";
import { Caller, type Call } from "./calls.js";
import { CLOCK, type Clock } from "./clock.js";
import { CloudWatchSink } from "./cloudwatch.js";
import type { Decision, Extras, LiveRoute, Variables } from "./decision.js";
import { EmfSink } from "./emf.js";
import { InvalidInput, InvalidReceipt, InvalidUnit, Unavailable } from "./errors.js";
import { checkName, isObject, kindOf } from "./incoming.js";
import * as metrics from "./metrics.js";
import { Observation } from "./observation.js";
import { ofResponse } from "./outcome.js";
import { KmsKeys, OwnKeys, SdkKms, Source, type Given, type Keys } from "./receipt-keys.js";
import { checkFresh, headOf, mark, promptIdOf, seal, unseal, voiceOf, type Key } from "./receipts.js";
import { Request } from "./request.js";
import { forget, Routes, type RouteReader } from "./routes.js";
import { RECEIPT_DAY, RECEIPT_FRESH, RECEIPT_WINDOW, ROUTE_SCHEMA } from "./shared.js";
import { MAX_UNIT_BYTES, upperOf } from "./split.js";

/** Everything is an argument, an environment variable (in brackets), or has a default. Times are seconds. */
export interface Settings {
  /** [PROMPTLANE_ROUTE_TABLE] The deployment's route table: stack output RouteTable. */
  routeTable?: string | undefined;
  /** Region, credentials and endpoint of the AWS SDK clients that are made; else the environment's. */
  aws?: AwsSettings | undefined;
  /** Between reads of a prompt's route (2). */
  refresh?: number | undefined;
  /** [PROMPTLANE_FALLBACK_ROUTES, JSON] Version ARN by prompt, served when no route was ever read; with
   * `#<guardrail id>:<its version>` behind it where the version has a guardrail. */
  fallback?: Readonly<Record<string, string>> | undefined;
  /** How long a request may take, all tries together (28); set the same in the policy's `request.timeout`. */
  timeout?: number | undefined;
  /** From when a request counts as slow (10). */
  slowAfter?: number | undefined;
  /** Answer from stable when a canary call fails (true). */
  shield?: boolean | undefined;
  /** What of the timeout is kept for stable's answer while a canary runs (10). */
  shieldReserve?: number | undefined;
  /** So many canary errors in a row send this process's canary traffic to stable (5; 0: never) … */
  breakerErrors?: number | undefined;
  /** … for so long (30). */
  breakerCooldown?: number | undefined;
  /** [PROMPTLANE_RECEIPT_KEY] A secret of your own that receipts are sealed with; several, the newest last, parted by
   * blanks, or a function that gives them, which is asked again when a receipt comes that none of them opens. */
  receiptKey?: Given | undefined;
  /** [PROMPTLANE_RECEIPT_KMS_KEY] The deployment's key for receipts: stack output ReceiptKey. Several likewise. */
  receiptKmsKey?: Given | undefined;
  /** [PROMPTLANE_FEEDBACK_TABLE] So that a unit's feedback counts once in all processes. */
  feedbackTable?: string | undefined;
  /** [PROMPTLANE_RESOLUTION] The deployment's metric resolution (60). */
  resolution?: number | undefined;
  /** Where metrics go: by default EMF on standard output in Lambda, and PutMetricData in the background elsewhere. */
  sink?: metrics.Sink | undefined;
  /** Told, in words, of what does not stop a request; by default console.warn. */
  log?: ((message: string) => void) | undefined;
}

/** What stands in the place of AWS, in tests. */
export interface Doubles {
  routes?: RouteReader;
  bedrock?: Bedrock;
  feedback?: FeedbackMemory;
  keys?: Keys;
  clock?: Clock;
}

export interface Ask extends Extras {
  /** A user's or session's id: the same one always gets the same version. */
  unit: string;
  variables?: Variables | undefined;
  /** Aborting it hangs up: the request then counts as cancelled, and no version's error. */
  signal?: AbortSignal | undefined;
}

const ASKED = new Set(["unit", "variables", "messages", "guardrail", "metadata", "signal"]);

/** Splits traffic over a prompt's versions, calls Bedrock, and counts what came of it. */
export class PromptClient {
  readonly #aws: Aws;
  readonly #clock: Clock;
  readonly #slowAfter: number;
  readonly #sink: metrics.Sink;
  readonly #keys: Keys | undefined;
  readonly #memory: FeedbackMemory;
  readonly #reader: RouteReader;
  readonly #routes: Routes;
  readonly #caller: Caller;
  readonly #names = new Map<string, string>();
  readonly #log: (message: string) => void;

  constructor(settings: Settings = {}, doubles: Doubles = {}) {
    const { env } = process;
    const { timeout = 28, slowAfter = 10, refresh = 2, shieldReserve = 10 } = settings;
    for (const [name, value] of Object.entries({ timeout, slowAfter })) {
      if (!(value > 0)) throw new InvalidInput(`${name}=${value}; give seconds, above 0`);
    }
    const table = settings.routeTable ?? env["PROMPTLANE_ROUTE_TABLE"];
    if (!table && !doubles.routes) {
      throw new InvalidInput(
        "no route table: pass routeTable, or set PROMPTLANE_ROUTE_TABLE to the deployment's (stack output RouteTable)",
      );
    }
    const log = settings.log ?? ((message: string) => console.warn(`promptlane: ${message}`));
    this.#log = log;
    const resolution = settings.resolution ?? Number(env["PROMPTLANE_RESOLUTION"] || 60);
    this.#aws = new Aws(settings.aws ?? {});
    this.#clock = doubles.clock ?? CLOCK;
    this.#slowAfter = slowAfter;
    this.#sink =
      settings.sink ??
      (env["AWS_LAMBDA_FUNCTION_NAME"]
        ? new EmfSink(resolution)
        : new CloudWatchSink({ resolution, log, put: (data) => putMetricData(this.#aws, metrics.NAMESPACE, data) }));
    const { receiptKmsKey = "" } = settings;
    const secret = settings.receiptKey ?? (receiptKmsKey ? "" : (env["PROMPTLANE_RECEIPT_KEY"] ?? ""));
    const wrapping = receiptKmsKey || (env["PROMPTLANE_RECEIPT_KMS_KEY"] ?? "");
    const given = (source: Given): boolean => typeof source === "function" || source.trim() !== "";
    if (doubles.keys) this.#keys = doubles.keys;
    else if (given(secret)) this.#keys = new OwnKeys(new Source(secret, "receiptKey", log));
    else if (given(wrapping)) {
      this.#keys = new KmsKeys(new SdkKms(this.#aws), new Source(wrapping, "receiptKmsKey", log), log);
    }
    const remembered = settings.feedbackTable ?? env["PROMPTLANE_FEEDBACK_TABLE"];
    this.#memory = doubles.feedback ?? (remembered ? new FeedbackTable(this.#aws, remembered) : new Memory());
    this.#reader = doubles.routes ?? new RouteTable(this.#aws, table!);
    this.#routes = new Routes(this.#reader, this.#clock, {
      refresh,
      log,
      fallback: settings.fallback ?? fallbacks(env["PROMPTLANE_FALLBACK_ROUTES"]),
      onStale: (prompt, age) => this.#sink.emit(metrics.staleRoute(prompt, age, this.#clock.wall())),
    });
    const breaker = new Breaker(settings.breakerErrors ?? 5, settings.breakerCooldown ?? 30, () =>
      this.#clock.steady(),
    );
    const bedrock = doubles.bedrock ?? new SdkBedrock(this.#aws);
    this.#caller = new Caller(() => bedrock, breaker, {
      timeoutMs: timeout * 1000,
      reserveMs: shieldReserve * 1000,
      shield: settings.shield ?? true,
    });
  }

  /**
   * Which version this unit gets now, if nothing has to be waited for: well under a microsecond, no I/O. Undefined when
   * the route must be read first (at the start, and after a freeze): then `await route(prompt, unit)`.
   */
  routeNow(prompt: string, unit: string): Decision | undefined {
    checkUnit(unit);
    const route = this.#routes.ready(prompt);
    return route && pick(route, unit);
  }

  /** Which version this unit gets now. Throws InvalidUnit, UnknownPrompt, RouteUnavailable, UnsupportedRoute. */
  async route(prompt: string, unit: string): Promise<Decision> {
    checkUnit(unit);
    checkName(prompt, "prompt");
    return pick(this.#routes.ready(prompt) ?? (await this.#routes.current(prompt)), unit);
  }

  /** The answer of the version that this unit gets. Throws what route() throws, InvalidInput and ModelCallFailed. */
  async converse(prompt: string, ask: Ask): Promise<Answer> {
    const call = asked(ask, false);
    const request = await this.#open(prompt, ask);
    const { whole } = await this.#caller.call(request, call);
    const took = { latencyMs: request.elapsedMs(), slowAfterMs: request.slowAfterMs };
    if (!request.counted) this.#caller.count(request, ofResponse(whole, took));
    const decision = request.answeredBy;
    return new Answer(whole!, decision, decision !== request.decided, await this.#receipt(request));
  }

  /** As converse(), piece by piece: iterate over the result. */
  async converseStream(prompt: string, ask: Ask): Promise<StreamedAnswer> {
    const call = asked(ask, true);
    const request = await this.#open(prompt, ask);
    const response = await this.#caller.call(request, call);
    return new StreamedAnswer(request, this.#caller, call, response, (of) => this.#receipt(of), this.#clock);
  }

  /**
   * Count a call that the application makes itself with decision.request(): no shield, no breaker.
   *
   *     const call = client.observe(decision, { unit });
   *     const response = await call.run(() => bedrock.send(new ConverseCommand(decision.request(variables))));
   */
  observe(decision: Decision, { unit }: { unit: string }): Observation {
    checkUnit(unit);
    return new Observation(this.#request(decision, unit), (request) => this.#receipt(request));
  }

  /**
   * Count feedback on the answer that the receipt came with; false when feedback of this unit was counted before.
   *
   * Throws InvalidReceipt, InvalidInput when no receipt key is configured, and Unavailable when the key or one of the
   * tables cannot be reached: the receipt stays good, try again.
   */
  async feedback(receipt: string, { positive }: { positive: boolean }): Promise<boolean> {
    if (this.#keys === undefined) {
      throw new InvalidInput(
        "no receipt key: set PROMPTLANE_RECEIPT_KMS_KEY or PROMPTLANE_RECEIPT_KEY, as the one who answered had",
      );
    }
    if (typeof positive !== "boolean") throw new InvalidInput(`positive is ${kindOf(positive)}; give true or false`);
    const now = this.#clock.wall();
    const head = headOf(receipt, now);
    const prompt = await this.#nameOf(head.promptId);
    const found = unseal(receipt, head, await this.#keys.named(prompt, head), prompt, now);
    checkFresh(found, now);
    // As long as another answer of the same window may bring some.
    if (!(await this.#memory.first(voiceOf(found), RECEIPT_FRESH + RECEIPT_WINDOW + RECEIPT_DAY))) return false;
    for (const document of metrics.feedback(found, !positive, now)) this.#sink.emit(document);
    return true;
  }

  /** The schema of routes that this client knows, and those of the routes it has read: for logs and support. */
  get schemas(): { readonly known: number; readonly met: readonly number[] } {
    return { known: ROUTE_SCHEMA, met: this.#routes.schemas };
  }

  /** Send the metrics that are held back. */
  flush(): Promise<void> {
    return this.#sink.flush();
  }

  /** Send the metrics that are held back, and end connections. Call it before the process ends by a signal. */
  async close(): Promise<void> {
    await this.#sink.close();
    await this.#aws.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #open(prompt: string, { unit, signal }: Ask): Promise<Request> {
    signal?.throwIfAborted();
    const request = this.#request(await this.route(prompt, unit), unit);
    void this.#keys?.newest(request.decided.prompt, 0).catch(() => undefined); // fetched while the model answers
    return request;
  }

  #request(decision: Decision, unit: string): Request {
    return new Request(decision, unit, this.#sink, this.#clock, this.#slowAfter);
  }

  async #receipt(request: Request): Promise<string | undefined> {
    const by = request.answeredBy;
    const key = await this.#newestKey(by.prompt);
    if (key === undefined) return undefined;
    this.#remember(promptIdOf(by.versionArn), by.prompt);
    const { group, startedAt } = request;
    return seal(key, by, { group, startedAt, unit: mark(request.decided.salt, request.unit) });
  }

  /** None where it cannot be had: an answer without a receipt is better than none. */
  async #newestKey(prompt: string): Promise<Key | undefined> {
    try {
      return await this.#keys?.newest(prompt, 1000);
    } catch (error) {
      this.#log(`no key to seal receipts of ${prompt} with: ${String(error)}`);
      return undefined;
    }
  }

  /** The name of the prompt that a receipt is of, which whoever gave us the receipt may have made up. */
  async #nameOf(promptId: string): Promise<string> {
    let name = this.#names.get(promptId);
    if (name !== undefined) return name;
    try {
      name = await this.#reader.nameOf(promptId);
    } catch (error) {
      throw new Unavailable(
        `the receipt cannot be checked now: the prompt ${promptId} was not found out (${String(error)}); it stays good, ` +
          "try again",
        { cause: error },
      );
    }
    if (!name) throw new InvalidReceipt(`the receipt is of a prompt that has no route here: ${promptId}`);
    this.#remember(promptId, name);
    return name;
  }

  #remember(promptId: string, name: string): void {
    this.#names.set(promptId, name);
    forget(this.#names, 1000);
  }
}

function pick(route: LiveRoute, unit: string): Decision {
  if (!route.split) return route.low;
  return upperOf(route.keys, unit) < route.threshold ? route.low : route.high;
}

/** Whose feedback this process counted, when no feedback table is configured: the last 10,000. */
class Memory implements FeedbackMemory {
  readonly #seen = new Map<string, true>();

  async first(voice: string): Promise<boolean> {
    if (this.#seen.has(voice)) return false;
    this.#seen.set(voice, true);
    forget(this.#seen, 10_000);
    return true;
  }
}

/** InvalidUnit when the unit is no text, empty, too long, or no Unicode. */
export function checkUnit(unit: unknown): void {
  if (typeof unit !== "string") {
    throw new InvalidUnit(`the unit is ${kindOf(unit)}; give the user's or session's id as text, with String()`);
  }
  if (!unit)
    throw new InvalidUnit("the unit is empty; give the user's or session's id (a random one splits by request)");
  if (!unit.isWellFormed()) throw new InvalidUnit("the unit holds half a surrogate pair; decode it properly first");
  if (unit.length * 3 <= MAX_UNIT_BYTES) return;
  const size = Buffer.byteLength(unit);
  if (size > MAX_UNIT_BYTES) {
    throw new InvalidUnit(`the unit has ${size} bytes; at most ${MAX_UNIT_BYTES}: give an id, not a document`);
  }
}

function asked(ask: Ask, stream: boolean): Call {
  if (!isObject(ask)) throw new InvalidInput(`what is asked is ${kindOf(ask)}; give { unit, variables, … }`);
  const unknown = Object.keys(ask).filter((name) => !ASKED.has(name));
  if (unknown.length) {
    throw new InvalidInput(`${unknown.join(", ")} is no argument; there are ${[...ASKED].join(", ")}`);
  }
  const { variables = {}, messages, guardrail, metadata, signal } = ask;
  return { stream, variables, messages, guardrail, metadata, signal };
}

function fallbacks(text: string | undefined): Record<string, string> {
  if (!text) return {};
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    found = undefined;
  }
  if (isObject(found)) return Object.fromEntries(Object.entries(found).map(([prompt, arn]) => [prompt, String(arn)]));
  throw new InvalidInput(
    `PROMPTLANE_FALLBACK_ROUTES=${text.slice(0, 80)} is not a JSON object such as {"my-prompt": "arn:...:3"}`,
  );
}
