"""Objects, models and judges in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from promptlane.domain.errors import InvalidInput, NotFound
from promptlane.domain.names import content_key
from promptlane.domain.suite.answers import Answer, ModelRequest

from .limits import check_object_key

Json = Any


class MemoryObjects:
    """The report bucket in memory; `data` is what was written."""

    def __init__(self, bucket: str = "reports") -> None:
        self.data: dict[str, bytes] = {}
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        return self._bucket

    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        check_object_key(key)
        self.data[key] = body

    def get(self, key: str) -> bytes:
        if key not in self.data:
            raise NotFound(f"{key} does not exist")
        return self.data[key]

    def get_range(self, key: str, start: int, end: int) -> bytes:
        body = self.get(key)
        if not start < min(end, len(body)):
            raise InvalidInput(f"{key} has {len(body)} bytes; none of them lies in [{start}, {end})")
        return body[start:end]

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(k for k in self.data if k.startswith(prefix)))


class MemoryContents:
    """`Contents` in memory; `data` is what was written, by key."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def put(self, prompt: str, fingerprint: str, content: bytes) -> bool:
        key = content_key(prompt, fingerprint)
        check_object_key(key)
        if key in self.data:
            return False
        self.data[key] = content
        return True

    def kept(self, prompt: str) -> set[str]:
        prefix = f"{prompt}/"
        return {key[len(prefix) :].removesuffix(".json") for key in self.data if key.startswith(prefix)}


class ScriptedModel:
    """`Model` whose answers a function makes: a text, an Answer, or an exception to raise. `asked` records requests."""

    def __init__(self, script: Callable[[ModelRequest], str | Answer | Exception]) -> None:
        self._script, self._lock = script, threading.Lock()
        self.asked: list[ModelRequest] = []

    def answer(self, request: ModelRequest) -> Answer:
        with self._lock:
            self.asked.append(request)
        said = self._script(request)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Answer):
            return said
        return Answer(said, "end_turn", 50.0, 100, max(1, len(said) // 4))


class ScriptedJudge:
    """`Judge` whose decisions a function makes from what it is shown."""

    def __init__(self, script: Callable[[str], Json]) -> None:
        self._script = script
        self.asked: list[str] = []

    def ask(self, system: str, user: str, schema: Mapping[str, Json]) -> Json:
        self.asked.append(user)
        said = self._script(user)
        if isinstance(said, Exception):
            raise said
        return said


class WordEmbedder:
    """`Embedder` that counts letters: the same text gives the same vector, a different one another."""

    def embed(self, text: str) -> Sequence[float]:
        return [float(text.lower().count(chr(c))) for c in range(ord("a"), ord("z") + 1)]
