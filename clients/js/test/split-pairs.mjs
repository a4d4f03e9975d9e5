// [bucket, group] of each [salt, unit] pair that standard input holds as JSON.

import { readFileSync } from "node:fs";
import { bucket, group } from "../dist/esm/split.js";

const pairs = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(pairs.map(([salt, unit]) => [bucket(salt, unit), group(salt, unit)])));
