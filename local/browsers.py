"""Whom the embedded AWS answers: programs on this machine, and pages that it served itself.

A browser lets every page that is open in it send requests to this machine, and a name that somebody else owns may lead
here (DNS rebinding). So the request must be addressed to this machine by a name of its own, and must not come from
another site's page; the one thing that such a page may do is to lead a person here: to a page behind a link (a review),
or to the confirmation of a subscription, whose token is its proof. No page of another site reads an answer.

Beside that, every call needs a key (gaps/access_keys.py), which no page has: a browser too old to say where a request
comes from (no Origin on an image or a form's GET, no Sec-Fetch-Site) reaches pages, and nothing of AWS.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

OURS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PAGES: Final = "/_aws/execute-api/"
_FORM: Final = re.compile(r"/_aws/execute-api/[^/]+/[^/]+/review/.+")
_CONFIRMS: Final = "Action=ConfirmSubscription"
Send = Callable[[dict[str, Any]], Awaitable[None]]


def refusal(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """Why a request is not answered; "" where it is. `headers` by lower-case names."""
    host = host_of(headers)
    if host not in OURS and not host.endswith(".localhost"):
        return f"the Host {host!r} is not a name of this machine; ask localhost"
    origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "")
    if site in ("cross-site", "same-site"):
        led_here = headers.get("sec-fetch-mode") == "navigate" and method in ("GET", "HEAD")
        if not led_here or not (path.startswith(_PAGES) or _CONFIRMS in query.split("&")):
            return "a page of another site asks; the embedded AWS answers programs and its own pages"
    elif origin == "null" and site not in ("same-origin", "none") and not _old_form(method, path, site, headers):
        return "a page without an origin asks; the embedded AWS answers programs and its own pages"
    if origin not in ("", "null") and origin not in (f"http://{headers['host']}", f"https://{headers['host']}"):
        return f"a page of {origin} asks; the embedded AWS answers programs and its own pages"
    return ""


def host_of(headers: Mapping[str, str]) -> str:
    """The name that a request is addressed to, in lower case and without the port; "" where it is none."""
    try:
        return (urlsplit(f"//{headers.get('host', '')}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _old_form(method: str, path: str, site: str, headers: Mapping[str, str]) -> bool:
    """Whether it may be the form of a review page, sent by a browser that knows no Sec-Fetch-Site.

    The page sends no referrer, so its form has the origin `null`, as another site's may have. That form decides nothing
    without the code of the reviewer's own mail; a call of AWS has no such proof, and is never taken for one."""
    form = headers.get("content-type", "").partition(";")[0].strip() == "application/x-www-form-urlencoded"
    return not site and form and method == "POST" and "authorization" not in headers and bool(_FORM.fullmatch(path))


def unread_by_others(send: Send) -> Send:
    """`send` without the headers that let other sites' pages read an answer."""

    async def sending(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [(n, v) for n, v in message.get("headers", ()) if not n.lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return sending
