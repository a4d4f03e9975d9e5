"""Serves the review function over HTTP on the loopback, turning requests into the HTTP API's events and back."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from functions.review import handler
from tests.support.review import UnderReview

STAGE = "/live"


@dataclass
class Site:
    """One running server. `requests` lists (method, path) of everything that was asked for."""

    address: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)

    def here(self, link: str) -> str:
        """A mailed link, as an address of this server."""
        return self.address + link.removeprefix("https://ops.example.com")


@contextmanager
def serving(world: UnderReview | None = None) -> Iterator[Site]:
    """Serve the review pages until the block ends: of this world, else of what the function's own wiring finds."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            url = urlsplit(self.path)
            site.requests.append((self.command, self.path))
            parts = url.path.removeprefix(STAGE).strip("/").split("/")
            if parts[0] != "review" or len(parts) not in (2, 3):
                self.reply({"statusCode": 404, "headers": {}, "body": "not an address of the API"})
                return
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            event: dict[str, Any] = {
                "rawPath": url.path,
                "pathParameters": {"release_id": parts[1]},
                "queryStringParameters": dict(parse_qsl(url.query)),
                "headers": {k.lower(): v for k, v in self.headers.items()},
                "requestContext": {
                    "http": {
                        "method": self.command,
                        "sourceIp": self.client_address[0],
                        "userAgent": self.headers.get("user-agent", ""),
                    }
                },
                "body": base64.b64encode(raw).decode(),
                "isBase64Encoded": True,
            }
            self.reply(handler.handle(event, None))

        def reply(self, answer: dict[str, Any]) -> None:
            body = answer["body"].encode()
            self.send_response(answer["statusCode"])
            for name, value in answer["headers"].items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    before = handler.wire
    if world is not None:
        handler.wire = lambda: world.wired  # type: ignore[assignment]
    site.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        handler.wire = before
        server.shutdown()
        thread.join()
        server.server_close()
