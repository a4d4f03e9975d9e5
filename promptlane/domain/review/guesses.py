"""How often a code may be tried: slowly from one address, at a bounded rate for a link, and never so that its owner
is kept out for long.

A guesser's own address is what waits. The bound on a link as a whole grows with time, so that nothing uses it up for
good; it holds off somebody with many addresses. A round of 30 days takes at most 433,000 of 2**40 codes for one link: a
chance of less than one in two million.
"""

from __future__ import annotations

import ipaddress
from typing import Final

ADDRESS_TRIES: Final = 5
WINDOW: Final = 60
"""Seconds in which one address may try so often."""
LINK_TRIES: Final = 1_000
LINK_TRIES_A_MINUTE: Final = 10


def from_address(round: int, reviewer: str, address: str, now: float) -> str:
    """The counter of one link, one address and the present window."""
    return f"{round}#{reviewer}#{_network(address)}#{int(now) // WINDOW}"


def of_link(round: int, reviewer: str) -> str:
    """The counter of one link."""
    return f"{round}#{reviewer}"


def allowed(requested_at: float, now: float) -> int:
    """How many attempts from all addresses together one link may have had by now."""
    return LINK_TRIES + int(LINK_TRIES_A_MINUTE * max(0.0, now - requested_at) / 60)


def _network(address: str) -> str:
    """What one guesser surely has the whole of: an IPv4 address, or the /48 of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address.strip())
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((int(found), 48), strict=False).network_address)
    return str(found)
