"""What commands that ask models share: where answers come from, the plan's bench, and a bar of what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptlane.engine.assertions import asked_by
from promptlane.engine.checks import load as load_checks
from promptlane.engine.objects import KeptAnswers
from promptlane.engine.runner import Bench

from .session import Session

if TYPE_CHECKING:
    from promptlane.domain.policy import TestPolicy
    from promptlane.domain.ports import Objects
    from promptlane.domain.suite.answers import Embedder, Judge, Model
    from promptlane.engine.suite import Suite
    from promptlane.engine.targets import Target

Json = Any


def _reached() -> None:
    return


@dataclass(frozen=True)
class Models:
    """Where answers, grades and embeddings come from. `reach` raises Unavailable, with the cause, where none can."""

    model: Model
    judge: Callable[[str], Judge]
    embedder: Callable[[str], Embedder]
    reach: Callable[[], None] = _reached


def bedrock() -> Models:
    """Bedrock, as the environment reaches it."""
    from functools import partial

    from promptlane.aws.models import BedrockEmbedder, ConverseJudge, ConverseModel
    from promptlane.aws.transport import BedrockTransport

    transport = BedrockTransport.from_environment()
    return Models(
        ConverseModel(transport),
        partial(ConverseJudge, transport),
        partial(BedrockEmbedder, transport),
        transport.reach,
    )


def bench_of(
    session: Session,
    models: Models,
    suite: Suite,
    policy: TestPolicy,
    candidate: Target,
    stable: Target | None,
    *,
    objects: Objects,
    concurrency: int,
) -> Bench:
    """What runs the suite's cases; `objects`: where answers are kept."""
    needs = set(asked_by(a for case in suite.cases for a in case.all_asserts))
    return Bench(
        candidate=candidate,
        stable=stable,
        model=models.model,
        repeats=suite.repeats or policy.repeats,
        concurrency=concurrency,
        judge=models.judge(policy.judge_model) if "judge" in needs else None,
        embedder=models.embedder(policy.embedding_model) if "embedder" in needs else None,
        checks=load_checks() if suite.checks else {},
        prices=policy.prices,
        store=KeptAnswers(objects, fresh_for=policy.fresh_for, clock=session.clock),
    )


@contextmanager
def progress(session: Session, what: str, total: int, said: Sequence[str]) -> Iterator[Callable[[], None]]:
    """Prints the plan, then shows a bar; what it gives is called for each that is done. `said`: plan, then warnings."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    session.console.print(said[0])
    for warning in said[1:]:
        session.console.print(warning, style="yellow")
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=session.console, transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda: shown.advance(task)
