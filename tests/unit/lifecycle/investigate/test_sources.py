"""A source that fails leaves a gap that says what, why it matters and what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from promptlane.domain.errors import Throttled
from promptlane.domain.investigation.sources import Missing
from promptlane.lifecycle.investigate.sources import Asking


def raising(error: Exception) -> Callable[[], str]:
    def question() -> str:
        raise error

    return question


@pytest.mark.parametrize("answer", ["known", "", None])
def test_an_answer_is_handed_on_and_is_no_gap(answer: str | None) -> None:
    asking = Asking()

    assert asking.ask("routes", "who gets what is not known", lambda: answer) == answer
    assert asking == Asking([], set())


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (Throttled("CloudTrail: rate exceeded"), "CloudTrail: rate exceeded"),
        (KeyError("trailList"), "its answer is of an unknown form (KeyError: 'trailList')"),
        (TypeError("no str"), "its answer is of an unknown form (TypeError: no str)"),
        (ValueError("no number"), "its answer is of an unknown form (ValueError: no number)"),
        (AttributeError("no get"), "its answer is of an unknown form (AttributeError: no get)"),
    ],
)
def test_a_source_that_fails_or_answers_oddly_is_a_gap(error: Exception, what: str) -> None:
    asking = Asking()

    assert asking.ask("CloudTrail", "who edited is not known", raising(error), "run this again") is None
    assert asking.ask("alarms", "when alarms fired is not known", raising(error)) is None
    assert asking.missing == [
        Missing("CloudTrail", what, "who edited is not known", "run this again"),
        Missing("alarms", what, "when alarms fired is not known", ""),
    ]
    assert asking.failed == {"CloudTrail", "alarms"}


def test_an_error_of_our_own_is_no_gap() -> None:
    with pytest.raises(ZeroDivisionError):
        Asking().ask("routes", "x", raising(ZeroDivisionError()))


def test_what_was_asked_in_vain_is_no_failed_source() -> None:
    asking = Asking()
    asking.lacks("time range", "it is in the future", "nothing has happened yet")

    assert asking == Asking([Missing("time range", "it is in the future", "nothing has happened yet", "")], set())
