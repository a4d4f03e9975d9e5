"""One line of what matters of a timeline entry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.release.gist import gist


def test_verdict_and_numbers_come_before_words() -> None:
    detail = {"reason": "proved within the margin", "weight": 2500, "judgement": "advance", "harm": 0.99}

    assert gist(detail) == "advance; weight 25%; proved within the margin"


@given(st.dictionaries(st.sampled_from(["reason", "verdict", "cause", "other"]), st.text(max_size=400)))
def test_it_is_one_line_of_bounded_length(detail: dict[str, str]) -> None:
    said = gist(detail, limit=80)

    assert len(said) <= 80
    assert "\n" not in said


def test_every_kind_of_fact_has_its_place() -> None:
    detail = {
        "description": "d",
        "summary": "s",
        "why": "w",
        "reason": "r",
        "cause": "alarm",
        "previous": 1,
        "restored": 2,
        "weight": 1250,
        "calls": 40,
        "attempt": 3,
        "version": 0,
        "choice": "approve",
        "decision": "approved",
        "outcome": "promoted",
        "verdict": "pass",
        "judgement": "hold",
    }

    assert gist(detail) == (
        "hold; pass; promoted; approved; approve; "
        "version 0; attempt 3; calls 40; weight 12.5%; restored 2; previous 1; cause alarm; r"
    )


def test_the_first_words_that_say_something_are_taken() -> None:
    words = {"reason": " ", "why": 7, "summary": "in short", "description": "at length"}

    assert gist(words) == "in short"
    assert gist({**words, "summary": None}) == "at length"
    assert gist({**words, "why": "therefore"}) == "therefore"


def test_what_is_empty_is_left_out() -> None:
    assert gist({"verdict": "", "judgement": None, "version": None, "cause": "", "reason": ""}) == ""
    assert gist({"verdict": "pass", "reason": ""}) == "pass"


def test_a_line_is_cut_after_160_characters_unless_told_otherwise() -> None:
    assert gist({"reason": "r" * 160}) == "r" * 160
    assert gist({"reason": "r" * 161}) == "r" * 159 + "…"
