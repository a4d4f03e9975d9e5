"""Whom the embedded AWS answers: programs on this machine, and pages that it served itself.

A browser lets every page that is open in it send requests to this machine, and a name that somebody else owns may lead
here (DNS rebinding). So the request must be addressed to this machine by a name of its own, and must not come from
another site's page; the one thing that such a page may do is to lead a person here: to a page behind a link (a review),
or to the confirmation of a subscription, whose token is its proof. No page of another site reads an answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_OURS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PAGES: Final = "/_aws/execute-api/"
_CONFIRMS: Final = "Action=ConfirmSubscription"
Send = Callable[[dict[str, Any]], Awaitable[None]]


def refusal(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """Why a request is not answered; "" where it is. `headers` by lower-case names."""
    host = _name(f"//{headers.get('host', '')}")
    if host not in _OURS and not host.endswith(".localhost"):
        return f"the Host {host!r} is not a name of this machine; ask localhost"
    origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "")
    if site in ("cross-site", "same-site"):
        led_here = headers.get("sec-fetch-mode") == "navigate" and method in ("GET", "HEAD")
        if not led_here or not (path.startswith(_PAGES) or _CONFIRMS in query.split("&")):
            return "a page of another site asks; the embedded AWS answers programs and its own pages"
    elif origin == "null" and site not in ("same-origin", "none"):
        return "a page without an origin asks; the embedded AWS answers programs and its own pages"
    if origin not in ("", "null") and urlsplit(origin).netloc != headers.get("host"):
        return f"a page of {origin} asks; the embedded AWS answers programs and its own pages"
    return ""


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def unread_by_others(send: Send) -> Send:
    """`send` without the headers that let other sites' pages read an answer."""

    async def sending(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [(n, v) for n, v in message.get("headers", ()) if not n.lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return sending
