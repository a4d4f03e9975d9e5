"""Hostile text as people see it."""

from __future__ import annotations

import sys
from unicodedata import normalize

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.text import clean_reason, one_line, printable, shortened, subject_line, visible, with_blanks


@pytest.mark.parametrize(
    "shown",
    [
        "plain ASCII, 1 + 2 ~",
        "Grüße, 日本語 🙂",
        "a\nb\tc",
        "q\u0301 and ק\u05b8\u05bc",
        "⟧ alone",
        "Привет, а это Moscow",
        "APIを使う、２つ",
        "10 kΩ in 5 µs, Δt and α = 0.05",
        "naïve café, İstanbul, 50 ²",
    ],
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pаypal", "pа⟦U+0430 CYRILLIC⟧ypal"),
        ("раураl", "раураl⟦U+006C LATIN⟧"),
        ("the ѕсо", "the ѕ⟦U+0455 CYRILLIC⟧с⟦U+0441 CYRILLIC⟧о⟦U+043E CYRILLIC⟧"),
        ("call ꓮꓑ", "call ꓮ⟦U+A4EE LISU⟧ꓑ⟦U+A4D1 LISU⟧"),
        ("Αdmin", "Α⟦U+0391 GREEK⟧dmin"),
        ("Ⅰgnore", "Ⅰ⟦U+2160 ROMAN⟧gnore"),
        ("v1\u06602", "v1\u0660⟦U+0660 ARABIC-INDIC⟧2"),
        ("𝐢gnore", "𝐢⟦U+1D422 MATHEMATICAL⟧gnore"),
        ("\u212b", "\u212b⟦U+212B⟧"),
        ("cafe\u0301", "cafe\u0301⟦U+0301⟧"),
    ],
)
def test_letters_that_look_like_others_are_marked(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_marks_that_would_cover_the_text_around_are_spelled_out() -> None:
    assert visible("q" + "\u0334" * 6) == "q" + "\u0334" * 4 + "⟦U+0334⟧" * 2


_MARKS = st.text(st.sampled_from("aeq\u0301\u0323\u0308 é\u212bÅA\u030a⟦U+0301⟧\u200b"), max_size=6)


@given(a=_MARKS | st.text(max_size=40), b=_MARKS | st.text(max_size=40))
def test_two_different_texts_are_shown_differently_in_whatever_normal_form(a: str, b: str) -> None:
    assert (normalize("NFC", visible(a)) == normalize("NFC", visible(b))) == (a == b)


@given(st.text(max_size=60))
def test_what_was_made_visible_can_be_printed_as_it_is(text: str) -> None:
    assert printable(visible(text)) == visible(text)


def test_blanks_that_end_a_line_and_tabs_are_seen_in_a_diff() -> None:
    assert with_blanks("  a\tb  ") == "  a⟦U+0009⟧b⟦U+0020⟧⟦U+0020⟧"
    assert with_blanks("") == ""


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


@given(st.text(max_size=200))
def test_sns_takes_every_subject(text: str) -> None:
    line = subject_line(text)
    assert 0 < len(line) < 100
    assert line.isascii()
    assert line.isprintable()
    assert not line.startswith(" ")
