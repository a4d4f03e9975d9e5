"""What an investigation asks of each source, what it gathers, and which gaps it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import NotFound
from promptlane.domain.investigation.findings import Investigation
from promptlane.domain.investigation.relevance import MOST_RELEASES
from promptlane.domain.investigation.sources import AlarmChange, Gathered, Missing
from promptlane.domain.metrics import GUARD_METRICS
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.timeline import Event
from promptlane.domain.review.edits import Edit
from promptlane.domain.trail import (
    CALL_EVENTS,
    CONTROL_EVENTS,
    OBSERVATION_EVENTS,
    TRAIL_KEPT,
    TRAIL_LATE,
    TrailAnswer,
    TrailEvent,
    Window,
)
from promptlane.fakes import FakePrompts, InMemoryReleases, InMemoryRoutes
from promptlane.fakes.edits import InMemoryEdits
from promptlane.lifecycle.investigate.run import ALARMS_KEPT, Sources, investigate
from tests.support.investigation_case import (
    AUTHOR,
    EDITOR,
    MODEL,
    NAME,
    NOW,
    T0,
    Asked,
    Case,
    entry,
    few_counts,
    found_by,
    of,
    two_pm,
)
from tests.support.prompt import ARN, ID

DAY = 86_400.0
METRICS = list(GUARD_METRICS)
TOLD_LATE = Missing(
    "CloudTrail",
    "events of the last 15 minutes may not have arrived",
    "the newest calls may be missing",
    "run this again later",
)


def gap(found: Investigation, begins: str) -> Missing:
    [one] = [m for m in found.missing if m.what.startswith(begins)]
    return one


@pytest.fixture
def case() -> Case:
    return few_counts(two_pm())


# The ordinary way


def test_every_source_is_asked_for_what_it_has_about_this_time() -> None:
    case, asked = two_pm(), Asked()
    case.alarms = [AlarmChange("promptlane/support-assistant/stable/Refusal", T0 + 60, "OK", "ALARM")]

    found = found_by(case, asked=asked)

    window, read = Window(T0 - 4000, NOW), Window(T0 - 15_200, NOW)
    kept = NOW - TRAIL_KEPT
    assert asked == [
        ("prompts.find", (NAME,), {}),
        ("routes.get", (NAME,), {}),
        ("releases.of_prompt", (ID,), {}),
        ("releases.timeline", (f"{ID}-2-1",), {}),
        ("releases.timeline", (f"{ID}-3-1",), {}),
        *[("prompts.version", (ID, number), {}) for number in (1, 2, 3)],
        ("trail.events", (ID, NAME), {"names": CONTROL_EVENTS, "window": Window(kept, NOW)}),
        ("trail.events", (ID, NAME), {"names": OBSERVATION_EVENTS, "window": Window(kept, NOW)}),
        ("trail.events", (ID, NAME), {"names": CALL_EVENTS, "window": window, "most": 200, "models": [MODEL]}),
        ("archive.events", (ID, window), {"models": [MODEL]}),
        ("trail.logging", (), {}),
        ("alarms.changes", (NAME, window), {}),
        ("rates.cells", (NAME,), {"versions": [1, 2, 3], "metrics": METRICS, "window": read, "seconds": 240.0}),
        ("log.state", (), {}),
        ("log.calls", (NAME, window), {}),
        ("log.outside", ([MODEL], ID, window), {}),
        ("log.sample", (NAME, 3, read), {"suspicious": False}),
        ("log.sample", (NAME, 2, read), {"suspicious": False}),
    ]
    releases = case.releases.of_prompt(ID)
    assert found.facts == Gathered(
        prompt=NAME,
        prompt_id=ID,
        window=window,
        read=read,
        now=NOW,
        route=case.routes.get(NAME),
        releases=tuple(releases),
        entries=tuple(e for r in releases for e in case.releases.timeline(r.release_id)),
        trail=tuple(case.trail),
        alarms=tuple(case.alarms),
        cells=tuple(c for c in case.cells if read.holds(c.at)),
        calls=tuple(case.calls),
        outside=(),
        snapshots={n: case.prompts.version(ID, n) for n in (1, 2, 3)},
        missing=(TOLD_LATE,),
        releases_known=True,
    )
    assert found.missing == (TOLD_LATE,)
    assert len(found.pairs) == 3


def test_a_deployment_without_a_trail_of_its_own_needs_to_say_nothing_of_it(case: Case) -> None:
    sources = case.sources()
    kept = {n: getattr(sources, n) for n in Sources.__dataclass_fields__ if n != "archive"}

    found = investigate(Sources(**kept), NAME, T0 - 4000, NOW)

    assert gap(found, "renderings are not recorded: this deployment").source == "CloudTrail log files"


@pytest.mark.parametrize("model", ["", "amazon.nova-pro-v1:0"])
def test_calls_of_every_model_that_a_compared_version_names_are_asked_for_once(case: Case, model: str) -> None:
    version = case.prompts._versions[ID][0]
    case.prompts._versions[ID][0] = replace(version, variants=({**version.variants[0], "modelId": model},))
    asked: Asked = []

    found_by(case, asked=asked)

    [((models, _, _), _)] = of(asked, "log.outside")
    assert models == [MODEL, *([model] if model else [])]


# Time


def test_of_a_time_that_has_not_come_only_the_route_is_asked_for(case: Case) -> None:
    asked: Asked = []

    found = found_by(case, NOW, NOW + 3600, asked=asked)

    assert [what for what, _, _ in asked] == ["prompts.find", "routes.get"]
    now = Window(NOW, NOW)
    lacking = (
        Missing(
            "time range",
            "it begins at 2025-10-09T09:00:00.000Z, which is in the future",
            "nothing has happened yet",
            "choose an earlier --since",
        ),
    )
    assert found.facts == Gathered(NAME, ID, now, now, NOW, case.routes.get(NAME), missing=lacking)


@pytest.mark.parametrize(("ahead", "clamped"), [(0.0, False), (1.0, False), (1.5, True)])
def test_a_time_that_ends_in_the_future_ends_now(case: Case, ahead: float, clamped: bool) -> None:
    found = found_by(case, T0, NOW + ahead)

    assert found.facts.window == Window(T0, NOW if clamped else NOW + ahead)
    told = [m for m in found.missing if m.source == "time range"]
    assert (
        told
        == [
            Missing(
                "time range",
                "it ends at 2025-10-09T09:00:01.500Z, which is in the future",
                "what is known ends now, at 2025-10-09T09:00:00.000Z",
                "",
            )
        ]
        * clamped
    )


def test_a_time_without_length_is_analysed_no_further(case: Case) -> None:
    found = found_by(case, T0, T0)

    assert (found.facts.read, found.facts.cells, found.facts.releases) == (Window(T0, T0), (), ())


@pytest.mark.parametrize(
    ("since", "length", "read", "seconds"),
    [
        (2 * 3600, 600, 3600, 60),  # an hour before at least
        (DAY, 7200, 7200, 180),
        (13 * DAY, 13 * DAY, 15 * DAY - 13 * DAY, None),
        (7 * DAY, DAY, DAY, 1920),
        (14 * DAY, DAY - 1, DAY - 1, 1920),
        (14 * DAY, DAY, DAY, 1800),  # 15 days old: five minutes
        (62 * DAY, DAY - 1, DAY - 1, 1800),
        (62 * DAY, DAY, DAY, 3600),  # 63 days old: an hour
        (62 * DAY, 600, 3600, 300),
        (400 * DAY, 100 * DAY, 55 * DAY, 147_600),  # nothing is kept longer than 455 days
    ],
)
def test_counts_are_read_from_before_at_a_resolution_that_is_still_kept(
    case: Case, since: float, length: float, read: float, seconds: float | None
) -> None:
    asked: Asked = []

    found_by(case, NOW - since, NOW - since + length, asked=asked)

    [(_, more)] = of(asked, "rates.cells")
    if seconds is None:
        assert more["window"] == Window(NOW - 2 * since, NOW)
        return
    assert more["window"] == Window(NOW - since - read, NOW - since + length)
    assert more["seconds"] == seconds


# Which prompt


@pytest.mark.parametrize("given", [ID, ARN, f"{ARN}:3"])
@pytest.mark.parametrize("down", [True, False])
def test_a_prompt_that_bedrock_does_not_tell_of_is_known_by_its_newest_release(
    case: Case, given: str, down: bool
) -> None:
    case.releases.record_ended(replace(case.releases.get(f"{ID}-3-1"), release_id=f"{ID}-4-1", prompt="renamed"))
    prompts, case.prompts = case.prompts, FakePrompts()
    case.prompts._versions = prompts._versions
    case.down = {"Bedrock"} if down else set()
    asked: Asked = []

    found = found_by(case, prompt=given, asked=asked)

    assert (found.facts.prompt, found.facts.prompt_id) == ("renamed", ID)
    assert asked[:3] == [("prompts.find", (given,), {}), ("routes.get", (ID,), {}), ("releases.of_prompt", (ID,), {})]
    told = [m for m in found.missing if m.source == "Bedrock" and "version 4" not in m.what]
    if down:
        assert told[0] == Missing("Bedrock", "Bedrock does not answer", "versions and their texts are not known", "")
    else:
        assert told == [
            Missing(
                "Bedrock",
                f"it has no prompt {given!r} (any more)",
                "the versions' texts cannot be compared",
                "`promptlane restore` publishes an archived version again",
            )
        ]
    assert not [m for m in found.missing if m.source == "prompt"]


def test_a_deleted_prompt_given_by_name_is_known_by_its_route(case: Case) -> None:
    case.prompts = FakePrompts()

    found = found_by(case)

    assert (found.facts.prompt, found.facts.prompt_id) == (NAME, ID)
    assert gap(found, f"it has no prompt '{NAME}' (any more)")


def test_a_deleted_prompt_that_was_never_released_is_known_by_its_events_of_ninety_days(case: Case) -> None:
    case.prompts, case.routes, case.releases = FakePrompts(), InMemoryRoutes(), InMemoryReleases()
    case.trail = [TrailEvent("DeletePrompt", T0 - 30 * DAY, EDITOR, "IAMUser", ID)]
    asked: Asked = []

    found = found_by(case, prompt=ID, asked=asked)

    assert (found.facts.prompt, found.facts.prompt_id) == (ID, ID)
    assert of(asked, "trail.events")[0] == (
        (ID, ID),
        {"names": CONTROL_EVENTS, "window": Window(NOW - TRAIL_KEPT, NOW)},
    )
    assert not [m for m in found.missing if m.source == "prompt"]


@pytest.mark.parametrize("given", ["no-such-prompt", "AAAAAAAAAA", "AAAAAAAAAAA", ARN.replace("0001", "0009")])
def test_what_no_source_knows_is_not_found(case: Case, given: str) -> None:
    with pytest.raises(NotFound, match=f"there is no prompt '{given}' in Bedrock.*promptlane status"):
        found_by(case, prompt=given)


@pytest.mark.parametrize(
    ("given", "down", "known"),
    [
        ("no-such-prompt", "Bedrock", ("", "no-such-prompt")),
        ("no-such-prompt", "routes", ("", "no-such-prompt")),
        ("AAAAAAAAAA", "Bedrock", ("AAAAAAAAAA", "AAAAAAAAAA")),
        (ARN.replace("0001", "0009"), "releases", ("PROMPT0009", "PROMPT0009")),
        ("AAAAAAAAAA", "CloudTrail", ("AAAAAAAAAA", "AAAAAAAAAA")),
    ],
)
def test_a_prompt_that_nobody_knows_while_a_source_is_down_is_shown_as_it_was_given(
    case: Case, given: str, down: str, known: tuple[str, str]
) -> None:
    case.down = {down}

    found = found_by(case, prompt=given)

    assert (found.facts.prompt_id, found.facts.prompt) == known
    assert gap(found, "no source that answered knows") == Missing(
        "prompt",
        f"no source that answered knows {given!r}",
        "only what is recorded under exactly this name is shown",
        "check the spelling, or give its id; run this again when all sources answer",
    )
    assert bool([m for m in found.missing if "(any more)" in m.what]) is (down != "Bedrock")


@pytest.mark.parametrize(
    ("down", "therefore"),
    [
        ("routes", "who gets which version now is not known"),
        ("releases", "who released and approved what is not known"),
        ("CloudTrail", "who created, edited, published or deleted is not known"),
    ],
)
def test_what_follows_from_a_source_that_is_down_is_said_once(case: Case, down: str, therefore: str) -> None:
    case.prompts, case.down = FakePrompts(), {down}

    found = found_by(case, prompt="AAAAAAAAAA")

    assert [m.therefore for m in found.missing if m.source == down][:1] == [therefore]


def test_without_an_id_neither_releases_nor_versions_nor_log_files_are_asked_for(case: Case) -> None:
    case.down = {"Bedrock"}
    asked: Asked = []

    found = found_by(case, prompt="no-such-prompt", asked=asked)

    assert not [what for what, _, _ in asked if what.startswith(("releases", "archive", "prompts.v"))]
    assert gap(found, "they are kept by the prompt's id") == Missing(
        "releases",
        "they are kept by the prompt's id, which is not known",
        "who released and approved what is not known",
        "",
    )
    assert (found.facts.releases_known, found.facts.snapshots) == (False, {})


# Releases and versions


def many(count: int, *, released: bool = True) -> Case:
    """`count` versions, published a day apart, the last one a day before T0; or their releases, canary and all."""
    case = few_counts(two_pm())
    last = case.releases.get(f"{ID}-3-1")
    case.prompts, case.releases = FakePrompts(), InMemoryReleases()
    for number in range(1, count + 1):
        at = T0 - DAY * (count - number + 1)
        case.prompts.publish(PromptDraft(NAME, MODEL, (), template=f"{number}"), prompt_id=ID)
        if released:
            record = replace(last, release_id=f"{ID}-{number}-1", started_at=at)
            shift: dict[str, Any] = {"version": number, "weight": 1000, "stable": max(1, number - 1)}
            case.releases.record_ended(
                replace(record, ended_at=at + 3600), entry(number, "route/1", at, Event.CANARY_SHIFTED, **shift)
            )
    return case


def test_releases_that_are_left_out_are_counted_and_their_versions_listed() -> None:
    found = found_by(many(30))

    [one] = [m for m in found.missing if m.source == "releases"]
    left_out = sorted({r.version for r in found.facts.releases} - {e.detail["version"] for e in found.facts.entries})
    assert one.what == (
        f"the timelines of 10 of 30 releases were not read: the {MOST_RELEASES} nearest to this time were"
    )
    assert one.therefore == f"who approved and shifted versions {', '.join(map(str, left_out))} is not known"
    assert one.remedy == "promptlane history <release id>"


def test_a_long_list_of_versions_ends_with_how_many_more_there_are() -> None:
    found = found_by(many(41))

    one = gap(found, "the timelines of 21 of 41")
    listed = one.therefore.removeprefix("who approved and shifted versions ").removesuffix(" is not known")
    assert listed.endswith(" and 1 more")
    assert len(listed.removesuffix(" and 1 more").split(", ")) == 20
    assert " more" not in gap(found_by(many(40)), "the timelines of 20 of 40").therefore


def test_versions_that_are_left_out_are_listed() -> None:
    found = found_by(many(12))

    [one] = [m for m in found.missing if m.source == "versions"]
    assert one.what.endswith(
        "were left out: 8 at most are compared, those that the route names and the nearest to this time"
    )
    assert (one.therefore, one.remedy) == ("their rates and texts are not shown", "choose a time nearer to theirs")


@pytest.mark.parametrize(("count", "compared"), [(7, range(1, 8)), (11, range(4, 12))])
def test_where_nobody_knows_what_had_traffic_the_newest_versions_are_compared(count: int, compared: range) -> None:
    asked: list[Any] = []
    case = many(count, released=False)
    case.down = {"routes"}

    found = found_by(case, asked=asked)

    [(_, more)] = of(asked, "rates.cells")
    assert (list(more["versions"]), of(asked, "prompts.versions")) == (list(compared), [((ID,), {})])
    assert sorted(found.facts.snapshots) == list(range(max(1, compared[0] - 1), compared[-1] + 1))
    told = [m.what for m in found.missing if m.source == "versions"]
    assert [what.startswith("1, 2, 3 were left out") for what in told] == [True] * (count == 11)


def test_where_versions_cannot_be_listed_none_is_compared_and_their_counts_are_not_said_to_be_none(case: Case) -> None:
    case.down, case.cells = {"routes", "releases", "Bedrock"}, []

    found = found_by(case, prompt=ID)

    assert found.facts.snapshots == {}
    assert Missing("Bedrock", "Bedrock does not answer", "versions and their texts are not known", "") in found.missing
    assert not [m for m in found.missing if m.source == "metrics"]


def test_a_version_whose_text_is_gone_is_named_and_may_be_in_the_archive(case: Case) -> None:
    del case.prompts._versions[ID][1]

    found = found_by(case)

    assert sorted(found.facts.snapshots) == [1, 3]
    assert gap(found, f"prompt {ID} has no version 2") == Missing(
        "Bedrock",
        f"prompt {ID} has no version 2",
        "the text of version 2 cannot be compared",
        "the archive may hold it: archive/<prompt id>/<version>.json in the report bucket",
    )


def test_changes_are_asked_for_as_far_back_as_the_history_reaches(case: Case) -> None:
    asked: Asked = []

    found_by(case, T0 - 4000, asked=asked)

    assert of(asked, "trail.events")[0][1]["window"] == Window(NOW - TRAIL_KEPT, NOW)


# Counts and alarms


def test_where_nothing_was_counted_that_is_said(case: Case) -> None:
    case.cells = []

    assert gap(found_by(case), "no request of any version was counted") == Missing(
        "metrics",
        "no request of any version was counted in this time",
        "nothing can be compared",
        "choose another time, or check that the application uses promptlane.client",
    )


def test_counts_that_cannot_be_read_rank_no_cause(case: Case) -> None:
    case.down = {"metrics"}

    found = found_by(case)

    assert found.facts.cells == ()
    assert [m for m in found.missing if m.source == "metrics"] == [
        Missing(
            "metrics",
            "metrics does not answer",
            "rates of bad events by version are not known, so causes cannot be ranked by them",
            "",
        )
    ]


@pytest.mark.parametrize(("age", "told"), [(ALARMS_KEPT, False), (ALARMS_KEPT + 1, True)])
def test_alarms_are_known_for_thirty_days(case: Case, age: float, told: bool) -> None:
    found = found_by(case, NOW - age)

    lost = Missing("alarms", "CloudWatch keeps alarm history for 30 days", "earlier alarms are not known", "")
    assert ((lost in found.missing), ALARMS_KEPT) == (told, 30 * DAY)


def test_alarms_that_cannot_be_read_are_a_gap(case: Case) -> None:
    case.down = {"alarms"}

    found = found_by(case)

    assert found.facts.alarms == ()
    assert gap(found, "alarms does not answer") == Missing(
        "alarms", "alarms does not answer", "when alarms fired is not known", ""
    )


# CloudTrail


def event(name: str, at: float, target: str = ID, **more: Any) -> TrailEvent:
    return TrailEvent(name, at, AUTHOR, "IAMUser", target, **more)


def test_events_of_history_and_files_are_joined_in_order_of_time_each_once(case: Case) -> None:
    call, nameless = event("Converse", T0 + 50, ARN, event_id="e1"), event("Converse", T0 + 40, ARN)
    stopped = event("StartLogging", T0 + 45, "promptlane", event_id="e3")
    case.trail = [event("UpdatePrompt", T0 + 90, event_id="e2"), nameless, call, stopped]
    rendered = event("RenderPrompt", T0 + 60, ARN, event_id="e4")
    case.files = TrailAnswer((call, nameless, rendered), files=2)

    trail = found_by(case).facts.trail

    assert [e.at - T0 for e in trail] == [40, 40, 45, 50, 60, 90]


@pytest.mark.parametrize(("age", "told"), [(TRAIL_KEPT, False), (TRAIL_KEPT + 1, True)])
def test_what_is_older_than_ninety_days_is_said(case: Case, age: float, told: bool) -> None:
    asked: Asked = []

    found = found_by(case, NOW - age, asked=asked)

    lost = Missing(
        "CloudTrail",
        "part of the time is older than 90 days",
        "who edited and published then is not known",
        "query the trail's log files in the audit bucket (Athena)",
    )
    assert ((lost in found.missing), TRAIL_KEPT) == (told, 90 * DAY)
    assert of(asked, "trail.events")[1][1]["window"] == Window(NOW - age, NOW)


@pytest.mark.parametrize(
    ("watched", "told"),
    [(None, True), (Window(NOW - 209 * DAY, NOW), True), (Window(NOW - 210 * DAY, NOW), False)],
)
def test_edits_that_were_recorded_are_known_after_cloudtrail_forgot_them(
    case: Case, watched: Window | None, told: bool
) -> None:
    kept = InMemoryEdits()
    old = TrailEvent("UpdatePrompt", NOW - 200 * DAY, "long-ago", "IAMUser", ID, event_id="old")
    case.trail = [replace(case.trail[0], event_id="new"), *case.trail[1:]]
    for one in (old, replace(case.trail[0], arn="as recorded")):
        kept.record(ID, Edit(one, one.at + 60))
    if watched:
        kept.watch(ID, watched)

    found = investigate(replace(case.sources(), edits=kept), NAME, NOW - 210 * DAY, NOW)

    edits = [(e.at, e.arn) for e in found.facts.trail if e.name == "UpdatePrompt"]
    assert edits == [(old.at, "long-ago"), (case.trail[0].at, case.trail[0].arn)]
    assert any(m.what == "part of the time is older than 90 days" for m in found.missing) == told


@pytest.mark.parametrize(("ago", "told"), [(TRAIL_LATE, False), (TRAIL_LATE - 1, True)])
def test_what_may_still_arrive_is_said(case: Case, ago: float, told: bool) -> None:
    assert ((TOLD_LATE in found_by(case, until=NOW - ago).missing), TRAIL_LATE) == (told, 900)


@pytest.mark.parametrize("down", [{"CloudTrail"}, {"CloudTrail log files"}])
def test_a_trail_that_does_not_answer_is_a_gap_for_each_question(case: Case, down: set[str]) -> None:
    case.down = down

    found = found_by(case)

    [source] = down
    therefore = [m.therefore for m in found.missing if m.what == f"{source} does not answer"]
    assert therefore == (
        [
            "who created, edited, published or deleted is not known",
            "whether logging was on, and a trail running, all the time is not known",
            "calls outside of the split are not known from CloudTrail",
            "whether a trail is logging is not known",
        ]
        if source == "CloudTrail"
        else ["renderings of versions, and calls beyond those of the event history, are not known"]
    )


@pytest.mark.parametrize(
    ("files", "what", "therefore", "remedy"),
    [
        (
            TrailAnswer((), ("RenderPrompt",), files=9, complete_since=T0),
            "there are more than were read; nothing is left out since 2025-10-09T07:00:00.000Z",
            "earlier renderings and calls are known as far as the event history shows calls",
            "choose a shorter time, or query the audit bucket (Athena)",
        ),
        (TrailAnswer((), files=4000, lost=1200), "1,200 of 4,000 could not be read", "their events are missing", ""),
        (TrailAnswer((), files=9, unreadable=1200), "1,200 record(s) could not be read", "they were left out", ""),
    ],
)
def test_log_files_that_are_cut_off_lost_or_odd_are_said(
    case: Case, files: TrailAnswer, what: str, therefore: str, remedy: str
) -> None:
    case.files = files

    told = [m for m in found_by(case).missing if m.source == "CloudTrail log files"]

    assert told == [Missing("CloudTrail log files", what, therefore, remedy)]


@pytest.mark.parametrize(
    ("names", "therefore"),
    [
        (("CreatePrompt", "UpdatePrompt"), "who edited the prompt, and when, is not fully known"),
        (("CreatePromptVersion",), "who published is not fully known"),
        (("DeletePrompt",), "whether something was deleted, and by whom, is not fully known"),
        (OBSERVATION_EVENTS, "whether logging was on, and a trail running, all the time is not fully known"),
        (CALL_EVENTS, "calls outside of the split may be missing"),
    ],
)
def test_events_that_are_cut_off_or_failed_are_named_together_with_what_follows(
    case: Case, names: tuple[str, ...], therefore: str
) -> None:
    listed = ", ".join(names)
    case.truncated = names
    assert [m for m in found_by(case).missing if "than were read" in m.what] == [
        Missing(
            "CloudTrail",
            f"there were more {listed} events than were read (the newest)",
            therefore,
            "choose a shorter time",
        )
    ]
    case.truncated, case.failed = (), names
    assert [m for m in found_by(case).missing if "throttled" in m.what] == [
        Missing("CloudTrail", f"{listed} events could not be read: throttled", therefore, "run this again")
    ]


def test_events_that_cannot_be_read_are_counted(case: Case) -> None:
    case.unreadable = 1200

    told = gap(found_by(case), "1,200 event(s) could not be read")
    assert (told.source, told.therefore) == ("CloudTrail", "they were left out; some may be about this prompt")


def still(case: Case) -> None:
    case.trail.append(TrailEvent("StopLogging", T0 + 10, EDITOR, target="promptlane"))


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        (lambda case: None, True),
        (still, False),
        (lambda case: setattr(case, "files", replace(case.files, truncated=("Converse",))), False),
        (lambda case: setattr(case, "files", replace(case.files, lost=1)), False),
        (lambda case: setattr(case, "files", replace(case.files, events=(event("RenderPrompt", T0, ARN),))), False),
        (lambda case: setattr(case, "files", replace(case.files, events=())), False),
        (lambda case: setattr(case, "files", None), False),
    ],
)
def test_only_log_files_with_every_call_make_up_for_a_history_that_is_cut_off(
    case: Case, change: Callable[[Case], None], whole: bool
) -> None:
    case.truncated = ("UpdatePrompt", "Converse")
    rendered, call = event("RenderPrompt", T0 + 60, ARN), event("Converse", T0 + 60, f"{ARN}:3")
    case.files = TrailAnswer((rendered, call), files=9)
    change(case)

    told = [m.what for m in found_by(case).missing if "than were read (" in m.what]

    assert [what.split()[3] for what in told] == ["UpdatePrompt", *["Converse"] * (not whole)]


@pytest.mark.parametrize(("trails", "told"), [([], True), (["promptlane"], False)])
def test_where_no_trail_logs_that_is_said(case: Case, trails: list[str], told: bool) -> None:
    case.trails = trails

    found = [m for m in found_by(case).missing if m.what == "no trail is logging in this Region"]

    assert [(m.source, m.remedy) for m in found] == [
        ("CloudTrail", "deploy the Audit stack, or start the account's trail")
    ] * told


def test_a_trail_that_stood_still_is_said_with_what_to_do(case: Case) -> None:
    case.trail += [
        TrailEvent("StopLogging", T0 + 10, EDITOR, target="trail/one"),
        TrailEvent("StartLogging", T0 + 20, EDITOR, target="one"),
        TrailEvent("StopLogging", T0 + 30, EDITOR, target="one"),
        TrailEvent("StopLogging", T0 + 40, EDITOR, target="two"),
    ]

    told = [m for m in found_by(case).missing if " did not log " in m.what]

    assert [(m.source, m.what.split()[1], m.what.split()[6], m.remedy) for m in told] == [
        ("CloudTrail", "one", "2025-10-09T07:00:10.000Z", ""),
        ("CloudTrail", "one", "2025-10-09T07:00:30.000Z", "start it again"),
        ("CloudTrail", "two", "2025-10-09T07:00:40.000Z", "start it again"),
    ]
    assert {m.therefore for m in told} == {
        "what it alone records is missing for that time: renderings, and a copy beyond 90 days"
    }


@pytest.mark.parametrize(
    ("call", "files", "told"),
    [
        (event("Converse", NOW - TRAIL_LATE - 1, f"{ARN}:3"), TrailAnswer((), files=1), True),
        (event("Converse", NOW - TRAIL_LATE, f"{ARN}:3"), TrailAnswer((), files=1), False),
        (event("Converse", T0, f"{ARN}:3", error="ThrottlingException"), TrailAnswer((), files=1), False),
        (event("Converse", T0, MODEL), TrailAnswer((), files=1), False),
        (event("Converse", T0, f"{ARN}:3"), TrailAnswer((), files=0), False),
        (event("Converse", T0, f"{ARN}:3"), TrailAnswer((event("RenderPrompt", T0, ARN),), files=1), False),
        (event("Converse", T0, f"{ARN}:3"), None, False),
    ],
)
def test_calls_without_any_rendering_say_that_those_are_not_recorded(
    case: Case, call: TrailEvent, files: TrailAnswer | None, told: bool
) -> None:
    case.trail.append(call)
    case.files = files

    found = [m for m in found_by(case).missing if m.what.startswith("they hold no rendering")]

    assert [(m.source, m.remedy) for m in found] == [
        ("CloudTrail log files", "deploy the Audit stack with promptlane:render_events=true")
    ] * told
