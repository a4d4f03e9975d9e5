"""Looks of the judge after each other: what becomes of a release that is served for hours."""

from __future__ import annotations

import pytest

from promptlane.cli.judge import guarded_by_judge
from promptlane.domain.canary.judge import StepContext
from promptlane.domain.names import Phase
from promptlane.domain.policy import Step
from promptlane.lifecycle.judge_step import Timing, next_look, replay
from tests.support.judged import RELEASE, T0, in_watch, judged


def test_an_equal_version_advances_only_after_the_least_bake() -> None:
    w = judged(steps=(Step(1000, min_bake=3000, max_time=6 * 3600),))
    w.serve(T0, 90, per_minute=300, share=0.1, p0=0.01, p1=0.01)
    early, late = w.look(T0 + 2900), w.look(T0 + 4800)
    assert early.judgement == "hold"
    assert late.judgement == "advance"


def test_watch_compares_the_new_stable_with_the_holdback_and_ends() -> None:
    w = judged(in_watch())
    w.serve(T0, 50, per_minute=200, share=0.9, p0=0.01, p1=0.2)
    assert w.look(T0 + 3000, phase=Phase.WATCH).judgement == "roll_back"
    calm = judged(in_watch())
    calm.serve(T0, 50, per_minute=200, share=0.9, p0=0.01, p1=0.01)
    assert calm.look(T0 + 3000, phase=Phase.WATCH).judgement == "hold"
    assert calm.look(T0 + 3600, phase=Phase.WATCH).judgement == "done"


def test_every_look_can_be_replayed_from_the_timeline() -> None:
    w = judged()
    w.serve(T0, 60, per_minute=60, share=0.1, p0=0.02, p1=0.05)
    for now in range(int(T0) + 300, int(T0) + 3600, 300):
        w.look(float(now))
    chunks = w.blocks.load(RELEASE, "canary")
    for entry in w.judgements():
        again = replay(entry.detail, chunks, w.policy)
        assert (again.judgement, again.harm, again.split) == tuple(
            entry.detail[k] for k in ("judgement", "harm", "split")
        )
        assert {m.name: m.to_dict() for m in again.metrics} == entry.detail["metrics"]


def test_a_look_repeated_at_the_same_moment_changes_nothing() -> None:
    w = judged()
    w.serve(T0, 30, per_minute=60, share=0.1, p0=0.02, p1=0.05)
    first = w.look(T0 + 1500)
    stored = w.blocks.load(RELEASE, "canary")
    assert w.look(T0 + 1500) == first
    assert w.blocks.load(RELEASE, "canary") == stored
    assert len(w.judgements()) == 1


@pytest.mark.parametrize(("groups", "sleeps"), [(16, False), (8, True)])
def test_the_judge_looks_twice_as_often_while_the_fuse_sleeps_and_says_so(groups: int, sleeps: bool) -> None:
    """At 10 % of 300 requests a minute the fuse has enough, unless all are of units in one half."""
    w = judged(steps=(Step(1000, min_bake=86_400, max_time=2 * 86_400),))
    w.serve(T0, 200, per_minute=300, share=0.1, p0=0.01, p1=0.01, groups=groups)
    wait = w.look(T0 + 12_000).wait_seconds
    assert wait == (100 if sleeps else 200)
    said = w.judgements()[-1].detail.get("fuse_sleeps", "")
    assert said.startswith("the fuse sleeps: too few requests for its alarms, which need 20 a period") is sleeps
    assert guarded_by_judge(w.judgements()) == ([f"{said} and looks twice as often"] if sleeps else [])


def test_without_any_traffic_on_the_canary_the_fuse_sleeps_and_nothing_is_looked_at_more_often() -> None:
    w = judged(steps=(Step(1000, min_bake=86_400, max_time=2 * 86_400),))
    w.serve(T0, 200, per_minute=300, share=0.0, p0=0.01, p1=0.01, groups=16)
    assert w.look(T0 + 12_000).wait_seconds == 200
    assert "fuse_sleeps" in w.judgements()[-1].detail


@pytest.mark.parametrize("sooner", [False, True])
@pytest.mark.parametrize("resolution", [10, 60])
def test_no_policy_can_fill_an_execution_with_looks(resolution: int, sooner: bool) -> None:
    w = judged(steps=tuple(Step(100 * i, min_bake=86_400, max_time=20 * 86_400) for i in range(1, 19)))
    timing, now, looks = Timing.at(resolution), T0, 0
    for step in range(18):
        since = now
        while now < since + 20 * 86_400:
            context = StepContext(Phase.CANARY, step, since, T0)
            now += next_look(context, w.policy, timing, now, sooner=sooner)
            looks += 1
    assert looks < (1500 if sooner else 1000)  # a year of canary; at most 12 history events each, of 25,000
