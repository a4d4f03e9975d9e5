"""The test step of a release in three stages, as the workflow runs them: plan, run a batch, grade.

Everything big lies in objects under `releases/<release id>/tests/<round>/`: `plan.json` (both versions and the limits),
`cases.jsonl`, `items.jsonl` (where each case stands in it), `results/<first case>.jsonl` per batch, and the report in
three forms. The workflow's state holds keys and counts only, so suites of any size pass through it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from promptlane.domain.canary.waits import next_wait
from promptlane.domain.errors import InvalidInput, NotFound
from promptlane.domain.names import prompt_id_of
from promptlane.domain.policy import TestPolicy
from promptlane.domain.ports import Clock, Enrolments, PromptReader, ReleaseStore, RouteStore, Turns
from promptlane.domain.release.content import is_content_of, rounding, vouches
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry, digest
from promptlane.domain.suite.answers import CALL_SECONDS, Embedder, Judge, Model
from promptlane.engine.assertions import asked_by
from promptlane.engine.caching import cold_cache
from promptlane.engine.checks import load
from promptlane.engine.junit import junit
from promptlane.engine.objects import KeptAnswers, ReportBucket, json_lines
from promptlane.engine.parse import parse
from promptlane.engine.plan import Plan, TestPlanRefused, make_plan
from promptlane.engine.records import Collector, record_of
from promptlane.engine.report import Heading, build
from promptlane.engine.runner import GRADING_SECONDS, Bench, Retry, run_cases
from promptlane.engine.suite import Case
from promptlane.engine.targets import Target
from promptlane.pages.test_report import page

from .identities import remade

Json = Any
SPARE_SECONDS: Final = CALL_SECONDS + GRADING_SECONDS + 15.0
"""Kept of a batch's time: for the calls that are under way, for grading what was answered, and for writing it down."""


LONGEST_TURN: Final = 6 * 3600.0
"""Seconds after which a turn is over that nobody gave back."""
_LEAST_WAIT, _MOST_WAIT = 5.0, 600.0
"""Seconds between two questions for the turn: rounds take minutes, and a release may wait out a week."""


def folder(release_id: str, round: int) -> str:
    """Where a round of tests keeps everything."""
    return f"releases/{release_id}/tests/{round}"


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Begins rounds of tests. `turns`: for accounts with few concurrent executions, where one round runs at a time;
    `most_functions`: how many functions it may run in at once, however many calls its policy allows. None and 0 bound
    nothing.
    """

    releases: ReleaseStore
    routes: RouteStore
    prompts: PromptReader
    enrolments: Enrolments
    objects: ReportBucket
    clock: Clock
    turns: Turns | None = None
    most_functions: int = 0

    def plan(self, release_id: str) -> dict[str, Json]:
        """Start a round: bind the stable version of now, lay out the items, state what the run can show and cost.

        While another release has the turn nothing starts, and `wait_seconds` says when to ask again. Asked again after
        an answer that was lost, it lays out the same round again. Raises TestPlanRefused.
        """
        release = self.releases.get(release_id)
        now = self.clock()
        if self.turns is not None and not self.turns.take(release_id, now, now + LONGEST_TURN):
            wait = min(_MOST_WAIT, next_wait(release.started_at, now, least=_LEAST_WAIT))
            return {
                "bucket": "",
                "key": "",
                "count": 0,
                "round": release.round,
                "first": False,
                "max_concurrency": 1,
                "batch_size": 1,
                "wait_seconds": int(wait),
            }
        if release.candidate is None:
            raise TestPlanRefused(f"release {release_id} was never admitted; ask for a new release")
        again = release.state == "testing" and release.round > 0 and not release.verdict
        if again:
            stable = release.stable
        else:
            route = self.routes.get(release.prompt)
            lost = remade(self.prompts, route, release.prompt_id)
            stable = route.stable if route and not lost else None
        whole = self.enrolments.policy(release.policy_sha256)
        policy = whole.tests
        suite = parse(self.enrolments.suite(release.suite_sha256))
        candidate_target = _target(self.prompts, release, release.candidate)
        stable_target = _target(self.prompts, release, stable) if stable else None
        cold = cold_cache(whole, (target.variant for target in (candidate_target, stable_target) if target))
        made = make_plan(suite, policy, candidate_target, stable_target, warnings=cold)
        round = release.round if again else release.round + 1
        base = folder(release_id, round)
        _lay_out(self.objects, base, suite.cases)
        settings = {
            "plan": made.to_dict(),
            "policy": _plain_policy(policy),
            "candidate": _plain_target(candidate_target),
            "stable": _plain_target(stable_target) if stable_target else None,
            "bound": {"candidate": release.candidate.fingerprint, "stable": stable.fingerprint if stable else None},
            "notes": list(suite.notes),
            "kinds": sorted(suite.kinds),
        }
        self.objects.put(f"{base}/plan.json", json.dumps(settings, ensure_ascii=False).encode())
        entry = TimelineEntry(
            f"{release_id}/tests/{round}/planned",
            release_id,
            self.clock(),
            Event.TESTS_PLANNED,
            detail={
                "round": round,
                "cases": made.cases,
                "repeats": made.repeats,
                "calls": made.calls,
                "cost_at_most_usd": round_usd(made.cost_usd),
                "stable": stable.version if stable else None,
                "stable_fingerprint": stable.fingerprint if stable else None,
                "summary": made.sentence,
                "warnings": list(made.warnings),
            },
        )
        if not again:
            planned = replace(release, state="testing", round=round, stable=stable, step=0, verdict={}, approval={})
            self.releases.update(planned, entry)
        return {
            "bucket": self.objects.bucket,
            "key": f"{base}/items.jsonl",
            "count": made.cases,
            "round": round,
            "first": stable is None,
            "max_concurrency": min(made.parallel, self.most_functions or made.parallel),
            "batch_size": made.batch_size,
            "wait_seconds": 0,
        }


@dataclass(frozen=True, kw_only=True)
class BatchRunner:
    """Runs batches of a round. `judge` and `embedder` make the adapter for a model id."""

    objects: ReportBucket
    model: Model
    judge: Callable[[str], Judge]
    embedder: Callable[[str], Embedder]
    clock: Clock
    retry: Retry = field(default_factory=Retry)

    def run(
        self, release_id: str, round: int, items: Sequence[Mapping[str, Json]], *, deadline: float | None = None
    ) -> dict[str, int]:
        """Run the cases of one batch and write their results; (done, missing) counts cases.

        `deadline`: monotonic seconds. Run twice, the second run writes the same object again.
        """
        if not items:
            return {"done": 0, "missing": 0}
        base = folder(release_id, round)
        settings = json.loads(self.objects.get(f"{base}/plan.json"))
        policy, plan = _policy_of(settings["policy"]), settings["plan"]
        cases = list(_read_cases(self.objects, base, items))
        needs = {n for case in cases for n in asked_by(case.all_asserts)}
        bench = Bench(
            candidate=_target_of(settings["candidate"]),
            stable=_target_of(settings["stable"]) if settings["stable"] else None,
            model=self.model,
            repeats=plan["repeats"],
            concurrency=plan["threads"],
            judge=self.judge(policy.judge_model) if "judge" in needs else None,
            embedder=self.embedder(policy.embedding_model) if "embedder" in needs else None,
            checks=load() if "python" in settings["kinds"] else {},
            prices=policy.prices,
            store=KeptAnswers(self.objects, fresh_for=policy.fresh_for, clock=self.clock),
            retry=self.retry,
            deadline=None if deadline is None else deadline - SPARE_SECONDS,
        )
        found = {run.case.id: record_of(run) for run in run_cases(cases, bench)}
        records = [
            found[case.id] for case in cases if case.id in found
        ]  # as they stand in the suite, however they ended
        self.objects.put(
            f"{base}/results/{items[0]['i']:06d}.jsonl", b"".join(json_lines(records)), "application/x-ndjson"
        )
        missing = sum(any("passed" not in r for r in rec["candidate"] + (rec.get("stable") or [])) for rec in records)
        return {"done": len(records) - missing, "missing": missing}


def grade(
    release_id: str, round: int, *, releases: ReleaseStore, objects: ReportBucket, clock: Clock
) -> dict[str, Json]:
    """Add everything up, decide, write the report and the timeline entry, which names the report by its digests.

    Asked again, it answers what it answered first: what the timeline names is not written anew.
    """
    release = releases.get(release_id)
    verdict = release.verdict
    if verdict.get("round") != round:
        verdict = _graded(release, round, releases=releases, objects=objects, clock=clock)
    return {
        "verdict": verdict["verdict"],
        "proceed": verdict["proceed"],
        "report_key": verdict["report_key"],
        "reason": f"tests {verdict['verdict']}: {verdict['reason']}"[:1_500],
    }


def _graded(
    release: Release, round: int, *, releases: ReleaseStore, objects: ReportBucket, clock: Clock
) -> dict[str, Json]:
    """The verdict, written down with report and timeline entry."""
    release_id = release.release_id
    base = folder(release_id, round)
    settings = json.loads(objects.get(f"{base}/plan.json"))
    report = grade_results(release, round, settings, objects, clock())
    digests = write_report(objects, base, report)
    sides = {side: settings[side] and settings[side]["fingerprint"] for side in ("candidate", "stable")}
    verdict = {
        **sides,
        # As the release names them, which may be by an older schema than the report.
        **settings.get("bound", {}),
        "verdict": report["verdict"],
        "proceed": report["proceed"],
        "reason": report["reason"],
        "round": round,
        "report_key": f"{base}/report.json",
    }
    entry = TimelineEntry(
        f"{release_id}/tests/{round}/finished",
        release_id,
        clock(),
        Event.TESTS_FINISHED,
        detail={
            "round": round,
            "verdict": report["verdict"],
            "proceed": report["proceed"],
            "reason": report["reason"],
            "candidate": verdict["candidate"],
            "stable": verdict["stable"],
            "counts": report["counts"],
            "cost_usd": None if report["cost_usd"] is None else round_usd(report["cost_usd"]),
            "report": f"{base}/report.html",
            "sha256": digests,
        },
    )
    releases.update(replace(release, verdict=verdict), entry)
    return verdict


def grade_results(
    release: Release, round: int, settings: Mapping[str, Json], objects: ReportBucket, at: float
) -> dict[str, Json]:
    """The report of a round from its result objects. A case without a result is missing."""
    base = folder(release.release_id, round)
    candidate = _target_of(settings["candidate"])
    stable = _target_of(settings["stable"]) if settings["stable"] else None
    plan, policy = _plan_of(settings["plan"]), _policy_of(settings["policy"])
    cases = {case.id: case for case in map(_case, objects.get(f"{base}/cases.jsonl").splitlines())}
    collector = Collector(cases, repeats=plan.repeats, absolute=stable is None)
    for key in objects.keys(f"{base}/results/"):
        for line in objects.get(key).splitlines():
            record = json.loads(line)
            case = cases.pop(record["case"], None)
            if case is not None:
                collector.add(case, record)
    for case in cases.values():
        collector.add(case, None)
    heading = Heading.of(release.prompt, at, candidate, stable, release_id=release.release_id, round=round)
    return build(heading, plan, policy, collector, notes=settings["notes"])


def write_report(objects: ReportBucket, base: str, report: Mapping[str, Json]) -> dict[str, str]:
    """report.json, report.html and junit.xml; the digest of each by its key."""
    plain = json.dumps(report, ensure_ascii=False).encode("utf-8", "replace")
    written = {
        f"{base}/report.json": (plain, "application/json"),
        f"{base}/report.html": (page(report), "text/html; charset=utf-8"),
        f"{base}/junit.xml": (junit(report), "application/xml"),
    }
    for key, (body, content_type) in written.items():
        objects.put(key, body, content_type)
    return {key: digest(body) for key, (body, _) in written.items()}


def round_usd(value: float) -> float:
    return float(f"{value:.6f}")


def _target(prompts: PromptReader, release: Release, ref: VersionRef) -> Target:
    try:
        version = prompts.version(prompt_id_of(ref.arn) or release.prompt_id, ref.version)
    except NotFound as error:
        raise TestPlanRefused(f"version {ref.version} cannot be read any more: {error}") from error
    fits = vouches if ref == release.candidate else is_content_of
    if not fits(ref.fingerprint, version.variants):
        raise TestPlanRefused(
            f"version {ref.version} has fingerprint {version.fingerprint[:12]}, not {ref.fingerprint[:12]} as "
            f"recorded{rounding(ref.fingerprint, version.variants)}; what is tested must be what is released"
        )
    return replace(Target.of_version(version), arn=ref.arn)


def _lay_out(objects: ReportBucket, base: str, cases: Sequence[Case]) -> None:
    lines = list(json_lines(c.to_dict() for c in cases))
    items, start = [], 0
    for i, line in enumerate(lines):
        items.append({"i": i, "s": start, "e": start + len(line)})
        start += len(line)
    objects.put(f"{base}/cases.jsonl", b"".join(lines), "application/x-ndjson")
    objects.put(f"{base}/items.jsonl", b"".join(json_lines(items)), "application/x-ndjson")


def _read_cases(objects: ReportBucket, base: str, items: Sequence[Mapping[str, Json]]) -> Iterator[Case]:
    """The cases of a batch; neighbours are read together."""
    spans: list[list[int]] = []
    for item in sorted(items, key=lambda i: int(i["s"])):
        if spans and spans[-1][1] == int(item["s"]):
            spans[-1][1] = int(item["e"])
        else:
            spans.append([int(item["s"]), int(item["e"])])
    for start, end in spans:
        for line in objects.get_range(f"{base}/cases.jsonl", start, end).splitlines():
            yield _case(line)


def _case(line: bytes) -> Case:
    return parse({"tests": [json.loads(line)]}).cases[0]


def _plain_target(target: Target) -> dict[str, Json]:
    return {
        "label": target.label,
        "fingerprint": target.fingerprint,
        "variant": dict(target.variant),
        "arn": target.arn,
    }


def _target_of(data: Mapping[str, Json]) -> Target:
    return Target(data["label"], data["fingerprint"], data["variant"], data["arn"])


def _plain_policy(policy: TestPolicy) -> dict[str, Json]:
    return asdict(policy)


def _policy_of(data: Mapping[str, Json]) -> TestPolicy:
    prices = {k: tuple(float(one) for one in v) for k, v in data["prices"].items()}
    return TestPolicy(**{**data, "must_pass": tuple(data["must_pass"]), "prices": prices})


def _plan_of(data: Mapping[str, Json]) -> Plan:
    try:
        return Plan(**{**data, "warnings": tuple(data["warnings"])})
    except TypeError as error:
        raise InvalidInput(f"plan.json was written by another version of this code: {error}") from error
