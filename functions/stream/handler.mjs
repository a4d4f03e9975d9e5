// The streaming gateway: what `converse` of the gateway is, as server-sent events, behind function URLs that stream.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PromptClient } from "promptlane";
import { respond } from "./answer.mjs";
import { applicationOf } from "./applications.mjs";

let wired;

function wire() {
  const env = process.env;
  return (wired ??= {
    client: new PromptClient({
      routeTable: env.ROUTE_TABLE,
      receiptKmsKey: env.RECEIPT_KEY_ID,
      resolution: Number(env.RESOLUTION_SECONDS || 60),
      slowAfter: Number(env.SLOW_AFTER_SECONDS || 10),
      timeout: Number(env.REQUEST_TIMEOUT_SECONDS || 28),
    }),
    applications: JSON.parse(readFileSync(join(env.LAMBDA_TASK_ROOT, "applications.json"), "utf8")),
  });
}

function open(stream, status, headers) {
  return awslambda.HttpResponseStream.from(stream, { statusCode: status, headers });
}

function failed(error) {
  // The caller is not told what AWS says: it may name the version.
  console.log(error.reason === undefined ? error : `${error.message} AWS says: ${JSON.stringify(error.reason)}`);
}

export const handle = awslambda.streamifyResponse(async (event, stream, context) => {
  const { client, applications } = wire();
  await respond(event, stream, { client, prompts: applicationOf(context, applications), open, failed });
});
