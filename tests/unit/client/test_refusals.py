"""The refusal detector on its labelled set; what docs/refusals.md publishes is what is measured here."""

from __future__ import annotations

import re

import pytest

from benchmarks.refusals import BEGIN, END, PAGE, PUBLISHED_ALONE, SEEN, rows, table, wilson
from promptlane.domain.canary.refusal import OPENING, is_refusal

ROWS = rows()


def test_precision_and_recall_are_what_is_published() -> None:
    page = PAGE.read_text("utf-8")
    assert f"{BEGIN}\n{table()}\n{END}" in page


def test_the_set_has_both_labels_in_every_language_and_no_row_twice() -> None:
    languages = {row.language for row in ROWS}
    assert len(languages) == 20
    both = {(language, label) for language in languages for label in (True, False)}
    assert (
        both == {(row.language, row.refusal) for row in ROWS} == {(r.language, r.refusal) for r in ROWS if r.held_out}
    )
    assert len({row.text for row in ROWS}) == len(ROWS)
    assert all(sum(row.language == language for row in ROWS) >= 120 for language in PUBLISHED_ALONE)


def test_a_third_is_held_out_by_what_it_says_and_none_that_rules_were_made_from() -> None:
    later = [row for row in ROWS if row.source not in SEEN]
    assert 0.3 < sum(row.held_out for row in later) / len(later) < 0.37
    assert not any(row.held_out for row in ROWS if row.source in SEEN)
    assert later[0].held_out == later[0]._replace(language="xx", refusal=not later[0].refusal).held_out


@pytest.mark.parametrize(
    ("hits", "of", "interval"),
    [(0, 0, (0.0, 1.0)), (0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)), (81, 263, (0.2553, 0.3662))],
)
def test_intervals_are_wilsons(hits: int, of: int, interval: tuple[float, float]) -> None:
    """The last as in Newcombe (1998), Statistics in Medicine 17, 857-872, table I."""
    assert wilson(hits, of) == pytest.approx(interval, abs=6e-5)


def test_only_the_opening_is_read_and_typography_changes_nothing() -> None:
    assert is_refusal("**I’m sorry**, but I can’t   help\nwith that.")
    assert not is_refusal("Here you are. " * 40 + "I can't help with that.")
    assert not is_refusal("")


@pytest.mark.parametrize("apostrophe", list("'’‘ʼ`´＇"))
@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u202f", "\u2009", "\t"])
def test_every_apostrophe_and_blank_is_read_alike(apostrophe: str, blank: str) -> None:
    assert is_refusal(blank.join(["I", f"can{apostrophe}t", "help", "with", "that."]))


@pytest.mark.parametrize("unseen", ["*", "_", "\u200b", "\u200e"])
def test_what_changes_no_word_is_not_read(unseen: str) -> None:
    assert is_refusal(f"I can't he{unseen}lp with that.")


def test_a_refusal_counts_when_it_ends_within_the_opening() -> None:
    refusal = "i refuse to"
    assert OPENING == 320
    assert is_refusal("x" * (OPENING - len(refusal) - 1) + " " + refusal)
    assert not is_refusal("x" * (OPENING - len(refusal) + 4) + " " + refusal)


def test_four_times_the_opening_is_read_at_most_whatever_is_unseen_in_it() -> None:
    refusal = "I can't help with that."
    assert is_refusal("*" * (4 * OPENING - len(refusal)) + refusal)
    assert not is_refusal("*" * (4 * OPENING) + refusal)


def test_a_sentence_about_what_is_not_known_exactly_refuses_nothing() -> None:
    assert not is_refusal("I can't give you the exact date.")
    assert is_refusal("I can't give you the exact date. I can't help with that.")
    assert not is_refusal("I can't. The exact date is open. Help is near.")


def test_long_hostile_text_takes_no_longer_than_its_opening() -> None:
    text = re.sub("x", "I can't " * 5, "x" * 20_000)
    assert is_refusal(text) in (True, False)
