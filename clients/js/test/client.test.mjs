// What no conformance file can ask: clocks, cancellation, keys, and what is sent in the background.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import {
  InvalidReceipt,
  ModelCallFailed,
  PromptClient,
  RouteUnavailable,
  UnknownPrompt,
  CloudWatchSink,
} from "../dist/esm/index.js";
import { KmsKeys, Source } from "../dist/esm/receipt-keys.js";
import { FakeBedrock, fakeClient, ListSink, responseOf, StaticRoutes } from "../dist/esm/testing.js";

const unhandled = [];
process.on("unhandledRejection", (error) => unhandled.push(error));

class Hands {
  steadyMs = 0;
  wallMs = 1_780_000_000_000;
  steady = () => this.steadyMs;
  wall = () => this.wallMs;
  pass(ms) {
    this.steadyMs += ms;
    this.wallMs += ms;
  }
}

const REAL = { steady: () => performance.now(), wall: () => Date.now() };
const settled = () => new Promise((resolve) => setImmediate(resolve));
const never = () => new Promise(() => undefined);

function released({ clock = new Hands(), settings = {}, ...put } = {}) {
  const routes = new StaticRoutes();
  routes.put("p", { stable: 1, ...put });
  const sink = new ListSink();
  const bedrock = new FakeBedrock({ 1: "Hello there.", 2: "Hello, you." });
  const client = fakeClient(routes, bedrock, { sink, log: () => undefined, ...settings }, { clock });
  return { clock, routes, sink, bedrock, client };
}

test("a route is refreshed behind the traffic, in one read however many ask", async () => {
  const { clock, routes, client } = released();
  assert.equal(client.routeNow("p", "u"), undefined);
  await Promise.all(Array.from({ length: 50 }, (_, i) => client.route("p", `u${i}`)));
  assert.equal(routes.reads, 1);
  routes.put("p", { stable: 2 });
  clock.pass(2500);
  for (let i = 0; i < 50; i++) assert.equal(client.routeNow("p", `u${i}`).version, 1);
  await settled();
  assert.deepEqual([routes.reads, client.routeNow("p", "u").version], [2, 2]);
});

for (const [name, move] of Object.entries({
  "both clocks passed": (clock) => clock.pass(3_600_000),
  "the monotonic clock stood still": (clock) => (clock.wallMs += 3_600_000),
  "the wall clock was set back": (clock) => {
    clock.steadyMs += 3_600_000;
    clock.wallMs -= 3_600_000;
  },
})) {
  test(`after a freeze nobody is served an old route untried: ${name}`, async () => {
    const { clock, routes, client, sink } = released({ stable: 1 });
    await client.route("p", "u");
    routes.down = new Error("no network");
    clock.pass(2500);
    assert.equal((await client.route("p", "u")).version, 1);
    await settled(); // this refresh failed
    move(clock);
    routes.down = undefined;
    routes.put("p", { stable: 2 });
    assert.equal(client.routeNow("p", "u"), undefined);
    assert.equal((await client.route("p", "u")).version, 2);
    routes.down = new Error("no network again");
    move(clock);
    assert.equal((await client.route("p", "u")).version, 2, "an outage is survived on the last known route");
    assert.ok(sink.total("StaleRoute", { Prompt: "p" })[1] >= 1);
  });
}

test("a table that does not answer costs one wait, and no more", async () => {
  const { clock, routes, client } = released();
  await client.route("p", "u");
  routes.read = never;
  clock.pass(60_000);
  assert.equal(client.routeNow("p", "u"), undefined);
  assert.equal((await client.route("p", "u")).version, 1);
  for (let i = 0; i < 20; i++) assert.equal(client.routeNow("p", `u${i}`).version, 1);
});

test("what has no route is told as such, and bounded", async () => {
  const { routes, client } = released();
  await assert.rejects(client.route("nobody", "u"), UnknownPrompt);
  await assert.rejects(client.route("nobody", "u"), UnknownPrompt);
  assert.equal(routes.reads, 1, "known not to exist until the next refresh");
  routes.down = new Error("no network");
  await assert.rejects(client.route("other", "u"), RouteUnavailable);
  const fallback = { other: "arn:aws:bedrock:eu-west-1:111122223333:prompt/ABCDEFGHIJ:3#gr1:1" };
  const pinned = await released({ settings: { fallback } })
    .client.route("other", "u")
    .catch((error) => error);
  assert.ok(pinned instanceof UnknownPrompt, "a fallback is for outages, not for what does not exist");
  const down = fakeClient(Object.assign(new StaticRoutes(), { down: new Error("down") }), undefined, { fallback });
  const { version, guardrail } = await down.route("other", "u");
  assert.deepEqual([version, guardrail], [3, { guardrailIdentifier: "gr1", guardrailVersion: "1" }]);
});

test("whoever leaves is counted once, as cancelled, and nothing is left behind", async () => {
  // anthropic-sdk-typescript#383 and openai-node#959: an abort must not end in an unhandled rejection;
  // langfuse-js#858: a long-lived signal must not gather listeners.
  const { client, sink, bedrock } = released();
  const long = new AbortController();
  for (let i = 0; i < 20; i++) {
    await client.converse("p", { unit: `u${i}`, signal: long.signal });
    for await (const piece of await client.converseStream("p", { unit: `u${i}`, signal: long.signal }))
      assert.ok(piece);
  }
  assert.equal(getEventListeners(long.signal, "abort").length, 0);
  const before = sink.documents.length;
  bedrock.replies = never;
  const reason = new Error("the browser is gone");
  for (const ask of [
    (signal) => client.converse("p", { unit: "u", signal }),
    (signal) => client.converseStream("p", { unit: "u", signal }),
  ]) {
    const controller = new AbortController();
    const asked = ask(controller.signal);
    await settled();
    controller.abort(reason);
    await assert.rejects(asked, (error) => error === reason);
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  }
  const counted = sink.documents.slice(before).flatMap(({ values }) => Object.keys(values));
  assert.deepEqual(counted, ["Assigned", "Cancelled", "Assigned", "Cancelled"]);
});

test("a stream that is aborted while it is read ends with the reason, and counts what came", async () => {
  const { client, sink, bedrock } = released();
  bedrock.converseStream = async () => ({
    stream: (async function* () {
      yield { messageStart: { role: "assistant" } };
      yield { contentBlockDelta: { delta: { text: "Hel" }, contentBlockIndex: 0 } };
      await never();
    })(),
  });
  const controller = new AbortController();
  const stream = await client.converseStream("p", { unit: "u", signal: controller.signal });
  const came = [];
  const reading = (async () => {
    for await (const piece of stream) {
      came.push(piece);
      setImmediate(() => controller.abort(new Error("gone")));
    }
  })();
  await assert.rejects(reading, /gone/);
  assert.deepEqual([came, sink.total("Error", { Prompt: "p", Track: "stable" })], [["Hel"], [0, 1]]);
  await stream.close(); // harmless after the end
  assert.equal(sink.total("Assigned", { Prompt: "p", Track: "stable" })[1], 1);
});

test("a model that does not answer is given up in time, on either track, and stable answers for the canary", async () => {
  const { client, sink, bedrock } = released({
    clock: REAL,
    canary: 2,
    weight: 10_000,
    settings: { timeout: 0.4, shieldReserve: 0.2 },
  });
  bedrock.replies = { 1: "Hello there.", 2: never };
  const answer = await client.converse("p", { unit: "u" });
  assert.deepEqual([answer.text, answer.shielded], ["Hello there.", true]);
  assert.deepEqual(sink.total("Error", { Prompt: "p", Track: "canary" }), [1, 1]);
  bedrock.replies = never;
  await assert.rejects(
    client.converse("p", { unit: "u" }),
    (error) => error instanceof ModelCallFailed && error.code === "TimeoutError",
  );
});

test("calls that the application makes itself are counted, and its own errors are nobody's", async () => {
  const { client, sink } = released();
  const decision = await client.route("p", "u");
  const observe = () => client.observe(decision, { unit: "u" });
  const down = Object.assign(new Error("down"), { name: "ModelErrorException", $metadata: {} });
  const streamed = {
    stream: (async function* () {
      yield { contentBlockDelta: { delta: { text: "I'm sorry, but I can't help with that." }, contentBlockIndex: 0 } };
      yield { messageStop: { stopReason: "end_turn" } };
    })(),
  };
  const call = observe();
  assert.equal(await call.receipt(), undefined);
  await call.run(async () => responseOf("Hello."));
  assert.ok(await call.receipt());
  await assert.rejects(
    observe().run(async () => {
      throw down;
    }),
    /down/,
  );
  await assert.rejects(
    observe().run(async () => {
      throw new TypeError("the application's own");
    }),
    TypeError,
  );
  const { stream } = await observe().run(async () => streamed);
  for await (const event of stream) assert.ok(event);
  assert.deepEqual(sink.total("Error", { Prompt: "p", Track: "stable" }), [1, 3]);
  assert.deepEqual(sink.total("Refusal", { Prompt: "p", Track: "stable" }), [1, 3]);
  assert.deepEqual(sink.total("Cancelled", { Prompt: "p", Track: "stable" }), [1, 1]);
});

test("one unit's feedback counts once, for the version that answered", async () => {
  const { client, sink } = released({ clock: REAL, canary: 2, weight: 10_000 });
  const { receipt } = await client.converse("p", { unit: "u" });
  assert.deepEqual(
    [await client.feedback(receipt, { positive: false }), await client.feedback(receipt, { positive: true })],
    [true, false],
  );
  assert.deepEqual(sink.total("NegativeFeedback", { Prompt: "p", Track: "canary" }), [1, 1]);
});

test("KMS is asked once for a key, and a key that cannot be had costs receipts and no answers", async () => {
  const asked = [];
  const plain = Buffer.alloc(32, 7);
  const kms = {
    generateDataKey: async (keyId, context) => (asked.push(context), { plain, wrapped: Buffer.from("wrapped") }),
    decrypt: async (keyId, wrapped, context) => {
      asked.push(context);
      if (String(wrapped) !== "wrapped") throw Object.assign(new Error("no"), { name: "InvalidCiphertextException" });
      return plain;
    },
  };
  const routes = new StaticRoutes();
  routes.put("p", { stable: 1 });
  const source = new Source("key-id", "receiptKmsKey", () => undefined);
  const make = (keys) => fakeClient(routes, new FakeBedrock(), { receiptKey: "" }, { keys });
  const client = make(new KmsKeys(kms, source, () => undefined));
  const receipts = [];
  for (let i = 0; i < 5; i++) receipts.push((await client.converse("p", { unit: `u${i}` })).receipt);
  assert.deepEqual(asked, [{ prompt: "p", day: String(Math.floor(Date.now() / 86_400_000)) }]);
  assert.equal(new Set(receipts.map((receipt) => receipt.length)).size, 1);
  const other = make(new KmsKeys(kms, source, () => undefined));
  for (const receipt of receipts) assert.equal(await other.feedback(receipt, { positive: true }), true);
  assert.equal(asked.length, 2);
  const told = [];
  const denied = { ...kms, generateDataKey: async () => Promise.reject(new Error("AccessDenied")) };
  const without = make(new KmsKeys(denied, source, (message) => told.push(message)));
  for (let i = 0; i < 3; i++) assert.equal((await without.converse("p", { unit: "u" })).receipt, undefined);
  assert.equal(told.length, 1);
});

test("a secret that was changed is read again, once a minute however many forged receipts come", async () => {
  const routes = new StaticRoutes();
  routes.put("p", { stable: 1 });
  let secrets = "old";
  let read = 0;
  const client = fakeClient(routes, new FakeBedrock(), { receiptKey: async () => (read++, secrets) });
  const before = (await client.converse("p", { unit: "u" })).receipt;
  secrets = "new";
  const other = fakeClient(routes, new FakeBedrock(), { receiptKey: () => secrets });
  const after = (await other.converse("p", { unit: "v" })).receipt;
  const forged = (await fakeClient(routes, new FakeBedrock(), { receiptKey: "theirs" }).converse("p", { unit: "w" }))
    .receipt;
  for (let i = 0; i < 50; i++) await assert.rejects(client.feedback(forged, { positive: true }), InvalidReceipt);
  assert.equal(read, 1, "it was read a moment ago");
  const { now } = performance;
  performance.now = () => now.call(performance) + 61_000;
  try {
    assert.equal(await client.feedback(after, { positive: true }), true);
    for (let i = 0; i < 50; i++) await assert.rejects(client.feedback(forged, { positive: true }), InvalidReceipt);
    assert.equal(read, 2);
    assert.equal(await client.feedback(before, { positive: true }), true, "what it named before still opens");
  } finally {
    performance.now = now;
  }
});

test("metrics keep their counts, go out once, and bad ones hold back nothing", async () => {
  const puts = [];
  let fails = Object.assign(new Error("slow down"), {
    name: "ThrottlingException",
    $metadata: { httpStatusCode: 400 },
  });
  const told = [];
  const sink = new CloudWatchSink({
    resolution: 60,
    log: (message) => told.push(message),
    put: async (data) => {
      if (fails) throw fails;
      puts.push(...data);
    },
  });
  const now = Date.now();
  const document = (at, Latency) => ({
    at,
    releaseId: "",
    dimensions: { Prompt: "p" },
    values: { Error: 1, Latency },
    directives: [{ dimensionSets: [["Prompt"]], metrics: ["Error", "Latency"] }],
  });
  for (let i = 0; i < 1000; i++) sink.emit(document(now, 100 + i));
  sink.emit(document(0, 1)); // a clock that jumped to 1970
  sink.emit(document(now + 9e6, 1)); // and one that is hours ahead
  sink.emit(document(now, NaN));
  await sink.flush();
  assert.equal(puts.length, 0);
  fails = undefined;
  await sink.close();
  const sum = (name) =>
    puts
      .filter(({ MetricName }) => MetricName === name)
      .flatMap(({ Counts }) => Counts)
      .reduce((a, b) => a + b, 0);
  assert.deepEqual([sum("Error"), sum("Latency")], [1001, 1000]);
  assert.ok(puts.every(({ Values }) => Values.length <= 150));
  assert.ok(told.some((message) => message.startsWith("5 data points dropped")));
});

test("a point that CloudWatch does not take is found, and what it may have taken is not sent twice", async () => {
  const puts = [];
  const told = [];
  let lost = false;
  const put = async (data) => {
    if (lost) throw Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
    if (data.some(({ Dimensions }) => Dimensions[0].Value === "poison")) {
      throw Object.assign(new Error("no"), {
        name: "InvalidParameterValueException",
        $metadata: { httpStatusCode: 400 },
      });
    }
    puts.push(...data);
  };
  const sink = new CloudWatchSink({ resolution: 60, log: (message) => told.push(message), put });
  const emit = (prompt) =>
    sink.emit({
      at: Date.now(),
      releaseId: "",
      dimensions: { Prompt: prompt },
      values: { Error: 1 },
      directives: [{ dimensionSets: [["Prompt"]], metrics: ["Error"] }],
    });
  for (let i = 0; i < 40; i++) emit(i === 23 ? "poison" : `p${i}`);
  await sink.flush();
  assert.equal(puts.length, 39);
  lost = true;
  emit("p0");
  await sink.flush();
  lost = false;
  await sink.close();
  assert.equal(puts.length, 39);
  assert.deepEqual(
    told.map((message) => message.split(":")[1].trim()),
    ["CloudWatch does not take them", "it is not known whether CloudWatch took them"],
  );
});

test("nothing that was refused before is taken by a client without a table", () => {
  assert.throws(() => new PromptClient({ routeTable: "" }), /PROMPTLANE_ROUTE_TABLE/);
  assert.throws(() => new PromptClient({ routeTable: "t", timeout: 0 }), /timeout=0/);
});

test("no promise was left to itself", () => assert.deepEqual(unhandled, []));
