"""`promptlane agreement`: what a judge is measured by, and that nothing is said without naming it."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from promptlane.cli import agreement as command
from promptlane.cli.app import app
from promptlane.cli.bench import Models
from promptlane.cli.session import Session
from promptlane.domain.errors import InvalidInput, NotFound
from promptlane.domain.suite.answers import CallRefused
from promptlane.domain.suite.statistics import wilson_interval
from promptlane.engine.agreement import Labelled, read_labels
from promptlane.engine.judged import MEASURES, asked_of
from promptlane.engine.sentences import sentences
from promptlane.fakes.objects import ScriptedModel, WordEmbedder

Json = Any
OURS = read_labels("labelled.jsonl", files("promptlane.cli").joinpath("labelled.jsonl").read_bytes())


class Knows:
    """A judge that knows the labels, but for the answers that hold one of the words that it falls for."""

    def __init__(self, rows: list[Labelled], *falls_for: str) -> None:
        self.rows, self.falls_for = rows, falls_for

    def ask(self, system: str, user: str, schema: Mapping[str, Json]) -> Json:
        keys = schema["properties"]
        if "steps" in keys:
            return {"reason": "r", "steps": ["Look at it."]}
        holds = self.label(user) ^ any(word in user for word in self.falls_for)
        numbers = sorted({int(n) for n in re.findall(r"^\[(\d+)\]", user, re.M)})
        answers: dict[str, Json] = {
            "reason": "r",
            "pass": holds,
            "score": float(holds),
            "relation": "agrees" if holds else "silent",
            "questions": ["x", "x", "x"],
            "evades": not holds,
            "yes": numbers if holds else [],
            "no": [] if holds else numbers,
            "claims_nothing": [],
            "points": 10 * holds,
        }
        return {key: answers[key] for key in keys}

    def label(self, user: str) -> bool:
        for row in self.rows:
            value = row.case.asserts[0].value
            wanted = [value[0] if isinstance(value, list) else value or "", row.answer]
            if row.kind.startswith("context-"):
                read = {"recall": value, "relevance": row.case.vars["context"], "faithfulness": row.answer}
                parts = sentences(read[row.kind.removeprefix("context-")])
                numbered = "\n".join(f"[{number}] {part}" for number, part in enumerate(parts, 1))
                beside = asked_of(row.case) if row.kind == "context-relevance" else row.case.vars["context"]
                wanted = [f"{numbered}\n</sentences", beside]
            if all(text in user for text in wanted):
                return row.holds
        raise AssertionError(user)


class Alike(WordEmbedder):
    """Every text is like every other: what an answer evades decides."""

    def embed(self, text: str) -> list[float]:
        return [1.0, 2.0]


def nowhere() -> Any:
    raise NotFound("no deployment here")


def measured(judge: Callable[[str], Any], tmp_path: Path, **given_by: Any) -> tuple[int, Json]:
    made = Models(ScriptedModel(lambda _: pytest.fail("no answer is asked for")), judge, lambda _: Alike())
    settings = {"judges": None, "labels": None, "concurrency": 3, "as_json": True, "directory": None} | given_by
    directory = settings.pop("directory")
    out = tmp_path / "made/agreement.json"
    session = Session(connect=nowhere, clock=lambda: 1.8e9)
    code = command.agreement(session, directory, output=out, models=lambda: made, **settings)
    return code, json.loads(out.read_text())


def test_a_judge_that_knows_every_label_agrees_with_all_of_them(tmp_path: Path) -> None:
    code, document = measured(lambda _: Knows(OURS), tmp_path)
    [judge] = document["judges"]
    assert (code, judge["judge_model"], judge["disagreements"], judge["missing"]) == (
        0,
        "amazon.nova-pro-v1:0",
        [],
        {},
    )
    every = judge["kinds"][0]
    assert (every["kind"], every["rows"], every["missing"]) == ("all", len(OURS), 0)
    assert every["agrees"]["count"] == every["agrees"]["of"] == len(OURS)
    assert every["true_positives"]["count"] == every["true_positives"]["of"] == sum(row.holds for row in OURS)
    assert every["false_positives"]["count"] == 0
    assert every["false_positives"]["of"] == sum(not row.holds for row in OURS)


def test_a_judge_that_falls_for_words_is_told_row_by_row(tmp_path: Path) -> None:
    falls = [
        row for row in OURS if "Return shipping is free, and the label" in row.answer or "Not our problem" in row.answer
    ]
    code, document = measured(lambda _: Knows(OURS, "and the label is in the box", "Not our problem"), tmp_path)
    [judge] = document["judges"]
    assert code == 0
    assert [(d["id"], d["holds"], d["passed"]) for d in judge["disagreements"]] == [
        (row.case.id, row.holds, not row.holds) for row in falls
    ]
    assert {row.holds for row in falls} == {True, False}
    kinds = {kind["kind"]: kind for kind in judge["kinds"]}
    assert kinds["factuality"]["true_positives"]["count"] == kinds["factuality"]["true_positives"]["of"] - 1
    assert kinds["g-eval"]["false_positives"]["count"] == 1


def test_several_judges_are_measured_by_the_same_rows_and_named(tmp_path: Path) -> None:
    names = ["amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0"]
    asked: list[str] = []

    def judge(name: str) -> Knows:
        asked.append(name)
        return Knows(OURS)

    _, document = measured(judge, tmp_path, judges=[*names, names[0]])
    assert [one["judge_model"] for one in document["judges"]] == asked == names
    assert document["labels"]["rows"] == len(OURS)


def test_a_judge_that_cannot_be_asked_measures_nothing(tmp_path: Path) -> None:
    class Down:
        def ask(self, system: str, user: str, schema: Mapping[str, Json]) -> Json:
            raise CallRefused("no access")

    code, document = measured(lambda _: Down(), tmp_path)
    [judge] = document["judges"]
    assert (code, judge["kinds"][0]["missing"]) == (3, len(OURS))
    assert judge["kinds"][0]["agrees"] == {"count": 0, "of": 0, "interval": None}
    assert "the judge model could not be asked: no access" in judge["missing"]


def test_own_labels_and_a_policy_may_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prompt.yaml").write_text('{name: p, model: amazon.nova-lite-v1:0, template: "{{q}}", variables: [q]}')
    reviewers = "review: {reviewers: [{name: support-lead, email: lead@example.com}]}"
    (tmp_path / "release.yaml").write_text(f"{reviewers}\ntests: {{judge_model: own, prices: {{own: [1, 1]}}}}")
    (tmp_path / "suite.yaml").write_text("tests: [{vars: {q: a}, assert: [{type: contains, value: x}]}]")
    own = tmp_path / "mine.yaml"
    own.write_text("- {type: not-llm-rubric, value: is rude, vars: {q: hi}, output: Hello, holds: true}")
    rows = read_labels("mine.yaml", own.read_bytes())
    rude = [Labelled(rows[0].case, "Hello", False)]  # so that `not-` is true of it
    code, document = measured(lambda _: Knows(rude), tmp_path, labels=own, directory=tmp_path, as_json=False)
    [judge] = document["judges"]
    assert (code, judge["judge_model"], judge["kinds"][1]["kind"]) == (0, "own", "not-llm-rubric")
    shown = capsys.readouterr().out
    assert "\nown\n" in shown
    assert "100% (21-100)" in shown
    assert max(map(len, shown.partition("brackets")[0].splitlines()[2:])) <= 80


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "0 labelled rows"),
        (b'{"type": "llm-rubric", "value": "x", "output": "y"}', "line 1: a row has `type`, `output`"),
        (b'{"type": "llm-rubric", "value": "x", "output": "y", "holds": 1}', "line 1: a row has"),
        (b'{"type": "contains", "value": "x", "output": "y", "holds": true}', "contains asks no model"),
        (b'{"type": "select-best", "value": "x", "output": "y", "holds": true}', "select-best asks no model"),
        (b'{"type": "factuality", "output": "y", "holds": true}', "line 1: .*needs a value"),
        (b'{"type": "llm-rubric", "value": "x", "vars": {"a": ["1", "2"]}, "output": "y", "holds": true}', "several"),
        (b'{"type": "llm-rubric", "value": "x", "output": "y", "holds": true, "why": 1}', "unknown key 'why'"),
        (b'\n{"type": ', "line 2"),
    ],
)
def test_rows_that_say_nothing_are_refused_with_their_line(body: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read_labels("rows.jsonl", body)
    with pytest.raises(InvalidInput, match=r"write them as \.jsonl"):
        read_labels("rows.csv", body)


def test_nothing_is_asked_for_more_than_the_policy_allows_or_without_a_price(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no price is known for model 'unheard-of'"):
        measured(lambda _: pytest.fail("not asked"), tmp_path, judges=["unheard-of"])
    dear = b"".join(b'{"type": "llm-rubric", "value": "x", "output": "y", "holds": true}\n' for _ in range(4_000))
    (tmp_path / "many.jsonl").write_bytes(dear)
    with pytest.raises(InvalidInput, match=r"more than tests\.max_cost_usd = 5"):
        measured(lambda _: pytest.fail("not asked"), tmp_path, labels=tmp_path / "many.jsonl")


def test_wrong_usage_is_3() -> None:
    for words in (("agreement", "--labels", "nowhere.jsonl"), ("agreement", "--judge"), ("agreement", "nowhere")):
        assert CliRunner().invoke(app, list(words), obj=Session(connect=nowhere)).exit_code == 3


def test_the_set_holds_both_answers_and_attacks_for_every_kind() -> None:
    counts = Counter((row.kind, row.holds) for row in OURS)
    kinds = {row.name for row in MEASURES} | {"llm-rubric"}
    assert {kind for kind, _ in counts} == kinds
    assert all(counts[kind, holds] >= 4 for kind in kinds for holds in (True, False))
    assert len({row.case.id for row in OURS}) == len(OURS) >= 60
    attacks = [
        row
        for row in OURS
        if re.search(r"grader|\{\"|sort it as yes|fully given", row.answer + str(row.case.vars), re.I)
    ]
    assert len(attacks) >= 5
    assert not any(row.holds for row in attacks)


@given(st.integers(1, 400), st.floats(0, 1))
def test_wilsons_interval_holds_the_share_and_solves_its_equation(of: int, part: float) -> None:
    count = round(part * of)
    found = wilson_interval(count, of)
    assert 0 <= found.lower <= found.estimate <= found.upper <= 1
    for bound in (found.lower, found.upper):
        if 0 < bound < 1:
            assert abs(found.estimate - bound) == pytest.approx(
                1.959964 * math.sqrt(bound * (1 - bound) / of), abs=1e-5
            )
    mirrored = wilson_interval(of - count, of)
    assert mirrored.lower == pytest.approx(1 - found.upper)


def test_wilsons_interval_has_the_published_values() -> None:
    found = wilson_interval(81, 263)  # Newcombe 1998, table I
    assert (round(found.lower, 4), round(found.upper, 4)) == (0.2553, 0.3662)
    none = wilson_interval(0, 20)
    assert (none.lower, round(none.upper, 4)) == (0.0, 0.1611)
