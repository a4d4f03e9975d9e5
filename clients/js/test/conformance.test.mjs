// Every case of every conformance file, by the TypeScript client.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ANSWERS, cases } from "./answers.mjs";

for (const [kind, answer] of Object.entries(ANSWERS)) {
  test(`conformance: ${kind}`, async () => {
    const all = cases(kind);
    assert.ok(all.length > 20, `${all.length} cases`);
    for (const { name, given, answer: expected } of all) {
      assert.deepEqual(JSON.parse(JSON.stringify(await answer(given))), expected, name);
    }
  });
}
