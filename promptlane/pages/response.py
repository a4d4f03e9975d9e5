"""Answers to an HTTP API in payload format 2.0, with headers that leave hostile text nothing to work with."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Final

from .style import STYLE

Json = Any
_STYLE_BLOCK: Final = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)


def policy(*styles: str, form: bool = True) -> str:
    """A Content-Security-Policy under which nothing runs or loads; only these styles apply."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in styles)
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src {hashes or chr(39) + 'none' + chr(39)}",
            "img-src data:",
            f"form-action {chr(39) + 'self' + chr(39) if form else chr(39) + 'none' + chr(39)}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


def page(status: int, body: str, **extra: str) -> Json:
    """One of our pages."""
    return _answer(status, body, policy(STYLE), extra)


def stored_page(body: str) -> Json:
    """A page that was made elsewhere and stored: its own styles apply, in a sandbox, and still nothing runs."""
    csp = policy(*_STYLE_BLOCK.findall(body), form=False)
    return _answer(200, body, csp + "; sandbox", {})


def _answer(status: int, body: str, csp: str, extra: dict[str, str]) -> Json:
    return {
        "statusCode": status,
        "headers": {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": csp,
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "x-robots-tag": "noindex, nofollow",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "strict-transport-security": "max-age=63072000",
            **{name.replace("_", "-"): value for name, value in extra.items()},
        },
        "body": body,
    }


def without_body(answer: Json) -> Json:
    """The answer to HEAD."""
    return {**answer, "body": ""}
