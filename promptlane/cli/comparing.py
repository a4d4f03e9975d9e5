"""`promptlane test --compare`: one suite over several versions or models side by side, for a change of models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from promptlane.domain.errors import InvalidInput
from promptlane.domain.incoming import version_number
from promptlane.domain.policy import TestPolicy
from promptlane.domain.text import one_line, percent, visible
from promptlane.engine.junit import junit_of_sides
from promptlane.engine.objects import FolderObjects
from promptlane.engine.plan import TestPlanRefused, make_plan
from promptlane.engine.records import Collector, Record, latency_ms, missing_reason, passes, record_of, telling
from promptlane.engine.report import Heading, build
from promptlane.engine.runner import CANDIDATE, STABLE, run_cases
from promptlane.engine.suite import Case, Suite, flat
from promptlane.engine.targets import Target
from promptlane.lifecycle.test_round import write_report
from promptlane.pages.comparison_page import comparison_page
from promptlane.project import PromptProject, load_one

from .bench import Models, bedrock, bench_of, progress
from .deployment import Deployment
from .drift import differences
from .group import COULD_NOT
from .session import Session
from .test import called, profile, version_of
from .tested import causes

if TYPE_CHECKING:
    from rich.console import Console

Json = Any
MOST_SIDES: Final = 10
_MODEL: Final = re.compile(r"[A-Za-z0-9][\w.-]*[.:/][\w.:/-]+")
_UNBOUNDED: Final = 1e12
"""USD, where what all sides together may cost has been looked at already."""


def compare_sides(
    session: Session,
    directory: Path,
    *,
    sides: Sequence[str],
    against: str | None,
    output: Path | None,
    repeats: int | None,
    concurrency: int | None,
    as_json: bool,
    models: Callable[[], Models] = bedrock,
) -> int:
    """Run the suite over the draft and every other side at the same time; each is compared with the first.

    The first is the version `against`, or the draft. Writes comparison.html, comparison.json, junit.xml, and a folder
    with each side's report, to `output`. Returns 0 where at least two sides could be run, else 3. Raises InvalidInput
    before a call is paid for.
    """
    project, deployment = called(session, load_one(directory))
    policy = project.policy.tests
    suite = replace(project.suite, repeats=repeats) if repeats else project.suite
    targets = _targets(session, deployment, project, [against] if against else [], sides)
    most = _most_usd(suite, policy, targets)
    warnings = [*differences(project, deployment), *_left_out(suite)]
    root = output or Path("test-results") / f"{project.name}-compared"
    objects = FolderObjects(root)
    objects.make()
    made = models()
    made.reach()
    each = max(1, (concurrency or policy.max_concurrency) // len(targets))
    said = [f"{len(suite.cases)} cases x {len(targets)} sides, at most {most:.4f} USD.", *warnings]
    total = len(suite.cases) * len(targets)
    with nullcontext(_nothing) if as_json else progress(session, "cases", total, said) as advance:

        def run(target: Target) -> dict[str, Record]:
            bench = bench_of(session, made, suite, policy, target, None, objects=objects, concurrency=each)
            found = {}
            for one in run_cases(suite.cases, bench):
                found[one.case.id] = record_of(one)
                advance()
            return found

        with ThreadPoolExecutor(len(targets)) as pool:  # all in the same minutes, so that a bad one meets all alike
            records = list(pool.map(run, targets))
    comparison = _Comparison(project.name, session.clock(), suite, policy, targets, records, [*suite.notes, *warnings])
    document = {**comparison.document(objects), "cost_estimated_usd": most}
    matrix = comparison.matrix()
    objects.put("comparison.json", json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "replace"))
    objects.put("comparison.html", comparison_page(document, matrix))
    objects.put("junit.xml", junit_of_sides(document, matrix))
    session.emit(
        {**document, "folder": str(root)}, as_json=as_json, show=lambda console: _show(console, document, root)
    )
    return 0 if sum(bool(side["complete"]) for side in document["sides"]) > 1 else COULD_NOT


def _nothing() -> None:
    return


def _targets(
    session: Session,
    deployment: Deployment | None,
    project: PromptProject,
    first: Sequence[str],
    others: Sequence[str],
) -> list[Target]:
    """The sides in order, each once. A model's side is the draft with that model and nothing else changed."""
    draft = Target.of_draft("draft", project.draft.variants())
    found = [version_of(session.deployment, project.name, which, "--against") for which in first] + [draft]
    found = [replace(target, label=f"{target.label} ({target.model})") for target in found]
    for which in others:
        if which == "stable" or version_number(which):
            version = version_of(session.deployment, project.name, which, "--compare")
            found.append(replace(version, label=f"{version.label} ({version.model})"))
        elif _MODEL.fullmatch(which):
            model = profile(deployment, which)
            variant, *rest = project.draft.variants()
            found.append(Target.of_draft(model, [{**variant, "modelId": model}, *rest]))
        else:
            raise InvalidInput(f"--compare {which!r}: give a model id, a version number, or `stable`")
    once: list[Target] = []
    for target in found:
        if target.fingerprint not in {known.fingerprint for known in once}:
            once.append(target)
    if not 2 <= len(once) <= MOST_SIDES:
        raise InvalidInput(
            f"there are {len(once)} different sides to compare, 2 to {MOST_SIDES} can be; the draft is one of them, "
            "and what is the same is taken once"
        )
    return once


def _most_usd(suite: Suite, policy: TestPolicy, targets: Sequence[Target]) -> float:
    """The most that all sides can cost together. Raises TestPlanRefused."""
    unbounded = replace(policy, max_cost_usd=_UNBOUNDED)
    most = sum(make_plan(suite, unbounded, target, None).cost_usd for target in targets)
    if most > policy.max_cost_usd:
        raise TestPlanRefused(
            f"{len(targets)} sides could cost {most:.2f} USD together, more than tests.max_cost_usd = "
            f"{policy.max_cost_usd:g}; raise it, or compare fewer sides, cases or repeats"
        )
    return most


def _left_out(suite: Suite) -> Iterator[str]:
    if any(a.kind == "select-best" for case in suite.cases for a in flat(case.all_asserts)):
        yield "select-best compares two answers, and is left out where sides are measured one by one"


def _names(targets: Sequence[Target]) -> list[str]:
    """A folder's name for each side."""
    plain = (re.sub(r"[^a-z0-9]+", "-", target.label.lower()).strip("-")[-60:] for target in targets)
    return [f"{number}-{name}" for number, name in enumerate(plain, 1)]


@dataclass(frozen=True)
class _Comparison:
    """What all sides gave; `records` by case, side by side."""

    prompt: str
    at: float
    suite: Suite
    policy: TestPolicy
    targets: Sequence[Target]
    records: Sequence[Mapping[str, Record]]
    notes: Sequence[str]

    def document(self, objects: FolderObjects) -> dict[str, Json]:
        """Everything as data; the report of each side is written to a folder of its own."""
        return {
            "schema": 1,
            "prompt": self.prompt,
            "at": self.at,
            "cases": len(self.suite.cases),
            "repeats": self.suite.repeats or self.policy.repeats,
            "notes": list(self.notes),
            "sides": [self._side(i, name, objects) for i, name in enumerate(_names(self.targets))],
            "differing": list(self._differing()),
        }

    def _differing(self) -> Iterator[Json]:
        """Cases that do not pass equally often everywhere: None where a side could not run it completely."""
        for case in self.suite.cases:
            runs = case.runs(self.suite.repeats or self.policy.repeats)
            won = [passes(found[case.id][CANDIDATE], runs) for found in self.records]
            if len(set(won)) > 1:
                yield {"case": case.id, "runs": runs, "passes": won}

    def matrix(self) -> list[Record]:
        """Every case, and what became of it on each side; `passed` is None where it could not be run completely."""
        return [
            {
                "case": case.id,
                "description": case.description,
                "tags": list(case.tags),
                "critical": case.critical,
                "vars": {name: value[:1_000] for name, value in case.vars.items()},
                "sides": [self._of_case(case, found[case.id]) for found in self.records],
            }
            for case in self.suite.cases
        ]

    def _of_case(self, case: Case, record: Record) -> Record:
        runs = case.runs(self.suite.repeats or self.policy.repeats)
        won = passes(record[CANDIDATE], runs)
        told = telling(case, record[CANDIDATE], failing=True, passed=won)
        return {
            "passed": None if won is None else won >= (case.at_least or runs),
            "passes": won,
            "runs": runs,
            "latency_ms": latency_ms(record[CANDIDATE]),
            "reason": missing_reason(record).removeprefix(f"{CANDIDATE}: "),
            "failed": told.get("failed", []),
            "output": told.get("output", ""),
        }

    def _report(self, i: int, stable: Target | None) -> dict[str, Json]:
        """Of one side by itself, or against the first."""
        plan = make_plan(self.suite, replace(self.policy, max_cost_usd=_UNBOUNDED), self.targets[i], stable)
        collector = Collector((c.id for c in self.suite.cases), repeats=plan.repeats, absolute=stable is None)
        for case in self.suite.cases:
            first = {STABLE: self.records[0][case.id][CANDIDATE]} if stable else {}
            collector.add(case, self.records[i][case.id] | first)
        heading = Heading.of(self.prompt, self.at, self.targets[i], stable)
        return build(heading, plan, self.policy, collector, notes=self.notes)

    def _side(self, i: int, name: str, objects: FolderObjects) -> dict[str, Json]:
        alone, paired = self._report(i, None), self._report(i, self.targets[0]) if i else None
        write_report(objects, name, paired or alone)
        side, overall, sums = self.targets[i], alone["overall"], alone["sides"][CANDIDATE]
        total, answers = sums["cost_usd"], sums["runs"]
        return {
            "label": side.label,
            "model": side.model,
            "fingerprint": side.fingerprint,
            "report": f"{name}/report.html",
            "complete": overall["n"],
            "missing": overall["missing"],
            "could_not_run": [cause.removeprefix(f"{CANDIDATE}: ") for cause in causes(alone)],
            "pass_rate": overall["candidate_rate"],
            "pass_rate_interval": overall["interval"],
            "pass_k": alone["pass_k"],
            "verdict": paired["verdict"] if paired else None,
            "reasons": paired["reasons"] if paired else [],
            "difference": paired["overall"]["interval"] if paired else None,
            "margin": self.policy.margin,
            "newly_failing": _cases(paired, "newly failing"),
            "newly_passing": _cases(paired, "newly passing"),
            "latency_ms_p50": sums["latency_ms_p50"],
            "latency_ms_p95": sums["latency_ms_p95"],
            "output_tokens_mean": sums["output_tokens_mean"],
            "cost_usd": total,
            "usd_per_1000_answers": 1_000 * total / answers if total is not None and answers else None,
        }


def _cases(paired: Mapping[str, Json] | None, change: str) -> list[str]:
    return [case["case"] for case in paired["cases"] if case["change"] == change] if paired else []


def _show(console: Console, document: Mapping[str, Json], root: Path) -> None:
    from rich.table import Table

    from .terminal import bold

    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold", min_width=12)
    for name in ("pass", "vs first", "p50 ms", "p95 ms", "tokens", "USD/1000"):
        table.add_column(name, justify="right", no_wrap=True)
    for side in document["sides"]:
        gap = side["difference"]
        bounds = f"{100 * gap['estimate']:+.0f} ({100 * gap['lower']:+.0f}..{100 * gap['upper']:+.0f})" if gap else "-"
        measures = [
            _number(side[key], form)
            for key, form in (
                ("latency_ms_p50", "{:.0f}"),
                ("latency_ms_p95", "{:.0f}"),
                ("output_tokens_mean", "{:.0f}"),
                ("usd_per_1000_answers", "{:.3f}"),
            )
        ]
        table.add_row(one_line(side["label"], 100), percent(side["pass_rate"]), bounds, *measures)
    console.print(table)
    colours = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
    for side in document["sides"]:
        for cause in side["could_not_run"]:
            console.print(f"{one_line(side['label'], 100)}: missing because of {visible(cause)}", style="yellow")
        if side["verdict"] and side["complete"]:
            said = side["verdict"].upper()
            shown = bold("\n{} ", said, style=f"bold {colours[side['verdict']]}").append(one_line(side["label"], 100))
            console.print(shown)
            console.print(visible(side["reasons"][0]))
            if side["newly_failing"]:
                console.print(f"newly failing: {one_line(', '.join(side['newly_failing'][:12]), 400)}")
    console.print(f"\nAll against the first. Side by side: {root / 'comparison.html'}; junit.xml and reports beside it")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
