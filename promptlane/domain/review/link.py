"""The reviewer's link: what it says, and what is signed. It holds no secret and no task token.

The token in the link is `1.<release id>.<round>.<reviewer key>.<expires>.<mac>`: readable, so that an expired or
foreign link gets a page of its own, and signed by a KMS HMAC key over a purpose that no other message starts with.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from promptlane.domain.errors import InvalidInput

_TOKEN: Final = re.compile(
    r"^1\.(?P<release>[0-9A-Za-z]{10}-[1-9][0-9]{0,4}-[1-9][0-9]{0,2})\.(?P<round>[1-9][0-9]{0,4})"
    r"\.(?P<reviewer>[0-9a-f]{16})\.(?P<expires>[1-9][0-9]{0,11})\.(?P<mac>[A-Za-z0-9_-]{43})$",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Link:
    """What one link is for: one reviewer, one round of one release, until `expires` (epoch seconds)."""

    release_id: str
    round: int
    reviewer: str
    expires: int

    @property
    def message(self) -> bytes:
        """What is signed. The first line keeps the signature from meaning anything else."""
        lines = ("promptlane review link 1", self.release_id, str(self.round), self.reviewer, str(self.expires))
        return "\n".join(lines).encode()

    def token(self, mac: bytes) -> str:
        """The token of this link, with the 32 bytes of HMAC-SHA-256."""
        tail = base64.urlsafe_b64encode(mac).decode().rstrip("=")
        return f"1.{self.release_id}.{self.round}.{self.reviewer}.{self.expires}.{tail}"


def url(base: str, link: Link, mac: bytes) -> str:
    """The address that is mailed."""
    return f"{base.rstrip('/')}/review/{link.release_id}?t={link.token(mac)}"


def parse(token: str) -> tuple[Link, bytes]:
    """Link and signature of a token; InvalidInput when it is none. Nothing about it is verified yet."""
    match = _TOKEN.match(token)
    if match is None:
        raise InvalidInput("this is not a review link; open the one from your email, whole")
    mac = base64.urlsafe_b64decode(match["mac"] + "=")
    link = Link(match["release"], int(match["round"]), match["reviewer"], int(match["expires"]))
    if link.token(mac) != token:  # base64 has several spellings of one value; only one of them is ours
        raise InvalidInput("the link's signature is damaged; open the link from your email again")
    return link, mac
