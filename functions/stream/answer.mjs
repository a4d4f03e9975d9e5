// One request of the streaming gateway, from the event to the last byte: server-sent events.
//
//   event: text     {"text"}                        a piece of the answer, as it comes
//   event: end      what /converse answers, without what was streamed; the last event of an answer that is whole
//   event: error    problem details; the last event of an answer that broke after its first byte
//
// Before the first byte an error is an HTTP status with problem details. The first byte is the first text's, or a comment
// that keeps the connection alive where a model thinks for longer than KEEP_ALIVE_MS. A stream without `end` is not whole.
//
// Which version answered stands in `end` alone, and there in members of their own: frames before it are the same on every
// track for the same outcome.

import { once } from "node:events";
import { Problem, problemOf } from "./problems.mjs";
import { requestOf } from "./requests.mjs";

export const KEEP_ALIVE_MS = 15_000;
const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  "x-accel-buffering": "no", // of proxies that would collect what they pass on
};

/**
 * Answer an event on `stream`, which is open until this returns.
 *
 * `client` has converseStream() of the client library; `prompts` are the only ones to ask for, null is every one;
 * `open(stream, status, headers)` begins an HTTP response on the stream; `failed(error)` hears of what is our own fault.
 * A caller who hung up is known by a write that failed: the call is aborted, which counts as given up by its reader.
 */
export async function respond(event, stream, { client, prompts, open, failed, keepAliveMs = KEEP_ALIVE_MS }) {
  const gone = new AbortController();
  stream.on("error", () => gone.abort());
  stream.on("close", () => stream.writableFinished || gone.abort());
  const frames = new Frames(stream, open, gone);
  const beat = setInterval(() => frames.comment(), keepAliveMs);
  try {
    const asked = requestOf(event);
    if (prompts && !prompts.includes(asked.prompt)) {
      throw new Problem(403, "forbidden", `this address is for ${prompts.join(", ") || "no prompt"}, by name`);
    }
    await answered(asked, frames, client, gone.signal);
  } catch (error) {
    if (!gone.signal.aborted) {
      const problem = problemOf(error);
      if (problem.status >= 500) failed(error);
      await frames.refuse(problem);
    }
  } finally {
    clearInterval(beat);
    await frames.end();
  }
}

async function answered(asked, frames, client, signal) {
  const { prompt, ...given } = asked;
  const answer = await client.converseStream(prompt, { ...given, signal });
  const tools = new Tools();
  for await (const event of answer.events({ reasoning: false })) {
    const text = event.contentBlockDelta?.delta?.text;
    if (text) await frames.send("text", { text });
    tools.note(event);
    if (signal.aborted) break; // leaving the loop closes the answer
  }
  if (signal.aborted) return;
  const { decision } = answer;
  await frames.send("end", {
    stop_reason: answer.stopReason ?? "",
    tool_uses: tools.found,
    receipt: (await answer.receipt()) || null,
    usage: answer.usage ?? {},
    prompt: decision.prompt,
    version: decision.version,
    track: decision.track,
    release_id: decision.releaseId,
    shielded: answer.shielded,
  });
}

class Frames {
  constructor(stream, open, gone) {
    this.stream = stream;
    this.open = open;
    this.gone = gone;
    this.begun = null;
  }

  comment() {
    this.begin(200, HEADERS).write(": keep-alive\n\n");
  }

  async send(kind, data) {
    const out = this.begin(200, HEADERS);
    if (this.gone.signal.aborted) return;
    if (!out.write(`event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`)) await this.drained(out);
  }

  async refuse(problem) {
    if (this.begun) return this.send("error", problem.body());
    this.begin(problem.status, problem.headers()).write(JSON.stringify(problem.body()));
  }

  begin(status, headers) {
    return (this.begun ??= this.open(this.stream, status, headers));
  }

  async drained(out) {
    await once(out, "drain", { signal: this.gone.signal }).catch(() => {});
  }

  async end() {
    if (this.gone.signal.aborted) return;
    const over = once(this.stream, "finish", { signal: this.gone.signal }).catch(() => {});
    (this.begun ?? this.stream).end();
    await over;
  }
}

/** The uses of tools that an answer asks for, put together from its pieces. */
class Tools {
  constructor() {
    this.found = [];
    this.open = new Map();
  }

  note(event) {
    const use = event.contentBlockStart?.start?.toolUse;
    if (use) this.open.set(event.contentBlockStart.contentBlockIndex, { ...use, input: "" });
    const piece = event.contentBlockDelta?.delta?.toolUse?.input;
    const under = this.open.get((event.contentBlockDelta ?? event.contentBlockStop)?.contentBlockIndex);
    if (under && piece) under.input += piece;
    if (under && event.contentBlockStop) {
      this.open.delete(event.contentBlockStop.contentBlockIndex);
      this.found.push({ ...under, input: parsed(under.input) });
    }
  }
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : {};
  } catch {
    return text; // the model cut it off: it is handed on as it is
  }
}
