"""What the model does with a request: by the name of a script that the request carries in its metadata.

A reply is good, or says how the call comes to nothing: with an AWS error, a line that is cut, silence, or a stream that
breaks before or after its first text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Bad = Literal["", "error", "reset", "stall", "breaks_early", "breaks_late", "ends_early"]
FINE: Final = "v{version} answers {id} in some words that come one by one, and here it ends."
DECLINES: Final = "I'm sorry, but I can't help with that."
EMPTY: Final = " "
STALL_SECONDS: Final = 60.0

SCRIPTS: Final = {
    "fine": 54,
    "refusal": 4,
    "empty": 3,
    "slow": 4,
    "drips": 8,
    "throttled_once": 3,
    "canary_fails": 5,
    "canary_stalls": 1,
    "canary_resets": 2,
    "canary_invalid": 2,
    "canary_breaks": 3,
    "fails": 2,
    "invalid": 3,
    "breaks_late": 3,
    "ends_early": 3,
}
"""Each by its weight among all requests."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One call's end. `delay` seconds before it, `drip` seconds between the pieces of a stream."""

    text: str = ""
    bad: Bad = ""
    code: str = ""
    delay: float = 0.0
    drip: float = 0.0

    @property
    def said(self) -> str:
        """What an observer of this call alone would note."""
        if self.bad:
            return self.code or self.bad
        return {DECLINES: "refusal", EMPTY: "empty"}.get(self.text, "fine")


OF_STREAMS: Final[dict[str, Bad]] = {
    "canary_breaks": "breaks_early",
    "breaks_late": "breaks_late",
    "ends_early": "ends_early",
}
OF_ALL: Final = {
    "fine": Reply(),
    "refusal": Reply(DECLINES),
    "empty": Reply(EMPTY),
    "slow": Reply(delay=0.4),
    "drips": Reply(drip=0.03),
    "canary_fails": Reply(bad="error", code="ModelErrorException"),
    "canary_stalls": Reply(bad="stall"),
    "canary_resets": Reply(bad="reset"),
    "canary_invalid": Reply(bad="error", code="ValidationException"),
    "fails": Reply(bad="error", code="ModelErrorException"),
    "invalid": Reply(bad="error", code="ValidationException"),
}


def reply(script: str, request_id: str, *, version: int, track: str, stream: bool, tried: int, harmful: bool) -> Reply:
    """What the call comes to. `tried`: calls of this request to this version before; `harmful`: this version fails."""
    text = FINE.format(version=version, id=request_id)
    if harmful:
        return Reply(bad="error", code="ModelErrorException")
    if script.startswith("canary_") and track != "canary":
        return Reply(text)
    if script == "throttled_once":
        return Reply(text) if tried else Reply(bad="error", code="ThrottlingException")
    if script in OF_STREAMS:
        broken = Reply(text, bad=OF_STREAMS[script])
        otherwise = Reply(bad="error", code="ModelErrorException") if script == "canary_breaks" else Reply(text)
        return broken if stream else otherwise
    return replace(OF_ALL[script], text=OF_ALL[script].text or text)


def pieces(text: str) -> list[str]:
    """The text as a stream brings it."""
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + [words[-1]]
