"""The refusal detector on its labelled set; what docs/refusals.md publishes is what is measured here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from promptlane.domain.canary.refusal import OPENING, is_refusal

ROOT = Path(__file__).parents[3]
ROWS = [line.split("\t") for line in (ROOT / "tests/data/refusals.tsv").read_text("utf-8").splitlines()[1:]]


def measured(part: str) -> tuple[int, float, float]:
    """(rows, precision, recall) of one part of the set."""
    rows = [(label == "refusal", is_refusal(text)) for _, where, label, text in ROWS if where == part]
    hits = sum(label and found for label, found in rows)
    return len(rows), hits / sum(found for _, found in rows), hits / sum(label for label, _ in rows)


@pytest.mark.parametrize(("part", "precision", "recall"), [("development", 0.98, 0.98), ("held out", 0.95, 0.8)])
def test_precision_and_recall_are_what_is_published(part: str, precision: float, recall: float) -> None:
    rows, p, r = measured(part)
    assert (p >= precision, r >= recall) == (True, True), (p, r)
    row = f"| {part} | {rows} | {p:.3f} | {r:.3f} |"
    assert row in (ROOT / "docs/refusals.md").read_text("utf-8")


def test_the_set_has_both_labels_in_every_language_and_no_row_twice() -> None:
    languages = {row[0] for row in ROWS}
    assert len(languages) == 20
    assert {(lang, label) for lang in languages for label in ("refusal", "answer")} == {(r[0], r[2]) for r in ROWS}
    assert len({row[3] for row in ROWS}) == len(ROWS)


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
    refusal = "i can't help"
    assert OPENING == 320
    assert is_refusal("x" * (OPENING - len(refusal) - 1) + " " + refusal)
    assert not is_refusal("x" * (OPENING - len(refusal)) + " " + refusal)


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
