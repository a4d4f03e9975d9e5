// What the TypeScript client does against an AWS of the environment, as JSON: for tests/integration/test_client_embedded.py.
//   node embedded.mjs '{"prompt", "table", "feedback", "kms", "units", "receipt"}'

import { PromptClient } from "../dist/esm/index.js";

const given = JSON.parse(process.argv[2]);
const client = new PromptClient({
  routeTable: given.table,
  feedbackTable: given.feedback,
  receiptKmsKey: given.kms,
  refresh: 0.3,
  resolution: 60,
});
const variables = { name: "Anna" };
const found = { versions: {}, errors: [] };
let receipt;
for (const unit of given.units) {
  const answer = await client.converse(given.prompt, { unit, variables });
  found.versions[unit] = answer.version;
  if (answer.version === 2) receipt = answer.receipt;
  if (!answer.text) found.errors.push(`no text for ${unit}`);
}
const stream = await client.converseStream(given.prompt, { unit: "u1", variables });
let text = "";
for await (const piece of stream) text += piece;
found.streamed = { text, version: stream.decision.version, stopReason: stream.stopReason, usage: stream.usage };
found.feedback = [
  await client.feedback(receipt, { positive: false }),
  await client.feedback(receipt, { positive: false }),
];
found.theirs = await client.feedback(given.receipt, { positive: true });
found.receipt = await stream.receipt();
for (const ask of [() => client.converse(given.prompt, { unit: "u1" }), () => client.route("nobody", "u1")]) {
  await ask().catch((error) => found.errors.push(error.name));
}
// Whoever leaves, in the middle or before the beginning, harms no other request of the same connections.
for await (const piece of await client.converseStream(given.prompt, { unit: "u1", variables })) {
  found.left = piece.length > 0;
  break;
}
const gone = new AbortController();
const aborted = client.converse(given.prompt, { unit: "u1", variables, signal: gone.signal });
setImmediate(() => gone.abort(new Error("gone")));
found.aborted = await aborted.then(
  () => "answered",
  (error) => error.message,
);
found.byId = (await client.route(given.promptId, "u1")).version;
await client.close();
console.log(JSON.stringify(found));
