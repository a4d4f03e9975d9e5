"""`promptlane test`: a folder's regression tests, at the desk or in a CI job, by the engine of the release."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from promptlane.domain.errors import InvalidInput, PromptlaneError
from promptlane.domain.incoming import version_number
from promptlane.domain.text import one_line, percent, visible
from promptlane.engine.assertions import asked_by
from promptlane.engine.checks import load as load_checks
from promptlane.engine.objects import FolderObjects, KeptAnswers
from promptlane.engine.plan import Plan, make_plan
from promptlane.engine.records import Collector, record_of
from promptlane.engine.report import Heading, build
from promptlane.engine.runner import Bench, run_cases
from promptlane.engine.targets import Target
from promptlane.lifecycle.test_round import write_report
from promptlane.project import PromptProject, load_one

from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from promptlane.domain.suite.answers import Embedder, Judge, Model

Json = Any
EXIT: Final = {"pass": 0, "fail": 1, "inconclusive": 2}


@dataclass(frozen=True)
class Models:
    """Where answers, grades and embeddings come from."""

    model: Model
    judge: Callable[[str], Judge]
    embedder: Callable[[str], Embedder]


def bedrock() -> Models:
    """Bedrock, as the environment reaches it."""
    from functools import partial

    from promptlane.aws.models import BedrockEmbedder, ConverseJudge, ConverseModel
    from promptlane.aws.transport import BedrockTransport

    transport = BedrockTransport.from_environment()
    return Models(ConverseModel(transport), partial(ConverseJudge, transport), partial(BedrockEmbedder, transport))


def run_suite(
    session: Session,
    directory: Path,
    *,
    against: str | None,
    output: Path | None,
    repeats: int | None,
    concurrency: int | None,
    as_json: bool,
    models: Callable[[], Models] = bedrock,
) -> int:
    """Test what `directory` holds, against a version in Bedrock or `stable`, or by itself.

    Writes report.html, report.json and junit.xml to `output`. Returns 0 for pass, 1 for fail, 2 for inconclusive.
    """
    project = _called(session, load_one(directory))
    policy = project.policy.tests
    candidate = Target.of_draft(f"{directory} (draft)", project.draft.variants())
    stable = _stable(session, project, against) if against else None
    suite = replace(project.suite, repeats=repeats) if repeats else project.suite
    policy = replace(policy, max_concurrency=concurrency) if concurrency else policy
    plan = make_plan(suite, policy, candidate, stable)
    folder = output or Path("test-results") / project.name
    objects = FolderObjects(folder)
    made = models()
    needs = set(asked_by(a for case in suite.cases for a in case.asserts))
    bench = Bench(
        candidate=candidate,
        stable=stable,
        model=made.model,
        repeats=plan.repeats,
        concurrency=policy.max_concurrency,
        judge=made.judge(policy.judge_model) if "judge" in needs else None,
        embedder=made.embedder(policy.embedding_model) if "embedder" in needs else None,
        checks=load_checks() if suite.checks else {},
        prices=policy.prices,
        store=KeptAnswers(objects, fresh_for=policy.fresh_for, clock=session.clock),
    )
    collector = Collector((case.id for case in suite.cases), repeats=plan.repeats, absolute=stable is None)
    with nullcontext(_nothing) if as_json else _progress(session, plan) as advance:
        for run in run_cases(suite.cases, bench):
            collector.add(run.case, record_of(run))
            advance()
    heading = Heading.of(project.name, session.clock(), candidate, stable)
    report = build(heading, plan, policy, collector, notes=suite.notes)
    write_report(objects, ".", report)
    session.emit({**report, "folder": str(folder)}, as_json=as_json, show=lambda c: _summary(c, report, folder))
    return EXIT[report["verdict"]]


def _called(session: Session, project: PromptProject) -> PromptProject:
    """With models as the deployment calls them; as they are named where there is none yet."""
    try:
        return project.called_in(*session.deployment.models)
    except PromptlaneError:
        return project


def _stable(session: Session, project: PromptProject, against: str) -> Target:
    prompt_id, name = session.deployment.prompt(project.name)
    if against == "stable":
        route = session.deployment.routes.get(name)
        if route is None:
            raise InvalidInput(f"{name} has no stable version yet; leave --against out to test the draft by itself")
        number = route.stable.version
    elif given := version_number(against):
        number = given
    else:
        raise InvalidInput(f"--against {against!r}: give a version number, or `stable`")
    version = session.deployment.prompts.version(prompt_id, number)
    return replace(Target.of_version(version), arn="")  # rendered here, by the same way as the draft: a fair pair


def _nothing() -> None:
    return


@contextmanager
def _progress(session: Session, plan: Plan) -> Iterator[Callable[[], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    session.console.print(plan.sentence + ".")
    for warning in plan.warnings:
        session.console.print(warning, style="yellow")
    columns = (TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=session.console, transient=True) as progress:
        task = progress.add_task("cases", total=plan.cases)
        yield lambda: progress.advance(task)


def _summary(console: Console, report: Mapping[str, Json], folder: Path) -> None:
    from rich.table import Table

    from .terminal import bold

    colour = {"pass": "green", "fail": "red", "inconclusive": "yellow"}[report["verdict"]]
    table = Table(box=None, pad_edge=False)
    for name in ("", "cases", "stable", "candidate", "interval", "finding"):
        table.add_column(name, justify="left" if name in ("", "finding") else "right")
    for c in [report["overall"], *report["slices"]]:
        interval = c["interval"]
        bounds = f"{100 * interval['lower']:+.1f} .. {100 * interval['upper']:+.1f}" if interval else "-"
        finding = "too small to judge" if c["too_small"] and c["finding"] == "inconclusive" else c["finding"]
        rates = [percent(c["stable_rate"]), percent(c["candidate_rate"])]
        table.add_row(one_line(c["name"], 100), str(c["n"]), *rates, bounds, finding)
    console.print(table)
    for change in ("newly failing", "missing", "flaky"):
        found = [c["case"] for c in report["cases"] if c["change"] == change]
        if found:
            rest = f" and {len(found) - 12} more" if len(found) > 12 else ""
            called = "failing" if report["absolute"] and change == "newly failing" else change
            console.print(bold(f"{{}} ({len(found)}): ", called).append(one_line(", ".join(found[:12]), 2000) + rest))
    console.print(bold("\n{}", report["verdict"].upper(), style=f"bold {colour}"))
    for reason in report["reasons"][:4]:
        console.print(visible(reason))
    if report["cost_usd"] is not None:
        console.print(f"cost {report['cost_usd']:.4f} USD")
    console.print(f"report: {folder / 'report.html'}")
