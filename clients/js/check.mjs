// Checks split.mjs against the published vectors and against Node's own BLAKE2s; then answers with bucket and group of
// each [salt, unit] pair read as JSON from standard input.
//   node clients/js/check.mjs docs/split-vectors.json < pairs.json

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { blake2s, bucket, group, keys, number, track } from "./split.mjs";

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const document = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const v of document.vectors) {
  assert.equal(number(keys(v.salt), v.unit).toString(16).padStart(16, "0"), v.number);
  assert.equal(bucket(v.salt, v.unit), v.bucket);
  assert.equal(group(v.salt, v.unit), v.group);
}
for (const v of document.tracks) assert.equal(track(v, v.unit), v.track);

const pairs = JSON.parse(readFileSync(0, "utf8") || "[]");
for (const text of pairs.flat()) {
  assert.equal(hex(blake2s(text)), createHash("blake2s256").update(text).digest("hex"));
}
console.log(JSON.stringify(pairs.map(([salt, unit]) => [bucket(salt, unit), group(salt, unit)])));
