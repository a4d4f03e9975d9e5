"""One row, or one entry, makes a new guard metric, event, assertion or rule of a review: it works everywhere at once.

Each test adds one where CONTRIBUTING.md says that it goes, and follows it to the end; a list kept somewhere else shows.
Alarms are added in `tests/infra/test_one_row.py`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from promptlane.cli.show import timeline_table
from promptlane.client import metrics as client_metrics
from promptlane.client.decision import Decision as Routed
from promptlane.domain import policy as policy_module
from promptlane.domain.canary.blocks import Arm, Block
from promptlane.domain.canary.judge import StepContext, judge
from promptlane.domain.canary.outcome import of_answer
from promptlane.domain.canary.plan import estimate
from promptlane.domain.investigation.investigation import conclude
from promptlane.domain.investigation.invocation import read_record
from promptlane.domain.investigation.queries import records_of
from promptlane.domain.investigation.sources import CallGroup, Cell, Gathered, LoggingState, Sampled
from promptlane.domain.metrics import GUARD_METRICS, GuardMetric, values_of
from promptlane.domain.names import Phase
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy, Reviewer, ReviewPolicy, Step
from promptlane.domain.release.prompt import PromptVersion, VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry, iso
from promptlane.domain.review import rules
from promptlane.domain.review.brief import VerdictShown, make_brief
from promptlane.domain.review.mail import WayIn, review_mail
from promptlane.domain.review.reading import reading
from promptlane.domain.review.review import Authors, Choice, ReviewDecision, ReviewRequest, reviewer_key
from promptlane.domain.review.rules import Rule, Standing, out_of_reach, tally
from promptlane.domain.review.visit import Door, Visit
from promptlane.domain.suite.answers import Answer
from promptlane.domain.trail import TrailAnswer, Window
from promptlane.engine import assertions
from promptlane.engine.assertions import Grader, Kind
from promptlane.engine.parse import parse
from promptlane.engine.plan import TestPlanRefused, make_plan
from promptlane.engine.runner import Bench, run_cases
from promptlane.engine.suite import Assertion, Case
from promptlane.engine.targets import Target
from promptlane.fakes import FakeAlarms, FakeCounts, FakeEnrolments, FakeNotices, InMemoryReleases, InMemoryRoutes
from promptlane.fakes.counts import InMemoryBlocks
from promptlane.fakes.objects import ScriptedJudge, ScriptedModel
from promptlane.fakes.world import FakePrompts
from promptlane.lifecycle.investigate.run import Sources, investigate
from promptlane.lifecycle.judge_step import Ports, Timing, look
from promptlane.lifecycle.telling import Telling
from promptlane.pages.investigation_page import investigation_page
from promptlane.pages.review_page import Addresses, review_page
from tests.support.prompt import ID, PROMPT, RELEASE

T0 = 1_700_000_040.0
NAME = PROMPT
ANA, BO = Reviewer("Ana", "ana@example.com", ("legal",)), Reviewer("Bo", "bo@example.com")
V1, V2 = (VersionRef(n, f"{n}" * 64, f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}:{n}") for n in (1, 2))

# --- a guard metric -------------------------------------------------------------------------------------------------

SHOUTED = GuardMetric(
    "ShoutedAnswer",
    "shouted answers",
    "were shouted at",
    lambda call: call.text.isupper(),
    r'"text"\s*:\s*"[A-Z !]+"',
    watched=True,
    margin=0.03,
    required=True,
)


@pytest.fixture
def shouted(monkeypatch: pytest.MonkeyPatch) -> GuardMetric:
    monkeypatch.setitem(GUARD_METRICS, SHOUTED.name, SHOUTED)
    return SHOUTED


def policy_of(*guards: GuardPolicy) -> Policy:
    canary = CanaryPolicy((Step(2000, 600, 7200),), guards, ladder=(1.0,)) if guards else CanaryPolicy()
    return Policy(ReviewPolicy((ANA, BO)), canary=canary)


def harmful(count: int = 60) -> list[Block]:
    arms = (
        Arm(80, 1, ((5, 1), *[(5, 0)] * 15)),
        Arm(24, 6, (*[(2, 1)] * 6, *[(2, 0)] * 2, *[(1, 0)] * 8)),
    )
    return [Block(T0 + 60 * i, 60.0, 0.2, *arms) for i in range(count)]


def test_a_metric_of_one_row_is_read_watched_and_written_by_policies(shouted: GuardMetric) -> None:
    data = {"review": {"reviewers": [{"name": "Ana", "email": "ana@example.com"}]}}
    assert GuardPolicy(shouted, margin_abs=0.03, required=True) in Policy.from_dict(data).canary.guard_metrics
    named = Policy.from_dict({**data, "canary": {"guard_metrics": {"shouted_answer": {"margin_abs": "4%"}}}})
    assert named.canary.guard_metrics == (GuardPolicy(shouted, margin_abs=0.04),)
    assert named.to_dict()["canary"]["guard_metrics"][0]["name"] == "ShoutedAnswer"
    assert Policy.from_dict(json.loads(json.dumps(named.to_dict()))) == named


def test_a_metric_of_one_row_is_sent_with_every_call(shouted: GuardMetric) -> None:
    routed = Routed(prompt=NAME, version=2, version_arn="arn", track="canary", release_id=RELEASE, phase="canary")
    for text, value in (("HELLO!", 1), ("Hello", 0)):
        outcome = of_answer(text=text, stop_reason="end_turn", latency_ms=1, slow_after_ms=2)
        for document in client_metrics.finished(routed, "", "0", outcome, started_at=T0, now=T0):
            assert document.values["ShoutedAnswer"] == value
            assert "ShoutedAnswer" in document.directives[0].metrics


def test_a_metric_of_one_row_is_planned_with_judged_and_told(shouted: GuardMetric) -> None:
    made = policy_of(GuardPolicy(shouted, margin_abs=0.001))
    assert estimate(made, 100.0).steps[0].slowest == "ShoutedAnswer"
    context = StepContext(Phase.CANARY, 0, since=T0, phase_since=T0)
    found = judge({"ShoutedAnswer": harmful()}, [], made, context, T0 + 3600)
    assert (found.judgement, found.guilty) == ("roll_back", "ShoutedAnswer")
    assert found.reason.startswith("ShoutedAnswer: 360 of 1,440 canary requests (25%) were shouted at, ")
    assert "ShoutedAnswer" in found.to_dict()["metrics"]


def test_a_look_reads_a_metric_of_one_row_and_rolls_back(shouted: GuardMetric) -> None:
    counts = FakeCounts()
    for number in range(2400):
        at, version, group = T0 + number, 2 if number % 5 == 0 else 1, number // 5 % 8
        counts.record(NAME, version, "Assigned", at, group=group)
        counts.record(NAME, version, "ShoutedAnswer", at, bad=int(number % 15 == 0), group=group)
    enrolments = FakeEnrolments({NAME: policy_of(GuardPolicy(shouted))})
    releases, routes = InMemoryReleases(), InMemoryRoutes()
    sha256, _ = enrolments.capture(NAME)
    record = Release(RELEASE, NAME, T0, "ops", state="canary", candidate=V2, stable=V1, policy_sha256=sha256)
    releases.start(record, TimelineEntry(f"{RELEASE}/started", RELEASE, T0, Event.STARTED))
    canary = Route(NAME, ID, V1, canary=V2, weight=2000, release_id=RELEASE, phase=Phase.CANARY, phase_since=T0)
    routes.put(replace(canary, shifts=((T0, 2000),)), expected=None)
    telling = Telling(releases=releases, notices=FakeNotices(), clock=lambda: T0, log=lambda text: None)
    ports = Ports(routes, releases, enrolments, counts, InMemoryBlocks(), FakeAlarms(), telling, Timing.at(60))
    seen = look(ports, release_id=RELEASE, phase=Phase.CANARY, step=0, now=T0 + 3000)
    assert (seen.judgement, seen.evidence["guilty"]) == ("roll_back", "ShoutedAnswer")


def record(text: str) -> dict[str, Any]:
    output = {"output": {"message": {"content": [{"text": text}]}}, "stopReason": "end_turn"}
    asked = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    return {
        "schemaType": "ModelInvocationLog",
        "timestamp": iso(T0),
        "requestMetadata": {"prompt": NAME, "version": "2"},
        "input": {"inputBodyJson": asked},
        "output": {"outputBodyJson": output},
    }


def test_a_metric_of_one_row_is_read_from_the_invocation_log(shouted: GuardMetric) -> None:
    assert read_record(record("HELLO!")).bad == {"ShoutedAnswer"}
    assert read_record(record("Hello")).bad == frozenset()
    assert shouted.signs in records_of(NAME, 2, 10, suspicious=True)


class Quiet:
    """Sources of an investigation that know of nothing but rates and a record."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = cells
        self.asked: Sequence[str] = ()

    def cells(self, prompt: str, *, metrics: Sequence[str], **asked: Any) -> list[Cell]:
        self.asked = metrics
        return [c for c in self._cells if c.metric in metrics]

    def events(self, *asked: Any, **more: Any) -> TrailAnswer:
        return TrailAnswer(())

    def logging(self) -> list[str]:
        return []

    def changes(self, *asked: Any) -> list[Any]:
        return []

    def state(self) -> LoggingState:
        return LoggingState(True, "group")

    def calls(self, *asked: Any) -> list[CallGroup]:
        return [CallGroup("2", "stable", "arn", "m", "Converse", 10)]

    def outside(self, *asked: Any) -> list[CallGroup]:
        return []

    def sample(self, prompt: str, version: int, *asked: Any, **more: Any) -> Sampled:
        return Sampled((read_record(record("HELLO!" if version == 2 else "Hello")),))


def test_a_metric_of_one_row_is_investigated_and_shown(shouted: GuardMetric) -> None:
    times = [(T0 + 60 * i, version) for i in range(30) for version in ((1, 2) if i > 14 else (1,))]
    cells = [Cell(at, 60.0, version, shouted.name, 100, 0 if version == 1 else 30) for at, version in times]
    prompts, routes = FakePrompts(), InMemoryRoutes()
    routes.put(Route(NAME, ID, V2, previous=V1), expected=None)
    quiet: Any = Quiet(cells)
    sources = Sources(
        prompts=prompts,
        routes=routes,
        releases=InMemoryReleases(),
        trail=quiet,
        alarms=quiet,
        rates=quiet,
        log=quiet,
        clock=lambda: T0 + 3600,
    )
    found = investigate(sources, NAME, T0, T0 + 3600)
    assert shouted.name in quiet.asked
    assert found.leading is not None
    assert "shouted answers" in found.leading.title
    page = investigation_page(found)
    assert "Shouted answers</h3>" in page
    assert "Version 2 (shouted answers)" in page
    assert "version 2 has 30% shouted answers" in found.remedy.command


OWN = GuardMetric("CheckoutLost", "lost checkouts", "lost the checkout", lag=1800.0)


def test_a_row_that_only_a_policy_has_is_judged_planned_and_waited_for() -> None:
    made = policy_of(GuardPolicy(OWN, margin_abs=0.01, lag=OWN.lag))
    context = StepContext(Phase.CANARY, 0, since=T0, phase_since=T0)
    found = judge({OWN.name: harmful()}, [], made, context, T0 + 3600)
    assert (found.judgement, found.guilty) == ("roll_back", OWN.name)
    assert "lost the checkout" in found.reason
    assert estimate(made, 1e6).steps[0].seconds > OWN.lag
    assert Timing.at(60).lag(made, made.canary.guard_metrics[0]) == 28 + 120 + OWN.lag
    told = conclude(
        Gathered(
            NAME,
            ID,
            Window(T0, T0 + 60),
            Window(T0, T0 + 60),
            T0 + 60,
            cells=(
                *(Cell(T0 + i, 1.0, 1, OWN.name, 100, 0) for i in range(20)),
                *(Cell(T0 + i, 1.0, 2, OWN.name, 100, 50) for i in range(20)),
            ),
        )
    )
    assert OWN.name in investigation_page(told)


def test_a_mean_of_one_row_is_capped_by_the_policy_judged_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    row = GuardMetric("EffortShare", "effort", "took", kind="mean", unit="steps", per_token=lambda cap, _: (0, 1 / cap))
    monkeypatch.setitem(GUARD_METRICS, row.name, row)
    data = {"reviewers": [{"name": "Ana", "email": "ana@example.com"}]}
    policy = Policy.from_dict({"review": data, "canary": {"guard_metrics": {"effort": {"cap": 8}}}})
    assert values_of({row.name: (0, 1 / 8)}, 5, 2) == {"EffortShare": 0.25, "EffortShareSquared": 0.0625}
    assert estimate(policy, 100.0).steps[0].slowest == "EffortShare"

    def arm(n: int, value: float) -> Arm:
        groups = ((n, n * value),) * 16
        squares = n * (value * value + 0.001)
        return Arm(16 * n, 16 * n * value, groups, (16 * squares, *(squares,) * 16))

    blocks = [Block(T0 + 60 * i, 60.0, 0.2, arm(8, 0.25), arm(2, 0.375)) for i in range(30)]
    context = StepContext(Phase.CANARY, 0, since=T0, phase_since=T0)
    found = judge({row.name: blocks}, [], policy, context, T0 + 3600)
    assert (found.judgement, found.guilty) == ("roll_back", "EffortShare")
    assert found.reason.startswith(
        "EffortShare: answers took 3 steps (960 canary answers), against 2 steps (3,840 stable answers), each counted "
        "as 8 at most. If the new version were no worse, "
    )


# --- an event of the timeline ---------------------------------------------------------------------------------------


def added(monkeypatch: pytest.MonkeyPatch, name: str, *marks: Any) -> Event:
    """An event as one more line of the enumeration would make it."""
    made = str.__new__(Event, name)
    made._value_, made._name_, made.marks = name, name.upper(), frozenset(marks)
    monkeypatch.setitem(Event._value2member_map_, name, made)
    return made


@pytest.mark.parametrize(
    ("marks", "changes", "shown"), [((), False, True), (("moves",), True, True), (("view",), False, False)]
)
def test_an_event_of_one_line_is_stored_investigated_and_shown(
    monkeypatch: pytest.MonkeyPatch, marks: tuple[str, ...], changes: bool, shown: bool
) -> None:
    event = added(monkeypatch, "Canary Praised", *marks)
    entry = TimelineEntry("e", RELEASE, T0 + 30, event, "ana", {"reason": "well done"}).chained(1, "0" * 64)
    assert TimelineEntry.from_dict(json.loads(json.dumps(entry.to_dict()))) == entry
    window = Window(T0, T0 + 60)
    found = conclude(Gathered(NAME, ID, window, window, T0 + 60, entries=(entry,)))
    assert [(h.what.startswith("Canary Praised: well done"), h.change) for h in found.timeline] == [
        (True, changes)
    ] * shown
    assert ("Canary Praised" in investigation_page(found)) is shown
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(timeline_table([entry.to_dict()]))
    assert "Canary Praised" in console.export_text()


# --- an assertion that a model grades -------------------------------------------------------------------------------


def _tone(grader: Grader, a: Assertion, case: Case, answer: Answer) -> tuple[bool, float, str]:
    assert grader.judge is not None
    found = grader.judge.ask("You judge the tone.", f"{a.value}: {answer.text}", {})
    return found["fits"], float(found["fits"]), "the tone is another"


@pytest.fixture
def tone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(assertions.KINDS, "tone", Kind("tone", _tone, "text", asks="judge"))


def target(label: str) -> Target:
    return Target(label, label, {"modelId": label, "templateConfiguration": {"text": {"text": "{{q}}"}}})


def test_an_assertion_of_one_row_is_parsed_planned_asked_and_graded(tone: None) -> None:
    suite = parse({"tests": [{"vars": {"q": "Hi"}, "assert": [{"type": "not-tone", "value": "rude"}]}]})
    prices = {"new": (1.0, 1.0), "old": (1.0, 1.0)}
    with pytest.raises(TestPlanRefused, match="no price is known for model 'strict-judge'"):
        make_plan(
            suite, policy_module.TestPolicy(prices=prices, judge_model="strict-judge"), target("new"), target("old")
        )
    plan = make_plan(suite, policy_module.TestPolicy(prices=prices), target("new"), target("old"))
    assert plan.judge_calls == 2
    assert set(assertions.asked_by(suite.cases[0].asserts)) == {"judge"}
    asked = ScriptedJudge(lambda user: {"fits": user == "rude: go away"})
    model = ScriptedModel(lambda request: "go away" if request.model_id == "new" else "welcome")
    [run] = run_cases(suite.cases, Bench(target("new"), target("old"), model, judge=asked))
    assert (run.candidate[0].passed, run.stable and run.stable[0].passed) == (False, True)
    assert sorted(asked.asked) == ["rude: go away", "rude: welcome"]


# --- a rule of a review ---------------------------------------------------------------------------------------------


class NotAlone(Rule):
    """Bo has to agree, whoever else does; and it costs an approval more."""

    def adds(self, request: ReviewRequest) -> int:
        return 1

    def asks(self, request: ReviewRequest) -> str:
        return "Bo in any case"

    def holds(self, request: ReviewRequest, approvals: Sequence[ReviewDecision]) -> bool:
        return any(d.by == BO.email for d in approvals)

    def sentence(self, request: ReviewRequest, approvals: Sequence[ReviewDecision]) -> str:
        return "Bo's consent"

    def obstacle(self, request: ReviewRequest, approvals: Sequence[ReviewDecision], left: Collection[Reviewer]) -> str:
        return "" if BO in left or self.holds(request, approvals) else "Bo cannot agree any more"


def version(number: int) -> PromptVersion:
    text = {"modelId": "m", "templateConfiguration": {"text": {"text": f"Text {number}"}}}
    return PromptVersion(ID, NAME, number, f"arn:{number}", [{"name": "main", "templateType": "TEXT", **text}])


def approved(who: Reviewer, number: int, choice: Choice = Choice.APPROVE) -> ReviewDecision:
    key = reviewer_key(who.email)
    return ReviewDecision(key, choice, "good", T0, who.email, "link", "", V2.fingerprint, V1.fingerprint, number)


def test_a_rule_of_one_entry_is_counted_waited_for_told_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "RULES", [*rules.RULES, NotAlone()])
    third = Reviewer("Cy", "cy@example.com")
    policy = Policy(ReviewPolicy((ANA, BO, third)))
    request = ReviewRequest(
        RELEASE,
        1,
        NAME,
        V2,
        V1,
        policy.review,
        Authors(),
        "pass",
        T0,
        T0 + 900,
        reach={reviewer_key(BO.email): "missing"},
    )
    state = tally(request, [approved(ANA, 1), approved(third, 2)], T0)
    assert (state.standing, state.needed, state.why) == (Standing.OPEN, 2, "waits for Bo's consent")
    assert out_of_reach(request, state) == "Bo cannot agree any more: email does not reach Bo (is not subscribed)"
    assert tally(request, [approved(ANA, 1), approved(BO, 2)], T0).standing is Standing.APPROVED
    refused = replace(request, policy=replace(policy.review, reviewers=(ANA, third)))
    lost = tally(refused, [], T0)
    assert (lost.standing, lost.why) == (Standing.IMPOSSIBLE, "Bo cannot agree any more")
    shown = make_brief(
        release_id=RELEASE,
        round=1,
        candidate=version(2),
        stable=version(1),
        authors=(),
        requested_by="ops",
        tests=VerdictShown("pass"),
        policy=policy,
    )
    mail = review_mail(request, shown, state, BO, WayIn("https://example.com", "ABCDEFGH"), T0)
    assert "Approvals:     2 of 2; waits for Bo's consent" in mail.body
    page = review_page(Visit(Door.OPEN, None, request, BO, state), reading(shown), now=T0, addresses=Addresses())
    assert "2 approvals of 3 reviewers, Bo in any case. One rejection ends the review." in page
    assert "Waits for Bo&#x27;s consent." in page or "Waits for Bo&#39;s consent." in page
