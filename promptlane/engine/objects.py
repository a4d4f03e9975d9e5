"""Where items, results and reports lie: S3 in a deployment, a folder at the desk."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from promptlane.domain.errors import InvalidInput, NotFound, PromptlaneError
from promptlane.domain.ports import Objects
from promptlane.domain.suite.answers import Answer

from .suite import Case
from .targets import Target

Json = Any


class ReportBucket(Objects, Protocol):
    """The report bucket as a test round needs it."""

    @property
    def bucket(self) -> str:
        """Its name."""

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes from `start` to before `end`."""


def json_lines(rows: Iterable[Json]) -> Iterator[bytes]:
    """Each row as a line."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


class KeptAnswers:
    """`AnswerStore` on objects: `stable-results/<fingerprint>/<digest of the inputs>.json`, used while fresh.

    A candidate's answers are kept too: they are the stable ones of the next release if it is promoted. An object that
    cannot be read is as good as none, and one that cannot be written costs the next run its calls, nothing else.
    """

    def __init__(self, objects: Objects, *, fresh_for: float, clock: Callable[[], float] = time.time) -> None:
        self._objects, self._fresh_for, self._clock = objects, fresh_for, clock

    def get(self, target: Target, case: Case) -> list[Answer]:
        try:
            data = json.loads(self._objects.get(self._key(target, case)))
            if data["model"] != target.model or not 0 <= self._clock() - float(data["at"]) < self._fresh_for:
                return []
            return [Answer.from_dict(a) for a in data["answers"]]
        except (PromptlaneError, ValueError, KeyError, TypeError):
            return []

    def put(self, target: Target, case: Case, answers: list[Answer]) -> None:
        data = {"at": self._clock(), "model": target.model, "answers": [answer.to_dict() for answer in answers]}
        try:
            self._objects.put(self._key(target, case), json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
        except PromptlaneError:
            return

    @staticmethod
    def _key(target: Target, case: Case) -> str:
        return f"stable-results/{target.fingerprint}/{case.digest(target.variables)}.json"


class FolderObjects:
    """Objects as files below a folder, for runs at the desk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def bucket(self) -> str:
        return str(self._root)

    def make(self) -> None:
        """Make the folder, and see that files can be written there. InvalidInput where they cannot."""
        probe = self._root / f".promptlane-{os.getpid()}"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise self._refused(self._root, error) from error

    @staticmethod
    def _refused(path: Path, error: OSError) -> InvalidInput:
        return InvalidInput(f"{path} cannot be written ({error.strerror}); choose another --output")

    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        path = self._root / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        except OSError as error:
            raise self._refused(path, error) from error

    def get(self, key: str) -> bytes:
        try:
            return (self._root / key).read_bytes()
        except OSError as error:
            raise NotFound(f"{key}: {error.strerror}") from error

    def get_range(self, key: str, start: int, end: int) -> bytes:
        return self.get(key)[start:end]

    def keys(self, prefix: str) -> Iterator[str]:
        found = (p.relative_to(self._root).as_posix() for p in sorted(self._root.rglob("*")) if p.is_file())
        return (key for key in found if key.startswith(prefix))
