"""The diff shows everything that the fingerprint covers, and nothing invisible."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.release.content import fingerprint
from promptlane.domain.release.diff import Gap, compare, folded, line, unified
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.text import clean_reason, one_line, shortened, visible
from tests.support.review import NEW, OLD

lines = st.lists(st.sampled_from(["a b c", "a b d", "", "x", "{{question}}", "é\u0301", "\u200b"]), max_size=12)
leaf = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=4))
tree = st.recursive(leaf, lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(max_size=3), t, max_size=3))


@st.composite
def variants(draw: st.DrawFn) -> list[dict[str, Any]]:
    text = "\n".join(draw(lines))
    chat = {
        "messages": [{"role": draw(st.sampled_from(["user", "assistant"])), "content": [{"text": text}]}],
        "system": draw(st.sampled_from([[], [{"text": text}], [{"cachePoint": {"type": "default"}}]])),
        "toolConfiguration": draw(st.sampled_from([None, {}, {"tools": [{"toolSpec": {"name": "t"}}]}])),
    }
    config = draw(st.sampled_from([{"text": {"text": text}}, {"chat": chat}, {}, {"chat": {}}, {"new kind": {"x": 1}}]))
    return [
        {
            "name": "default",
            "modelId": draw(st.sampled_from(["m1", "m2"])),
            "templateConfiguration": config,
            "inferenceConfiguration": draw(st.sampled_from([None, {"text": {"temperature": 0.2}}, {"text": {}}])),
            "additionalModelRequestFields": draw(tree),
            "genAiResource": draw(st.sampled_from([None, {"agent": {"agentIdentifier": "a"}}])),
        }
    ]


@given(variants(), variants())
def test_versions_with_different_fingerprints_never_show_an_empty_diff(old: Any, new: Any) -> None:
    sections = compare(old, new)
    if fingerprint(old) != fingerprint(new):
        assert any(section.changed for section in sections)
        assert list(unified(sections))


@given(lines, lines)
def test_both_sides_can_be_read_back_from_the_rows(old: list[str], new: list[str]) -> None:
    def version(text: list[str]) -> list[dict[str, Any]]:
        return [{"modelId": "m", "templateConfiguration": {"text": {"text": "\n".join([*text, "end", ""])}}}]

    (template,) = [s for s in compare(version(old), version(new)) if s.title == "template"]
    left = [line(row.old) for row in template.rows if row.left is not None]
    right = [line(row.new) for row in template.rows if row.right is not None]
    assert left == [visible(text) for text in [*old, "end"]]
    assert right == [visible(text) for text in [*new, "end"]]
    assert [row.left for row in template.rows if row.left] == list(range(1, len(left) + 1))
    assert [row.right for row in template.rows if row.right] == list(range(1, len(right) + 1))


@given(lines, lines)
def test_folding_leaves_out_unchanged_rows_only_and_counts_them(old: list[str], new: list[str]) -> None:
    for section in compare(
        [{"templateConfiguration": {"text": {"text": "\n".join(old)}}}],
        [{"templateConfiguration": {"text": {"text": "\n".join(new)}}}],
    ):
        shown = folded(section)
        assert sum(row.rows if isinstance(row, Gap) else 1 for row in shown) == len(section.rows)
        assert [r for r in shown if not isinstance(r, Gap) and r.kind != "same"] == [
            r for r in section.rows if r.kind != "same"
        ]


def test_what_changed_within_a_line_is_marked() -> None:
    template = next(s for s in compare(OLD.variants(), NEW.variants()) if s.title == "template")
    changed = next(row for row in template.rows if row.kind == "changed")
    assert [text for text, marked in changed.old if marked] == ["politely"]
    assert [text for text, marked in changed.new if marked] == ["warmly"]


def test_a_unified_diff_reads_as_one() -> None:
    text = "\n".join(unified(compare(OLD.variants(), NEW.variants())))
    assert "-Greet {{customer_name}} politely.\n+Greet {{customer_name}} warmly." in text
    assert '-  "temperature": 0.2' in text
    assert '+  "temperature": 0.3' in text


def test_a_first_version_is_all_new() -> None:
    sections = compare([], NEW.variants())
    assert all(row.kind == "added" for section in sections for row in section.rows)


def test_model_role_tools_and_a_lost_line_end_all_show() -> None:
    tool = {"toolSpec": {"name": "lookup", "inputSchema": {"json": {"type": "object"}}}}
    one = PromptDraft("p", "m1", messages=(("user", "hello\n"), ("assistant", "hi\n")), tools=(tool,))
    two = PromptDraft("p", "m2", messages=(("user", "hello"), ("user", "hi\n")), tools=({"toolSpec": {"name": "pay"}},))
    text = "\n".join(unified(compare(one.variants(), two.variants())))
    for expected in (
        "-m1",
        "+m2",
        "-role: assistant",
        "+role: user",
        "-hello",
        "+hello⟦no line end⟧",
        '"lookup"',
        '"pay"',
    ):
        assert expected in text


def test_a_hostile_prompt_is_compared_in_bounded_work() -> None:
    old = PromptDraft("p", "m", template="\n".join(f"{'ab ' * 30}{i % 7}" for i in range(2_000)))
    new = PromptDraft("p", "m", template="\n".join(f"{'ba ' * 30}{i % 5}" for i in range(2_500)))
    one_long = PromptDraft("p", "m", template="a b " * 50_000)
    other_long = PromptDraft("p", "m", template="b a " * 50_000)
    assert any(s.changed for s in compare(old.variants(), new.variants()))
    assert any(s.changed for s in compare(one_long.variants(), other_long.variants()))


@pytest.mark.parametrize(
    "text", ["\u202e", "\u200b", "\u2066", "\x00", "\x1b[31m", "\r", "\u00a0", "\u3164", "\ue000", "\U000e0041", "⟦"]
)
def test_nothing_invisible_stays_invisible(text: str) -> None:
    assert text[0] not in visible(text).replace("⟦U+", "")
    assert f"⟦U+{ord(text[0]):04X}⟧" in visible(text)


@given(st.text(), st.text())
def test_two_texts_that_differ_never_look_alike(one: str, other: str) -> None:
    assert (visible(one) == visible(other)) == (one == other)


@given(st.text())
def test_visible_text_holds_no_control_or_format_character(text: str) -> None:
    assert not [c for c in visible(text) if unicodedata.category(c)[0] == "C" and c not in "\n\t"]


@given(st.text(), st.integers(1, 50))
def test_shortened_text_keeps_its_bound(text: str, limit: int) -> None:
    assert len(shortened(text, limit)) <= limit
    assert "\n" not in one_line(text, limit)
    assert len(one_line(text, limit)) <= limit


def test_a_reason_keeps_its_lines_and_loses_its_tricks() -> None:
    assert clean_reason("  one\r\ntwo\rthree\x07 ") == "one\ntwo\nthree⟦U+0007⟧"
