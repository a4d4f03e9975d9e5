// Times of the first text, in turns in one process: from a direct ConverseStream, and from the streaming gateway's bundled
// handler with the event of a function URL. Called by benchmarks/gateway.py:
//   node benchmarks/stream_gateway.mjs HANDLER VERSION_ARN '[[delay in ms, calls], …]'
// prints [{model_ms, direct: [ms], gateway: [ms]}].

import { createRequire } from "node:module";
import { dirname } from "node:path";
import { Writable } from "node:stream";

const [handlerFile, arn, plan] = process.argv.slice(2);
const load = createRequire(new URL("../clients/js/package.json", import.meta.url));
const { BedrockRuntimeClient, ConverseStreamCommand } = load("@aws-sdk/client-bedrock-runtime");
const { NodeHttpHandler } = load("@smithy/node-http-handler");

globalThis.awslambda = {
  streamifyResponse: (handler) => handler,
  HttpResponseStream: { from: (stream) => stream },
};
process.env.LAMBDA_TASK_ROOT = dirname(handlerFile);
const { handle } = load(handlerFile);
const print = process.stdout.write.bind(process.stdout);
process.stdout.write = () => true; // metrics go where Lambda's log would

const client = new BedrockRuntimeClient({ maxAttempts: 1, requestHandler: new NodeHttpHandler() });

async function direct() {
  const start = performance.now();
  const { stream } = await client.send(new ConverseStreamCommand({ modelId: arn, promptVariables: {} }));
  let first;
  for await (const event of stream) if (event.contentBlockDelta) first ??= performance.now() - start;
  return first;
}

async function gateway(unit) {
  let first;
  const response = new Writable({
    write(chunk, encoding, done) {
      if (chunk.includes("event: text")) first ??= performance.now() - start;
      if (chunk.includes("event: error")) throw new Error(String(chunk));
      done();
    },
  });
  const path = "/prompts/p/stream";
  const event = { rawPath: path, requestContext: { http: { method: "POST", path } }, body: JSON.stringify({ unit }) };
  const start = performance.now();
  await handle(event, response, { invokedFunctionArn: "arn:aws:lambda:eu-west-1:111122223333:function:stream" });
  return first;
}

const delayed = (ms) => fetch(process.env.AWS_ENDPOINT_URL, { method: "POST", body: "{}", headers: { "x-set-delay": String(ms) } });
const found = [];
for (const [model_ms, calls] of JSON.parse(plan)) {
  await delayed(model_ms);
  const row = { model_ms, direct: [], gateway: [] };
  for (let i = 0; i < 3; i++) await Promise.all([direct(), gateway(`warm${i}`)]);
  for (let i = 0; i < calls; i++) {
    row.direct.push(await direct());
    row.gateway.push(await gateway(`u${i}`));
  }
  found.push(row);
}
print(JSON.stringify(found));
process.exit(0);
