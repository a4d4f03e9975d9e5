"""What the client raises on purpose. Each is one of promptlane.domain.errors, so that either may be caught.

InvalidInput
├── InvalidUnit          the unit is no text, empty, or too long
├── InvalidVariables     variables are missing, unknown, too many, or no text; `missing` and `unknown` name them
└── UnsupportedRoute     the route was written by a newer Promptlane
NotFound
└── UnknownPrompt        no route under that name
Unauthorized
└── InvalidReceipt       the receipt was not sealed with this prompt's key, is damaged, or too old
Unavailable
├── RouteUnavailable     no route was ever read, and no fallback is configured
├── VersionUnreadable    what the version holds cannot be read, or has another fingerprint than the route names
└── ModelCallFailed      Bedrock refused or failed; `code` is AWS's error code, `reason` its words
    ├── RequestRefused       Bedrock does not accept the request itself: trying again is of no use
    └── StreamInterrupted    after part of the answer was delivered; `text` is that part
"""

from __future__ import annotations

from promptlane.domain.errors import InvalidInput, NotFound, Unauthorized, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class InvalidUnit(InvalidInput):
    """The unit cannot be split by."""


class InvalidVariables(InvalidInput):
    """The variables do not fit the version; nothing was sent."""

    def __init__(self, message: str, *, missing: Iterable[str] = (), unknown: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        self.unknown = tuple(unknown)


class UnsupportedRoute(InvalidInput):
    """The route was written by a newer Promptlane than this one."""


class UnknownPrompt(NotFound):
    """No route has that name."""


class InvalidReceipt(Unauthorized):
    """The receipt is not one of ours, or too old to count."""


class RouteUnavailable(Unavailable):
    """The route table did not answer, no route is held, and no fallback is configured."""


class VersionUnreadable(Unavailable):
    """What the version holds cannot be read, or is not what the route names: it is not served."""


class ModelCallFailed(Unavailable):
    """Bedrock did not answer the call. `reason` is what AWS says, for logs: it may name the version."""

    def __init__(self, message: str, *, code: str, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class RequestRefused(ModelCallFailed):
    """Bedrock does not accept the request as it is: too long, blank, of a form that it does not know."""


class StreamInterrupted(ModelCallFailed):
    """The stream broke after part of the answer was delivered."""

    def __init__(self, message: str, *, code: str, text: str, reason: str = "") -> None:
        super().__init__(message, code=code, reason=reason)
        self.text = text
