// Metrics through PutMetricData: aggregated in memory, sent in the background, and once more when the process ends.
//
// Data points keep their counts: a rate's numerator (Sum) and denominator (SampleCount) stay what single points would
// have made them. Points of two periods are never merged. Latencies are kept to two significant digits.
//
// Each point is sent until CloudWatch took it, and counts at most once: the operation is not idempotent, so a request
// that may have been taken (no answer in time, a connection that broke, an error of the service's own) is not sent
// again, and the loss is logged. Where a request is refused, it is halved until the point is found that CloudWatch does
// not take.

import type { MetricDatum } from "@aws-sdk/client-cloudwatch";
import { NAMESPACE, type Document, type Sink } from "./metrics.js";
import { UNITS } from "./shared.js";

const MAX_VALUES = 150;
const MAX_DATA = 500;
/** Requests refused in one flush, from which on what is refused is not halved but dropped. */
const MAX_REFUSALS = 200;
/** Data points held while CloudWatch cannot be reached; beyond it new ones are dropped and the loss is logged. */
const MAX_HELD = 20_000;
/** CloudWatch takes points of the last two weeks, and of the next two hours. */
const OLDEST = 14 * 86_400;
const NEWEST = 2 * 3600;

interface Point {
  readonly period: number;
  readonly dimensions: readonly (readonly [string, string])[];
  readonly metric: string;
  readonly counts: Map<number, number>;
}

interface Part {
  readonly key: string;
  readonly point: Point;
}

export interface CloudWatchSettings {
  /** Seconds of a period; below 60 stored at high resolution. */
  resolution: number;
  put(data: MetricDatum[]): Promise<void>;
  log(message: string): void;
  /** Epoch milliseconds. */
  wall?(): number;
}

/** Sent every 5 s at high resolution, 15 s while a split is watched by the judge, and 55 s when nothing is. */
export class CloudWatchSink implements Sink {
  readonly #settings: CloudWatchSettings;
  #held = new Map<string, Point>();
  #dropped = 0;
  #watched = false;
  #timer: NodeJS.Timeout | undefined;
  #timerEnds = 0;
  #sending: Promise<void> = Promise.resolve();
  #closed = false;
  readonly #atExit = (): void => void this.flush();

  constructor(settings: CloudWatchSettings) {
    this.#settings = settings;
    process.on("beforeExit", this.#atExit);
  }

  emit(document: Document): void {
    const period = Math.floor(document.at / 1000 / this.#settings.resolution) * this.#settings.resolution;
    for (const { dimensionSets, metrics } of document.directives) {
      for (const names of dimensionSets) {
        const dimensions = names.map((name) => [name, document.dimensions[name] ?? ""] as const);
        const under = `${period}\0${dimensions.map(([name, value]) => `${name}\0${value}`).join("\0")}\0`;
        for (const metric of metrics)
          this.#add(under + metric, { period, dimensions, metric }, document.values[metric] ?? 0);
      }
    }
    this.#watched ||= document.dimensions["Group"] !== undefined;
    this.#schedule();
  }

  #add(key: string, of: Omit<Point, "counts">, value: number, count = 1): void {
    if (!Number.isFinite(value)) {
      this.#dropped += count;
      return;
    }
    let point = this.#held.get(key);
    if (point === undefined) {
      if (this.#held.size >= MAX_HELD) {
        this.#dropped += count;
        return;
      }
      point = { ...of, counts: new Map() };
      this.#held.set(key, point);
    }
    const kept = of.metric in UNITS ? Number(value.toPrecision(2)) : value;
    point.counts.set(kept, (point.counts.get(kept) ?? 0) + count);
  }

  /** Sends before the timer's time when a split began to be watched. The timer keeps no process alive. */
  #schedule(): void {
    if (this.#closed) return;
    const seconds = this.#settings.resolution < 60 ? 5 : this.#watched ? 15 : 55;
    const ends = Date.now() + seconds * 1000;
    if (this.#timer !== undefined && this.#timerEnds <= ends) return;
    clearTimeout(this.#timer);
    this.#timerEnds = ends;
    this.#timer = setTimeout(() => void this.flush(), seconds * 1000);
    this.#timer.unref();
  }

  /** Send what is held now. What CloudWatch refused for a time is kept for the next one. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#watched = false;
    this.#sending = this.#sending.then(() => this.#flush()).catch(() => undefined); // a log that throws ends nothing
    return this.#sending;
  }

  async #flush(): Promise<void> {
    const held = this.#held;
    this.#held = new Map();
    const now = (this.#settings.wall?.() ?? Date.now()) / 1000;
    const parts: Part[] = [];
    for (const [key, point] of held) {
      const counts = [...point.counts].sort(([a], [b]) => a - b);
      if (point.period < now - OLDEST || point.period > now + NEWEST) {
        this.#dropped += counts.reduce((sum, [, count]) => sum + count, 0);
        continue;
      }
      for (let at = 0; at < counts.length; at += MAX_VALUES) {
        parts.push({ key, point: { ...point, counts: new Map(counts.slice(at, at + MAX_VALUES)) } });
      }
    }
    if (this.#dropped) {
      this.#settings.log(
        `${this.#dropped} data points dropped: the buffer was full, or CloudWatch takes none of their time or value`,
      );
      this.#dropped = 0;
    }
    const waiting: Part[][] = [];
    for (let at = 0; at < parts.length; at += MAX_DATA) waiting.push(parts.slice(at, at + MAX_DATA));
    let refusals = 0;
    for (let batch; (batch = waiting.shift()) !== undefined;) {
      try {
        await this.#settings.put(batch.map(({ point }) => this.#datum(point)));
      } catch (error) {
        const fate = fateOf(error);
        if (fate === "later") {
          waiting.unshift(batch);
          this.#settings.log(`metrics were not sent and will be sent again: ${String(error)}`);
          break;
        }
        if (fate === "refused" && batch.length > 1 && refusals++ < MAX_REFUSALS) {
          waiting.push(batch.slice(0, batch.length >> 1), batch.slice(batch.length >> 1)); // behind those that may be good
          continue;
        }
        const why =
          fate === "refused" ? "CloudWatch does not take them" : "it is not known whether CloudWatch took them";
        this.#settings.log(`${total(batch)} data points dropped: ${why}: ${String(error)}`);
        if (fate === "unknown") break;
      }
    }
    for (const { key, point } of waiting.flat()) {
      for (const [value, count] of point.counts) this.#add(key, point, value, count);
    }
    if (this.#held.size) this.#schedule();
  }

  #datum({ period, dimensions, metric, counts }: Point): MetricDatum {
    return {
      MetricName: metric,
      Dimensions: dimensions.map(([Name, Value]) => ({ Name, Value })),
      Timestamp: new Date(period * 1000),
      Values: [...counts.keys()],
      Counts: [...counts.values()],
      Unit: (UNITS[metric] ?? "Count") as NonNullable<MetricDatum["Unit"]>,
      StorageResolution: this.#settings.resolution >= 60 ? 60 : 1,
    };
  }

  /** Send what is held and stop. */
  async close(): Promise<void> {
    this.#closed = true;
    process.off("beforeExit", this.#atExit);
    await this.flush();
  }
}

function total(parts: readonly Part[]): number {
  return parts.reduce((sum, { point }) => sum + [...point.counts.values()].reduce((a, b) => a + b, 0), 0);
}

const CONNECTING = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

/** What became of a request that failed: refused for what it holds, surely not taken for now, or not known. */
function fateOf(error: unknown): "refused" | "later" | "unknown" {
  const {
    $metadata,
    name = "",
    code = "",
  } = error as { $metadata?: { httpStatusCode?: number }; name?: string; code?: string };
  if (/^(InvalidParameter|Missing.*Parameter|Validation|InvalidFormat)/.test(name)) return "refused";
  const status = $metadata?.httpStatusCode ?? 0;
  const connecting = CONNECTING.has(code) || name === "CredentialsProviderError";
  return (status >= 400 && status < 500) || connecting ? "later" : "unknown";
}
