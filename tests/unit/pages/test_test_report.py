"""The report's page: what stands where, for a comparison, for a first version, and at each limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promptlane.domain.policy import TestPolicy as Policy
from promptlane.engine.report import Heading, build
from promptlane.pages.test_report import highlighted, page
from tests.support.example_report import FIRST, HEADING, PLAN, collected
from tests.support.outline import outline

EXPECTED = Path(__file__).parent


def comparison(**changed: Any) -> dict[str, Any]:
    made = build(HEADING, PLAN, Policy(margin=0.1, must_pass=("a",)), collected())
    said = {"reasons": [f"Reason <{i}>." for i in range(7)], "undetectable": ["A small drop."], "notes": ["<note>"]}
    return made | said | changed


def first_version(**changed: Any) -> dict[str, Any]:
    heading = Heading("support", 5.0, "draft", "f" * 20, "acme-8")
    made = build(heading, PLAN, Policy(inconclusive="block"), collected(FIRST, absolute=True))
    return made | {"reasons": ["Too few."], "undetectable": [], "notes": []} | changed


def shown(report: dict[str, Any]) -> str:
    return outline(page(report).decode())


def section(report: dict[str, Any], heading: str) -> list[str]:
    """The lines of one section, from under its heading."""
    text = shown(report).split(f"      section\n        h2 | {heading}\n")
    assert len(text) == 2, f"no section {heading!r}"
    return [line.strip() for line in text[1].split("\n      section\n")[0].split("\n")]


@pytest.mark.parametrize(
    ("report", "file"), [(comparison(), "page_of_a_comparison.txt"), (first_version(), "page_of_a_first_version.txt")]
)
def test_the_whole_page_stands_as_it_is_written_down(report: dict[str, Any], file: str) -> None:
    assert shown(report).split("\n") == (EXPECTED / file).read_text().rstrip("\n").split("\n")


@pytest.mark.parametrize(
    ("verdict", "proceed", "head", "sentence"),
    [
        ("pass", True, "✓ Pass", None),
        ("fail", False, "✗ Fail", None),
        ("inconclusive", True, "? Inconclusive", "it was put to the reviewers"),
        ("inconclusive", False, "? Inconclusive", "it blocks the release"),
    ],
)
def test_the_verdict_stands_first_and_what_an_inconclusive_one_means(
    verdict: str, proceed: bool, head: str, sentence: str | None
) -> None:
    text = shown(comparison(verdict=verdict, proceed=proceed, reasons=["Because."]))
    means = f"        p.dim | Inconclusive is not a pass: by the policy, {sentence}.\n" if sentence else ""
    assert f"title | {head[2:]}: support: version 8 against version 7" in text
    first = f"        strong | {head}\n        p | Because.\n{means}        p.dim.small | 2 newly failing"
    assert f"      section.verdict.{verdict}\n{first}" in text


def detail(number: int = 0, **more: Any) -> dict[str, Any]:
    side = {"passes": 1, "runs": 2, "output": "text", "output_chars": 4, "stop_reason": "end_turn", "failed": []}
    plain = {"case": f"q{number}", "description": "", "tags": [], "critical": False, "vars": {}}
    return {
        **plain,
        "candidate": {**side, **more.pop("candidate", {})},
        "stable": {**side, **more.pop("stable", {})},
        **more,
    }


def failing(*details: dict[str, Any], count: int | None = None, **changed: Any) -> dict[str, Any]:
    report = comparison(**changed)
    counts = {**report["counts"], "newly failing": len(details) if count is None else count}
    return report | {"shown": {"newly failing": list(details)}, "counts": counts}


def test_the_first_three_newly_failing_cases_are_open() -> None:
    lines = section(failing(*map(detail, range(5))), "Newly failing (5)")
    opened = [line for line in lines if line.startswith("details")]
    assert opened == ["details open=None"] * 3 + ["details"] * 2


@pytest.mark.parametrize(
    ("kept", "count", "listed", "more"),
    [
        (100, 100, 100, None),
        (100, 101, 100, "1 more are in report.json."),
        (150, 250, 100, "150 more are in report.json."),
    ],
)
def test_a_hundred_cases_are_listed_and_how_many_more_there_are(
    kept: int, count: int, listed: int, more: str | None
) -> None:
    lines = section(failing(*map(detail, range(kept)), count=count), f"Newly failing ({count})")
    assert sum(line.startswith("details") for line in lines) == listed
    assert [line for line in lines if line.startswith("p.dim | ")] == ([f"p.dim | {more}"] if more else [])


def test_a_count_without_an_example_says_where_they_are() -> None:
    assert section(failing(count=2), "Newly failing (2)") == ["p.dim | 2 more are in report.json."]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({}, "passed 1/2 → 1/2"),
        ({"candidate": {"passes": 0, "runs": 3}}, "passed 1/2 → 0/3"),
        ({"candidate": {"passes": None}}, "passed 1/2 → ?"),
        ({"stable": {"passes": None}}, "passed ? → 1/2"),
    ],
)
def test_how_often_each_side_passed_is_said_where_it_is_known(made: dict[str, Any], said: str) -> None:
    assert f"span.dim.small | {said}" in section(failing(detail(**made)), "Newly failing (1)")


def test_outputs_are_shown_side_by_side_alone_or_not_at_all() -> None:
    def after(**made: Any) -> list[str]:
        lines = section(failing(detail(**made)), "Newly failing (1)")
        return lines[lines.index("div") + 1 :]

    alone = ["p.small.dim | version 8", "pre | text"]
    assert after() == [
        "div.pair",
        "div",
        "p.small.dim | version 7 (stable)",
        "pre | text",
        "div",
        "p.small.dim | version 8 (candidate)",
        "pre | text",
    ]
    assert after(stable={"output": None}) == alone
    both = detail()
    assert section(failing({k: v for k, v in both.items() if k != "stable"}), "Newly failing (1)")[-2:] == alone
    assert section(failing(detail(candidate={"output": None})), "Newly failing (1)")[-1] == "div"


@pytest.mark.parametrize(
    ("stable", "candidate", "cut"),
    [
        (4_000, 4_000, None),
        (4_001, 10, "4,001"),
        (10, 70_000, "70,000"),
        (80_000, 70_000, "80,000"),
        (None, None, None),
    ],
)
def test_an_output_that_is_cut_says_how_long_it_was(stable: int | None, candidate: int | None, cut: str | None) -> None:
    made = detail(stable={"output_chars": stable}, candidate={"output_chars": candidate})
    said = [line for line in section(failing(made), "Newly failing (1)") if "Cut" in line]
    assert said == ([f"p.small.dim | Cut: the output has {cut} characters."] if cut else [])


def test_differences_are_marked_by_words_up_to_nine_hundred_of_them() -> None:
    assert highlighted("a b-c", "a <d>-c e") == ("a <del>b</del>-c", "a <ins>&lt;d&gt;</ins>-c<ins> e</ins>")
    assert highlighted("same & same", "same & same") == ("same &amp; same", "same &amp; same")
    words, more = "," * 1799, "," * 1800
    assert highlighted(words, ".") == (f"<del>{words}</del>", "<ins>.</ins>")
    assert highlighted(".", words) == ("<del>.</del>", f"<ins>{words}</ins>")
    assert highlighted(more, ",") == (f"<del>{more}</del>", "<ins>,</ins>")
    assert highlighted(",", more) == ("<del>,</del>", f"<ins>{more}</ins>")


def test_a_text_with_one_word_too_often_is_still_compared() -> None:
    """difflib leaves out what is frequent in long texts unless it is told not to."""
    before = "a " * 150 + "b"
    assert highlighted(before, before + " c") == (before, before + "<ins> c</ins>")


def compared(**changed: Any) -> dict[str, Any]:
    interval = {"estimate": -0.1, "lower": -0.25, "upper": 0.125}
    plain = {"name": "s", "finding": "fail", "n": 4, "missing": 0, "interval": interval, "must_pass": False}
    return {**plain, "too_small": False, "stable_rate": 0.5, "candidate_rate": 0.25, **changed}


def sliced(report: dict[str, Any], *slices: dict[str, Any]) -> list[str]:
    lines = section(report | {"overall": compared(name="all cases"), "slices": list(slices)}, "Slices")
    return lines[lines.index("| s") - 2 :]


def test_a_slice_that_has_no_interval_has_no_bar() -> None:
    unknown = compared(interval=None, stable_rate=None, candidate_rate=None, missing=4, n=0, must_pass=True)
    assert sliced(comparison(), unknown)[:-1] == [
        "tr.fail",
        "td",
        "| s",
        "span.dim.small | · must pass",
        "td.f | fail",
        "td.n | -",
        "td",
        "td.n",
        "| 0",
        "span.dim | +4 missing",
        "td.n | -",
        "td.n | -",
    ]
    assert "circle" not in str(section(comparison(overall=unknown, slices=[unknown]), "Slices"))


@pytest.mark.parametrize(
    ("too_small", "finding", "said"),
    [
        (True, "inconclusive", "too small to judge"),
        (True, "fail", "fail"),
        (False, "inconclusive", "inconclusive"),
        (True, "pass", "pass"),
    ],
)
def test_only_what_is_undecided_is_too_small_to_judge(too_small: bool, finding: str, said: str) -> None:
    lines = sliced(comparison(), compared(too_small=too_small, finding=finding))
    assert (lines[0], lines[4]) == (f"tr.{finding}", f"td.f | {said}")


def test_bars_are_drawn_as_wide_as_the_widest_and_a_far_margin_stands_at_the_edge() -> None:
    wide = compared(interval={"estimate": 0.1, "lower": -0.5, "upper": 0.4})
    rules = {**comparison()["rules"], "margin": 0.9}
    lines = sliced(comparison(rules=rules), wide)
    assert lines[5] == "td.n | +10.0 pt"
    assert lines[7] == "svg viewbox=0 0 200 20 role=img aria-label=-50.0 to 40.0 points"
    assert [line.split(" y1")[0] for line in lines if line.startswith(("line", "circle"))] == [
        "line x1=100.0 x2=100.0",
        "line x1=2.0 x2=2.0",
        "line x1=2.0 x2=178.4",
        "circle cx=119.6 cy=10 r=4.5 fill=var(--v)",
    ]


def measured(stable: dict[str, Any], candidate: dict[str, Any], **changed: Any) -> list[list[str]]:
    lines = section(comparison(sides={"stable": stable, "candidate": candidate}, **changed), "Latency, tokens, cost")
    rows = "\n".join(lines).split("\ntr\n")[2:]
    return [row.split("\n") for row in rows]


def test_measures_are_compared_where_both_are_known() -> None:
    keys = ("latency_ms_p50", "latency_ms_p95", "input_tokens_mean", "output_tokens_mean", "cost_usd", "reused")
    stable = dict(zip(keys, (1_000.4, 2_000.0, 0.0, 8.0, None, 4), strict=True))
    candidate = dict(zip(keys, (1_500.6, 1_000.0, 2.25, None, 0.125, 2_000), strict=True))
    *rows, last = measured(stable, candidate, cost_usd=None, cost_estimated_usd=0.25)
    assert rows == [
        ["td | latency, median", "td.n | 1,000 ms", "td.n | 1,501 ms", "td.n | +50%"],
        ["td | latency, 95th percentile", "td.n | 2,000 ms", "td.n | 1,000 ms", "td.n | -50%"],
        ["td | input tokens, mean", "td.n | 0.0", "td.n | 2.2", "td.n"],
        ["td | output tokens, mean", "td.n | 8.0", "td.n | -", "td.n"],
        ["td | cost of this run", "td.n | -", "td.n | 0.1250 USD", "td.n"],
    ]
    assert last == [
        "td | answers used again",
        "td.n | 4",
        "td.n | 2,000",
        "td.n | +49900%",
        "p.small.dim | The answers cost not known (no price); with grading at most 0.2500 USD were reckoned.",
    ]


def test_a_hundred_missing_cases_are_listed_with_their_reasons() -> None:
    cases = [{"case": f"q{i}", "change": "missing", "reason": f"<{i}>"} for i in range(101)]
    cases[1] = {"case": "q1", "change": "missing"}
    lines = section(comparison(cases=[{"case": "p", "change": "passing"}, *cases]), "Missing (101)")
    assert lines == ["ul", "li | q0: <0>", "li | q1:", *[f"li | q{i}: <{i}>" for i in range(2, 100)]]


def test_sections_without_content_are_left_out() -> None:
    none = dict.fromkeys(comparison()["counts"], 0)
    text = shown(comparison(undetectable=[], notes=[], cases=[], counts=none, pass_k=None))
    assert [line.strip() for line in text.split("\n") if line.strip().startswith("h2")] == [
        "h2 | Slices",
        "h2 | Latency, tokens, cost",
        "h2 | What was compared",
    ]


def test_a_version_without_a_known_model_or_fingerprint_leaves_its_cells_empty() -> None:
    lines = section(
        comparison(stable_model=None, stable_fingerprint=None, candidate_fingerprint="0123456789abcdefg"),
        "What was compared",
    )
    assert lines[3:11] == [
        "tr",
        "th | candidate",
        "td | version 8",
        "td | acme-8",
        "td.small.dim | 0123456789abcdef…",
        "tr",
        "th | stable",
        "td | version 7",
    ]
    assert lines[11:13] == ["td", "td.small.dim | …"]


def test_what_is_invisible_in_a_text_from_outside_is_spelled_out() -> None:
    hidden = "".join(chr(0xE0100 + ord(c)) for c in "no")
    reasons = ["a \ud800 b", "a \u202e b", f"Be friendly.{hidden}"]
    written = page(comparison(reasons=reasons, notes=[f"note{hidden}"])).decode()
    assert "<p>a ⟦U+D800⟧ b</p><p>a ⟦U+202E⟧ b</p><p>Be friendly.⟦U+E016E⟧⟦U+E016F⟧</p>" in written
    assert "<li>note⟦U+E016E⟧⟦U+E016F⟧</li>" in written
