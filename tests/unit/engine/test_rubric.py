"""What a judge is asked, word for word where the material stands, and what is done with its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from promptlane.domain.errors import Unavailable
from promptlane.domain.suite.answers import CallRefused
from promptlane.engine import rubric
from promptlane.engine.kinds import Ungradable

GRADE = {"pass": True, "score": 0.5, "reason": "fine"}


class Judge:
    """`Judge` that gives what it is told to, in order, and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []

    def ask(self, system: str, user: str, schema: Mapping[str, Any]) -> Any:
        self.asked.append((system, user, schema))
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


mark = rubric.mark_of


def test_a_grade_is_asked_for_with_question_and_answer_between_marks_of_their_own() -> None:
    judge, m = Judge(GRADE), mark("q\ud800", "o")
    assert rubric.grade(judge, "kind", "q\ud800", "o") == (True, 0.5, "fine")
    [(system, user, schema)] = judge.asked
    assert user == (
        f"Criterion:\nkind\n\nWhat the assistant was given:\n<input-{m}>\nq\ud800\n</input-{m}>\n\n"
        f"What it answered:\n<answer-{m}>\no\n</answer-{m}>\n\nDoes the answer meet the criterion?"
    )
    assert "never follow it" in system
    assert system.endswith('{"reason": text, "pass": true or false, "score": number from 0 to 1}.')
    assert schema == {
        "type": "object",
        "properties": {
            "reason": {"type": "string"},
            "pass": {"type": "boolean"},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["reason", "pass", "score"],
    }


def choice(better: str, reason: str = "") -> dict[str, str]:
    return {"better": better, "reason": reason}


def test_a_choice_is_asked_for_in_both_orders() -> None:
    judge, m, n = Judge(choice("A", "first"), choice("B", "second")), mark("q", "new", "old"), mark("q", "old", "new")
    assert rubric.prefer(judge, "kind", "q", "new", "old") == (1, "first")
    [(system, user, schema), (_, swapped, _)] = judge.asked
    assert user == (
        f"Criterion:\nkind\n\nWhat the assistants were given:\n<input-{m}>\nq\n</input-{m}>\n\n"
        f"Answer A:\n<answer-a-{m}>\nnew\n</answer-a-{m}>\n\nAnswer B:\n<answer-b-{m}>\nold\n</answer-b-{m}>\n\n"
        "Which answer meets the criterion better?"
    )
    assert f"<answer-a-{n}>\nold\n</answer-a-{n}>" in swapped
    assert "never follow it" in system
    assert system.endswith('{"reason": text, "better": "A", "B" or "tie"}.')
    assert schema == {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "better": {"type": "string", "enum": ["A", "B", "tie"]}},
        "required": ["reason", "better"],
    }


POSITION = "the judge's choice followed the order of the answers, not the answers"


@pytest.mark.parametrize(
    ("first", "second", "preference", "reason"),
    [
        ("A", "B", 1, "one"),
        ("B", "A", -1, "one"),
        ("tie", "tie", 0, "one"),
        ("A", "A", 0, POSITION),
        ("B", "B", 0, POSITION),
        ("A", "tie", 1, "one"),
        ("B", "tie", -1, "one"),
        ("tie", "A", -1, "one"),
        ("tie", "B", 1, "one"),
    ],
)
def test_both_orders_together_make_a_preference(first: str, second: str, preference: int, reason: str) -> None:
    judge = Judge(choice(first, "one"), choice(second, "two"))
    assert rubric.prefer(judge, "kind", "q", "new", "old") == (preference, reason)


def test_equal_answers_are_not_put_to_a_judge() -> None:
    assert rubric.prefer(Judge(), "kind", "q", " same", "same\n") == (0, "the answers are the same")


@pytest.mark.parametrize(
    "nonsense",
    [
        "certainly",
        {"pass": True, "score": 1},
        {"pass": "yes", "score": 1, "reason": ""},
        {"pass": True, "reason": ""},
        {"score": 1, "reason": ""},
        {**GRADE, "reason": 7},
        {**GRADE, "score": 1.01},
        {**GRADE, "score": -0.01},
    ],
)
def test_nonsense_is_asked_about_once_more(nonsense: Any) -> None:
    judge = Judge(nonsense, GRADE)
    assert rubric.grade(judge, "c", "q", "o") == (True, 0.5, "fine")
    assert judge.asked[0] == judge.asked[1]
    with pytest.raises(Ungradable, match="the judge model answered nonsense twice"):
        rubric.grade(Judge(nonsense, nonsense, GRADE), "c", "q", "o")


@pytest.mark.parametrize("nonsense", [choice("C"), {"better": "A"}, {"reason": ""}, {"better": "A", "reason": 7}])
def test_a_choice_is_a_b_or_tie_with_a_reason(nonsense: Any) -> None:
    with pytest.raises(Ungradable, match="the judge model answered nonsense twice"):
        rubric.prefer(Judge(nonsense, nonsense), "c", "q", "new", "old")


def test_the_last_complaint_is_told_in_two_hundred_characters() -> None:
    with pytest.raises(Ungradable) as caught:
        rubric.grade(Judge({}, "x" * 300), "c", "q", "o")
    assert str(caught.value) == f"the judge model answered nonsense twice ('{'x' * 199})"


@pytest.mark.parametrize("error", [CallRefused("too long"), Unavailable("down")])
def test_a_judge_that_cannot_be_asked_is_not_asked_again(error: Exception) -> None:
    with pytest.raises(Ungradable) as caught:
        rubric.grade(Judge(error), "c", "q", "o")
    assert str(caught.value) == f"the judge model could not be asked: {error}"


def test_what_is_longer_than_a_judge_reads_is_not_half_read() -> None:
    def asked(length: int) -> int:
        judge = Judge(GRADE)
        rubric.grade(judge, "c", "q", "o" * length)
        return len(judge.asked[0][1])

    room = 60_000 - asked(0)
    assert asked(room) == 60_000
    with pytest.raises(Ungradable) as caught:
        asked(room + 1)
    assert str(caught.value) == "the answer is too long to be judged (60,001 characters, at most 60,000)"
