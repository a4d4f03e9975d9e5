// A model that answers everything after a fixed time: Converse for us, chat completions for promptfoo.
// Prints the port it listens on. GET /seen tells how many calls it got, and how many at once.
import http from "node:http";

const delay = Number(process.argv[2] ?? 50);
const seen = { calls: 0, at_once: 0, most_at_once: 0, connections: 0 };
const text = "Refunds take 5 working days, says the policy of our shop.";
const converse = JSON.stringify({
  output: { message: { role: "assistant", content: [{ text }] } },
  stopReason: "end_turn",
  usage: { inputTokens: 40, outputTokens: 14, totalTokens: 54 },
  metrics: { latencyMs: delay },
});
const chat = JSON.stringify({
  id: "stub", object: "chat.completion", created: 0, model: "stub",
  choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: text } }],
  usage: { prompt_tokens: 40, completion_tokens: 14, total_tokens: 54 },
});

const server = http.createServer((request, response) => {
  if (request.method === "GET") {
    response.end(JSON.stringify(seen));
    return;
  }
  seen.calls += 1;
  seen.at_once += 1;
  seen.most_at_once = Math.max(seen.most_at_once, seen.at_once);
  request.resume();
  request.on("end", () => {
    const body = request.url.includes("/converse") ? converse : chat;
    setTimeout(() => {
      seen.at_once -= 1;
      response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
      response.end(body);
    }, delay);
  });
});
server.keepAliveTimeout = 60_000;
server.on("connection", (socket) => { seen.connections += 1; socket.setNoDelay(true); });
server.listen(0, "127.0.0.1", 1024, () => console.log(server.address().port));
