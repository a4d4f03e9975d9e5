# ruff: noqa: E501 - the stub inside is a program of its own
"""What the gateway adds to a model call, and what its cold start adds to a bare boto3 function.

    make bench-gateway      writes .local/bench/gateway.json

The same stub of Bedrock and DynamoDB answers both sides, in a process of its own: after 0, 50 or 500 ms. Called are the
handler with an API Gateway event, and boto3's converse with the same client settings, in turns in one process. Added
time is the difference of medians (p50) and of 99th percentiles. API Gateway's own time is not in it. A cold start is a
fresh process of the functions' own interpreter (boto3 and nothing else) until it has answered, in turns too.

`first_token` says the same of the streaming gateway's time to the first text, beside a ConverseStream of the AWS SDK for
JavaScript over the same stub, in turns in one process of Node. Lambda's own time is not in it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from infra import packaging
from local import lambda_runtime

OUT = Path(".local/bench/gateway.json")
_ARN = "arn:aws:bedrock:eu-west-1:111122223333:prompt/ABCDEFGHIJ"
_STUB = r"""
import asyncio, json, struct, sys, zlib
ref = lambda v: {"M": {"version": {"N": str(v)}, "fingerprint": {"S": "f"}, "arn": {"S": "%s:" % sys.argv[1] + str(v)}}}
item = {"schema": {"N": "1"}, "prompt": {"S": "p"}, "prompt_id": {"S": "ABCDEFGHIJ"}, "stable": ref(1), "canary": ref(2),
        "salt": {"S": "s"}, "revision": {"N": "1"}, "phase": {"S": "canary"}, "weight": {"N": "2500"},
        "release_id": {"S": "ABCDEFGHIJ-2-1"}}
ROUTE = json.dumps({"Item": item}).encode()
KEY = json.dumps({"KeyId": "k", "Plaintext": "A" * 43 + "=", "CiphertextBlob": "A" * 244 + "AA=="})
ANSWER = json.dumps({"output": {"message": {"role": "assistant", "content": [{"text": "Certainly, here it is. " * 20}]}},
    "stopReason": "end_turn", "usage": {"inputTokens": 10, "outputTokens": 100, "totalTokens": 110},
    "metrics": {"latencyMs": 1}}).encode()
def framed(kind, payload):
    named = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    head = b"".join(bytes([len(k)]) + k.encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode() for k, v in named.items())
    data = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(head) + len(data), len(head))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + data
    return whole + struct.pack(">I", zlib.crc32(whole))
text = lambda i: framed("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Certainly, %d. " % i}})
BEGIN = framed("messageStart", {"role": "assistant"})
REST = b"".join(text(i) for i in range(20)) + framed("contentBlockStop", {"contentBlockIndex": 0})
REST += framed("messageStop", {"stopReason": "end_turn"})
REST += framed("metadata", {"usage": json.loads(ANSWER)["usage"], "metrics": {"latencyMs": 1}})
DELAY = [0]
async def stream(writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n")
    writer.write(b"%x\r\n%s\r\n" % (len(BEGIN), BEGIN))
    await asyncio.sleep(DELAY[0] / 1000)
    writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(REST), REST))
    await writer.drain()
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            await reader.readexactly(length)
            if "x-set-delay: " in head:
                DELAY[0] = int(head.split("x-set-delay: ")[1].split("\r\n")[0])
                body = b"{}"
            elif "/converse-stream" in head.split("\r\n")[0]:
                await stream(writer)
                continue
            elif "x-amz-target: dynamodb" in head: body = ROUTE
            elif "x-amz-target: trentservice" in head: body = KEY.encode()
            else:
                await asyncio.sleep(int(head.split("x-delay: ")[1].split("\r\n")[0]) / 1000 if "x-delay" in head else 0)
                body = ANSWER
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
_BARE = """
import boto3
from botocore.config import Config
client = boto3.client("bedrock-runtime", config=Config(retries={"total_max_attempts": 1}))
client.converse(modelId="%s:1", promptVariables={})
"""
_GATEWAY = """
from functions.gateway.handler import handle
import json
http = {"method": "POST", "path": "/prompts/p/converse"}
reply = handle({"rawPath": http["path"], "requestContext": {"http": http}, "body": json.dumps({"unit": "u"})}, None)
assert reply["statusCode"] == 200 and json.loads(reply["body"])["receipt"], reply
"""


def environment(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ROUTE_TABLE": "routes",
        "RECEIPT_KEY_ID": "k",
        "AWS_LAMBDA_FUNCTION_NAME": "gateway",
        "PYTHONPATH": os.pathsep.join(
            (os.getcwd(), *(str(packaging.layer(holds, target="host") / "python") for holds in ("sdk", "receipts")))
        ),
    }


def event(unit: str) -> dict[str, Any]:
    http = {"method": "POST", "path": "/prompts/p/converse"}
    return {"rawPath": http["path"], "requestContext": {"http": http}, "body": json.dumps({"unit": unit})}


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def added(delay_ms: int, calls: int) -> dict[str, float]:
    """p50 and p99 of the gateway's handler over those of a direct call, measured in turns."""
    from functions.gateway import handler

    client = handler.wire()
    handler.handle(event("warm"), None)
    direct = client._aws.bedrock(17.0)

    def slow(request: Any, **more: Any) -> None:
        request.headers["x-delay"] = str(delay_ms)

    for made in client._aws._clients.values():
        made.meta.events.register("before-send.bedrock-runtime", slow)
    model, metadata = f"{_ARN}:1", {"prompt": "p"}

    def ask(number: int) -> Any:
        return handler.handle(event(f"u{number}"), None)

    ours, theirs = [], []
    for i in range(calls):
        theirs.append(timed(lambda: direct.converse(modelId=model, promptVariables={}, requestMetadata=metadata)))
        ours.append(timed(partial(ask, i)))
    for made in client._aws._clients.values():
        made.meta.events.unregister("before-send.bedrock-runtime", slow)

    return {"model_ms": delay_ms, "calls": calls, **_added(ours, theirs)}


def first_token(env: dict[str, str]) -> list[dict[str, float]]:
    """p50 and p99 of the first text through the streaming gateway over those of a direct call."""
    handler = packaging.node_code("stream", files={"applications.json": "{}"}) / "handler.js"
    plan = json.dumps([(0, 300), (50, 100), (500, 25)])
    command = ["node", "benchmarks/stream_gateway.mjs", str(handler.absolute()), f"{_ARN}:1", plan]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **env})
    return [
        {"model_ms": row["model_ms"], "calls": len(row["direct"]), **_added(row["gateway"], row["direct"])}
        for row in json.loads(done.stdout)
    ]


def _added(ours: list[float], theirs: list[float]) -> dict[str, float]:
    def at(values: list[float], share: float) -> float:
        return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]

    return {f"p{round(q * 100)}": at(ours, q) - at(theirs, q) for q in (0.5, 0.99)}


def cold(program: str, env: dict[str, str], repeats: int) -> float:
    """Median milliseconds of a fresh process from start to its first answer."""

    interpreter = str(lambda_runtime.python(Path(".local")).absolute())

    def run() -> None:
        subprocess.run([interpreter, "-c", program], check=True, env={**os.environ, **env}, stdout=subprocess.DEVNULL)

    return statistics.median(timed(run) for _ in range(repeats))


def main() -> None:
    stub = subprocess.Popen([sys.executable, "-c", _STUB, _ARN], stdout=subprocess.PIPE, text=True)
    try:
        assert stub.stdout is not None
        env = environment(int(stub.stdout.readline()))
        pairs = [(cold(_BARE % _ARN, env, 1), cold(_GATEWAY, env, 1)) for _ in range(15)]
        bare, gateway = statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)
        share = statistics.median(b / a for a, b in pairs)
        streamed = first_token(env)
        os.environ.update(env)
        real, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115 - EMF lines go where Lambda's log would
        try:
            rows = [added(delay, calls) for delay, calls in ((0, 600), (50, 150), (500, 25))]
        finally:
            sys.stdout.close()
            sys.stdout = real
    finally:
        stub.kill()
        stub.wait()
    result = {
        "added_ms": rows,
        "first_token_added_ms": streamed,
        "init_ms": gateway,
        "bare_boto3_init_ms": bare,
        "init_ratio": share,
        "load_average": os.getloadavg()[0],
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
