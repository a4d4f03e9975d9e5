// By conformance file, the names of the cases that this client answers otherwise than published; as JSON.

import { isDeepStrictEqual } from "node:util";
import { ANSWERS, cases } from "./answers.mjs";

const wrong = {};
for (const [kind, answer] of Object.entries(ANSWERS)) {
  wrong[kind] = [];
  for (const { name, given, answer: expected } of cases(kind)) {
    let found;
    try {
      found = JSON.parse(JSON.stringify(await answer(given)));
    } catch (error) {
      found = String(error);
    }
    if (!isDeepStrictEqual(found, expected)) wrong[kind].push(name);
  }
}
console.log(JSON.stringify(wrong));
