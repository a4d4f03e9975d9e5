"""What applications import.

    from promptlane.client import PromptClient

    client = PromptClient(route_table="...")
    answer = client.converse("support-assistant", unit=user_id, variables={...})

Importing this loads neither boto3 nor asyncio. docs/application.md shows it in use.
"""

from __future__ import annotations

from .decision import Decision
from .errors import (
    InvalidReceipt,
    InvalidUnit,
    InvalidVariables,
    ModelCallFailed,
    RequestRefused,
    RouteUnavailable,
    StreamInterrupted,
    UnknownPrompt,
    UnsupportedRoute,
    VersionUnreadable,
)
from .sync import PromptClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .aio import AsyncPromptClient as AsyncPromptClient
    from .answer import Answer as Answer
    from .answer import StreamedAnswer as StreamedAnswer
    from .session import Session as Session
    from .version import VersionData as VersionData

__all__ = [
    "Answer",
    "AsyncPromptClient",
    "Decision",
    "InvalidReceipt",
    "InvalidUnit",
    "InvalidVariables",
    "ModelCallFailed",
    "PromptClient",
    "RequestRefused",
    "RouteUnavailable",
    "Session",
    "StreamInterrupted",
    "StreamedAnswer",
    "UnknownPrompt",
    "UnsupportedRoute",
    "VersionData",
    "VersionUnreadable",
]


def __getattr__(name: str) -> object:
    """Load what costs more to import only when it is asked for."""
    if name == "AsyncPromptClient":
        from .aio import AsyncPromptClient

        return AsyncPromptClient
    if name in ("Answer", "StreamedAnswer"):
        from . import answer

        return getattr(answer, name)
    if name == "Session":
        from .session import Session

        return Session
    if name == "VersionData":
        from .version import VersionData

        return VersionData
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
