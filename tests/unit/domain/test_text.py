"""Hostile text as people see it."""

from __future__ import annotations

import sys

import pytest
import regex

from promptlane.domain.text import clean_reason, one_line, shortened, visible


@pytest.mark.parametrize(
    "shown",
    ["plain ASCII, 1 + 2 ~", "Grüße, 日本語 🙂", "a\nb\tc", "e\u0301", "⟧ alone"],
)
def test_what_can_be_seen_stays_as_it_is(shown: str) -> None:
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u2028b", "a⟦U+2028⟧b"),
        ("a\u2029b", "a⟦U+2029⟧b"),
        ("a\u00a0b", "a⟦U+00A0⟧b"),
        ("a\u3000b", "a⟦U+3000⟧b"),
        ("a\u200db", "a⟦U+200D⟧b"),
        ("a\x7fb\x00", "a⟦U+007F⟧b⟦U+0000⟧"),
        ("\U000e0041", "⟦U+E0041⟧"),
        ("\u2800\u115f\u1160", "⟦U+2800⟧⟦U+115F⟧⟦U+1160⟧"),
        ("\u3164\uffa0\u034f\u180e", "⟦U+3164⟧⟦U+FFA0⟧⟦U+034F⟧⟦U+180E⟧"),
        ("⟦U+200D⟧", "⟦U+27E6⟧U+200D⟧"),
    ],
)
def test_what_draws_nothing_is_spelled_out_where_it_stands(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("what", ["Default_Ignorable_Code_Point", "Bidi_Control", "Private_Use", "Unassigned", "Cc"])
def test_nothing_that_unicode_says_is_not_drawn_passes_as_text(what: str) -> None:
    property_ = regex.compile(rf"\p{{{what}}}")
    every = [c for c in map(chr, range(sys.maxunicode + 1)) if property_.match(c) and c not in "\n\t"]
    assert len(every) > 10
    assert [c for c in every if visible(c) != f"⟦U+{ord(c):04X}⟧"] == []


def test_an_emoji_stays_readable_beside_the_name_of_its_selector() -> None:
    assert visible("Thanks ❤\ufe0f and 👍") == "Thanks ❤⟦U+FE0F⟧ and 👍"


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("abcd", 4, "abcd"),
        ("abcde", 4, "abc…"),
        ("ab  cde", 5, "ab…"),
        (" abcde", 4, " ab…"),
        ("ab", 1, "…"),
        ("ab", 0, "…"),
        ("", 0, ""),
    ],
)
def test_shortened_text_says_that_something_was_left_out(text: str, limit: int, short: str) -> None:
    assert shortened(text, limit) == short


def test_one_line_joins_words_and_spells_out_what_is_invisible_before_it_is_cut() -> None:
    assert one_line(" one\n\ttwo\u200b  three ", 40) == "one two⟦U+200B⟧ three"
    assert one_line("one two three", 8) == "one two…"


def test_a_reasons_line_ends_are_alike_and_its_blank_ends_gone() -> None:
    assert clean_reason("\n a\r\n\r\nb\rc\td\u200b \r\n") == "a\n\nb\nc\td⟦U+200B⟧"
