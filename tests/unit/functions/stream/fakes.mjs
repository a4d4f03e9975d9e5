// A response stream as Lambda's, and a client whose answers are given.

import { Writable } from "node:stream";

/** Keeps what is written; from the write `failsAt` on it fails, as to somebody who hung up. */
export class Response extends Writable {
  constructor({ failsAt = Infinity, slow = false } = {}) {
    super({ highWaterMark: slow ? 1 : 16_384 });
    Object.assign(this, { status: 0, headers: {}, text: "", writes: 0, failsAt, slow });
  }

  _write(chunk, encoding, done) {
    this.writes += 1;
    if (this.writes >= this.failsAt) return done(new Error("EPIPE"));
    this.text += chunk;
    if (this.slow) setTimeout(done, 1);
    else done();
  }

  /** The events of the stream: [kind, data]; comments are [":", text]. */
  events() {
    return this.text.split("\n\n").filter(Boolean).map((frame) => {
      if (frame.startsWith(":")) return [":", frame.slice(1).trim()];
      const [kind, data] = frame.split("\n");
      return [kind.replace("event: ", ""), JSON.parse(data.replace("data: ", ""))];
    });
  }
}

export function open(stream, status, headers) {
  Object.assign(stream, { status, headers });
  return stream;
}

export const DECISION = { prompt: "support", version: 3, track: "stable", releaseId: "PROMPT0001-3-1" };
export const USAGE = { inputTokens: 4, outputTokens: 2 };

export const text = (piece) => ({ contentBlockDelta: { contentBlockIndex: 0, delta: { text: piece } } });

export class NamedError extends Error {
  constructor(name, message = name, fields = {}) {
    super(message);
    Object.assign(this, { name }, fields);
  }
}

/** `events` are given one by one; an error among them is thrown, a promise waited for. */
export function fakeClient(events, { decision = DECISION, refuses, shielded = false } = {}) {
  const made = { asked: [], closed: false };
  made.converseStream = async (prompt, options) => {
    made.asked.push([prompt, options]);
    if (refuses) throw refuses;
    return {
      decision,
      shielded,
      stopReason: "end_turn",
      usage: USAGE,
      receipt: async () => "a receipt",
      async *events() {
        try {
          for (const event of events) {
            if (event instanceof Error) throw event;
            if (event instanceof Promise) await event;
            else yield event;
          }
        } finally {
          made.closed = true;
        }
      },
    };
  };
  return made;
}

export function asked(body, { method = "POST", path = "/prompts/support/stream", ...rest } = {}) {
  return {
    rawPath: path,
    headers: { "content-type": "application/json" },
    requestContext: { http: { method, path }, stage: "$default" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...rest,
  };
}
