"""How a version is laid out in sections, and each row of what changed."""

from __future__ import annotations

from typing import Any

import pytest

from promptlane.domain.release.diff import Gap, Row, Section, compare, folded, layout, unified

CUT = "⟦no line end⟧"


def text(template: str, **more: Any) -> list[dict[str, Any]]:
    return [{"templateConfiguration": {"text": {"text": template, **more}}}]


def talk(**chat: Any) -> list[dict[str, Any]]:
    return [{"templateConfiguration": {"chat": chat}}]


def same(left: int, right: int, line: str) -> Row:
    return Row("same", left, right, ((line, False),), ((line, False),))


def removed(left: int, line: str) -> Row:
    return Row("removed", left, None, ((line, True),), ())


def added(right: int, line: str) -> Row:
    return Row("added", None, right, (), ((line, True),))


def rows(old: list[str], new: list[str]) -> tuple[Row, ...]:
    """Rows of two templates of these lines."""
    (template,) = compare(text("".join(f"{x}\n" for x in old)), text("".join(f"{x}\n" for x in new)))
    return template.rows


def test_a_text_version_is_laid_out_in_reading_order() -> None:
    version = {
        "name": "default",
        "templateType": "TEXT",
        "modelId": "m\u200b",
        "genAiResource": {"agent": "é"},
        "templateConfiguration": {
            "text": {"text": "one\r\ntwo\n", "inputVariables": [{"name": "b"}, {"name": "a\u200b"}], "cache": True},
            "other": {"b": 1, "a": [2]},
            "odd": "o",
        },
        "inferenceConfiguration": {"text": {"topP": 0.5, "maxTokens": 40}},
        "additionalModelRequestFields": {"k": ["\u202e"]},
    }

    assert list(layout([version]).items()) == [
        ("template", ["one⟦U+000D⟧", "two"]),
        ("variables", ["a⟦U+200B⟧", "b"]),
        ("model", ["m⟦U+200B⟧"]),
        ("inference", ["{", '  "maxTokens": 40,', '  "topP": 0.5', "}"]),
        ("template settings", ["{", '  "cache": true', "}"]),
        ("additional fields", ["{", '  "k": [', '    "⟦U+202E⟧"', "  ]", "}"]),
        (
            "other template",
            ["{", '  "odd": "o",', '  "other": {', '    "a": [', "      2", "    ],", '    "b": 1', "  }", "}"],
        ),
        (
            "name and type",
            [
                "{",
                '  "genAiResource": {',
                '    "agent": "é"',
                "  },",
                '  "name": "default",',
                '  "templateType": "TEXT"',
                "}",
            ],
        ),
    ]


def test_a_chat_version_is_laid_out_in_reading_order() -> None:
    version = talk(
        system=[{"text": "Be kind\n"}, {"cachePoint": {"type": "default"}}],
        messages=[
            {"role": "user\u200b", "content": [{"text": "one"}, {"text": "two\n"}, {"text": 7}], "extra": 1},
            {"content": [{"text": "x", "more": 1}]},
            "odd",
            {"role": "assistant", "content": None},
        ],
        inputVariables=[{"name": "a"}],
        toolConfiguration={"tools": [{"toolSpec": {"name": "look"}}]},
        cache=False,
    )

    assert list(layout(version).items()) == [
        ("system", ["Be kind"]),
        ("system 2", ["{", '  "cachePoint": {', '    "type": "default"', "  }", "}"]),
        (
            "message 1",
            ["role: user⟦U+200B⟧", "", "one" + CUT, "", "two", "", "{", '  "text": 7', "}", "{", '  "extra": 1', "}"],
        ),
        ("message 2", ["role: ", "", "{", '  "more": 1,', '  "text": "x"', "}"]),
        ("message 3", ["odd"]),
        ("message 4", ["role: assistant"]),
        ("variables", ["a"]),
        (
            "tools",
            [
                "{",
                '  "tools": [',
                "    {",
                '      "toolSpec": {',
                '        "name": "look"',
                "      }",
                "    }",
                "  ]",
                "}",
            ],
        ),
        ("template settings", ["{", '  "cache": false', "}"]),
    ]


def test_a_version_of_both_kinds_of_template_shows_both() -> None:
    config = {
        "text": {"text": "t\n"},
        "chat": {"messages": [{"role": "user", "content": []}], "toolConfiguration": {"a": 1}},
    }

    assert layout([{"templateConfiguration": config}]) == {
        "template": ["t"],
        "message 1": ["role: user"],
        "tools": ["{", '  "a": 1', "}"],
    }


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ([{}], {}),
        (
            [{"templateConfiguration": {"text": {"inputVariables": []}}}],
            {"template": [CUT]},
        ),
        (talk(system=None, messages=None), {}),
        (
            [{"templateConfiguration": {"text": "t", "chat": ["c"]}}],
            {"other template": ["{", '  "chat": [', '    "c"', "  ],", '  "text": "t"', "}"]},
        ),
        (
            [{"inferenceConfiguration": {"text": {}, "more": 1}}],
            {"inference": ["{", '  "more": 1,', '  "text": {}', "}"]},
        ),
        ([{"inferenceConfiguration": ["text"]}], {"inference": ["[", '  "text"', "]"]}),
        ([{"inferenceConfiguration": {"text": {}}}], {}),
        ([{"modelId": "one"}, {"modelId": "two"}], {"model of variant 1": ["one"], "model of variant 2": ["two"]}),
    ],
)
def test_what_a_version_lacks_or_holds_in_an_odd_shape(version: list[dict[str, Any]], shown: dict[str, Any]) -> None:
    assert layout(version) == shown


@pytest.mark.parametrize("odd", [{"name": "b", "type": "x"}, {"name": 7}, {"title": "b"}])
def test_variables_that_are_more_than_names_are_shown_whole(odd: dict[str, Any]) -> None:
    shown = layout(text("t\n", inputVariables=[{"name": "a"}, odd]))

    assert set(shown) == {"template", "template settings"}
    assert '      "name": "a"' in shown["template settings"]


@pytest.mark.parametrize(
    ("template", "lines"),
    [("", [CUT]), ("\n", [""]), ("a", ["a" + CUT]), ("a\n\n", ["a", ""]), ("a\nb", ["a", "b" + CUT])],
)
def test_a_missing_line_end_shows(template: str, lines: list[str]) -> None:
    assert layout(text(template)) == {"template": lines}


def test_texts_come_last_sections_follow_the_new_version_and_what_is_gone_comes_after_it() -> None:
    old = [{**text("a\n", inputVariables=[{"name": "v"}])[0], "modelId": "m", "additionalModelRequestFields": {"k": 1}}]
    new = [{**talk(system=[{"text": "s\n"}])[0], "modelId": "m", "inferenceConfiguration": {"text": {"topP": 1}}}]

    sections = compare(old, new)

    assert [(s.title, s.changed, s.removed, s.added) for s in sections] == [
        ("model", False, 0, 0),
        ("inference", True, 0, 3),
        ("variables", True, 1, 0),
        ("additional fields", True, 3, 0),
        ("system", True, 0, 1),
        ("template", True, 1, 0),
    ]
    assert sections[0].rows == (same(1, 1, "m"),)


def test_what_only_the_hash_tells_apart_is_shown_as_it_is_hashed() -> None:
    (section,) = compare(talk(), talk(system={}))

    assert section == Section("as hashed", section.rows)
    assert [line for line in unified([section], context=0) if not line.startswith("  ...")] == [
        "=== as hashed",
        '-      "chat": {}',
        '+      "chat": {',
        '+        "system": {}',
        "+      }",
    ]


def test_nothing_is_shown_as_hashed_where_a_section_shows_the_change_or_nothing_changed() -> None:
    old = [{"modelId": "m", "name": "a", **talk()[0]}]

    assert [s.title for s in compare(old, old)] == ["model", "name and type"]
    assert [s.title for s in compare(old, [{**old[0], "name": "b"}])] == ["model", "name and type"]


def test_every_kind_of_row_has_its_own_numbers() -> None:
    old = ["a", "b", "gone", "x y one", "x y two", "end", "end 2"]
    new = ["a", "new", "b", "x y 1", "x y 2", "!", "end", "end 2"]

    assert rows(old, new) == (
        same(1, 1, "a"),
        added(2, "new"),
        same(2, 3, "b"),
        Row("changed", 3, 4, (("gone", True),), (("x y 1", True),)),
        Row("changed", 4, 5, (("x y ", False), ("one", True)), (("x y ", False), ("2", True))),
        Row("changed", 5, 6, (("x y two", True),), (("!", True),)),
        same(6, 7, "end"),
        same(7, 8, "end 2"),
    )


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (["a"], ["a", "a"], (same(1, 1, "a"), added(2, "a"))),
        (["a", "a", "a"], ["a"], (same(1, 1, "a"), removed(2, "a"), removed(3, "a"))),
        (["b", "z"], ["a", "b", "z"], (added(1, "a"), same(1, 2, "b"), same(2, 3, "z"))),
        (["a", "b", "z"], ["b", "z"], (removed(1, "a"), same(2, 1, "b"), same(3, 2, "z"))),
        (["a", "b"], ["a", "b"], (same(1, 1, "a"), same(2, 2, "b"))),
        (
            ["s", "p", "q", "e"],
            ["s", "q", "p", "e"],
            (same(1, 1, "s"), added(2, "q"), same(2, 3, "p"), removed(3, "q"), same(4, 4, "e")),
        ),
        (
            ["a", "b", "c"],
            ["-"],
            (Row("changed", 1, 1, (("a", True),), (("-", True),)), removed(2, "b"), removed(3, "c")),
        ),
    ],
)
def test_common_ends_and_what_lies_between(old: list[str], new: list[str], shown: tuple[Row, ...]) -> None:
    assert rows(old, new) == shown


def changed(old: str, new: str) -> Row:
    (row,) = rows([old], [new])
    assert row.kind == "changed"
    return row


def test_what_changed_within_a_line_is_told_apart_by_words_blanks_and_marks() -> None:
    assert changed("Be kind, always.", "Be very kind: always.") == Row(
        "changed",
        1,
        1,
        (("Be ", False), ("kind", False), (",", True), (" always.", False)),
        (("Be ", False), ("very ", True), ("kind", False), (":", True), (" always.", False)),
    )


def test_lines_with_too_little_in_common_are_marked_whole() -> None:
    whole = changed("!@$%^&*()~", "!@-+={}[]<")
    pieces = changed("!@#%^&*()~", "!@#-+={}[]")

    assert (whole.old, whole.new) == ((("!@$%^&*()~", True),), (("!@-+={}[]<", True),))
    assert pieces.old == (("!@#", False), ("%^&*()~", True))


def test_long_lines_are_marked_whole_from_four_hundred_and_one_words_on() -> None:
    old, new = "ab " * 99 + "ab,", "ab " * 99 + "cd,"

    assert changed(old, new).new == (("ab " * 99, False), ("cd", True), (",", False))
    assert changed(old + "!", new) == Row("changed", 1, 1, ((old + "!", True),), ((new, True),))


def numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def test_however_many_lines_there_are_what_is_on_both_sides_once_is_the_same() -> None:
    old = ["start", *numbered("a", 10_000), "middle", *numbered("b", 9_990), "end"]
    new = ["start", *numbered("c", 9_990), "middle", *numbered("d", 10_000), "end"]

    found = rows(old, new)

    assert [line.old[0][0] for line in found if line.kind == "same"] == ["start", "middle", "end"]
    assert [r.left for r in found if r.left] == list(range(1, len(old) + 1))
    assert [r.right for r in found if r.right] == list(range(1, len(new) + 1))


@pytest.mark.parametrize(("more", "matched"), [(0, 10), (1, 0)])
def test_lines_that_are_everywhere_are_matched_in_templates_of_up_to_eight_hundred_lines(
    more: int, matched: int
) -> None:
    old = [line for n in range(10) for line in ("often", *numbered(f"a{n}-", 39))]
    new = [line for n in range(10) for line in (*numbered(f"b{n}-", 39), "often")]

    found = rows(old, [*new, *["last"] * more])

    assert len(old) + len(new) == 800
    assert sum(row.kind == "same" for row in found) == matched


SECTION = compare(
    text("".join(f"{n}\n" for n in range(20))), text("".join(f"{n}{'!' * (n in (0, 10, 12))}\n" for n in range(20)))
)[0]


def shape(found: list[Row | Gap]) -> list[Any]:
    return [row if isinstance(row, Gap) else row.left for row in found]


@pytest.mark.parametrize(
    ("context", "shown"),
    [
        (0, [1, Gap(9), 11, Gap(1), 13, Gap(7)]),
        (1, [1, 2, Gap(7), 10, 11, 12, 13, 14, Gap(6)]),
        (3, [1, 2, 3, 4, Gap(3), 8, 9, 10, 11, 12, 13, 14, 15, 16, Gap(4)]),
        (9, list(range(1, 21))),
    ],
)
def test_unchanged_rows_far_from_a_change_are_folded(context: int, shown: list[Any]) -> None:
    assert shape(folded(SECTION, context=context)) == shown


def test_three_unchanged_rows_are_kept_around_a_change_unless_told_otherwise() -> None:
    assert folded(SECTION) == folded(SECTION, context=3)
    assert list(unified([SECTION])) == list(unified([SECTION], context=3))


def test_a_unified_diff_lists_what_is_removed_before_what_is_added_and_counts_what_it_leaves_out() -> None:
    old = [{**text("a\nb\nc\nd\ne\nf\ng\nh\n")[0], "modelId": "m", "name": "n"}]
    new = [{**text("a\nB\nC\nC2\nd\ne\nf\n g\nh\n")[0], "modelId": "m", "name": "N"}]

    assert list(unified(compare(old, new), context=1)) == [
        "=== name and type",
        " {",
        '-  "name": "n"',
        '+  "name": "N"',
        " }",
        "=== template",
        " a",
        "-b",
        "-c",
        "+B",
        "+C",
        "+C2",
        " d",
        "  ... 1 unchanged line ...",
        " f",
        "-g",
        "+ g",
        " h",
    ]
    assert list(unified(compare(old, new), context=0)) == [
        "=== name and type",
        "  ... 1 unchanged line ...",
        '-  "name": "n"',
        '+  "name": "N"',
        "  ... 1 unchanged line ...",
        "=== template",
        "  ... 1 unchanged line ...",
        "-b",
        "-c",
        "+B",
        "+C",
        "+C2",
        "  ... 3 unchanged lines ...",
        "-g",
        "+ g",
        "  ... 1 unchanged line ...",
    ]


def test_a_change_at_the_very_end_is_shown() -> None:
    assert list(unified(compare(text("a\nb\n"), text("a\n")))) == ["=== template", " a", "-b"]
