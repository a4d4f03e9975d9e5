"""Long lines in pieces, and which lines of two texts are the same."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.release.alignment import GOES_ON, changed_pieces, in_pieces, opcodes
from promptlane.domain.release.diff import compare, folded, line
from promptlane.domain.text import visible

WORDS = " ".join(f"word{n}" for n in range(30_000))


def text(template: str) -> list[dict[str, object]]:
    return [{"templateConfiguration": {"text": {"text": template}}}]


@given(st.text(max_size=3_000).map(visible))
def test_pieces_are_bounded_and_make_up_the_line(shown: str) -> None:
    pieces = in_pieces(shown)
    assert "".join(piece.removesuffix(GOES_ON) for piece in pieces) == shown
    assert all(piece.endswith(GOES_ON) for piece in pieces[:-1])
    assert not pieces[-1].endswith(GOES_ON)
    assert max(map(len, pieces)) <= 660


@given(st.text("ab ⟦.", max_size=900).map(visible), st.text("ab ⟦.", max_size=900).map(visible), st.booleans())
def test_changed_lines_are_whole_in_their_pieces(old: str, new: str, alike: bool) -> None:
    new = old[: len(old) // 3] + new + old[len(old) // 2 :] if alike else new
    for side, pieces in zip((old, new), changed_pieces(old, new), strict=True):
        assert "".join(piece.removesuffix(GOES_ON) for piece in pieces) == side
        assert all(piece.endswith(GOES_ON) for piece in pieces[:-1])
        assert not pieces[-1].endswith(GOES_ON)


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.lists(st.sampled_from("abcd"), max_size=40))
def test_the_blocks_cover_both_sides_in_order_and_equal_ones_are_equal(old: list[str], new: list[str]) -> None:
    i = j = 0
    for tag, i1, i2, j1, j2 in opcodes(old, new):
        assert (i1, j1) == (i, j)
        assert (old[i1:i2] == new[j1:j2]) is (tag == "equal")
        i, j = i2, j2
    assert (i, j) == (len(old), len(new))


@pytest.mark.parametrize("kind", ["words", "no blanks", "one letter", "invisible", "blanks"])
@pytest.mark.parametrize("where", [0, 100_007, 199_990])
def test_one_thing_changed_in_a_line_of_200_000_characters_shows_in_few_rows(kind: str, where: int) -> None:
    made = {
        "words": WORDS,
        "no blanks": WORDS.replace(" ", "+"),
        "one letter": "a" * 200_000,
        "invisible": "\u200b" * 200_000,
        "blanks": "x" + " " * 199_998 + "x",
    }[kind][:200_000]
    changed = made[:where] + "NEVER" + made[where + 1 :]
    began = time.perf_counter()
    (section,) = compare(text(made), text(changed))
    rows = [row for row in section.rows if row.kind != "same"]
    assert time.perf_counter() - began < 8
    assert 1 <= len(rows) <= 4
    assert "NEVER" in "".join(line(row.new) for row in rows)
    assert len(folded(section)) <= 14


@pytest.mark.parametrize("distinct", [1, 2, 30, 700])
def test_lines_that_are_everywhere_are_matched_in_bounded_time(distinct: int) -> None:
    old = [f"line {n % distinct}" for n in range(20_000)]
    new = [f"line {n * n % distinct}" for n in range(20_000)] + ["NEVER"]
    began = time.perf_counter()
    found = opcodes(old, new)
    assert time.perf_counter() - began < 8
    assert found[-1][4] == len(new)
