"""What versions hold, as this process has read it: by fingerprint, and never with another one.

The object of the bucket of versions is the very bytes whose SHA-256 is the fingerprint that the route names, so that a
cut, changed or mistaken object is known before it is understood. Where there is none, Bedrock is asked (GetPrompt, ten
calls a second for the whole account and Region): behind a limit of this process's own, and held against the same
fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from time import monotonic, sleep

from promptlane.domain.errors import PromptlaneError

from .errors import VersionUnreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .aws import Aws
    from .decision import Decision

MAX_HELD = 64
MAX_HELD_BYTES = 8 * 1024 * 1024
"""Versions that stay in memory, and their bytes; the last one read always does."""
_BURST, _PER_SECOND, _LONGEST_TURN = 5, 1.0, 3.0
"""Calls of GetPrompt at once, after them a second, and the longest wait for one's turn."""
_AGAIN, _AGAIN_AT_MOST = 2.0, 60.0
"""Seconds until a version that could not be read is tried again; doubled each time, half of it chance."""
_FOLLOW = 10.0
"""How long others wait for the one who reads."""
_log = logging.getLogger("promptlane.client")


class Turns:
    """So many calls at once, and so many a second after them; the rest waits a moment, or is refused."""

    def __init__(self, *, burst: int = _BURST, per_second: float = _PER_SECOND, longest: float = _LONGEST_TURN) -> None:
        self._between, self._ahead, self._longest = 1 / per_second, (burst - 1) / per_second, longest
        self._next = 0.0
        self.after_fork()

    def after_fork(self) -> None:
        self._lock = threading.RLock()

    def take(self) -> bool:
        """Wait for a turn; False when it would take too long."""
        with self._lock:
            now = monotonic()
            at = max(self._next, now - self._ahead)
            if at - now > self._longest:
                return False
            self._next = at + self._between
        if at > now:
            sleep(at - now)
        return True


class Contents:
    """`bucket` reads the object of a decision's version, None where the deployment's bucket is not known; `prompts`
    asks Bedrock for its variants. Both raise whatever the SDK raises."""

    def __init__(
        self,
        bucket: Callable[[Decision], bytes] | None,
        prompts: Callable[[Decision], Sequence[Mapping[str, Any]]],
    ) -> None:
        self.bucket = bucket
        self.prompts = prompts
        self._turns = Turns()
        self._held: dict[str, bytes] = {}
        self._bytes = 0
        self._failed: dict[str, tuple[float, int, str]] = {}
        self.after_fork()

    def after_fork(self) -> None:
        """In a forked child: what was read stays; who was reading exists only in the parent."""
        self._lock = threading.RLock()
        self._reading: dict[str, threading.Event] = {}
        self._turns.after_fork()

    def variant(self, decision: Decision) -> dict[str, Any]:
        """What the decision's version holds: a copy of Bedrock's variant. VersionUnreadable."""
        held = self._get(decision.fingerprint or decision.version_arn, decision)
        variant: dict[str, Any] = json.loads(held)["variants"][0]
        return variant

    def _get(self, key: str, decision: Decision) -> bytes:
        with self._lock:
            held = self._held.pop(key, None)
            if held is not None:
                self._held[key] = held  # the last used stay
                return held
            until, times, why = self._failed.get(key, (0.0, 0, ""))
            reading = self._reading.get(key)
            if why and (reading is not None or monotonic() < until):
                raise VersionUnreadable(why)
            if reading is None:
                mine = self._reading[key] = threading.Event()
        if reading is not None:
            return self._follow(key, decision, reading)
        try:
            return self._keep(key, self._read(decision))
        except VersionUnreadable as error:
            self._note(key, times, str(error))
            raise
        finally:
            with self._lock:
                self._reading.pop(key, None)
            mine.set()

    def _follow(self, key: str, decision: Decision, reading: threading.Event) -> bytes:
        reading.wait(_FOLLOW)
        with self._lock:
            held = self._held.get(key)
            why = self._failed.get(key, (0.0, 0, ""))[2]
        if held is None:
            raise VersionUnreadable(why or _unreadable(decision, "it was not read in time"))
        return held

    def _keep(self, key: str, body: bytes) -> bytes:
        with self._lock:
            self._failed.pop(key, None)
            self._held[key] = body
            self._bytes += len(body)
            while len(self._held) > 1 and (len(self._held) > MAX_HELD or self._bytes > MAX_HELD_BYTES):
                self._bytes -= len(self._held.pop(next(iter(self._held))))
        return body

    def _note(self, key: str, times: int, why: str) -> None:
        pause = min(_AGAIN_AT_MOST, _AGAIN * 2.0**times) * (0.5 + os.urandom(1)[0] / 512)
        with self._lock:
            self._failed.pop(key, None)
            self._failed[key] = (monotonic() + pause, min(times + 1, 16), why)
            while len(self._failed) > MAX_HELD:
                self._failed.pop(next(iter(self._failed)))

    def _read(self, decision: Decision) -> bytes:
        """The bytes of the version, from the bucket or else from Bedrock."""
        missing = ""
        if self.bucket is not None and decision.fingerprint:
            try:
                body = self.bucket(decision)
            except Exception as error:  # noqa: BLE001 - whatever the bucket does, Bedrock may answer
                missing = f"{type(error).__name__}: {error}"
            else:
                if hashlib.sha256(body).hexdigest() == decision.fingerprint:
                    return body
                missing = "the object has another fingerprint than the route names"
                _log.error("%s version %s: %s, and is not served", decision.prompt, decision.version, missing)
        if not self._turns.take():
            raise VersionUnreadable(_unreadable(decision, missing, "GetPrompt has been asked as often as it may be"))
        try:
            variants = self.prompts(decision)
        except Exception as error:
            raise VersionUnreadable(_unreadable(decision, missing, f"{type(error).__name__}: {error}")) from error
        return _content(decision, variants, missing)


def contents_of(aws: Aws, bucket: str) -> Contents:
    """Those of a deployment; without its bucket, Bedrock is asked for each version once in a process."""
    from .aws import PromptVersions, VersionBucket

    return Contents(VersionBucket(aws, bucket) if bucket else None, PromptVersions(aws))


def _content(decision: Decision, variants: Sequence[Mapping[str, Any]], missing: str) -> bytes:
    """The bytes of what Bedrock answered, if it is what the route names; of a fallback's ARN nothing is named."""
    from promptlane.domain.release.content import content, vouches

    try:
        if variants and (not decision.fingerprint or vouches(decision.fingerprint, variants)):
            return content(variants)
    except PromptlaneError as error:
        raise VersionUnreadable(_unreadable(decision, missing, str(error))) from error
    _log.error("%s version %s: Bedrock holds another fingerprint than the route", decision.prompt, decision.version)
    raise VersionUnreadable(_unreadable(decision, missing, "what Bedrock holds has another fingerprint than the route"))


def _unreadable(decision: Decision, *why: str) -> str:
    said = "; ".join(reason for reason in why if reason)
    return (
        f"what the version of {decision.prompt} holds cannot be read ({said}). Set PROMPTLANE_VERSION_BUCKET to the "
        "deployment's (stack output VersionBucket) and attach its application policy, which has s3:GetObject there"
    )
