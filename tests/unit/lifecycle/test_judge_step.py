"""What exactly one look reads, keeps, says and answers, and when the next one is due. Several: test_looks.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain import metrics
from promptlane.domain.canary.blocks import Arm, Block, Chunk, Pair
from promptlane.domain.canary.broken_split import HISTORY
from promptlane.domain.canary.counts import Windows
from promptlane.domain.canary.judge import Judgement, StepContext, judge
from promptlane.domain.errors import InvalidInput, NotFound, Unavailable
from promptlane.domain.names import UNIT_GROUPS, Outcome, Phase, Track
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Step
from promptlane.domain.ports import RedAlarm
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes import FakeCounts
from promptlane.fakes.counts import InMemoryBlocks
from promptlane.lifecycle.judge_step import COARSE, FINE_FOR, Look, Ports, Timing, next_look, replay
from tests.support.judged import PROMPT, RELEASE, T0, Judged, in_canary, in_watch, judged, policy

DAY = 86_400.0
STEPS = (Step(1000, min_bake=600, max_time=21_600), Step(5000, min_bake=900, max_time=43_200))
TWO = ((T0, 1000), (T0 + 600.0, 5000))


class Counts(FakeCounts):
    """Notes what is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.windows_asked: list[dict[str, Any]] = []
        self.history_asked: list[dict[str, Any]] = []

    def windows(self, prompt: str, **asked: Any) -> Windows:
        self.windows_asked.append({"prompt": prompt, **asked})
        return super().windows(prompt, **asked)

    def history(self, prompt: str, **asked: Any) -> dict[str, Pair]:
        self.history_asked.append({"prompt": prompt, **asked})
        return super().history(prompt, **asked)


def noting(w: Judged) -> Counts:
    counts = Counts()
    w.counts, w.ports = counts, replace(w.ports, counts=counts)
    return counts


def last(w: Judged) -> Mapping[str, Any]:
    return w.judgements()[-1].detail


# Timing


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        (Timing(), (60.0, 120.0, 30.0)),
        (Timing.at(60), (60.0, 120.0, 30.0)),
        (Timing.at(59), (59, 20.0, 10.0)),
        (Timing.at(10), (10, 20.0, 10.0)),
        (Timing.at(60, arrival=40.0), (60.0, 40.0, 30.0)),
        (Timing.at(60, arrival=5.0), (60.0, 5.0, 5.0)),
        (Timing.at(10, arrival=0.0), (10, 0.0, 0.0)),
    ],
)
def test_counts_come_later_at_a_coarser_resolution(timing: Timing, expected: tuple[float, float, float]) -> None:
    assert (timing.resolution, timing.arrival, timing.settle) == expected


def test_a_window_is_complete_after_the_longest_request_the_arrival_and_what_the_metric_itself_is_late() -> None:
    assert Timing.at(60).lag(policy(), None) == 148
    assert Timing.at(10).lag(policy(), GuardPolicy(metrics.ERROR, lag=7.0)) == 55


def test_ports_have_the_timing_of_a_minute_unless_they_are_given_another() -> None:
    given = {n: getattr(judged().ports, n) for n in Ports.__dataclass_fields__ if n != "timing"}
    assert Ports(**given).timing == Timing()


def test_the_lengths_of_blocks_and_of_the_history_are_as_documented() -> None:
    assert (FINE_FOR, COARSE, HISTORY) == (7200, 5, DAY)


# Whether there is anything to look at


@pytest.mark.parametrize("gone", ["ended", "no route", "another release", "another phase"])
def test_a_release_that_the_route_is_not_busy_with_is_gone(gone: str) -> None:
    route = {"another release": replace(in_canary(), release_id="ABCDEFGHIJ-3-1"), "another phase": in_watch()}
    w = judged(route.get(gone))
    if gone == "ended":
        w.releases.update(replace(w.releases.get(RELEASE), state="ended", outcome=Outcome.FAILED))
    if gone == "no route":
        w.routes._routes.clear()

    seen = w.look(T0 + 300)

    reason = f"The route of support is no longer in canary for release {RELEASE}."
    assert seen == Look("gone", reason, 0, "", {}, "", {})
    assert (w.judgements(), w.counts.reads, w.notices.sent) == ([], 0, [])


def test_an_unknown_release_is_not_found() -> None:
    w = judged()
    del w.releases._releases[RELEASE]
    with pytest.raises(NotFound, match=RELEASE):
        w.look(T0 + 300)


def test_the_machine_is_told_everything_but_what_is_for_the_dashboard() -> None:
    seen = Look("roll_back", "worse", 7, "judge", {"harm": 30.0}, PROMPT, {"Weight": 10.0})
    assert seen.to_dict() == {
        "judgement": "roll_back",
        "reason": "worse",
        "wait_seconds": 7,
        "cause": "judge",
        "evidence": {"harm": 30.0},
    }


# Alarms


@pytest.mark.parametrize(
    ("route", "phase", "track"), [(in_canary(), Phase.CANARY, Track.CANARY), (in_watch(), Phase.WATCH, Track.STABLE)]
)
def test_an_alarm_that_stands_since_the_phase_began_rolls_back_whatever_stands_beside_it(
    route: Route, phase: Phase, track: Track
) -> None:
    w, now = judged(route), T0 + 300.25
    w.alarms.standing[PROMPT] = [
        RedAlarm(Track.STABLE, "Outage", T0 + 100),
        RedAlarm(track, "Refusal", T0 - 1),
        RedAlarm(track, "Error", T0),
    ]

    seen = w.look(now, phase=phase)

    reason = f"The alarm {track}/Error stands in ALARM since this {phase} began: roll back."
    assert seen == Look("roll_back", reason, 0, "judge", {}, "", {})
    watch = phase is Phase.WATCH
    assert w.judgements() == [
        replace(
            TimelineEntry(f"{RELEASE}/judged/{phase}/0/1700000340250", RELEASE, now, Event.CANARY_JUDGED, "promptlane"),
            detail={
                **Judgement("roll_back", "judge", reason).to_dict(),
                "cause": "alarm",
                "phase": str(phase),
                "step": 0,
                "weight": 0 if watch else 1000,
                "since": T0,
                "phase_since": T0,
                "watch_until": T0 + 3600 if watch else 0.0,
                "paused": "",
                "advanced": "",
                "now": now,
                "through": {},
            },
            seq=2,
            prev_hash=w.judgements()[0].prev_hash,
            hash=w.judgements()[0].hash,
        )
    ]
    assert w.counts.reads == 0


def test_alarms_that_condemn_nobody_are_noted() -> None:
    w = judged()
    w.alarms.standing[PROMPT] = [
        RedAlarm(Track.CANARY, "Outage", T0 + 100),
        RedAlarm(Track.CANARY, "Error", T0 - 1),
        RedAlarm(Track.STABLE, "Refusal", T0 + 9),
    ]

    assert w.look(T0 + 300).judgement == "hold"
    outage, stale, shared = last(w)["notes"][:3]
    assert outage == "stable itself is in trouble: the Outage alarm is red"
    assert stale.startswith("alarm canary/Error is red: the alarm changed before this phase began")
    assert shared.startswith("alarm stable/Refusal is red: support is in canary")


def test_alarm_states_that_cannot_be_read_are_noted_and_the_counts_judged() -> None:
    class Unreadable:
        def red(self, prompt: str) -> list[RedAlarm]:
            raise Unavailable("CloudWatch does not answer")

    w = judged()
    w.serve(T0, 40, per_minute=100, share=0.1, p0=0.01, p1=0.2)
    w.ports = replace(w.ports, alarms=Unreadable())

    assert w.look(T0 + 2400).judgement == "roll_back"
    assert last(w)["notes"][0] == "alarm states could not be read: CloudWatch does not answer"


# What is asked for and kept


def test_every_metric_is_read_up_to_where_its_counts_are_complete() -> None:
    guards = (GuardPolicy(metrics.ERROR), GuardPolicy(metrics.NEGATIVE_FEEDBACK, lag=600.0))
    w = judged(guard_metrics=guards)
    counts = noting(w)

    w.look(T0 + 1200)
    w.look(T0 + 1260)

    both = {"prompt": PROMPT, "control": 1, "trial": 2, "period": 60.0}
    prompt, late = ["Error", "Assigned"], ["NegativeFeedback"]
    assert counts.windows_asked == [
        {**both, "metrics": prompt, "start": T0, "end": T0 + 1020},
        {**both, "metrics": late, "start": T0, "end": T0 + 420},
        {**both, "metrics": prompt, "start": T0 + 1020, "end": T0 + 1080},
        {**both, "metrics": late, "start": T0 + 420, "end": T0 + 480},
    ]
    past = {"prompt": PROMPT, "version": 1, "start": T0 - DAY, "end": T0}
    assert counts.history_asked == [{**past, "metrics": ["Error"]}, {**past, "metrics": late}]
    assert last(w)["through"] == {"Error": T0 + 1080, "NegativeFeedback": T0 + 480, "Assigned": T0 + 1080}


@pytest.mark.parametrize(("late", "read"), [(207.0, False), (208.0, True)])
def test_a_window_is_read_from_the_moment_on_in_which_it_is_complete(late: float, read: bool) -> None:
    w = judged()
    counts = noting(w)

    w.look(T0 + late)

    assert bool(counts.windows_asked) is read


def test_in_watch_the_new_stable_is_compared_with_the_version_before() -> None:
    w = judged(in_watch())
    counts = noting(w)

    w.look(T0 + 600, phase=Phase.WATCH)

    assert [(q["control"], q["trial"]) for q in counts.windows_asked] == [(1, 2)]
    assert [q["version"] for q in counts.history_asked] == [1]


@pytest.mark.parametrize(
    ("route", "phase"),
    [
        (replace(in_canary(), canary=None), Phase.CANARY),
        (in_watch(holdback=0), Phase.WATCH),
        (replace(in_watch(), previous=None), Phase.WATCH),
    ],
)
def test_where_there_is_nothing_to_compare_with_only_what_is_stored_counts(route: Route, phase: Phase) -> None:
    w = judged(route)
    counts = noting(w)
    w.blocks.put_once(RELEASE, Chunk(str(phase), "Error", T0, T0 + 60, ()))

    assert w.look(T0 + 600, phase=phase).judgement == "hold"
    assert counts.windows_asked == []
    assert last(w)["through"] == {"Error": T0 + 60}


def test_a_single_unit_of_holdback_is_compared_with() -> None:
    w = judged(in_watch(holdback=1))
    counts = noting(w)

    w.look(T0 + 600, phase=Phase.WATCH)

    assert counts.windows_asked


def test_the_first_window_begins_with_the_minute_in_which_the_phase_began() -> None:
    since = T0 + 20.5
    w = judged(replace(in_canary(), phase_since=since, shifts=((since, 1000),)))
    counts = noting(w)

    w.look(T0 + 600)

    assert [q["start"] for q in counts.windows_asked] == [T0]
    assert counts.history_asked[0]["end"] == T0


def test_after_two_hours_windows_are_five_times_as_long_and_a_look_reads_six_chunks_of_three_hundred_at_most() -> None:
    w = judged()
    counts = noting(w)

    w.look(T0 + 30 * DAY)

    spans = [(q["start"] - T0, q["end"] - T0, q["period"]) for q in counts.windows_asked]
    fine = 7260.0  # two hours, up to the next whole five minutes
    coarse = [(fine + n * 90_000, fine + (n + 1) * 90_000, 300.0) for n in range(5)]
    assert spans == [(0.0, fine, 60.0), *coarse]
    assert len(counts.history_asked) == 1
    w.look(T0 + 30 * DAY + 60)
    assert counts.windows_asked[6]["start"] - T0 == coarse[-1][1]


def test_a_chunk_at_a_finer_resolution_holds_three_hundred_windows() -> None:
    w = judged()
    w.ports = replace(w.ports, timing=Timing.at(10))
    counts = noting(w)

    w.look(T0 + 2 * 3600)

    spans = [(q["start"] - T0, q["end"] - T0, q["period"]) for q in counts.windows_asked]
    assert spans == [(0.0, 3000.0, 10), (3000.0, 6000.0, 10), (6000.0, 7150.0, 10)]


def test_after_two_hours_at_a_finer_resolution_windows_are_whole_minutes() -> None:
    """50 s is no period of CloudWatch: such a deployment would stop counting."""
    w = judged()
    w.ports = replace(w.ports, timing=Timing.at(10))
    counts = noting(w)
    for hours in (1, 2, 3):
        w.look(T0 + hours * 3600)

    spans = [(q["start"] - T0, q["end"] - T0, q["period"]) for q in counts.windows_asked]
    assert spans == [
        (0.0, 3000.0, 10),
        (3000.0, 3550.0, 10),
        (3550.0, 6550.0, 10),
        (6550.0, 7150.0, 10),
        (7150.0, 7200.0, 10),
        (7200.0, 10740.0, 60),
    ]


def test_counts_by_seconds_that_are_gone_are_read_by_minutes_and_none_twice() -> None:
    """CloudWatch keeps them for three hours; a look may come later, or a metric be that late itself."""
    w = judged()
    w.ports = replace(w.ports, timing=Timing.at(10))
    counts = noting(w)
    w.look(T0 + 90)  # up to 40 s
    for at in range(0, 600, 10):
        w.counts.record(PROMPT, 2, "Error", T0 + at, n=1)

    w.look(T0 + 4 * 3600)
    w.look(T0 + 4 * 3600 + 60)

    spans = [(q["start"] - T0, q["end"] - T0, q["period"]) for q in counts.windows_asked]
    assert spans == [(0.0, 40.0, 10), (40.0, 14340.0, 60), (14340.0, 14400.0, 60)]
    starts = [b.start - T0 for c in w.blocks.load(RELEASE, "canary") if c.metric == "Error" for b in c.blocks]
    assert starts == [60.0 * minute for minute in range(1, 10)]


@pytest.mark.parametrize("resolution", [10, 60])
def test_every_period_that_is_asked_for_exists(resolution: int) -> None:
    late = GuardPolicy(metrics.NEGATIVE_FEEDBACK, lag=5 * 3600.0)
    w = judged(guard_metrics=(GuardPolicy(metrics.ERROR), late))
    w.ports = replace(w.ports, timing=Timing.at(resolution))
    counts = noting(w)
    now = 0.0
    while now < 2 * DAY:
        now += 30 + now / 9
        w.look(T0 + now)

    assert {q["period"] for q in counts.windows_asked} == ({10, 60} if resolution == 10 else {60, 300})
    for asked in counts.windows_asked:
        assert asked["end"] % asked["period"] == 0
        assert asked["end"] > asked["start"]
    reached = {m: max(q["end"] for q in counts.windows_asked if m in q["metrics"]) for m in ("Error", late.name)}
    lag = w.ports.timing.lag(w.policy, None)
    assert T0 + now - lag - 300 < reached["Error"] <= T0 + now - lag
    assert reached[late.name] <= T0 + now - lag - 5 * 3600


@pytest.mark.parametrize("period", [0, 2, 15, 50, 61, 90, 0.5, -60])
def test_a_period_that_cloudwatch_does_not_have_is_refused(period: float) -> None:
    with pytest.raises(InvalidInput, match="CloudWatch has 1, 5, 10, 20 and 30 s"):
        FakeCounts().windows(PROMPT, control=1, trial=2, metrics=["Error"], start=T0, end=T0 + 600, period=period)


def test_a_chunk_holds_both_arms_in_order_of_time_with_the_share_that_was_declared_then() -> None:
    w = judged(replace(in_canary(5000), shifts=TWO))
    for at, version, n, bad, group in (
        (T0 + 700, 2, 4, 1, 3),
        (T0 + 700, 1, 9, 2, 0),
        (T0 + 100, 1, 5, 0, 7),
        (T0 - 50, 1, 30, 3, 1),
        (T0 + 5, 2, 1, 1, 0),
    ):
        w.counts.record(PROMPT, version, "Error", at, n=n, bad=bad, group=group)

    w.look(T0 + 1200, step=1)

    def arm(n: int = 0, bad: int = 0, group: int = 0) -> Arm:
        return Arm(n, bad, tuple((n, bad) if g == group else (0, 0) for g in range(UNIT_GROUPS)))

    blocks = (
        Block(T0 + 60, 60.0, 0.1, arm(5, 0, 7), arm()),
        Block(T0 + 660, 60.0, 0.5, arm(9, 2, 0), arm(4, 1, 3)),
    )
    stored = {c.metric: c for c in w.blocks.load(RELEASE, "canary")}
    assert stored["Error"] == Chunk("canary", "Error", T0, T0 + 1020, blocks, (30, 3))
    assert stored["Assigned"] == Chunk("canary", "Assigned", T0, T0 + 1020, (), None)


class Odd:
    """A reader whose windows lie beside those that were asked for, and in no order."""

    def windows(self, prompt: str, *, metrics: Sequence[str], start: float, end: float, **_: Any) -> Windows:
        arms = (Arm(10, 1), Arm(10, 2))
        return {metrics[0]: {end: arms, start + 120: arms, start + 60: arms, start - 60: arms, end - 60: arms}}

    def history(self, prompt: str, **_: Any) -> dict[str, Pair]:
        return {}


def test_what_was_not_asked_for_is_not_kept() -> None:
    since = T0 - DAY
    w = judged(replace(in_canary(), phase_since=since, shifts=((since, 1000),)))
    w.ports = replace(w.ports, counts=Odd())
    w.blocks.put_once(RELEASE, Chunk("canary", "Error", since, T0, ()))

    w.look(T0 + 1000)

    [chunk] = [c for c in w.blocks.load(RELEASE, "canary") if c.metric == "Error" and c.start == T0]
    assert [b.start - T0 for b in chunk.blocks] == [60, 120, chunk.end - T0 - 60]


@pytest.mark.parametrize(
    ("shift", "dropped"),
    [(600.0, [600]), (601.0, [600]), (630.0, [600]), (630.5, [600, 660]), (659.0, [600, 660]), (660.0, [660])],
)
def test_windows_in_which_clients_may_still_have_used_the_route_before_are_dropped(
    shift: float, dropped: list[float]
) -> None:
    w = judged(replace(in_canary(5000), shifts=((T0, 1000), (T0 + shift, 5000))))
    for minute in range(30):
        w.counts.record(PROMPT, 1, "Error", T0 + 60 * minute)

    w.look(T0 + 1800, step=1)

    kept = {b.start - T0 for c in w.blocks.load(RELEASE, "canary") if c.metric == "Error" for b in c.blocks}
    assert sorted({60.0 * n for n in range(27)} - kept) == [0, *dropped]


@pytest.mark.parametrize(("settle_from", "dropped"), [(0.0, [0]), (31.0, [0, 60])])
def test_the_first_windows_of_a_watch_are_dropped_as_clients_learn_of_it(
    settle_from: float, dropped: list[float]
) -> None:
    w = judged(replace(in_watch(), phase_since=T0 + settle_from, shifts=((T0 - 3600, 1000),)))
    for minute in range(10):
        w.counts.record(PROMPT, 2, "Error", T0 + 60 * minute)

    w.look(T0 + 600, phase=Phase.WATCH)

    [chunk] = [c for c in w.blocks.load(RELEASE, "watch") if c.metric == "Error"]
    assert sorted({60.0 * n for n in range(7)} - {b.start - T0 for b in chunk.blocks}) == dropped
    assert {b.share for b in chunk.blocks} == {0.9}


def test_before_the_first_shift_the_trial_has_no_share() -> None:
    w = judged(replace(in_canary(), shifts=((T0 + 300.0, 1000),)))
    for minute in range(10):
        w.counts.record(PROMPT, 1, "Error", T0 + 60 * minute)

    w.look(T0 + 800)

    shares = {b.start - T0: b.share for c in w.blocks.load(RELEASE, "canary") if c.metric == "Error" for b in c.blocks}
    assert (shares[240.0], shares[360.0]) == (0.0, 0.1)


def test_of_two_looks_at_once_the_chunk_that_was_stored_counts() -> None:
    theirs = Chunk("canary", "Error", T0, T0 + 1020, (Block(T0 + 60, 60, 0.1, Arm(50, 0), Arm(50, 50)),))

    class Raced(InMemoryBlocks):
        def load(self, release_id: str, phase: str) -> list[Chunk]:
            found = super().load(release_id, phase)
            super().put_once(release_id, theirs)
            return found

    w = judged()
    w.ports = replace(w.ports, blocks=Raced())
    w.counts.record(PROMPT, 1, "Error", T0 + 61, n=7)

    w.look(T0 + 1200)

    assert last(w)["metrics"]["Error"]["control"] == [50, 0]


def test_counts_that_cannot_be_read_leave_what_is_stored() -> None:
    w = judged()
    w.blocks.put_once(
        RELEASE, Chunk("canary", "Error", T0, T0 + 120, (Block(T0 + 60, 60, 0.1, Arm(50, 3), Arm(40, 2)),))
    )
    w.counts.down = True

    seen = w.look(T0 + 1200)

    assert seen.judgement == "hold"
    assert last(w)["notes"][0] == ("counts could not be read, so nothing new was bet on: CloudWatch does not answer")
    assert last(w)["metrics"]["Error"]["trial"] == [40, 2]
    assert last(w)["through"] == {"Error": T0 + 120}


# What is decided


def test_blocks_are_judged_in_order_of_time_with_the_earliest_history() -> None:
    def block(at: float, bad: int) -> Block:
        return Block(at, 60, 0.1, Arm(90, 1), Arm(20, bad))

    early, later = block(T0 + 60, 0), block(T0 + 1200, 3)
    chunks = [
        Chunk("canary", "Refusal", T0 + 1020, T0 + 1260, (later,), (9, 9)),
        Chunk("canary", "Refusal", T0, T0 + 1020, (early,), (500, 4)),
        Chunk("canary", "Latency", T0, T0 + 1020, (early,), (500, 4)),
        Chunk("canary", "Assigned", T0, T0 + 1020, (early,)),
    ]
    w = judged()
    for chunk in chunks:
        w.blocks.put_once(RELEASE, chunk)
    w.counts.down = True
    context = StepContext(Phase.CANARY, 0, T0, T0)

    w.look(T0 + 1500)

    expected = judge(
        {metrics.REFUSAL.name: [early, later]},
        [early],
        w.policy,
        context,
        T0 + 1500,
        history={metrics.REFUSAL.name: (500, 4)},
    )
    told = dict(last(w))
    assert told["metrics"] == expected.to_dict()["metrics"]
    assert (told["harm"], told["split"], told["reason"]) == (expected.harm, expected.split, expected.reason)
    assert replay(told, list(reversed(chunks)), w.policy) == expected


def test_a_look_is_replayed_with_what_it_had_read_and_nothing_else() -> None:
    detail = {
        "phase": "watch",
        "step": "1",
        "since": "5",
        "phase_since": "4",
        "watch_until": "90",
        "paused": "a: b",
        "advanced": "c: d",
        "now": "60",
        "through": {"Error": "50", "Refusal": 40},
    }
    block = Block(10, 10, 0.9, Arm(30, 1), Arm(30, 2))
    used = Chunk("watch", "Error", 10, 50, (block,))
    others = [
        Chunk("canary", "Error", 10, 50, (block,)),
        Chunk("watch", "Error", 50, 51, (replace(block, start=30),)),
        Chunk("watch", "Refusal", 10, 41, (block,)),
        Chunk("watch", "Slow", 10, 20, (block,)),
    ]
    context = StepContext(Phase.WATCH, 1, 5.0, 4.0, 90.0, "a: b", "c: d")
    made = policy(guard_metrics=tuple(map(GuardPolicy, (metrics.ERROR, metrics.REFUSAL, metrics.SLOW))))

    assert replay(detail, [*others, used], made) == judge({metrics.ERROR.name: [block]}, [], made, context, 60.0)


@pytest.mark.parametrize(
    ("step", "shifts", "since"),
    [
        (0, TWO, T0),
        (1, TWO, T0 + 600),
        (9, TWO, T0 + 600),
        (-1, TWO, T0),
        (1, (*TWO, (T0 + 700.0, 6000)), T0 + 600),
        (1, ((T0, 1000), (T0 + 300.0, 2000)), T0 + 300),
        (1, (), T0),
    ],
)
def test_a_step_counts_from_when_its_weight_was_reached(
    step: int, shifts: tuple[tuple[float, int], ...], since: float
) -> None:
    w = judged(replace(in_canary(5000), shifts=shifts))

    w.look(T0 + 1200, step=step)

    told = last(w)
    assert (told["step"], told["since"], told["phase_since"]) == (min(max(step, 0), 1), since, T0)
    assert w.judgements()[-1].id == f"{RELEASE}/judged/canary/{min(max(step, 0), 1)}/{int(T0 + 1200) * 1000}"


def test_a_watch_counts_from_its_beginning() -> None:
    w = judged(replace(in_watch(), shifts=((T0 - 900, 1000),)))

    w.look(T0 + 1200, phase=Phase.WATCH)

    assert (last(w)["since"], last(w)["watch_until"], last(w)["weight"]) == (T0, T0 + 3600, 0)


@pytest.mark.parametrize(
    ("fields", "paused", "advanced"),
    [
        ({"paused": {"by": "kim", "reason": "lunch"}}, "kim: lunch", ""),
        ({"paused": {"at": 1.0}}, "somebody: ", ""),
        ({"advance": {"by": "kim", "reason": "known", "step": 0}}, "", "kim: known"),
        ({"advance": {"by": "kim", "reason": "known", "step": 1}}, "", ""),
        ({"advance": {"by": "kim", "reason": "known"}}, "", ""),
        ({"advance": {"step": 0}}, "", "somebody: "),
    ],
)
def test_an_operators_wish_counts_for_its_step_and_with_its_words(
    fields: dict[str, Any], paused: str, advanced: str
) -> None:
    w = judged()
    w.releases.update(replace(w.releases.get(RELEASE), **fields))

    w.look(T0 + 300)

    assert (last(w)["paused"], last(w)["advanced"]) == (paused, advanced)


@pytest.mark.parametrize(("step", "noted"), [(0, False), (1, True)])
def test_a_weight_that_is_not_the_steps_is_noted(step: int, noted: bool) -> None:
    w = judged(in_canary(1000))

    w.look(T0 + 300, step=step)

    note = "the route's weight is 10%, not the step's; changed by hand?"
    assert (note in last(w)["notes"]) is noted


def test_in_watch_no_weight_is_expected() -> None:
    w = judged(in_watch())

    w.look(T0 + 300, phase=Phase.WATCH)

    assert not any("weight" in note for note in last(w)["notes"])


def test_what_the_judge_notes_comes_after_what_the_look_notes() -> None:
    w = judged(in_canary(2000))
    late = T0 + 2 * 3600

    w.look(late)

    first, *others = last(w)["notes"]
    assert "weight is 20%" in first
    assert any("has sent no data" in note for note in others)


# What is answered


def test_a_hold_is_answered_without_evidence() -> None:
    w = judged()
    w.serve(T0, 5, per_minute=100, share=0.1, p0=0.01, p1=0.01)

    seen = w.look(T0 + 580)

    assert (seen.judgement, seen.cause, seen.evidence, seen.prompt) == ("hold", "", {}, PROMPT)
    assert (seen.reason, seen.wait_seconds) == (last(w)["reason"], 20)
    proofs = [m["advance"] for m in last(w)["metrics"].values()]
    assert len(set(proofs)) == 2
    assert seen.gauges == {
        "Weight": 10.0,
        "HarmEvidence": last(w)["harm"],
        "SplitEvidence": last(w)["split"],
        "AdvanceEvidence": min(proofs),
    }


def test_a_rollback_is_answered_with_its_evidence_and_cause() -> None:
    w = judged()
    w.serve(T0, 40, per_minute=100, share=0.1, p0=0.01, p1=0.2)

    seen = w.look(T0 + 2400)

    told = dict(last(w))
    assert (seen.judgement, seen.cause, seen.prompt) == ("roll_back", "judge", PROMPT)
    assert {**told, **seen.evidence} == told
    assert set(seen.evidence) == set(Judgement("hold", "", "").to_dict())


def test_a_watch_is_answered_with_what_everybody_but_the_holdback_gets() -> None:
    w = judged(in_watch(holdback=500))

    seen = w.look(T0 + 300, phase=Phase.WATCH)

    assert seen.gauges == {"Weight": 95.0, "HarmEvidence": 1.0, "SplitEvidence": 1.0}


def test_a_look_goes_on_where_nobody_can_be_told_by_email() -> None:
    """A deleted topic fails no release."""
    w = judged(undecided="ask")

    def no_topic(subject: str, body: str, *, id: str = "") -> None:
        raise NotFound("sending a notice: NotFound: Topic does not exist")

    w.notices.publish = no_topic  # type: ignore[method-assign]
    late = T0 + 6 * 3600 + 1

    assert w.look(late).judgement == w.look(late + 60).judgement == "hold"

    said = "nobody could be told by email yet: it is tried again"
    assert [said in e.detail["notes"] for e in w.judgements()] == [True, False]
    assert len([e for e in w.releases.timeline(RELEASE) if e.event is Event.DECISION_NEEDED]) == 1


@pytest.mark.parametrize("undecided", ["ask", "stay"])
def test_people_are_asked_once_a_step_where_the_policy_says_so(undecided: str) -> None:
    w = judged(undecided=undecided)
    late = T0 + 6 * 3600 + 1

    seen = w.look(late)
    w.look(late + 60)

    asked = [e for e in w.releases.timeline(RELEASE) if e.event is Event.DECISION_NEEDED]
    if undecided == "stay":
        assert (asked, w.notices.sent) == ([], [])
        return
    [entry] = asked
    assert (entry.id, entry.at, entry.by) == (f"{RELEASE}/asked/0", late, "promptlane")
    assert entry.detail == {"step": 0, "reason": seen.reason}
    [(subject, body)] = w.notices.sent
    assert subject == "[Promptlane] support: version 2 needs your decision"
    assert body.splitlines() == [
        seen.reason,
        "",
        "Decide with one of",
        f"  promptlane advance {RELEASE} --reason ...",
        "  promptlane rollback support --reason ...",
        "",
        f"What happened:  promptlane history {RELEASE}",
        f"Notice:         {entry.id}",
    ]


def test_nobody_is_asked_about_what_is_rolled_back_or_still_has_time() -> None:
    w = judged(undecided="ask")
    w.look(T0 + 6 * 3600 - 1)
    w.serve(T0, 40, per_minute=100, share=0.1, p0=0.01, p1=0.2)
    harmful = judged(undecided="ask")
    harmful.serve(T0, 40, per_minute=100, share=0.1, p0=0.01, p1=0.2)

    assert harmful.look(T0 + 6 * 3600 + 1).judgement == "roll_back"
    assert (w.notices.sent, harmful.notices.sent) == ([], [])


# When the next look is due


def due(now: float, *, step: int = 0, since: float = 0.0, watch_until: float | None = None) -> int:
    made = replace(policy(), canary=CanaryPolicy(steps=STEPS))
    phase = Phase.CANARY if watch_until is None else Phase.WATCH
    return next_look(StepContext(phase, step, since, 0.0, watch_until or 0.0), made, Timing.at(60), now)


@pytest.mark.parametrize(
    ("now", "given", "wait"),
    [
        (0.0, {}, 60),
        (-500.0, {}, 60),
        (3600.0, {}, 60),
        (3660.0, {}, 61),
        (7230.0, {}, 121),
        (570.5, {}, 30),
        (599.9, {}, 1),
        (600.0, {}, 60),
        (21_590.0, {}, 10),
        (21_600.0, {}, 360),
        (1_460.0, {"step": 1, "since": 600.0}, 40),
        (43_190.0, {"step": 1, "since": 600.0}, 610),
        (9_000.0, {"watch_until": 9_100.0}, 100),
        (9_000.0, {"watch_until": 9_500.0}, 150),
        (9_000.0, {"watch_until": 9_000.0}, 150),
    ],
)
def test_the_wait_grows_with_the_phase_and_ends_with_the_next_deadline(
    now: float, given: dict[str, Any], wait: int
) -> None:
    assert due(now, **given) == wait
