// promptfoo's own functions over every pair, in one process that can reach no network.
// node theirs.mjs <promptfoo's folder> <in.json> <out.json>: {types, rows}, the names of its assertion types, and for each
// case a letter for each answer: p(ass), f(ail), e(rror).
import { readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { pathToFileURL } from "node:url";

net.Socket.prototype.connect = () => { throw new Error("no network here"); };
for (const off of ["TELEMETRY", "UPDATE", "REMOTE_GENERATION", "SHARING"]) process.env[`PROMPTFOO_DISABLE_${off}`] = "1";
process.env.LOG_LEVEL = "error";
for (const method of ["log", "info", "warn", "debug"]) console[method] = () => {};

const [folder, input, output] = process.argv.slice(2);
const { assertions, ...promptfoo } = await import(pathToFileURL(path.join(folder, "dist/src/index.js")));
const { cases, outputs, tools } = JSON.parse(readFileSync(input, "utf8"));
const config = {
  tools: Object.entries(tools).map(([name, parameters]) => ({ type: "function", function: { name, parameters } })),
};
const provider = { id: () => "held", config };

const calls = (test) => test.assert.some(({ type }) => type.endsWith("-tools-call"));

async function graded(test, answer) {
  const made = answer.calls.map(([name, args]) => ({ type: "function", function: { name, arguments: args } }));
  const providerResponse = {
    output: made.length && calls(test) ? made : answer.text,
    cost: answer.cost,
    guardrails: { flagged: answer.blocked },
  };
  try {
    const result = await assertions.runAssertions({ test, provider, providerResponse, latencyMs: answer.latency_ms });
    return result.pass ? "p" : "f";
  } catch {
    return "e";
  }
}

const found = [];
for (const test of cases) {
  let row = "";
  for (const answer of outputs) row += await graded(test, answer);
  found.push(row);
}
const types = ["Base", "Special"].flatMap((some) => promptfoo[`${some}AssertionTypesSchema`].options);
writeFileSync(output, JSON.stringify({ types, rows: found }));
process.exit(0);
