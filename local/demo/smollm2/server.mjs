// Serves a GGUF model with OpenAI's /v1/chat/completions, on 127.0.0.1 only.
//
//   node server.mjs MODEL.gguf PORT
//
// One line of JSON on standard output when it listens. Ends when its standard input is closed.
import { createServer } from "node:http";
import { availableParallelism } from "node:os";
import { getLlama, LlamaChatSession } from "node-llama-cpp";

const [modelPath, port] = process.argv.slice(2);
if (!modelPath || !Number.isInteger(Number(port))) {
  console.error("usage: node server.mjs MODEL.gguf PORT");
  process.exit(2);
}
// Threads wait for each other at every step: with more of them than free cores it is thirty times slower. One core is left
// to the embedded AWS and the simulated users.
const threads = Math.max(1, availableParallelism() - 1);
const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: 2048, sequences: 1, threads });
const sequence = context.getSequence();
let turn = Promise.resolve();

// One answer at a time: two at once would only share the same cores.
function inTurn(work) {
  const mine = turn.then(work);
  turn = mine.catch(() => {});
  return mine;
}

async function complete(request) {
  const messages = request.messages ?? [];
  const last = messages.at(-1);
  if (last?.role !== "user" || typeof last.content !== "string") {
    throw Object.assign(new Error("the last message must be the user's, with text as its content"), { status: 400 });
  }
  const text = (m) => (typeof m.content === "string" ? m.content : "");
  const systemPrompt = messages.filter((m) => m.role === "system").map(text).join("\n");
  await sequence.clearHistory();
  const session = new LlamaChatSession({ contextSequence: sequence, ...(systemPrompt ? { systemPrompt } : {}) });
  session.setChatHistory([
    ...(systemPrompt ? [{ type: "system", text: systemPrompt }] : []),
    ...messages.slice(0, -1).filter((m) => m.role !== "system").map((m) =>
      m.role === "assistant" ? { type: "model", response: [text(m)] } : { type: "user", text: text(m) }),
  ]);
  let sent = 0;
  try {
    const answer = await session.promptWithMeta(last.content, {
      maxTokens: Math.min(request.max_tokens ?? 64, 64),
      temperature: request.temperature ?? 0,
      topP: request.top_p ?? 1,
      seed: 7,
      ...(request.stop?.length ? { customStopTriggers: request.stop } : {}),
    });
    sent = model.tokenize(answer.responseText).length;
    const prompted = model.tokenize(messages.map(text).join("\n")).length;
    return {
      object: "chat.completion",
      model: request.model,
      choices: [{
        index: 0,
        message: { role: "assistant", content: answer.responseText },
        finish_reason: answer.stopReason === "maxTokens" ? "length" : "stop",
      }],
      usage: { prompt_tokens: prompted, completion_tokens: sent, total_tokens: prompted + sent },
    };
  } finally {
    session.dispose({ disposeSequence: false });
  }
}

function reply(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

const server = createServer((request, response) => {
  if (request.method !== "POST" || !request.url.endsWith("/chat/completions")) {
    reply(response, 404, { error: { message: `no such route: ${request.method} ${request.url}` } });
    return;
  }
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (piece) => (body += piece));
  request.on("end", async () => {
    try {
      const wanted = JSON.parse(body);
      // Nobody waits for the answer any more: giving it would only keep the others waiting.
      const answer = await inTurn(() => (response.destroyed ? null : complete(wanted)));
      if (answer) reply(response, 200, answer);
    } catch (error) {
      reply(response, error.status ?? (error instanceof SyntaxError ? 400 : 500), { error: { message: String(error) } });
    }
  });
});
// The first answer is slow, since the weights are read then: nobody should have to wait for it.
await complete({ messages: [{ role: "user", content: "Answer in one word. Is the shop open?" }], max_tokens: 4 });
server.listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ listening: Number(port) })));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
