"""One request after the other, as applications make them: whole, streamed, left, cancelled, and with feedback.

Each is noted before it begins and after it ended, with what the application saw of it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import deque
from typing import Any, NamedTuple, Protocol

from promptlane.client import AsyncPromptClient, InvalidReceipt, ModelCallFailed, PromptClient, StreamInterrupted
from promptlane.domain.errors import NotFound, PromptlaneError, Unavailable
from tests.soak.script import DECLINES, EMPTY, FINE, SCRIPTS


class Writer(Protocol):
    def write(self, kind: str, **told: Any) -> None: ...


WAYS = {"whole": 52, "stream": 24, "left": 14, "closed": 5, "dropped": 5}
"""How an answer is taken, by weight: whole, streamed to its end, left after some pieces, closed at once, forgotten."""
CANCELS = 0.12
"""Share of asyncio's requests whose task is cancelled under way."""
TWICE = 0.3
UNITS = 400
FEEDBACK = 0.25
FORGED = 0.02
UNKNOWN = 0.04


class Wish(NamedTuple):
    """One request as it is to be made. `leave`: pieces until its reader goes, or seconds until it is cancelled."""

    id: str
    prompt: str
    unit: str
    script: str
    way: str
    leave: float
    cancelled: bool

    @property
    def metadata(self) -> dict[str, str]:
        return {"id": self.id, "script": self.script}


class Traffic:
    """Requests for a client and for its asyncio face, drawn by a seed."""

    def __init__(
        self, client: PromptClient, notes: Writer, *, prompts: list[str], slot: int, seed: int, remote: Receipts
    ) -> None:
        self.client = client
        self._notes = notes
        self._prompts = prompts
        self._slot = slot
        self._seed = seed
        self._remote = remote
        self._number = itertools.count()
        self.after_fork()
        os.register_at_fork(after_in_child=self.after_fork)

    def after_fork(self) -> None:
        self.process = os.getpid()
        self.random = random.Random(f"{self._seed} {self._slot} {self.process}")
        self.kept: deque[tuple[str, dict[str, Any]]] = deque(maxlen=50)

    def wish(self, *, cancelled: bool = False) -> Wish:
        draw = self.random
        request_id = f"{self._slot}.{self.process}.{next(self._number)}"
        (script,) = draw.choices(list(SCRIPTS), list(SCRIPTS.values()))
        (way,) = draw.choices(list(WAYS), list(WAYS.values()))
        leave = draw.uniform(0.0, 0.3) if cancelled else draw.randint(1, 6)
        unit = f"user-{draw.randrange(UNITS)}" if draw.random() < 0.5 else f"guest-{request_id}"
        return Wish(request_id, draw.choice(self._prompts), unit, script, way, leave, cancelled)

    def one(self, wish: Wish | None = None, *, beside: bool = True) -> None:
        """A request by the client, and what belongs to it."""
        wish = wish or self.wish()
        self._begin(wish)
        try:
            seen = self._made(wish)
        except Exception as error:  # noqa: BLE001 - whatever an application gets is noted
            seen = _failed(error)
        except SystemExit:  # a handler of signals
            self._end(wish, {"saw": "interrupted"})
            raise
        self._end(wish, seen)
        if beside:
            self._beside()

    async def one_async(self, client: AsyncPromptClient, wish: Wish | None = None) -> None:
        wish = wish or self.wish(cancelled=self.random.random() < CANCELS)
        self._begin(wish)
        task = asyncio.ensure_future(self._made_async(client, wish))
        if wish.cancelled:
            loop = asyncio.get_running_loop()
            loop.call_later(wish.leave, task.cancel)
            if self.random.random() < TWICE:  # encode/httpx #3782: a shutdown that cascades cancels again
                loop.call_later(wish.leave, lambda: loop.call_soon(task.cancel))
        try:
            seen = await task
        except asyncio.CancelledError:
            seen = {"saw": "cancelled", "pieces": -1}
        except Exception as error:  # noqa: BLE001
            seen = _failed(error)
        self._end(wish, seen)
        await asyncio.get_running_loop().run_in_executor(None, self._beside)

    def _begin(self, wish: Wish) -> None:
        self._notes.write("begin", **wish._asdict())

    def _end(self, wish: Wish, seen: dict[str, Any]) -> None:
        receipt = seen.pop("receipt", None)
        self._notes.write("end", id=wish.id, **seen)
        if receipt and seen["saw"] == "answered":
            told = {"of": wish.id, "prompt": wish.prompt, "version": seen["version"], "track": seen["track"]}
            self.kept.append((receipt, told))
            self._remote.give(receipt, told)

    def _made(self, wish: Wish) -> dict[str, Any]:
        given = {"unit": wish.unit, "metadata": wish.metadata}
        if wish.way == "whole":
            return _answered(wish, self.client.converse(wish.prompt, **given))  # type: ignore[arg-type]
        stream = self.client.converse_stream(wish.prompt, **given)  # type: ignore[arg-type]
        if wish.way == "stream":
            for _ in stream:
                pass
            return _answered(wish, stream)
        if wish.way == "closed":
            stream.close()
            return {"saw": "cancelled", "pieces": 0}
        pieces = itertools.islice(stream, int(wish.leave))
        taken = list(pieces)
        if wish.way == "left":
            stream.close()
        return _left(wish, taken, stream)

    async def _made_async(self, client: AsyncPromptClient, wish: Wish) -> dict[str, Any]:
        given: dict[str, Any] = {"unit": wish.unit, "metadata": wish.metadata}
        if wish.way == "whole":
            return _answered(wish, await client.converse(wish.prompt, **given))
        stream = await client.converse_stream(wish.prompt, **given)
        async with stream:
            taken = []
            if wish.way != "closed":
                async for piece in stream:
                    taken.append(piece)
                    if wish.way != "stream" and len(taken) >= wish.leave:
                        break
            if wish.way == "stream":
                return _answered(wish, stream.answer)
        return _left(wish, taken, stream.answer)

    def _beside(self) -> None:
        """What applications do beside: feedback, also on others' answers, forged too; names that are none."""
        draw = self.random
        if draw.random() < UNKNOWN:
            self._unknown(f"nobody-{draw.randrange(10**9)}")
        if draw.random() >= FEEDBACK:
            return
        found = self._remote.take() if draw.random() < 0.5 else None
        if found is None and self.kept:
            found = self.kept.popleft() if draw.random() < 0.5 else self.kept.pop()
        if found is not None:
            receipt, told = found
            forged = draw.random() < FORGED / FEEDBACK
            self._feedback(_forged(receipt, draw) if forged else receipt, told, forged=forged)

    def _feedback(self, receipt: str, told: dict[str, Any], *, forged: bool) -> None:
        positive = self.random.random() < 0.7
        try:
            saw = "counted" if self.client.feedback(receipt, positive=positive) else "known"
        except InvalidReceipt as error:
            saw = f"invalid: {error}"
        except Unavailable:
            saw = "unavailable"
        self._notes.write("feedback", **told, saw=saw, negative=not positive, forged=forged)

    def _unknown(self, name: str) -> None:
        try:
            self.client.route(name, "someone")
            self._notes.write("odd", what=f"{name} has a route")
        except (NotFound, Unavailable):
            pass


class Receipts(Protocol):
    """Receipts that go from one process to another."""

    def give(self, receipt: str, told: dict[str, Any]) -> None: ...
    def take(self) -> tuple[str, dict[str, Any]] | None: ...


def _answered(wish: Wish, answer: Any) -> dict[str, Any]:
    decision = answer.decision
    whole = (FINE.format(version=decision.version, id=wish.id), DECLINES, EMPTY)
    return {
        "saw": "answered",
        "version": decision.version,
        "track": decision.track,
        "arn": decision.version_arn,
        "revision": decision.revision,
        "shielded": answer.shielded,
        "text": "" if answer.text in whole else answer.text,
        "receipt": answer.receipt,
    }


def _left(wish: Wish, taken: list[str], answer: Any) -> dict[str, Any]:
    """What a reader who did not stay to the end saw; one who read all there was did."""
    begun = "".join(taken)
    whole = FINE.format(version=answer.decision.version, id=wish.id)
    odd = "" if whole.startswith(begun) or begun in (DECLINES, EMPTY) or DECLINES.startswith(begun) else begun
    return {"saw": "cancelled", "pieces": len(taken), "shielded": answer.shielded, "text": odd}


def _failed(error: Exception) -> dict[str, Any]:
    typed = isinstance(error, PromptlaneError)
    code = error.code if isinstance(error, ModelCallFailed) else ""
    said = f"{type(error).__name__}: {error}"
    broke = isinstance(error, StreamInterrupted)
    return {"saw": "failed", "typed": typed, "code": code, "broke": broke, "error": said[:300]}


def _forged(receipt: str, draw: random.Random) -> str:
    """The receipt, its key's name altered: of a key that nobody has."""
    data = bytearray(urlsafe_b64decode(receipt + "=" * (-len(receipt) % 4)))
    for at in range(16, min(len(data), 24)):
        data[at] = draw.randrange(256)
    return urlsafe_b64encode(bytes(data)).rstrip(b"=").decode()
