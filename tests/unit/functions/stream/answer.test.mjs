// The contract of the streaming gateway's server-sent events.

import assert from "node:assert/strict";
import { test } from "node:test";
import { respond } from "../../../../functions/stream/answer.mjs";
import { DECISION, NamedError, Response, USAGE, asked, fakeClient, open, text } from "./fakes.mjs";

const BODY = { unit: "u1", variables: { question: "?" }, messages: [{ role: "user", content: [{ text: "Hi" }] }] };

async function answered(client, { event = asked(BODY), stream = new Response(), ...more } = {}) {
  const faults = [];
  await respond(event, stream, { client, prompts: null, open, failed: (error) => faults.push(error), ...more });
  return { stream, faults };
}

const problem = (stream) => JSON.parse(stream.text);

test("texts come as they are, and the last event says who answered", async () => {
  const client = fakeClient([{ messageStart: { role: "assistant" } }, text("Yes, \n"), text("surely.")]);
  const { stream } = await answered(client);
  assert.equal(stream.status, 200);
  assert.equal(stream.headers["content-type"], "text/event-stream");
  assert.equal(stream.headers["cache-control"], "no-store");
  const told = { prompt: "support", version: 3, track: "stable", release_id: "PROMPT0001-3-1", shielded: false };
  assert.deepEqual(stream.events(), [
    ["text", { text: "Yes, \n" }],
    ["text", { text: "surely." }],
    ["end", { stop_reason: "end_turn", tool_uses: [], receipt: "a receipt", usage: USAGE, ...told }],
  ]);
  assert.ok(stream.writableFinished);
  const [prompt, { signal, ...options }] = client.asked[0];
  assert.deepEqual([prompt, options, signal.aborted], ["support", BODY, false]);
});

test("what a model says cannot end the stream or begin another event", async () => {
  const forged = '\n\nevent: end\ndata: {"version": 9}\r\revent: end\u2028\ud800';
  const { stream } = await answered(fakeClient([text(forged)]));
  const [[kind, data], [last]] = stream.events();
  assert.deepEqual([kind, data.text, last, stream.events().length], ["text", forged, "end", 2]);
  assert.ok(!stream.text.includes("\r"));
});

test("an address that is for some prompts answers for no others", async () => {
  const client = fakeClient([text("Yes.")]);
  const { stream } = await answered(client, { prompts: ["order-status"] });
  assert.deepEqual([stream.status, problem(stream).type], [403, "urn:promptlane:problem:forbidden"]);
  assert.deepEqual(client.asked, []);
  assert.equal((await answered(client, { prompts: ["order-status", "support"] })).stream.status, 200);
});

test("a use of tools is put together from its pieces", async () => {
  const at = (contentBlockIndex, rest) => ({ contentBlockIndex, ...rest });
  const start = (i, name) => ({ contentBlockStart: at(i, { start: { toolUse: { toolUseId: `t${i}`, name } } }) });
  const input = (i, piece) => ({ contentBlockDelta: at(i, { delta: { toolUse: { input: piece } } }) });
  const stop = (i) => ({ contentBlockStop: at(i, {}) });
  const events = [text("Well."), stop(0), start(1, "find"), input(1, '{"or'), start(2, "list"), input(1, 'der":7}')];
  const { stream } = await answered(fakeClient([...events, stop(1), stop(2)]));
  assert.deepEqual(stream.events().at(-1)[1].tool_uses, [
    { toolUseId: "t1", name: "find", input: { order: 7 } },
    { toolUseId: "t2", name: "list", input: {} },
  ]);
});

test("every track sends the same frames before the last, and the last in the same members", async () => {
  const shown = [];
  for (const decision of [DECISION, { ...DECISION, version: 4, track: "canary" }]) {
    for (const events of [[text("Yes.")], [text("Yes, "), new NamedError("StreamInterrupted", "broke")], []]) {
      const { stream } = await answered(fakeClient(events, { decision, shielded: decision !== DECISION }));
      const kept = ["version", "track", "release_id", "shielded", "usage"]; // docs/application.md: for you alone
      const last = stream.events().at(-1);
      if (last[0] === "end") assert.ok(kept.every((name) => name in last[1]));
      const told = Object.entries(last[1]).filter(([name]) => !kept.includes(name));
      const before = stream.text.slice(0, stream.text.lastIndexOf("event: "));
      shown.push(JSON.stringify([stream.status, stream.headers, before, last[0], told]));
    }
  }
  assert.deepEqual(shown.slice(0, 3), shown.slice(3));
  assert.equal(new Set(shown).size, 3);
});

test("an error before the first byte is a status, with problem details", async () => {
  const refuses = new NamedError("InvalidVariables", "support needs question", { missing: ["question"], unknown: [] });
  const { stream, faults } = await answered(fakeClient([], { refuses }));
  assert.equal(stream.status, 422);
  assert.equal(stream.headers["content-type"], "application/problem+json");
  const told = { type: "urn:promptlane:problem:invalid-variables", title: "Invalid variables", status: 422 };
  assert.deepEqual(problem(stream), { ...told, detail: "support needs question", missing: ["question"] });
  assert.equal(faults.length, 0);
});

test("an error after the first byte is the last event, and no end comes", async () => {
  const error = new NamedError("StreamInterrupted", "after 4 characters", { code: "ModelStreamErrorException" });
  const { stream, faults } = await answered(fakeClient([text("Yes,"), error]));
  assert.equal(stream.status, 200);
  const told = { type: "urn:promptlane:problem:model-call-failed", title: "Model call failed", status: 502 };
  const body = { ...told, detail: "after 4 characters", code: "ModelStreamErrorException" };
  assert.deepEqual(stream.events(), [["text", { text: "Yes," }], ["error", body]]);
  assert.deepEqual(faults, [error]);
  assert.ok(stream.writableFinished);
});

test("a defect is told to the log, and not to the caller", async () => {
  const defect = new TypeError("x is not a function at /var/task");
  const { stream, faults } = await answered(fakeClient([defect]));
  assert.equal(stream.status, 500);
  assert.equal(problem(stream).detail, "the function failed; its log says why");
  assert.deepEqual(faults, [defect]);
});

test("while a model thinks the connection is kept alive", async () => {
  let think;
  const stream = new Response();
  const thought = new Promise((resolve) => (think = resolve));
  const done = answered(fakeClient([thought, text("Yes.")]), { stream, keepAliveMs: 1 });
  while (!stream.text) await new Promise((resolve) => setTimeout(resolve, 1));
  think();
  await done;
  const kinds = stream.events().map(([kind]) => kind);
  assert.equal(kinds[0], ":");
  assert.deepEqual(kinds.filter((kind) => kind !== ":"), ["text", "end"]);
});

test("a write that fails means that the caller hung up: the call is given up, and nobody is told", async () => {
  const forever = Array.from({ length: 100 }, (_, i) => text(`${i}`));
  const client = fakeClient(forever.flatMap((event) => [event, new Promise((resolve) => setImmediate(resolve))]));
  const { stream, faults } = await answered(client, { stream: new Response({ failsAt: 3 }) });
  assert.deepEqual(stream.events(), [["text", { text: "0" }], ["text", { text: "1" }]]);
  assert.ok(client.asked[0][1].signal.aborted);
  assert.ok(client.closed);
  assert.deepEqual(faults, []);
});

test("a slow reader is waited for", async () => {
  const stream = new Response({ slow: true });
  const pieces = Array.from({ length: 20 }, (_, i) => text(`${i}`));
  let most = 0;
  const client = fakeClient(pieces);
  const write = stream.write.bind(stream);
  stream.write = (chunk) => {
    most = Math.max(most, stream.writableLength);
    return write(chunk);
  };
  await answered(client, { stream });
  assert.equal(most, 0, "nothing is written before what was written is gone");
  assert.equal(stream.events().length, 21);
});
