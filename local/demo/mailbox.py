"""The reviewers' side: reads the emails in `.local/mail`, confirms subscriptions, fills in the review form."""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_LINK = re.compile(r"https?://\S+/review/\S+")
_CODE = re.compile(r"Short code:\s+([A-Z0-9-]{8,12})")
_CONFIRM = re.compile(r"https?://\S*Action=ConfirmSubscription\S*")


class ReviewFailed(RuntimeError):
    """A reviewer could not decide; says what the page answered."""


@dataclass(frozen=True)
class Invitation:
    """What a reviewer got by email: the own link and the short code to type."""

    reviewer: str
    link: str
    code: str
    subject: str


class Mailbox:
    """Every email that the embedded AWS delivered into one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._answered: set[str] = set()

    def messages(self) -> Iterator[EmailMessage]:
        for path in sorted(self._folder.glob("*.eml")):
            message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
            if isinstance(message, EmailMessage):
                yield message

    def confirmations(self) -> dict[str, str]:
        """Recipient to confirmation link, the newest of each."""
        return {str(m["To"]): found[0] for m in self.messages() if (found := _CONFIRM.search(_text(m)))}

    def invitations(self, release_id: str) -> list[Invitation]:
        """The invitations to review this release that were not answered yet."""
        found = []
        for message in self.messages():
            text = _text(message)
            link, code = _LINK.search(text), _CODE.search(text)
            if link and code and f"/review/{release_id}" in link[0] and link[0] not in self._answered:
                found.append(Invitation(str(message["To"]), link[0], code[1], str(message["Subject"])))
        return found

    def approve(self, invitation: Invitation, reason: str) -> None:
        """Open the link, then send the form of that page, as a browser would."""
        self._answered.add(invitation.link)
        form = _Form()
        form.feed(_fetch(invitation.link))
        if not form.found:
            raise ReviewFailed(f"{invitation.link} showed no decision form to {invitation.reviewer}")
        fields = {**form.hidden, "decision": "approve", "code": invitation.code, "reason": reason}
        action = urllib.parse.urljoin(invitation.link, form.action or invitation.link)
        _fetch(action, urllib.parse.urlencode(fields).encode())


def confirm(sns: Any, links: dict[str, str]) -> list[str]:
    """Confirm subscriptions by the token in each link, so that no mail scanner can unsubscribe anybody again."""
    for link in links.values():
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)
        sns.confirm_subscription(
            TopicArn=query["TopicArn"][0], Token=query["Token"][0], AuthenticateOnUnsubscribe="true"
        )
    return sorted(links)


def _text(message: EmailMessage) -> str:
    body = message.get_body(preferencelist=("plain", "html"))
    return str(body.get_content()) if body else ""


def _fetch(url: str, data: bytes | None = None) -> str:
    headers = {"content-type": "application/x-www-form-urlencoded"} if data else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=20) as reply:
            return str(reply.read().decode())
    except urllib.error.HTTPError as error:
        page = re.sub(r"<style.*?</style>|<[^>]+>", " ", error.read().decode(errors="replace"), flags=re.S)
        raise ReviewFailed(f"{url} answered {error.code}: {' '.join(page.split())[:400]}") from error
    except urllib.error.URLError as error:
        raise ReviewFailed(f"{url} cannot be opened: {error.reason}") from error


class _Form(HTMLParser):
    """Where the page's form goes, and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.found = False
        self.action = ""
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and (given.get("method") or "").lower() == "post":
            self.found, self.action = True, given.get("action") or ""
        if self.found and tag == "input" and given.get("type") == "hidden" and given.get("name"):
            self.hidden[str(given["name"])] = given.get("value") or ""
