"""`promptlane agreement`: how often a judge model agrees with people, over labelled answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from promptlane.domain.errors import InvalidInput
from promptlane.domain.policy import TestPolicy
from promptlane.domain.release.timeline import iso
from promptlane.domain.text import one_line, visible
from promptlane.engine.agreement import Graded, Labelled, agreements, graded, most_usd, name_of, read_labels
from promptlane.engine.assertions import Grader, asked_by
from promptlane.engine.runner import Bench, patient
from promptlane.engine.targets import Target
from promptlane.project import load_one

from .bench import Models, bedrock, progress
from .group import COULD_NOT
from .session import Session
from .terminal import as_json as text_of
from .test import profile

if TYPE_CHECKING:
    from rich.console import Console

Json = Any
OURS: Final = "labelled.jsonl"
_TOLD: Final = 8
_REASON: Final = 1_000


def agreement(
    session: Session,
    directory: Path | None,
    *,
    judges: Sequence[str] | None,
    labels: Path | None,
    output: Path | None,
    concurrency: int,
    as_json: bool,
    models: Callable[[], Models] = bedrock,
) -> int:
    """Grade every labelled row with each judge; print and write what agrees. Returns 0, or 3 where no row was graded.

    `directory`: its policy says judge, embedding model, prices and the most that it may cost; the defaults without it.
    Raises InvalidInput before any call is paid for.
    """
    rows = read_labels(*_file(labels))
    policy = load_one(directory).policy.tests if directory else TestPolicy()
    deployment = session.reachable
    policy = replace(policy, embedding_model=profile(deployment, policy.embedding_model))
    names = dict.fromkeys(profile(deployment, one) for one in judges or (policy.judge_model,))
    chosen = [replace(policy, judge_model=name) for name in names]
    most = sum(most_usd(rows, one) for one in chosen)
    if output is not None:
        _write(output, "")
    made = models()
    made.reach()
    said = [f"{len(rows)} labelled rows x {len(chosen)} judges, at most {most:.4f} USD."]
    with nullcontext(_nothing) if as_json else progress(session, "rows", len(rows) * len(chosen), said) as done:
        found = [list(graded(rows, _grader(made, one, rows), concurrency=concurrency, done=done)) for one in chosen]
    document = {
        "at": iso(session.clock()),
        "labels": {"name": str(labels or OURS), "sha256": name_of(rows), "rows": len(rows)},
        "embedding_model": policy.embedding_model,
        "judges": [_measured(one.judge_model, grades) for one, grades in zip(chosen, found, strict=True)],
    }
    if output is not None:
        _write(output, text_of(document) + "\n")
    session.emit(document, as_json=as_json, show=lambda console: _show(console, document))
    return 0 if any(one.grade for grades in found for one in grades) else COULD_NOT


def _nothing() -> None:
    return


def _file(labels: Path | None) -> tuple[str, bytes]:
    if labels is None:
        return OURS, files("promptlane.cli").joinpath(OURS).read_bytes()
    try:
        return labels.name, labels.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{labels} cannot be read ({error.strerror}); name a file of labelled rows") from error


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written ({error.strerror}); choose another --output") from error


def _grader(made: Models, policy: TestPolicy, rows: Sequence[Labelled]) -> Grader:
    needs = set(asked_by(a for row in rows for a in row.case.asserts))
    bench = Bench(
        candidate=Target("labelled rows", "", {}),  # nothing is answered: the rows hold the answers
        stable=None,
        model=made.model,
        judge=made.judge(policy.judge_model) if "judge" in needs else None,
        embedder=made.embedder(policy.embedding_model) if "embedder" in needs else None,
    )
    judge, embedder = patient(bench)
    return Grader(judge=judge, embedder=embedder)


def _measured(judge: str, found: Sequence[Graded]) -> dict[str, Json]:
    disagreed = [one for one in found if one.grade is not None and one.grade.passed != one.row.holds]
    return {
        "judge_model": judge,
        "kinds": [one.to_dict() for one in agreements(found)],
        "disagreements": [
            {
                "id": one.row.case.id,
                "type": one.row.kind,
                "holds": one.row.holds,
                "passed": not one.row.holds,
                "score": one.grade.score,
                "reason": one.grade.reason[:_REASON],
            }
            for one in disagreed
            if one.grade is not None
        ],
        "missing": dict(Counter(one.missing[:_REASON] for one in found if one.missing).most_common()),
    }


def _show(console: Console, document: Mapping[str, Json]) -> None:
    from rich.table import Table

    from .terminal import bold

    for judge in document["judges"]:
        console.print(bold("\n{}", judge["judge_model"]))
        table = Table(box=None, pad_edge=False)
        for name in ("type", "rows", "agrees", "true pos.", "false pos.", "missing"):
            table.add_column(name, justify="left" if name == "type" else "right")
        for kind in judge["kinds"]:
            shares = [_share(kind[name]) for name in ("agrees", "true_positives", "false_positives")]
            table.add_row(one_line(kind["kind"], 30), str(kind["rows"]), *shares, str(kind["missing"] or ""))
        console.print(table)
        for one in judge["disagreements"][:_TOLD]:
            said = "passes, and should not" if one["passed"] else "fails, and should not"
            console.print(f"{one['id']} {said}: {one_line(one['reason'] or 'no reason', 300)}")
        if (left := len(judge["disagreements"]) - _TOLD) > 0:
            console.print(f"{left} more disagreements are in the JSON document")
        for why, count in list(judge["missing"].items())[:3]:
            console.print(f"missing because of {visible(why)} ({count} rows)", style="yellow")
    labels = document["labels"]
    console.print(
        f"\nbrackets: 95 % intervals (Wilson). Set {visible(labels['name'])} {labels['sha256'][:12]}, embeddings by "
        f"{document['embedding_model']}. The figures are those of the judge model named, of no other."
    )


def _share(share: Mapping[str, Json]) -> str:
    interval = share["interval"]
    if interval is None:
        return "-"
    return f"{100 * interval['estimate']:.0f}% ({100 * interval['lower']:.0f}-{100 * interval['upper']:.0f})"
