"""Bedrock Runtime by the script, over HTTP/1.1: Converse, and ConverseStream in AWS's event stream encoding.

Each call is noted with the request's id, which it carries in its metadata: what was called when, and what it came to.
"""

from __future__ import annotations

import json
import struct
import sys
import threading
import time
from binascii import crc32
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import unquote

from tests.soak.clocks import real_time
from tests.soak.script import STALL_SECONDS, Reply, pieces, reply

STATUS = {
    "ModelErrorException": 424,
    "ThrottlingException": 429,
    "ValidationException": 400,
    "ResourceNotFoundException": 404,
}


class Called(NamedTuple):
    """One call that reached the model. `at`: epoch seconds; `said`: what it came to."""

    at: float
    id: str
    prompt_id: str
    version: int
    track: str
    operation: str
    said: str


class ScriptedModel:
    """Notes each call and says what it comes to.

    `gone`: ids of prompts that were deleted; `harmful`: (prompt id, version) that fails.
    """

    def __init__(self) -> None:
        self.calls: list[Called] = []
        self.gone: set[str] = set()
        self.harmful: set[tuple[str, int]] = set()
        self._tried: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()

    def answer(self, model_id: str, operation: str, body: Mapping[str, Any]) -> Reply:
        told = body["requestMetadata"]
        prompt_id, _, number = model_id.rpartition("/")[2].partition(":")
        version = int(number)
        with self._lock:
            tried = self._tried.get((told["id"], version), 0)
            self._tried[told["id"], version] = tried + 1
            if prompt_id in self.gone:
                found = Reply(bad="error", code="ResourceNotFoundException")
            else:
                found = reply(
                    told["script"],
                    told["id"],
                    version=version,
                    track=told["track"],
                    stream=operation == "converse-stream",
                    tried=tried,
                    harmful=(prompt_id, version) in self.harmful,
                )
            self.calls.append(Called(real_time(), told["id"], prompt_id, version, told["track"], operation, found.said))
        return found


class ScriptedBedrock(ScriptedModel):
    """Serves on a free port."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"bedrock": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Lines are cut on both ends all the time; anything else is a fault of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    bedrock: ScriptedBedrock
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *given: Any) -> None:
        """Nothing: `calls` has it."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model_id, _, operation = unquote(self.path).removeprefix("/model/").rpartition("/")
        found = self.bedrock.answer(model_id, operation, body)
        time.sleep(found.delay)
        if found.bad == "stall":
            self.bedrock.closing.wait(STALL_SECONDS)
        if found.bad in ("stall", "reset"):
            self.close_connection = True
        elif found.bad == "error":
            self._send(STATUS[found.code], {"message": "as the script says"}, {"x-amzn-errortype": found.code})
        elif operation == "converse":
            self._send(200, response(found.text), {})
        else:
            self._stream(found)

    def _send(self, status: int, said: dict[str, Any], headers: dict[str, str]) -> None:
        data = json.dumps(said).encode()
        self.send_response(status)
        for name, value in {
            "content-type": "application/json",
            "content-length": str(len(data)),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, found: Reply) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._event("messageStart", {"role": "assistant"})
        if found.bad == "breaks_early":
            self._event("modelStreamErrorException", {"message": "as the script says"}, kind="exception")
        else:
            self._text(found)
        self.wfile.write(b"0\r\n\r\n")

    def _text(self, found: Reply) -> None:
        said = pieces(found.text)
        for piece in said[: len(said) // 2] if found.bad else said:
            self._event("contentBlockDelta", {"delta": {"text": piece}, "contentBlockIndex": 0})
            time.sleep(found.drip)
        if found.bad == "breaks_late":
            self._event("internalServerException", {"message": "as the script says"}, kind="exception")
        elif not found.bad:
            self._event("contentBlockStop", {"contentBlockIndex": 0})
            whole = response(found.text)
            self._event("messageStop", {"stopReason": whole["stopReason"]})
            self._event("metadata", {"usage": whole["usage"], "metrics": whole["metrics"]})

    def _event(self, name: str, said: dict[str, Any], kind: str = "event") -> None:
        data = encoded(name, said, kind)
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def response(text: str) -> dict[str, Any]:
    words = len(text.split())
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 10, "outputTokens": words, "totalTokens": 10 + words},
        "metrics": {"latencyMs": 1},
    }


def encoded(name: str, said: dict[str, Any], kind: str = "event") -> bytes:
    """A message of the event stream encoding (application/vnd.amazon.eventstream): lengths, headers, payload, CRCs."""
    given = {":message-type": kind, f":{kind}-type": name, ":content-type": "application/json"}
    headers = b"".join(
        bytes((len(key),)) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for key, value in given.items()
    )
    payload = json.dumps(said).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return body + struct.pack(">I", crc32(body))
