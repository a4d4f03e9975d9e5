"""How long after the route's write the last of many processes decides by it. Real boto3 clients, a stub of GetItem."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ARN = "arn:aws:bedrock:eu-west-1:111122223333:prompt/ABCDEFGHIJ"
_WORKER = """
import sys, time
from promptlane.client import PromptClient
client = PromptClient(route_table="routes", region="eu-west-1", sink=None)
seen = client.route("p", "u").revision
print("ready", flush=True)
for _ in range(int(sys.argv[1])):
    while (revision := client.route("p", "u").revision) == seen:
        time.sleep(0.01)
    seen = revision
    print(revision, time.time(), flush=True)
"""


class _Store(ThreadingHTTPServer):
    revision = 1
    reads = 0
    daemon_threads = True
    request_queue_size = 256

    def item(self) -> dict[str, Any]:
        ref = {"version": {"N": "1"}, "fingerprint": {"S": "f" * 64}, "arn": {"S": f"{_ARN}:1"}}
        return {
            "schema": {"N": "1"},
            "prompt": {"S": "p"},
            "prompt_id": {"S": "ABCDEFGHIJ"},
            "stable": {"M": ref},
            "salt": {"S": "s"},
            "revision": {"N": str(self.revision)},
            "phase": {"S": "steady"},
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Store

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.reads += 1
        body = json.dumps({"Item": self.server.item()}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def measure(*, processes: int, rollbacks: int = 5) -> dict[str, float]:
    """Milliseconds from the write to each process's first decision by it: median, and the last process of all."""
    store = _Store(("127.0.0.1", 0), _Handler)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    env = {
        **os.environ,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PYTHONPATH": os.getcwd(),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, "-c", _WORKER, str(rollbacks)]
    workers: list[subprocess.Popen[str]] = []
    delays = []
    try:
        while len(workers) < processes:
            batch = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) for _ in range(5)]
            workers += batch
            for worker in batch:
                assert worker.stdout is not None
                assert worker.stdout.readline() == "ready\n"
        for _ in range(rollbacks):
            time.sleep(2.7)
            written = time.time()
            store.revision += 1
            for worker in workers:
                assert worker.stdout is not None
                revision, at = worker.stdout.readline().split()
                assert int(revision) == store.revision
                delays.append((float(at) - written) * 1000)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        store.shutdown()
    return {"p50": statistics.median(delays), "max": max(delays), "processes": processes}
