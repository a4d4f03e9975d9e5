"""The clients of this process, which are told when it is forked, and what all their requests load."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from weakref import WeakSet

    from .sync import PromptClient

_known: list[WeakSet[PromptClient]] = []
_loaded: list[bool] = []


def clients() -> WeakSet[PromptClient]:
    """The clients of this process; the first one asks to be told of forks."""
    if not _known:
        from weakref import WeakSet

        _known.append(WeakSet())
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
    return _known[0]


def _after_fork() -> None:
    for client in list(clients()):
        client.after_fork()


def load() -> None:
    """What requests need, all of it: the child of a fork that finds a module half imported waits for it for ever."""
    if _loaded:
        return
    from .forks import unbroken

    with unbroken():
        from . import answer, calls, contents, metrics, observation, receipts, request, sent, session, tracing, version

        tracing.load()
        _loaded[:] = [all((answer, calls, contents, metrics, observation, receipts, request, sent, session, version))]
