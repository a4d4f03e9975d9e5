// Routes in memory: read when first asked for, then refreshed behind the traffic.
//
// Whatever is due is read in one request for up to 100 prompts. Reads are started by traffic, never by a timer, so an
// idle process reads nothing, and one that was frozen has nothing to repair. No clock is trusted alone: a monotonic
// clock may stand still while a function is frozen, and a wall clock may be set. A route is due, or too old to be used
// untried, when either says so.

import { now, recent, since, within, type Clock, type Moment } from "./clock.js";
import { type Item, type LiveRoute, liveRoute, pinned } from "./decision.js";
import { InvalidInput, PromptlaneError, RouteUnavailable, Unavailable, UnknownPrompt } from "./errors.js";
import { BELIEVED_AFTER, ROUTE_SCHEMA } from "./shared.js";

type Items = ReadonlyMap<string, Item | Error>;

/** Where routes are read from. `read` gives the items it found, and an error in place of each that it could not read. */
export interface RouteReader {
  /** `consistent`: what was written before is shown for certain. */
  read(prompts: readonly string[], consistent?: boolean): Promise<Items>;
  nameOf(prompt: string): Promise<string | undefined>;
}

const BATCH = 100;
/** Names without a route that are remembered as such. */
const MAX_FAILED = 1000;
const MAX_HELD = 10_000;
const PHASES = ["steady", "canary", "watch"];
/** Schemas and phases of which a log line was written, at most. */
const MAX_MET = 100;
const MOST_BARRED = 1000;

interface Held {
  route: LiveRoute;
  /** When the last read of it began. */
  readAt: Moment;
  /** When it should be read again, by either clock, and when that was said: a clock that was set back is before it. */
  due: Moment;
  dueFrom: number;
  /** When it was last tried to. */
  triedAt: Moment;
  /** Since when the table has shown nothing but earlier routes than this one; undefined while it does not. */
  behindSince?: Moment | undefined;
}

export interface RouteSettings {
  /** Seconds between reads of a prompt in use (a tenth is jitter). */
  refresh: number;
  /** Seconds: an older route is read again before it is used. */
  maxAge?: number | undefined;
  /** Seconds that such a read may take. */
  patience?: number;
  /** Seconds that the first read may take. */
  firstWait?: number;
  fallback: Readonly<Record<string, string>>;
  onStale(prompt: string, age: number): void;
  log(message: string): void;
}

export class Routes {
  reader: RouteReader;
  readonly #clock: Clock;
  readonly #refresh: number;
  readonly #maxAge: number;
  readonly #patience: number;
  readonly #firstWait: number;
  readonly #fallback: ReadonlyMap<string, LiveRoute>;
  readonly #onStale: (prompt: string, age: number) => void;
  readonly #log: (message: string) => void;
  readonly #met = new Map<string, number>();
  readonly #held = new Map<string, Held>();
  readonly #names = new Map<string, string>();
  readonly #failed = new Map<string, { at: Moment; error: PromptlaneError }>();
  readonly #reads = new Map<string, Promise<void>>();
  #wanted: string[] = [];
  #batch: Promise<void> | undefined;

  constructor(reader: RouteReader, clock: Clock, settings: RouteSettings) {
    if (!(settings.refresh > 0)) {
      throw new InvalidInput(`refresh=${settings.refresh}; give the seconds between two reads of a route, above 0`);
    }
    this.reader = reader;
    this.#clock = clock;
    this.#refresh = settings.refresh * 1000;
    this.#maxAge = settings.maxAge === undefined ? 5 * this.#refresh : settings.maxAge * 1000;
    this.#patience = (settings.patience ?? 0.3) * 1000;
    this.#firstWait = (settings.firstWait ?? 10) * 1000;
    this.#fallback = new Map(Object.entries(settings.fallback).map(([prompt, arn]) => [prompt, pinned(prompt, arn)]));
    this.#onStale = settings.onStale;
    this.#log = settings.log;
  }

  /** The route to decide by, when nothing has to be waited for; a read is started when one is due. */
  ready(prompt: string): LiveRoute | undefined {
    const held = this.#held.get(prompt);
    if (held === undefined) return undefined;
    const wall = this.#clock.wall();
    if (wall < held.due.wall && wall >= held.dueFrom && this.#clock.steady() < held.due.steady) return held.route;
    if (this.#untried(held)) return undefined;
    this.#schedule(held, this.#refresh); // the next caller finds it not due
    this.#want(prompt);
    return held.route;
  }

  /** The route to decide by now. Waits only when none is held, or the one held is too old to be used untried. */
  async current(prompt: string): Promise<LiveRoute> {
    const ready = this.ready(prompt);
    if (ready !== undefined) return ready;
    const held = this.#held.get(prompt);
    if (held === undefined) return this.#first(prompt);
    const until = this.#clock.steady() + this.#patience;
    for (let tries = 0; tries < 2 && this.#untried(held); tries++) {
      // a read that began before a freeze is none, hence a second one
      const answered = await within(
        this.#want(prompt).then(() => true),
        until - this.#clock.steady(),
      );
      if (!answered) break;
    }
    if (this.#untried(held)) {
      held.triedAt = now(this.#clock); // no answer in time is as good a try as an error: the last known route serves
      this.#schedule(held, this.#refresh);
      this.#tellStale(prompt, since(held.readAt, held.triedAt));
    }
    return held.route;
  }

  /** Whether it is older than may be, by either clock, and nobody tried to read it since. */
  #untried(held: Held): boolean {
    const at = now(this.#clock);
    return !recent(held.readAt, at, this.#maxAge) && !recent(held.triedAt, at, this.#maxAge);
  }

  async #first(prompt: string): Promise<LiveRoute> {
    const before = this.#failed.get(prompt);
    let error = before?.error;
    if (before === undefined || since(before.at, now(this.#clock)) >= this.#refresh) {
      const again = this.#fallback.has(prompt) ? 0 : this.#patience;
      await within(this.#want(prompt), before === undefined ? this.#firstWait : again);
      const held = this.#held.get(prompt);
      if (held !== undefined) return held.route;
      error = this.#failed.get(prompt)?.error;
    }
    error ??= new RouteUnavailable(
      `the route of ${prompt} could not be read within ${this.#firstWait / 1000} s and no fallback is configured; ` +
        "check the network path to DynamoDB, or pass fallback: { prompt: version ARN }",
    );
    const fallback = this.#fallback.get(prompt);
    if (fallback === undefined || error instanceof UnknownPrompt) throw error;
    this.#tellStale(prompt, 0);
    return fallback;
  }

  /** The read of this prompt that is under way, begun unless there is one. */
  #want(prompt: string): Promise<void> {
    let reading = this.#reads.get(prompt);
    if (reading === undefined) {
      this.#wanted.push(prompt);
      reading = this.#work(prompt);
      this.#reads.set(prompt, reading);
    }
    return reading;
  }

  async #work(prompt: string): Promise<void> {
    try {
      for (let batch = this.#batch; this.#wanted.includes(prompt); batch = this.#batch) {
        await (batch ?? Promise.resolve()); // whatever else is wanted in this turn goes along
        if (this.#batch === undefined && this.#wanted.includes(prompt)) {
          const read = this.#read(this.#wanted.splice(0, BATCH));
          this.#batch = read.finally(() => (this.#batch = undefined));
        }
        await this.#batch;
      }
    } finally {
      this.#reads.delete(prompt);
    }
  }

  async #read(batch: readonly string[]): Promise<void> {
    const began = now(this.#clock);
    let items: Items;
    try {
      items = await this.#items(batch);
    } catch (error) {
      for (const prompt of batch) this.#missed(prompt, unavailable(prompt, error), began);
      return;
    }
    const earlier = batch.filter((prompt) => this.#earlier(prompt, items.get(prompt)));
    const again = earlier.length ? await this.#again(earlier) : new Map<string, Item | Error | undefined>();
    for (const prompt of batch) {
      if (again.has(prompt)) this.#take(prompt, again.get(prompt), began, true);
      else this.#take(prompt, items.get(prompt), began, false);
    }
  }

  /** Whether the table shows an earlier route than the one held, as far as the item can be read. */
  #earlier(prompt: string, item: Item | Error | undefined): boolean {
    const held = this.#held.get(prompt);
    return (
      held !== undefined && item !== undefined && !(item instanceof Error) && standing(held.route, item, false) < 0
    );
  }

  /** What a consistent read says of prompts whose route seemed to be an earlier one: a read may lag. */
  async #again(prompts: readonly string[]): Promise<Map<string, Item | Error | undefined>> {
    const names = prompts.map((prompt) => this.#names.get(prompt) ?? prompt);
    try {
      const found = await this.reader.read([...new Set(names)].sort(), true);
      return new Map(prompts.map((prompt, i) => [prompt, found.get(names[i]!)]));
    } catch (error) {
      return new Map(prompts.map((prompt) => [prompt, error as Error]));
    }
  }

  /** The items of the prompts that have one, by what the caller calls them: name, id or ARN. */
  async #items(batch: readonly string[]): Promise<Map<string, Item | Error>> {
    const names = new Map(batch.map((prompt) => [prompt, this.#names.get(prompt) ?? prompt]));
    const found = new Map(await this.reader.read([...new Set(names.values())].sort()));
    for (const prompt of batch) {
      if (found.has(names.get(prompt)!) || this.#held.has(prompt)) continue;
      try {
        const name = await this.reader.nameOf(prompt);
        if (name === undefined || name === prompt) continue;
        for (const [of, item] of await this.reader.read([name])) found.set(of, item);
        names.set(prompt, name);
        this.#names.set(prompt, name);
        forget(this.#names, MAX_HELD);
      } catch (error) {
        found.set(prompt, error as Error); // one that cannot be looked up hinders no other
      }
    }
    const given = new Map<string, Item | Error>();
    for (const [prompt, name] of names) {
      const item = found.get(name);
      if (item !== undefined) given.set(prompt, item);
    }
    return given;
  }

  #take(prompt: string, item: Item | Error | undefined, began: Moment, consistent: boolean): void {
    if (item instanceof Error) return this.#missed(prompt, unavailable(prompt, item), began);
    if (item === undefined) {
      const shown = JSON.stringify(prompt);
      const none = `no route for ${shown}: never released, or its name is misspelt; \`promptlane status\` lists them`;
      return this.#missed(prompt, new UnknownPrompt(none), began);
    }
    const held = this.#held.get(prompt);
    const at = now(this.#clock);
    let route: LiveRoute;
    try {
      route =
        held === undefined
          ? this.#told(prompt, liveRoute(prompt, item))
          : this.#later(prompt, held, item, consistent, at);
    } catch (error) {
      const malformed = new InvalidInput(`the route of ${prompt} is malformed (${String(error)}); restore the table`);
      return this.#missed(prompt, error instanceof PromptlaneError ? error : malformed, began);
    }
    if (held === undefined) {
      const next = { route, readAt: began, triedAt: began, due: began, dueFrom: began.wall };
      this.#held.set(prompt, next);
      this.#schedule(next, this.#jittered());
      forget(this.#held, MAX_HELD);
    } else {
      held.route = route;
      held.readAt = held.triedAt = began;
      this.#schedule(held, this.#jittered());
    }
    this.#failed.delete(prompt);
  }

  /**
   * What to go on with: the later one of the route held and the one read.
   *
   * A table that is certain to show an earlier route was put back to an earlier state. It is followed after
   * `BELIEVED_AFTER` seconds, but to nothing that was rolled back since.
   */
  #later(prompt: string, held: Held, item: Item, consistent: boolean, at: Moment): LiveRoute {
    const order = standing(held.route, item, consistent);
    const begun = held.behindSince ?? at;
    held.behindSince = undefined;
    if (order > 0) {
      const route = liveRoute(prompt, item);
      return this.#told(prompt, { ...route, barred: stillBarred(held.route, route) });
    }
    if (order === 0) return held.route;
    const behind = since(begun, at) / 1000;
    const { stable } = item as { stable?: { fingerprint?: string } };
    if (behind >= BELIEVED_AFTER && !held.route.barred.has(stable?.fingerprint ?? "")) {
      const route = liveRoute(prompt, item, held.route.barred);
      return this.#told(prompt, { ...route, latest: held.route.latest });
    }
    held.behindSince = begun;
    this.#tellStale(prompt, behind * 1000);
    return held.route;
  }

  /** The schemas of the routes that were read. */
  get schemas(): readonly number[] {
    return [...new Set(this.#met.values())].sort((a, b) => a - b);
  }

  /** The route, with a log line at the first one of a schema or a phase that this client does not know. */
  #told(prompt: string, route: LiveRoute): LiveRoute {
    const { phase } = route.stable;
    const known = PHASES.includes(phase);
    const met = `${route.schema}/${known ? "" : phase}`;
    if (!this.#met.has(met) && this.#met.size < MAX_MET) {
      this.#met.set(met, route.schema);
      if (route.schema !== ROUTE_SCHEMA || !known) {
        this.#log(
          `the route of ${prompt} has schema ${route.schema} and phase ${phase}; this client knows schema ` +
            `${ROUTE_SCHEMA} and serves what it knows`,
        );
      }
    }
    return route;
  }

  /** Nothing new for this prompt: go on with what is held, and try again not sooner than the next refresh. */
  #missed(prompt: string, error: PromptlaneError, began: Moment): void {
    const at = now(this.#clock);
    const held = this.#held.get(prompt);
    if (held === undefined) {
      this.#failed.set(prompt, { at, error });
      forget(this.#failed, MAX_FAILED);
    } else {
      held.triedAt = began;
      this.#schedule(held, this.#jittered());
      this.#tellStale(prompt, since(held.readAt, at));
    }
  }

  #jittered(): number {
    return this.#refresh * (0.9 + Math.random() / 5);
  }

  /** Has it read again after so many milliseconds. */
  #schedule(held: Held, ms: number): void {
    const { steady, wall } = now(this.#clock);
    held.due = { steady: steady + ms, wall: wall + ms };
    held.dueFrom = wall;
  }

  #tellStale(prompt: string, ageMs: number): void {
    try {
      this.#onStale(prompt, ageMs / 1000);
    } catch {
      // a metric that goes nowhere must not end the reading of routes
    }
  }
}

/** What is barred with a later route: also what was before, unless it names that, as an explicit release does. */
function stillBarred(held: LiveRoute, route: LiveRoute): ReadonlySet<string> {
  const named = new Set([route.stable, route.low, route.high].map((decision) => decision.fingerprint));
  const both = new Set([...route.barred, ...[...held.barred].filter((fingerprint) => !named.has(fingerprint))]);
  return both.size <= MOST_BARRED ? both : route.barred;
}

/** 1 where the item is later than any route held, 0 where it is the one held, -1 where it is earlier: order.py says why. */
function standing(held: LiveRoute, item: Item, consistent: boolean): number {
  const epoch = Number(item["epoch"] ?? 0);
  const revision = Number(item["revision"]);
  if (epoch === held.epoch && revision === held.revision) return 0;
  const [latest, latestRevision] = held.latest;
  const byRevision = Math.sign(revision - latestRevision);
  const order = epoch && latest ? Math.sign(epoch - latest) || byRevision : byRevision;
  if (consistent && epoch && !latest && order <= 0) return 1;
  const goneBack = latest !== held.epoch || latestRevision !== held.revision;
  return order === 0 && goneBack ? 1 : order; // the latest one is back
}

/** Drops the oldest entries beyond so many. */
export function forget(kept: Map<unknown, unknown>, most: number): void {
  while (kept.size > most) kept.delete(kept.keys().next().value);
}

function unavailable(prompt: string, error: unknown): PromptlaneError {
  if (error instanceof PromptlaneError && error.constructor !== Unavailable) return error;
  const { name, message } = error as Error;
  return new RouteUnavailable(
    `the route of ${prompt} cannot be read (${name}: ${message}) and no fallback is configured; check the table's ` +
      "name, Region and permissions (dynamodb:GetItem), or pass fallback: { prompt: version ARN }",
    { cause: error },
  );
}
