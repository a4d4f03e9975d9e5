"""Answers that are kept for the next comparison, and objects in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput, NotFound, Throttled
from promptlane.domain.suite.answers import Answer, ToolCall
from promptlane.engine.objects import FolderObjects, KeptAnswers, json_lines
from promptlane.engine.suite import Case
from promptlane.engine.targets import Target
from promptlane.fakes.objects import MemoryObjects

TARGET = Target("v1", "f1", {"modelId": "lite", "templateConfiguration": {"text": {"text": "{{q}}"}}})
CASE = Case("c", {"q": "x", "only": "asserts"}, ())
KEY = f"stable-results/f1/{CASE.digest(['q'])}.json"
KEPT = [Answer("größer", "max_tokens", 12.3, 4, 5, (ToolCall("t", {"a": 1}),), 0.5)]


def kept(objects: MemoryObjects, now: float = 1_000.0) -> KeptAnswers:
    return KeptAnswers(objects, fresh_for=60.0, clock=lambda: now)


def test_answers_lie_under_the_version_and_what_it_was_asked() -> None:
    objects = MemoryObjects()
    kept(objects).put(TARGET, CASE, KEPT)
    assert json.loads(objects.data[KEY]) == {
        "at": 1_000.0,
        "model": "lite",
        "answers": [KEPT[0].to_dict()],
    }
    assert "größer".encode() in objects.data[KEY]
    assert kept(objects).get(TARGET, Case("other", {"q": "x"}, ())) == KEPT
    assert kept(objects).get(TARGET, Case("c", {"q": "y"}, ())) == []
    assert kept(objects).get(Target("v1", "f2", TARGET.variant), CASE) == []


@pytest.mark.parametrize(("now", "fresh"), [(1_000.0, True), (1_059.9, True), (1_060.0, False), (999.9, False)])
def test_answers_serve_while_they_are_fresh(now: float, fresh: bool) -> None:
    objects = MemoryObjects()
    kept(objects).put(TARGET, CASE, KEPT)
    assert kept(objects, now).get(TARGET, CASE) == (KEPT if fresh else [])


ANSWER = KEPT[0].to_dict()
WHOLE: dict[str, Any] = {"at": 1_000.0, "model": "lite", "answers": [ANSWER]}


@pytest.mark.parametrize(
    "content",
    [
        b"{no",
        b"\xff",
        b"[]",
        json.dumps({**WHOLE, "model": "pro"}).encode(),
        json.dumps({**WHOLE, "at": "yesterday"}).encode(),
        json.dumps({**WHOLE, "at": None}).encode(),
        json.dumps({k: v for k, v in WHOLE.items() if k != "answers"}).encode(),
        json.dumps({**WHOLE, "answers": ["text"]}).encode(),
    ],
)
def test_what_cannot_be_read_is_as_good_as_none(content: bytes) -> None:
    assert kept(MemoryObjects()).get(TARGET, CASE) == []
    objects = MemoryObjects()
    objects.data[KEY] = content
    assert kept(objects).get(TARGET, CASE) == []


def test_grades_that_were_kept_with_an_answer_do_not_count() -> None:
    objects = MemoryObjects()
    objects.data[KEY] = json.dumps({**WHOLE, "answers": [{**ANSWER, "grades": {"d": [True, 1.0, ""]}}]}).encode()
    assert kept(objects).get(TARGET, CASE) == KEPT


class Refusing(MemoryObjects):
    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        raise Throttled("slow down")

    def get(self, key: str) -> bytes:
        raise Throttled("slow down")


def test_a_store_that_refuses_costs_the_next_run_its_calls_and_nothing_else() -> None:
    kept(Refusing()).put(TARGET, CASE, KEPT)
    assert kept(Refusing()).get(TARGET, CASE) == []


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=2))
ANSWERS = st.builds(
    Answer,
    text=st.text(max_size=9),
    stop_reason=st.text(max_size=9),
    latency_ms=st.integers(0, 99_999).map(lambda i: i / 10),
    input_tokens=st.integers(0),
    output_tokens=st.integers(0),
    tool_calls=st.lists(st.builds(ToolCall, st.text(max_size=5), JSON), max_size=2).map(tuple),
    cost_usd=st.none() | st.floats(0, 9),
)


@settings(max_examples=40)
@given(st.lists(ANSWERS, max_size=3))
def test_whatever_is_kept_comes_back(answers: list[Answer]) -> None:
    objects = MemoryObjects()
    kept(objects).put(TARGET, CASE, answers)
    assert kept(objects).get(TARGET, CASE) == answers


def test_half_a_character_is_kept_as_a_question_mark() -> None:
    objects = MemoryObjects()
    kept(objects).put(TARGET, CASE, [Answer("\ud800")])
    assert kept(objects).get(TARGET, CASE) == [Answer("?")]
    assert list(json_lines([{"a": "\ud800"}, ["é", 1]])) == [b'{"a":"?"}\n', '["é",1]\n'.encode()]


def test_a_folder_holds_objects_by_their_path(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    objects.put("b/2.json", b"two")
    objects.put("b/1.json", b"one two")
    objects.put("a.json", b"a", "text/plain")
    assert objects.bucket == str(tmp_path)
    assert (tmp_path / "b" / "2.json").read_bytes() == objects.get("b/2.json") == b"two"
    assert objects.get_range("b/1.json", 2, 5) == b"e t"
    assert list(objects.keys("")) == ["a.json", "b/1.json", "b/2.json"]
    assert list(objects.keys("b/")) == ["b/1.json", "b/2.json"]
    objects.put("b/2.json", b"again")
    assert objects.get("b/2.json") == b"again"


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput) as caught:
        FolderObjects(tmp_path / "file").put("a.json", b"")
    assert str(caught.value).startswith(f"{tmp_path / 'file' / 'a.json'} cannot be written (")
    assert str(caught.value).endswith("); choose another --output")
    with pytest.raises(NotFound) as missing:
        FolderObjects(tmp_path).get("a.json")
    assert str(missing.value) == "a.json: No such file or directory"
