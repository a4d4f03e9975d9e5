"""What client and gateway hand back is the same on every track, but for what applications are told to keep.

Both versions do the same here; what differs between two versions' own answers, whoever reads them may tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2s
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from functions.gateway import handler
from promptlane.client import PromptClient, answer, calls, observation, receipt_keys, receipts, request, sync
from promptlane.client.errors import InvalidReceipt
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, client_over, response_of
from promptlane.domain.metrics import NEGATIVE_FEEDBACK
from tests.support.attacks import anything, attack, patched
from tests.support.client import AwsError

TOLD, VOICES = "who learns the track", "one user's feedback speaks for many"
PAGE = (Path(__file__).parents[2] / "docs" / "application.md").read_text()
KEPT = {
    "answer": {"version", "track", "decision", "shielded", "response", "usage", "time_to_first_token_ms"},
    "error": {"reason"},
    "gateway": {"version", "track", "release_id", "shielded", "usage"},
}
"""What docs/application.md says not to pass on."""
Reply = Callable[[Mapping[str, Any]], Any]


class ReadTimeoutError(Exception):
    """As the SDK's."""


def told(content: list[Any], stop_reason: str = "end_turn") -> Reply:
    """A response of this content; tokens count the version's own text, which the track's version alone has."""

    def reply(request: Mapping[str, Any]) -> dict[str, Any]:
        version = int(request["modelId"].rpartition(":")[2])
        usage = {"inputTokens": 100 * version, "outputTokens": 7, "totalTokens": 100 * version + 7}
        return {**response_of("", stop_reason=stop_reason), "usage": usage, "output": {"message": {"content": content}}}

    return reply


def raised(make: Callable[[str], Exception]) -> Reply:
    def reply(request: Mapping[str, Any]) -> Any:
        return make(f"{request['modelId']} said no")

    return reply


def failing(code: str) -> Reply:
    def make(said: str) -> Exception:
        error = AwsError(code)
        error.response["Error"]["Message"] = said
        return error

    return raised(make)


TOOL = {"toolUse": {"toolUseId": "t1", "name": "find_order", "input": {"order": 7}}}
OUTCOMES: dict[str, Reply] = {
    "text": told([{"text": "Yes, within 30 days."}]),
    "refusal": told([{"text": "I'm sorry, but I can't help with that."}]),
    "filtered": told([], "content_filtered"),
    "guardrail": told([{"text": "Blocked."}], "guardrail_intervened"),
    "truncated": told([{"text": "Yes, wi"}], "max_tokens"),
    "empty": told([]),
    "tool use": told([TOOL], "tool_use"),
    "malformed": told([{"text": "{"}], "malformed_model_output"),
    "error": failing("ModelErrorException"),
    "validation error": failing("ValidationException"),
    "no access": failing("AccessDeniedException"),
    "version gone": failing("ResourceNotFoundException"),
    "throttled": failing("ThrottlingException"),
    "time-out": raised(ReadTimeoutError),
    "no connection": raised(ConnectionError),
}
START = {"messageStart": {"role": "assistant"}}


def text(piece: str) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}}


def stop(request: Mapping[str, Any]) -> list[Any]:
    usage = told([])(request)["usage"]
    return [{"messageStop": {"stopReason": "end_turn"}}, {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}]


def streamed(*events: Any, whole: bool) -> Reply:
    def reply(request: Mapping[str, Any]) -> dict[str, Any]:
        def run() -> Iterator[Any]:
            for event in [*events, *(stop(request) if whole else [])]:
                if isinstance(event, Exception):
                    raise event
                yield event

        return {"stream": run()}

    return reply


BROKEN = {"modelStreamErrorException": {"message": "the stream broke"}}
TOOL_START = {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t", "name": "find_order"}}}}
STREAMS: dict[str, Reply] = {
    **OUTCOMES,
    "streamed text": streamed(START, text("Yes, "), text("surely."), whole=True),
    "streamed tool use": streamed(START, TOOL_START, whole=True),
    "streamed nothing": streamed(START, whole=True),
    "broken at once": streamed(BROKEN, whole=False),
    "broken before text": streamed(START, BROKEN, whole=False),
    "broken amid text": streamed(START, text("Yes, "), BROKEN, whole=False),
    "lost before text": streamed(START, ConnectionError("lost"), whole=False),
    "ended too early": streamed(START, text("Yes, "), whole=False),
}
PHASES: dict[str, dict[str, int]] = {
    "canary": {"stable": 9, "canary": 10, "weight": 5000},
    "watch": {"stable": 10, "previous": 9, "holdback": 5000},
}


class Split:
    """One client over a route that splits in halves, and a unit of either track."""

    def __init__(self, phase: str, reply: Reply, *, variables: list[str] | None = None, sink: Any = None) -> None:
        self.routes = StaticRoutes()
        self.routes.put("mine", **PHASES[phase], variables=variables)  # type: ignore[arg-type]
        self.sink = sink or ListSink()
        self.client = client_over(
            self.routes,
            bedrock=lambda timeout: FakeBedrock(reply),
            sink=self.sink,
            receipt_key="k",
            refresh=3600,
            breaker_errors=0,
        )
        units = [f"u{i}" for i in range(99)]
        decided = {unit: self.client.route("mine", unit).track for unit in units}
        self.units = {track: next(u for u in units if decided[u] == track) for track in sorted(set(decided.values()))}


def handed_back(of: object, kept: set[str]) -> dict[str, Any]:
    """All that an answer or an error shows, but for what applications keep; of a receipt how long it is."""
    names = [n for n in dir(of) if n[0] != "_" and n not in kept and n not in ("with_traceback", "add_note")]
    found = {name: value for name in names if not callable(value := getattr(of, name))}
    if "receipt" in found:
        found["receipt"] = len(found["receipt"] or "")
    return {"type": type(of).__name__, **found}


def failed(error: Exception) -> dict[str, Any]:
    return {"said": str(error), **handed_back(error, KEPT["error"])}


def by_converse(client: PromptClient, unit: str, variables: dict[str, str]) -> Any:
    return handed_back(client.converse("mine", unit=unit, variables=variables), KEPT["answer"])


def by_stream(client: PromptClient, unit: str, variables: dict[str, str]) -> Any:
    """The pieces, the answer they make, or how it broke."""
    pieces: list[str] = []
    stream = client.converse_stream("mine", unit=unit, variables=variables)
    try:
        pieces += list(stream)
    except Exception as error:  # noqa: BLE001 - what it says is compared
        return pieces, failed(error), handed_back(stream, KEPT["answer"])
    return pieces, handed_back(stream, KEPT["answer"])


def by_events(client: PromptClient, unit: str, variables: dict[str, str]) -> Any:
    """Converse's own events, but for the last, which counts tokens."""
    events: list[Any] = []
    try:
        events.extend(client.converse_stream("mine", unit=unit, variables=variables).events())
    except Exception as error:  # noqa: BLE001 - what it says is compared
        events.append(failed(error))
    return [event for event in events if "metadata" not in event]


def by_gateway(client: PromptClient, unit: str, variables: dict[str, str]) -> Any:
    """Status, headers, body and its size; then what feedback on it is answered."""
    with mock.patch.object(handler, "wire", return_value=client):
        reply = _post("/prompts/mine/converse", {"unit": unit, "variables": variables})
        body = json.loads(reply["body"])
        fed = _post("/feedback", {"receipt": body.get("receipt") or "none", "positive": False})
    rest = {name: value for name, value in body.items() if name not in KEPT["gateway"]}
    size = len(json.dumps(rest))
    rest["receipt"] = len(rest.get("receipt") or "")
    return reply["statusCode"], reply["headers"], rest, size, fed


def _post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    context = {"http": {"method": "POST", "path": path}, "stage": "$default"}
    headers = {"content-type": "application/json"}
    return handler.handle(
        {"rawPath": path, "headers": headers, "requestContext": context, "body": json.dumps(body)}, None
    )


WAYS = {"converse": by_converse, "stream": by_stream, "events": by_events, "gateway": by_gateway}


def seen(split: Split, way: str, variables: dict[str, str] | None = None) -> list[Any]:
    """What a user of either track could be shown."""
    found = []
    for unit in split.units.values():
        try:
            found.append(WAYS[way](split.client, unit, variables or {}))
        except Exception as error:  # noqa: BLE001 - what it says is compared
            found.append(failed(error))
    return found


@contextmanager
def _at_once() -> Iterator[None]:
    """What comes at once and may pass is tried again without waiting."""
    with mock.patch.object(calls, "sleep"):
        yield


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    ("way", "outcome"),
    [
        *((way, outcome) for way in ("converse", "gateway") for outcome in OUTCOMES),
        *((way, outcome) for way in ("stream", "events") for outcome in STREAMS),
    ],
)
def test_every_track_is_handed_the_same(phase: str, way: str, outcome: str) -> None:
    split = Split(phase, STREAMS[outcome])
    with _at_once():
        one, other = seen(split, way)
    assert one == other
    assert "10" not in re.sub(r"u\d+", "", json.dumps(one, default=str)), "no version"


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("given", [{}, {"name": "Ana"}, {"name": "Ana", "wrong": "x"}, {"name": 3}])
def test_every_track_is_told_the_same_of_variables(phase: str, way: str, given: dict[str, Any]) -> None:
    split = Split(phase, OUTCOMES["text"], variables=["name", "question"])
    one, other = seen(split, way, given)
    assert one == other


def test_what_is_left_out_here_is_what_the_page_says_to_keep() -> None:
    paragraph = PAGE.partition("What is for you alone:")[2].partition("\n\n")[0]
    named = set(re.findall(r"`\.?(?:answer\.)?(\w+)`", paragraph))
    assert set().union(*KEPT.values()) <= named


def test_the_outcomes_are_told_apart_at_all() -> None:
    """Else the comparison would see nothing."""
    with _at_once():
        shown = {outcome: json.dumps(seen(Split("canary", reply), "events")[0]) for outcome, reply in STREAMS.items()}
    assert len(set(shown.values())) >= len(STREAMS) - 6


@attack(
    "the track is told by a second beginning among a stream's events",
    kind=TOLD,
    without=patched(answer.StreamedAnswer, "_again", lambda self, event: False),
)
def test_tell_by_events() -> bool:
    one, other = seen(Split("canary", STREAMS["broken before text"]), "events")
    return bool(one != other)


# what one user's feedback weighs

NOON = 1_700_000_000.0 - 1_700_000_000.0 % 3600 + 60


def _moment(at: float) -> AbstractContextManager[None]:
    @contextmanager
    def within() -> Iterator[None]:
        with patched(request, "time", lambda: at)(), patched(receipt_keys, "time", lambda: at)():  # noqa: SIM117
            with patched(sync, "time", lambda: at)():
                yield

    return within()


def voices(split: Split) -> int:
    """How many negative feedbacks were counted."""
    return sum(NEGATIVE_FEEDBACK.name in document.values for document in split.sink.documents) // 2


@attack(
    "one user gives feedback on each of a hundred answers",
    kind=VOICES,
    without=patched(receipts.Receipt, "voice", property(lambda receipt: receipt.id)),
)
def test_many_answers_of_one_user() -> bool:
    split = Split("canary", OUTCOMES["text"])
    with _moment(NOON):
        for _ in range(100):
            given = split.client.converse("mine", unit=split.units["canary"]).receipt or ""
            split.client.feedback(given, positive=False)
    return voices(split) > 1


@attack(
    "receipts are hoarded for days, and spent in the minute in which they decide",
    kind=VOICES,
    without=patched(receipts, "check_fresh", anything),
)
def test_hoard() -> bool:
    split = Split("canary", OUTCOMES["text"])
    hoard = []
    for hours in range(0, 120, 6):
        with _moment(NOON + 3600 * hours):
            hoard.append(split.client.converse("mine", unit=split.units["canary"]).receipt or "")
    with _moment(NOON + 3600 * 120):
        for receipt in hoard:
            try:
                split.client.feedback(receipt, positive=False)
            except InvalidReceipt:
                continue
    return voices(split) > 8


@attack(
    "feedback is given on an answer that never was",
    kind=VOICES,
    without=patched(observation.Observation, "receipt", property(lambda self: self._sign(self._request))),
)
def test_no_answer() -> bool:
    split = Split("canary", OUTCOMES["text"])
    decision = split.client.route("mine", split.units["canary"])
    receipt = split.client.observe(decision, unit=split.units["canary"]).receipt
    return receipt is not None and split.client.feedback(receipt, positive=False)


@attack(
    "feedback is given on a stream that nobody waited for",
    kind=VOICES,
    without=patched(answer.StreamedAnswer, "receipt", property(lambda self: self._sign(self._request))),
)
def test_no_stream() -> bool:
    split = Split("canary", OUTCOMES["text"])
    with split.client.converse_stream("mine", unit=split.units["canary"]) as stream:
        receipt = stream.receipt
    return receipt is not None and split.client.feedback(receipt, positive=False)


@attack(
    "whoever reads the feedback table finds a user by trying names",
    kind=VOICES,
    without=patched(receipts, "mark", lambda salt, unit: blake2s(unit.encode()).hexdigest()[:16]),
)
def test_find_a_user() -> bool:
    """The table's reader knows the unit's name and no salt."""
    split = Split("canary", OUTCOMES["text"])
    said: list[str] = []
    split.client._memory = mock.Mock(first=lambda voice, **_: said.append(voice))
    with _moment(NOON):
        split.client.feedback(split.client.converse("mine", unit="anna@example.com").receipt or "", positive=True)
    return receipts.mark("", "anna@example.com") in said[0]
