"""`promptlane test`: a folder's regression tests, at the desk or in a CI job, by the engine of the release."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from promptlane.domain.errors import InvalidInput, PromptlaneError
from promptlane.domain.incoming import version_number
from promptlane.domain.model_regions import profiled
from promptlane.engine.caching import cold_cache
from promptlane.engine.objects import FolderObjects
from promptlane.engine.plan import make_plan
from promptlane.engine.records import Collector, record_of
from promptlane.engine.report import Heading, build
from promptlane.engine.runner import run_cases
from promptlane.engine.targets import Target
from promptlane.lifecycle.test_round import write_report
from promptlane.project import PromptProject, load_one

from .bench import Models, bedrock, bench_of, progress
from .deployment import Deployment
from .drift import differences
from .group import COULD_NOT
from .guarding import guarded
from .session import Session
from .tested import causes, summary

Json = Any
EXIT: Final = {"pass": 0, "fail": 1, "inconclusive": 2}


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

    Writes report.html, report.json and junit.xml to `output`. Returns 0 for pass, 1 for fail, 2 for inconclusive, 3
    where not one case could be run. Raises InvalidInput before any call is paid for.
    """
    project, deployment = called(session, load_one(directory))
    policy = project.policy.tests
    candidate = Target.of_draft(f"{directory} (draft)", project.draft.variants())
    stable = version_of(session.deployment, project.name, against, "--against") if against else None
    suite = replace(project.suite, repeats=repeats) if repeats else project.suite
    cold = cold_cache(project.policy, (target.variant for target in (candidate, stable) if target))
    bounded = replace(policy, max_concurrency=concurrency) if concurrency else policy
    plan = make_plan(suite, bounded, candidate, stable, warnings=cold)
    warnings = differences(project, deployment)
    folder = output or Path("test-results") / project.name
    objects = FolderObjects(folder)
    objects.make()
    made = models()
    made.reach()
    bench = bench_of(
        session,
        made,
        suite,
        policy,
        candidate,
        stable,
        objects=objects,
        concurrency=concurrency or policy.max_concurrency,
    )
    collector = Collector((case.id for case in suite.cases), repeats=plan.repeats, absolute=stable is None)
    said = [f"{plan.sentence}.", *plan.warnings, *warnings]
    with nullcontext(_nothing) if as_json else progress(session, "cases", plan.cases, said) as advance:
        for run in run_cases(suite.cases, bench):
            collector.add(run.case, record_of(run))
            advance()
    heading = Heading.of(project.name, session.clock(), candidate, stable)
    report = build(heading, plan, policy, collector, notes=[*suite.notes, *warnings])
    write_report(objects, ".", report)
    could_not = not report["overall"]["n"]
    document = {**report, "folder": str(folder)} | ({"could_not_run": causes(report)} if could_not else {})
    session.emit(document, as_json=as_json, show=lambda console: summary(console, report, folder))
    return COULD_NOT if could_not else EXIT[report["verdict"]]


def called(session: Session, project: PromptProject) -> tuple[PromptProject, Deployment | None]:
    """The project with models as the deployment calls them; as they are named, and None, where there is none yet.

    Its guardrail, where that is called by name, is the one that the deployment knows. InvalidInput where it knows none.
    """
    deployment = session.reachable
    project = replace(project, draft=guarded(project.draft, deployment))
    try:
        return (project.called_in(*deployment.models) if deployment else project), deployment
    except PromptlaneError:  # a deployment of which not every stack is there
        return project, None


def profile(deployment: Deployment | None, model: str) -> str:
    """A model as the deployment calls it; as it is named where there is none."""
    try:
        region, group = deployment.models if deployment else ("", "")
    except PromptlaneError:  # as above
        return model
    return profiled(model, group, region)


def version_of(deployment: Deployment, prompt: str, which: str, option: str) -> Target:
    """A version in Bedrock: its number, or `stable`."""
    prompt_id, name = deployment.prompt(prompt)
    if which == "stable":
        route = deployment.routes.get(name)
        if route is None:
            raise InvalidInput(f"{name} has no stable version yet; leave {option} out to test the draft by itself")
        number = route.stable.version
    elif given := version_number(which):
        number = given
    else:
        raise InvalidInput(f"{option} {which!r}: give a version number, or `stable`")
    version = deployment.prompts.version(prompt_id, number)
    return replace(Target.of_version(version), arn="")  # rendered here, by the same way as the draft: a fair pair


def _nothing() -> None:
    return
