// What a decision of the TypeScript client costs in Node, beside a floor and beside other SDKs that decide locally: 5 % of
// users, no events, no network. Prints JSON: benchmarks/route.py puts it under "node" of .local/bench/route.json.
//
//   node benchmarks/route.mjs [folder of the other SDKs] [rounds]
//
// The floor is a whole decision as plain as it can be: a Map's entry, BLAKE2s of salt and unit by node:crypto, compare. Ours
// and each SDK take turns, each paired with the floor measured just before and after it: take the ratios. `fnv` is the
// same with FNV-1a in JavaScript, the cheapest hash that SDKs split by: it reads no clock and knows no freeze.

import * as crypto from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fakeClient, StaticRoutes } from "../clients/js/dist/esm/testing.js";

const [folder, rounds = "15"] = process.argv.slice(2);
const UNITS = Array.from({ length: 20_000 }, (_, i) => `user-${String(i).padStart(15, "0")}`);
const FLAG = "support-assistant";

function blake2s(text) {
  if (crypto.hash) return crypto.hash("blake2s256", text, "buffer").readUInt32BE(0); // once, since Node 20.12
  return crypto.createHash("blake2s256").update(text).digest().readUInt32BE(0);
}

function fnv(text) {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

function floor(hash) {
  const routes = new Map([[FLAG, { salt: "promptlane-salt-16b.", weight: 500, canary: "canary", stable: "stable" }]]);
  return (unit) => {
    const { salt, weight, canary, stable } = routes.get(FLAG);
    return hash(salt + unit) % 10_000 < weight ? canary : stable;
  };
}

async function ours(put) {
  const routes = new StaticRoutes();
  routes.put(FLAG, { stable: 1, ...put });
  const client = fakeClient(routes, undefined, { refresh: 3600 });
  await client.route(FLAG, "warm");
  return { now: (unit) => client.routeNow(FLAG, unit), awaited: (unit) => client.route(FLAG, unit) };
}

const installed = folder && createRequire(join(resolve(folder), "package.json"));
const version = (name) =>
  JSON.parse(readFileSync(join(resolve(folder), "node_modules", name, "package.json"), "utf8")).version;

/** By package: how its makers have it called on a server; `treated` says of what it answers whether it is the treatment. */
const PEERS = {
  "@growthbook/growthbook": {
    call: "client.evalFeature(flag, { attributes })",
    async make({ GrowthBookClient }) {
      const client = new GrowthBookClient();
      const rules = [{ coverage: 0.05, hashAttribute: "id", force: "canary" }];
      client.initSync({ payload: { features: { [FLAG]: { defaultValue: "stable", rules } } } });
      return {
        decide: (id) => client.evalFeature(FLAG, { attributes: { id } }),
        treated: ({ value }) => value === "canary",
      };
    },
  },
  "unleash-client": {
    call: "client.isEnabled(flag, { userId })",
    async make({ Unleash, InMemStorageProvider }) {
      const strategies = [
        { name: "flexibleRollout", parameters: { rollout: "5", stickiness: "userId", groupId: FLAG }, constraints: [] },
      ];
      const client = new Unleash({
        url: "http://localhost:9/",
        appName: "bench",
        refreshInterval: 0,
        disableMetrics: true,
        skipInstanceCountWarning: true,
        storageProvider: new InMemStorageProvider(),
        bootstrap: { data: [{ name: FLAG, enabled: true, type: "release", strategies, variants: [] }] },
      });
      client.on("error", () => undefined);
      await new Promise((ready) => client.once("ready", ready));
      const close = () => client.destroy();
      return { decide: (userId) => client.isEnabled(FLAG, { userId }), treated: (enabled) => enabled, close };
    },
  },
  "@launchdarkly/node-server-sdk": {
    call: "await client.variation(flag, context, default)",
    async make({ init }) {
      const { TestData } = installed("@launchdarkly/node-server-sdk/integrations");
      const data = new TestData();
      const rollout = {
        kind: "rollout",
        variations: [
          { variation: 0, weight: 5000 },
          { variation: 1, weight: 95_000 },
        ],
      };
      const flag = {
        key: FLAG,
        version: 1,
        on: true,
        variations: ["canary", "stable"],
        fallthrough: { rollout },
        salt: "s",
      };
      data.usePreconfiguredFlag(flag);
      const logger = { debug() {}, info() {}, warn() {}, error() {} };
      const client = init("sdk-key", {
        updateProcessor: data.getFactory(),
        sendEvents: false,
        diagnosticOptOut: true,
        logger,
      });
      await client.waitForInitialization({ timeout: 5 });
      const decide = (key) => client.variation(FLAG, { kind: "user", key }, "stable");
      return { decide, treated: (value) => value === "canary", close: () => client.close() };
    },
  },
  "@openfeature/server-sdk": {
    call: "await client.getStringValue(flag, default, context), in-memory provider",
    async make({ InMemoryProvider, OpenFeature }) {
      const contextEvaluator = ({ targetingKey }) => (fnv(`salt${targetingKey}`) % 10_000 < 500 ? "canary" : "stable");
      const variants = { canary: "canary", stable: "stable" };
      await OpenFeature.setProviderAndWait(
        new InMemoryProvider({ [FLAG]: { variants, defaultVariant: "stable", disabled: false, contextEvaluator } }),
      );
      const client = OpenFeature.getClient();
      const decide = (targetingKey) => client.getStringValue(FLAG, "stable", { targetingKey });
      return { decide, treated: (value) => value === "canary", close: () => OpenFeature.close() };
    },
  },
};

async function peers() {
  const found = [];
  for (const [name, { call, make }] of installed ? Object.entries(PEERS) : []) {
    try {
      const peer = await make(installed(name));
      let treated = 0;
      for (let i = 0; i < 2000; i++) treated += peer.treated(await peer.decide(`u-${i}`)) ? 1 : 0;
      if (treated < 50 || treated > 150) throw new Error(`${treated} of 2,000 users treated instead of about 100`);
      found.push({ name, call, version: version(name), ...peer });
    } catch (error) {
      console.error(`${name.padEnd(28)} left out: ${String(error.message).slice(0, 100)}`);
    }
  }
  return found;
}

/** Nanoseconds of one decision; awaited where it is a promise, as its caller has to. */
async function nanoseconds(decide, calls) {
  const awaited = decide(UNITS[0]) instanceof Promise;
  const start = process.hrtime.bigint();
  for (let i = 0; i < calls; i++) {
    const found = decide(UNITS[i]);
    if (awaited) await found;
  }
  return Number(process.hrtime.bigint() - start) / calls;
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const reference = floor(blake2s);
const canary = await ours({ canary: 2, weight: 500 });
const steady = await ours({});
const others = await peers();
const taken = { now: [], awaited: [], steady: [], fnv: [], floor: [] };
const theirs = others.map(() => []);
const all = [
  [canary.now, taken.now],
  [canary.awaited, taken.awaited],
  [steady.now, taken.steady],
  [floor(fnv), taken.fnv],
];
others.forEach(({ decide }, i) => all.push([decide, theirs[i]]));
for (const [decide] of all) for (let i = 0; i < 3; i++) await nanoseconds(decide, 5000); // compiled
for (let round = 0; round < Number(rounds); round++) {
  let before = await nanoseconds(reference, 5000);
  for (const [decide, ratios] of all) {
    const own = await nanoseconds(decide, UNITS.length);
    const after = await nanoseconds(reference, 5000);
    ratios.push((2 * own) / (before + after));
    taken.floor.push(before);
    before = after;
  }
}
const floorNs = median(taken.floor);
console.log(
  JSON.stringify({
    node: process.versions.node,
    floor_ns: floorNs,
    ours_ns: median(taken.now) * floorNs,
    ours_ratio: { canary: median(taken.now), steady: median(taken.steady), awaited: median(taken.awaited) },
    fnv_ratio: median(taken.fnv),
    peers: Object.fromEntries(
      others.map(({ name, call, version }, i) => {
        const ratio = median(theirs[i]);
        return [
          name,
          { ns: ratio * floorNs, sdk_version: version, ratio, times_ours: ratio / median(taken.now), call },
        ];
      }),
    ),
  }),
);
for (const { close } of others) await close?.();
