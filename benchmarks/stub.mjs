// A model that answers everything after a fixed time: Converse for us, chat completions for promptfoo.
// Prints the port it listens on. GET tells what it saw since the last GET: calls, the most at once, and the seconds from
// the first call's arrival to the last answer, by which both runners are measured alike.
import http from "node:http";

const delay = Number(process.argv[2] ?? 50);
const fresh = () => ({ calls: 0, at_once: 0, most_at_once: 0, first: 0, last: 0 });
let seen = fresh();
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
    response.end(JSON.stringify({ ...seen, seconds: (seen.last - seen.first) / 1000 }));
    seen = fresh();
    return;
  }
  seen.first ||= performance.now();
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
      seen.last = performance.now();
    }, delay);
  });
});
server.keepAliveTimeout = 60_000;
server.on("connection", (socket) => socket.setNoDelay(true));
server.listen(0, "127.0.0.1", 1024, () => console.log(server.address().port));
