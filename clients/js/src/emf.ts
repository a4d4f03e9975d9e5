// Metrics as CloudWatch embedded metric format: one JSON line each on standard output. For Lambda.

import { NAMESPACE, type Document, type Sink } from "./metrics.js";
import { UNITS } from "./shared.js";

/** Writes documents at once. `resolution`: seconds; below 60 the metrics are stored at high resolution. */
export class EmfSink implements Sink {
  readonly #storage: number;
  readonly #write: (line: string) => unknown;

  constructor(resolution = 60, write: (line: string) => unknown = (line) => process.stdout.write(line)) {
    this.#storage = resolution >= 60 ? 60 : 1;
    this.#write = write;
  }

  emit(document: Document): void {
    this.#write(`${line(document, this.#storage)}\n`);
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}

/** The document as one EMF line. */
export function line(document: Document, storage = 60): string {
  const metric = (name: string) => ({
    Name: name,
    Unit: UNITS[name] ?? "Count",
    ...(storage === 60 ? {} : { StorageResolution: storage }),
  });
  return JSON.stringify({
    _aws: {
      Timestamp: Math.round(document.at),
      CloudWatchMetrics: document.directives.map(({ dimensionSets, metrics }) => ({
        Namespace: NAMESPACE,
        Dimensions: dimensionSets,
        Metrics: metrics.map(metric),
      })),
    },
    ...document.dimensions,
    ...document.values,
    ...(document.releaseId ? { Release: document.releaseId } : {}),
  });
}
