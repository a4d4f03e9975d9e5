// The examples of the README run, one after the other, over fakes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FakeBedrock, fakeClient, responseOf, StaticRoutes } from "../dist/esm/testing.js";

test("the README's examples run", async () => {
  const page = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const examples = [...page.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code.replace(/^import .*\n/gm, ""));
  assert.equal(examples.length, 5);
  const routes = new StaticRoutes();
  routes.put("support-assistant", { stable: 1, variables: ["customer_name", "retrieved_context", "question"] });
  const said = [];
  const names = {
    PromptClient: class {
      constructor() {
        return fakeClient(routes, new FakeBedrock("Yes."));
      }
    },
    ConverseCommand: class {},
    bedrock: { send: async () => responseOf("Yes.") },
    console: { log: (...words) => said.push(...words), assert },
    process: { stdout: { write: (text) => said.push(text) } },
    FakeBedrock,
    fakeClient,
    StaticRoutes,
  };
  const AsyncFunction = (async () => undefined).constructor;
  await new AsyncFunction(...Object.keys(names), `${examples.join("\n")}\nif (!receipt) throw new Error("no receipt")`)(
    ...Object.values(names),
  );
  assert.deepEqual(said, ["Yes.", 1, "stable", "Yes."]);
});
