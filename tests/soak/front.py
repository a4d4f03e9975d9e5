"""What stands between the processes and AWS: each request is handed on whole, or meets what is set for its service.

HTTP/1.1 alone, request by request, so that it is known of each whether AWS saw it.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Weather = Literal["fair", "refusing", "throttling", "silent", "slow", "deaf", "failing"]
"""fair: handed on; refusing: answered 503, not handed on; throttling: likewise, by ThrottlingException; silent: not
handed on, the line is cut; slow: handed on, the answer comes late; deaf: handed on, and the line is cut before the
answer; failing: handed on, and answered 500."""
SLOW_SECONDS = 0.4
_NOT_HANDED_ON: dict[Weather, tuple[int, str]] = {
    "refusing": (503, "ServiceUnavailable"),
    "throttling": (400, "ThrottlingException"),
}


class Front:
    """Serves one AWS service's endpoint for all processes. `asked` counts requests by operation."""

    def __init__(self, upstream: str) -> None:
        self.weather: Weather = "fair"
        self.asked: dict[str, int] = {}
        self._lock = threading.Lock()
        self._upstream = upstream.removeprefix("http://")
        self._lines = threading.local()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"front": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, operation: str) -> None:
        with self._lock:
            self.asked[operation] = self.asked.get(operation, 0) + 1

    def hand_on(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        line = getattr(self._lines, "line", None)
        for last in (line is None, True):
            if line is None:
                line = self._lines.line = http.client.HTTPConnection(self._upstream, timeout=30)
            try:
                line.request(method, path, body, headers)
                reply = line.getresponse()
                return reply.status, dict(reply.getheaders()), reply.read()
            except (http.client.RemoteDisconnected, ConnectionError):
                line.close()
                line = None
                if last:
                    raise
        raise AssertionError("unreachable")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Lines are cut on both ends all the time; anything else is a fault of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    front: Front
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *given: Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.front.count(self.headers.get("x-amz-target", self.path).rpartition(".")[2].rpartition("/")[2])
        weather = self.front.weather
        if weather in _NOT_HANDED_ON:
            return self._error(*_NOT_HANDED_ON[weather])
        if weather == "silent":
            self.close_connection = True
            return None
        hop = ("connection", "transfer-encoding", "expect")
        given = {name: value for name, value in self.headers.items() if name.lower() not in hop}
        found = self.front.hand_on("POST", self.path, body, given)
        if weather == "slow":
            time.sleep(SLOW_SECONDS)
        if weather == "deaf":
            self.close_connection = True
            return None
        if weather == "failing":
            return self._error(500, "InternalServiceFault")
        return self._send(*found)

    def _error(self, status: int, code: str) -> None:
        headers = {"content-type": "application/json", "x-amzn-query-error": f"{code};Sender"}
        self._send(status, headers, json.dumps({"__type": code, "message": "as it was told"}).encode())

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response_only(status)
        hop = ("connection", "transfer-encoding", "content-length", "keep-alive")
        for name, value in headers.items():
            if name.lower() not in hop:
                self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
