// What the streaming gateway answers to what is read as JSON from standard input: [{event}] or [{error}], as
// [status, kind, members]. tests/unit/functions/test_stream.py holds it against the gateway of the HTTP API.

import { readFileSync } from "node:fs";
import { problemOf } from "../../../../functions/stream/problems.mjs";
import { requestOf } from "../../../../functions/stream/requests.mjs";
import { NamedError } from "./fakes.mjs";

function told({ event, error }) {
  if (error) return shown(problemOf(new NamedError(error.name, error.message, error.fields)));
  try {
    return ["asked", requestOf(event)];
  } catch (problem) {
    return shown(problem);
  }
}

const shown = (problem) => [problem.status, problem.kind, problem.body(), problem.headers()];

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(told)));
