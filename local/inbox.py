"""The mail that the embedded AWS delivered, as pages: what reviewers and people on call would find in their inbox.

    http://localhost:4566/_promptlane/inbox?key=…     `make up` prints the link

Links in mails are powers, so only who has the key reads them. It opens this and nothing else, is kept in a cookie
that no script and no other site's page gets at, and leaves the address bar at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html import escape
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote

from local import keys

PATH: Final = "/_promptlane/inbox"
_COOKIE: Final = "promptlane_inbox"
_LINK: Final = re.compile(r"https?://[^\s<>\"]+")
_SHOWN: Final = 200
Reply = tuple[int, dict[str, str], bytes]


def key(home: Path) -> str:
    """What opens the inbox of the instance under `home`, and nothing else of it."""
    return hmac.new(keys.token(home).encode(), b"inbox", hashlib.sha256).hexdigest()[:32]


def link(port: int, home: Path) -> str:
    return f"http://localhost:{port}{PATH}?key={key(home)}"


def answer(method: str, path: str, query: str, headers: Mapping[str, str], *, home: Path, mail: Path) -> Reply:
    """The page at `path`, which begins with PATH. `headers` by lower-case names."""
    if method not in ("GET", "HEAD"):
        return _said(405, "The inbox is read only", "Open it with GET.")
    given = parse_qs(query).get("key", [""])[0]
    if given and hmac.compare_digest(given.encode(), key(home).encode()):
        cookie = f"{_COOKIE}={given}; Path={PATH}; HttpOnly; SameSite=Lax"
        return 303, {"location": PATH, "set-cookie": cookie, "cache-control": "no-store"}, b""
    if not hmac.compare_digest(_kept(headers).encode(), key(home).encode()):
        return _said(
            403, "This is somebody's inbox", "Open it by the link that `make up` printed; it is in .local/env."
        )
    name = path.removeprefix(PATH).strip("/")
    if not name:
        return _page(200, "Inbox", _list(mail))
    found = next((each for each in _files(mail) if each.name == name), None)
    return (
        _page(200, "Mail", _one(found)) if found else _said(404, "There is no such mail", "It may have been deleted.")
    )


def _kept(headers: Mapping[str, str]) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _files(mail: Path) -> list[Path]:
    """The newest first."""
    return sorted(mail.glob("*.eml"), key=lambda path: (path.stat().st_mtime, path.name), reverse=True)


def _read(path: Path) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    assert isinstance(message, EmailMessage)
    return message


def _list(mail: Path) -> str:
    files = _files(mail)
    rows = []
    for path in files[:_SHOWN]:
        message = _read(path)
        link = f'<a href="{PATH}/{quote(path.name)}">{escape(str(message["Subject"] or "(no subject)"))}</a>'
        rows.append(f"<tr><td>{link}<td>{escape(str(message['To']))}<td>{_when(path)}")
    if not rows:
        return "<p>Nothing yet. Mails of SNS come here: confirmations of subscriptions, reviews, notices.</p>"
    older = f"<p>{len(files) - _SHOWN} older ones are files in .local/mail.</p>" if len(files) > _SHOWN else ""
    head = '<tr><th scope="col">Subject<th scope="col">To<th scope="col">When'
    return f"<table><thead>{head}<tbody>{''.join(rows)}</table>{older}"


def _one(path: Path) -> str:
    message = _read(path)
    body = message.get_body(("plain",))
    text = str(body.get_content()) if body else ""
    parts, end = [], 0
    for found in _LINK.finditer(text):
        address = escape(found[0])
        parts.append(f'{escape(text[end : found.start()])}<a href="{address}" rel="noreferrer">{address}</a>')
        end = found.end()
    facts = f"To {escape(str(message['To']))}, {_when(path)}"
    return (
        f'<p><a href="{PATH}">All mails</a></p><h2>{escape(str(message["Subject"]))}</h2><p>{facts}</p>'
        f"<pre>{''.join(parts)}{escape(text[end:])}</pre>"
    )


def _when(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


_STYLE: Final = """
:root{color-scheme:light dark}
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;
padding:.4rem .8rem .4rem 0;border-bottom:1px solid #8886;overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid #8886;border-radius:.5rem;padding:1rem}
"""


def _page(status: int, title: str, body: str) -> Reply:
    """Nothing runs and nothing loads in it, whatever a mail says."""
    html = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)} - embedded AWS</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><main><h1>{escape(title)}</h1>{body}</main></html>"
    )
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return status, headers, html.encode()


def _said(status: int, title: str, text: str) -> Reply:
    return _page(status, title, f"<p>{escape(text)}</p>")
