// The streaming gateway over the real client: what it sends is the same on every track for the same outcome.
// tests/unit/functions/test_stream.py bundles this with the client's sources and runs it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeBedrock, ListSink, StaticRoutes, fakeClient, responseOf } from "promptlane/testing";
import { respond } from "../../../../functions/stream/answer.mjs";
import { Response, asked, open } from "./fakes.mjs";

const KEPT = ["version", "track", "release_id", "shielded", "usage"]; // docs/application.md: for you alone
const PHASES = {
  canary: { stable: 9, canary: 10, weight: 5000 },
  watch: { stable: 10, previous: 9, holdback: 5000 },
};
const START = { messageStart: { role: "assistant" } };
const text = (piece) => ({ contentBlockDelta: { delta: { text: piece }, contentBlockIndex: 0 } });
const STOP = [{ messageStop: { stopReason: "end_turn" } }, { metadata: { usage: {}, metrics: { latencyMs: 1 } } }];
const BROKEN = { modelStreamErrorException: { message: "the stream broke" } };
const tool = { toolUse: { toolUseId: "t1", name: "find_order", input: { order: 7 } } };
const answer = (content, stopReason) => ({ ...responseOf("", stopReason), output: { message: { role: "assistant", content } } });
const failing = (name) => ({ modelId }) => Object.assign(new Error(`${modelId} said no`), { name });
const OUTCOMES = {
  text: "Yes, within 30 days.",
  refusal: "I'm sorry, but I can't help with that.",
  "tool use": answer([tool], "tool_use"),
  guardrail: answer([{ text: "Blocked." }], "guardrail_intervened"),
  truncated: answer([{ text: "Yes, wi" }], "max_tokens"),
  nothing: [START, ...STOP],
  error: failing("ModelErrorException"),
  "validation error": failing("ValidationException"),
  "no access": failing("AccessDeniedException"),
  "version gone": failing("ResourceNotFoundException"),
  throttled: failing("ThrottlingException"),
  "broken at once": [BROKEN],
  "broken before text": [START, BROKEN],
  "broken while it thinks": [START, { contentBlockDelta: { delta: { reasoningContent: { text: "Hm" } } } }, BROKEN],
  "broken amid text": [START, text("Yes, "), BROKEN],
  "lost before text": [START, new Error("lost")],
  "ended too early": [START, text("Yes, ")],
};

/** What is sent to units of each track, by the track. */
async function sent(phase, reply, variables) {
  const routes = new StaticRoutes();
  routes.put("mine", { ...PHASES[phase], variables });
  const sink = new ListSink();
  const client = fakeClient(routes, new FakeBedrock(reply), { sink, refresh: 3600, breakerErrors: 0, log: () => {} });
  const found = {};
  for (let i = 0; i < 99; i++) {
    const { track } = await client.route("mine", `u${i}`);
    if (track in found) continue;
    const stream = new Response();
    const event = asked({ unit: `u${i}` }, { path: "/prompts/mine/stream" });
    await respond(event, stream, { client, prompts: null, open, failed: () => {} });
    found[track] = shown(stream);
  }
  assert.equal(Object.keys(found).length, 2);
  return { found: Object.values(found), sink };
}

/** All but what is kept; of a receipt its length. */
function shown({ status, headers, text: sentText }) {
  const at = sentText.lastIndexOf("event: end\ndata: ");
  if (at < 0) return JSON.stringify([status, headers, sentText]);
  const last = JSON.parse(sentText.slice(at).split("data: ")[1]);
  for (const name of KEPT) delete last[name];
  last.receipt = last.receipt?.length;
  return JSON.stringify([status, headers, sentText.slice(0, at), last]);
}

test("every track is sent the same, whatever comes of it", async () => {
  const all = new Set();
  for (const phase of Object.keys(PHASES)) {
    for (const [outcome, reply] of Object.entries(OUTCOMES)) {
      const { found: [one, other] } = await sent(phase, reply);
      assert.equal(one, other, `${phase}: ${outcome}`);
      assert.ok(!/\b(9|10)\b/.test(one.replaceAll(/"receipt":\d+/g, "")), `a version is told: ${one}`);
      all.add(one);
    }
    const { found: [one, other] } = await sent(phase, "Yes.", ["question"]);
    assert.equal(one, other);
  }
  assert.ok(all.size >= 10, "outcomes are told apart");
});

test("a canary that breaks while it thinks is counted as its error, and stable's answer as nothing", async () => {
  const routes = new StaticRoutes();
  routes.put("mine", { stable: 9, canary: 10, weight: 10_000 });
  const sink = new ListSink();
  const thought = (piece) => ({ contentBlockDelta: { delta: { reasoningContent: { text: piece } }, contentBlockIndex: 0 } });
  const thinking = [START, thought("Hm, "), thought("10."), { contentBlockStop: { contentBlockIndex: 0 } }, BROKEN];
  const client = fakeClient(routes, new FakeBedrock({ 9: "Yes.", 10: thinking }), { sink });
  const stream = new Response();
  const event = asked({ unit: "u1" }, { path: "/prompts/mine/stream" });
  await respond(event, stream, { client, prompts: null, open, failed: () => {} });
  assert.deepEqual(stream.events()[0], ["text", { text: "Yes." }]);
  const [kind, last] = stream.events().at(-1);
  assert.deepEqual([kind, last.version, last.track, last.shielded], ["end", 9, "stable", true]);
  assert.deepEqual(sink.total("Error", { Prompt: "mine", Version: "10" }), [1, 1]);
  assert.deepEqual(sink.total("Error", { Prompt: "mine", Version: "9" }), [0, 0]);
});

test("a caller who hangs up leaves what came, counted once and as no error", async () => {
  const routes = new StaticRoutes();
  routes.put("mine", { stable: 9 });
  const sink = new ListSink();
  const words = Array.from({ length: 500 }, (_, i) => text(`${i} `));
  const client = fakeClient(routes, new FakeBedrock({ 9: [START, ...words, ...STOP] }), { sink });
  const stream = new Response({ failsAt: 3, slow: true });
  const event = asked({ unit: "u1" }, { path: "/prompts/mine/stream" });
  await respond(event, stream, { client, prompts: null, open, failed: assert.fail });
  assert.deepEqual(stream.events().map(([kind]) => kind), ["text", "text"]);
  assert.deepEqual(sink.total("Error", { Prompt: "mine", Version: "9" }), [0, 1]);
});
