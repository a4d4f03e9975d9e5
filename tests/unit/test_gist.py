"""One line of what matters of a timeline entry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.gist import gist


def test_verdict_and_numbers_come_before_words() -> None:
    detail = {"reason": "proved within the margin", "weight": 2500, "judgement": "advance", "harm": 0.99}

    assert gist(detail) == "advance; weight 25%; proved within the margin"


@given(st.dictionaries(st.sampled_from(["reason", "verdict", "cause", "other"]), st.text(max_size=400)))
def test_it_is_one_line_of_bounded_length(detail: dict[str, str]) -> None:
    said = gist(detail, limit=80)

    assert len(said) <= 80
    assert "\n" not in said
