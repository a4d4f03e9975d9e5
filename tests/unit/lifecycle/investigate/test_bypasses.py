"""Calls past the split, as CloudTrail and the invocation log tell of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.investigation.bypasses import bypasses, rendered
from promptlane.domain.investigation.findings import Cause, Rendered
from promptlane.domain.investigation.sources import CallGroup, Gathered
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event
from promptlane.domain.trail import TrailEvent
from promptlane.lifecycle.investigate.run import investigate
from tests.support.investigation_case import NAME, NOW, T0, entry, two_pm
from tests.support.known_facts import WINDOW, cell, release, route
from tests.support.known_facts import facts as of_prompt
from tests.support.prompt import ID

PROMPT = f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}"
MODEL = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"
CALLER = "arn:aws:iam::111122223333:user/mallory"


def call(at: float, version: int = 0, *, name: str = "Converse", target: str = "", by: str = CALLER) -> TrailEvent:
    named = target or (f"{PROMPT}:{version}" if version else PROMPT)
    return TrailEvent(name, at, by, "IAMUser", named, version)


def facts(*events: TrailEvent, releases: tuple[Release, ...] = (), **changes: Any) -> Gathered:
    known = investigate(two_pm().sources(), NAME, T0 - 4000, NOW).facts
    return replace(known, trail=events, releases=(*known.releases, *releases), **changes)


def titles(known: Gathered) -> list[str]:
    return [cause.title for cause in bypasses(known)]


def rejected(version: int, started: float, ended: float) -> Release:
    name = f"{ID}-{version}-1"
    return Release(name, NAME, started, CALLER, outcome=Outcome.REJECTED, state="ended", ended_at=ended)


def test_a_rejected_version_that_is_called_is_told() -> None:
    known = facts(call(T0 + 500, 4), releases=(rejected(4, T0 - 2000, T0 - 1000),))

    assert titles(known) == ["1 call(s) used version 4, which was released but never given traffic."]


def test_tests_of_a_release_that_was_open_then_are_not_told() -> None:
    running = Release(f"{ID}-5-1", NAME, T0 - 100, CALLER, state="testing")
    known = facts(call(T0 - 1500, 4), call(T0, 5), releases=(rejected(4, T0 - 2000, T0 - 1000), running))

    assert titles(known) == []


def test_calls_of_what_the_route_gives_are_not_told() -> None:
    assert titles(facts(call(T0 + 5000, 3), call(T0 + 620, 2))) == []


def test_a_version_called_long_after_it_lost_its_traffic_is_told() -> None:
    known = facts(call(T0 + 620, 2), call(T0 + 3000, 2), call(T0 + 3001, 2))

    assert titles(known) == ["2 call(s) used version 2, which gets no traffic any more."]


def test_a_call_that_appears_as_call_and_as_rendering_counts_once() -> None:
    calls = [call(T0 + k) for k in range(3)]
    renders = [call(T0 + k, name="RenderPrompt") for k in range(5)]

    assert titles(facts(*calls, *renders)) == ["5 call(s) used DRAFT."]
    assert titles(facts(*calls, *renders[:2])) == ["3 call(s) used DRAFT."]


def test_calls_that_failed_are_not_told_as_calls_that_users_saw() -> None:
    refused = [replace(call(T0 + k), error="AccessDenied") for k in range(3)]
    direct = replace(call(T0 + 7, target=MODEL), error="ThrottlingException")
    known = facts(*refused, call(T0 + 9), direct, calls=(), outside=())

    found = list(bypasses(known))

    assert [c.title for c in found] == ["3 call(s) of DRAFT failed with AccessDenied.", "1 call(s) used DRAFT."]
    assert "They got no answer" in found[0].because[0]
    assert "users saw" not in found[0].because[0]


def test_who_rendered_what_tells_of_renderings_that_took_place() -> None:
    rendering = call(T0, 3, name="RenderPrompt")
    known = facts(rendering, replace(rendering, error="AccessDenied"))

    assert [(r.version, r.calls) for r in rendered(known)] == [(3, 1)]


def test_direct_calls_of_a_model_are_told_by_cloudtrail() -> None:
    known = facts(call(T0 + 7, target=MODEL), call(T0 + 9, target=MODEL), calls=(), outside=())

    [cause] = bypasses(known)

    assert cause.title == "2 call(s) of amazon.nova-lite-v1:0 went to the model directly."
    assert CALLER in cause.because[0]
    assert cause.at == T0 + 7


def test_direct_calls_that_the_log_told_of_are_not_told_twice() -> None:
    logged = CallGroup("", "", CALLER, "amazon.nova-lite-v1:0", "Converse", 2, first=T0 + 7)
    known = facts(call(T0 + 7, target=MODEL), outside=(logged,))

    assert titles(known) == ["2 call(s) of amazon.nova-lite-v1:0 name no prompt in their metadata."]


def test_without_a_release_table_served_versions_are_known_by_their_counts() -> None:
    known = facts(call(T0 + 5000, 3))

    assert titles(replace(known, releases=(), entries=(), route=None)) == []


# Every kind of version that a call may name, with callers and times of their own

APP = "arn:aws:sts::111122223333:assumed-role/App/i-1"
UNSEEN = (
    "Nobody's split decided on them, and no guard metric counts them: what users saw there is in the invocation log "
    "only."
)


def told(what: str, by: str, at: float) -> Cause:
    return Cause("bypass", what, (f"By {by}. {UNSEEN}",), at)


def test_each_kind_of_call_past_the_split_is_told_with_its_callers_and_its_first_time() -> None:
    known = of_prompt(
        route=route(3, previous=2, phase_since=T0),
        releases=(release(5, outcome=Outcome.REJECTED, ended_at=T0 + 5), release(6, outcome=Outcome.ROLLED_BACK)),
        trail=(
            call(T0 + 720, 9, by=APP),
            call(T0 + 710, 9, name="InvokeModel"),
            call(T0 + 730, 9, by=""),
            *(call(T0 + 740, 9, by=one) for one in ("zed", "amy", "kim")),
            call(T0 + 700, 3),
            call(T0 + 700, 6),
            call(T0 + 700, 2),
            call(T0 + 690, 5, name="ConverseStream", by=""),
            call(T0 + 680, name="RenderPrompt", target=ID),
            call(T0 + 681, name="RenderPrompt"),
            call(T0 + 670, name="InvokeModelWithResponseStream", by=APP),
            call(WINDOW.since - 1),
            call(WINDOW.until),
            call(T0 + 1, name="UpdatePrompt"),
            call(T0 + 2, target=PROMPT.replace("0001", "0002")),
            call(T0 + 3, name="RenderPrompt", target="0002"),
        ),
    )

    assert list(bypasses(known)) == [
        told("6 call(s) used version 9, which was never released.", f"amy, {CALLER}, {APP}, kim, zed", T0 + 710),
        told("1 call(s) used version 6, which gets no traffic any more.", CALLER, T0 + 700),
        told("1 call(s) used version 2, which gets no traffic any more.", CALLER, T0 + 700),
        told("1 call(s) used version 5, which was released but never given traffic.", "an unknown principal", T0 + 690),
        told("2 call(s) used DRAFT.", f"{CALLER}, {APP}", T0 + 670),
    ]


def test_without_the_prompts_id_no_call_is_known_to_be_of_it() -> None:
    known = of_prompt(prompt_id="", trail=(call(T0, 9), call(T0, target="prompt/"), call(T0, name="RenderPrompt")))

    assert (list(bypasses(known)), list(rendered(known))) == ([], [])


def test_failures_of_each_kind_are_told_apart_from_calls_that_were_answered() -> None:
    denied = [replace(call(T0 + k, 9), error="AccessDenied") for k in (4, 3)]
    slow = replace(call(T0 + 7, 9, by=APP), error="ThrottlingException")
    said = "They got no answer; nobody's split decided on them, and no guard metric counts them."

    assert list(bypasses(of_prompt(trail=(*denied, slow)))) == [
        Cause(
            "bypass",
            "2 call(s) of version 9, which was never released failed with AccessDenied.",
            (f"By {CALLER}. {said}",),
            T0 + 3,
        ),
        Cause(
            "bypass",
            "1 call(s) of version 9, which was never released failed with ThrottlingException.",
            (f"By {APP}. {said}",),
            T0 + 7,
        ),
    ]


@pytest.mark.parametrize(
    ("late", "said"), [(60, []), (61, ["1 call(s) used version 2, which gets no traffic any more."])]
)
def test_calls_that_were_on_their_way_when_the_route_changed_are_not_told(late: float, said: list[str]) -> None:
    assert titles(of_prompt(route=route(3, previous=2, phase_since=T0), trail=(call(T0 + late, 2),))) == said


@pytest.mark.parametrize(
    ("at", "tested"),
    [(T0 - 201, False), (T0 - 200, True), (T0 - 100, True), (T0 - 40, True), (T0 - 39, False)],
)
def test_calls_of_a_version_while_a_release_of_it_is_open_are_its_tests(at: float, tested: bool) -> None:
    """From its start to a minute after its end; an earlier attempt and another version's release do not count."""
    releases = (
        release(4, T0 - 900, outcome=Outcome.REJECTED, ended_at=T0 - 800),
        release(4, T0 - 200, attempt=2, outcome=Outcome.REJECTED, ended_at=T0 - 100),
        release(5, T0 - 3_000, state="testing", outcome=None),
    )
    said = ["1 call(s) used version 4, which was released but never given traffic."]

    assert titles(of_prompt(releases=releases, trail=(call(at, 4),))) == ([] if tested else said)


def test_an_open_release_has_no_end() -> None:
    known = of_prompt(releases=(release(4, T0 - 200, state="review", outcome=None),), trail=(call(T0 + 5_000, 4),))

    assert titles(known) == []


@pytest.mark.parametrize(
    ("known", "served"),
    [
        ({"cells": (cell(T0, 7, 5, 0), cell(T0, 4, 1, 0))}, True),
        ({"cells": (cell(T0, 4, 0, 0), cell(T0, 7, 5, 5))}, False),
        ({"route": route(7, canary=4, phase=Phase.CANARY)}, True),
        ({"route": route(7, previous=8)}, False),
        (
            {
                "entries": (
                    entry(7, "a", T0, Event.PROMOTED, version=7, previous=6),
                    entry(4, "b", T0, Event.PROMOTED, version=4),
                )
            },
            True,
        ),
        (
            {
                "entries": (
                    entry(7, "a", T0, Event.PROMOTED, version=7, previous=4),
                    entry(8, "b", T0, Event.PROMOTED, version=8, previous=7),
                )
            },
            True,
        ),
        ({"entries": (entry(7, "a", T0, Event.PROMOTED, version=7, previous=6),)}, False),
        ({"entries": (entry(4, "a", WINDOW.until, Event.PROMOTED, version=4, previous=6),)}, False),
        ({"releases": (release(7), release(4, ended_at=T0 - 2_000))}, True),
        ({"releases": (release(4, T0 - 2_000, outcome=Outcome.ROLLED_BACK, ended_at=T0 - 1_000), release(7))}, True),
        ({"releases": (release(7), release(8))}, False),
    ],
)
def test_a_version_had_traffic_when_any_source_tells_of_some(known: dict[str, Any], served: bool) -> None:
    said = titles(of_prompt(trail=(call(T0 + 10, 4),), **known))

    assert said == ([] if served else ["1 call(s) used version 4, which was never released."])


def test_calls_that_name_no_prompt_are_told_together() -> None:
    nova, pro = "amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0"
    outside = (
        CallGroup("", "", CALLER, pro, "Converse", 1_200, first=T0 + 70),
        CallGroup("", "", APP, nova, "InvokeModel", 34, first=T0 + 50),
        CallGroup("", "", APP, pro, "Converse", 5),
        CallGroup("", "", "", "mistral", "Converse", 0, first=T0 + 10),
    )
    said = f"1,239 call(s) of {nova}, {pro} name no prompt in their metadata."

    assert list(bypasses(of_prompt(outside=outside))) == [told(said, f"{CALLER}, {APP}", T0 + 50)]
    untimed = replace(outside[2], caller="")
    assert list(bypasses(of_prompt(outside=(untimed,)))) == [
        told(f"5 call(s) of {pro} name no prompt in their metadata.", "an unknown principal", WINDOW.since)
    ]
    assert list(bypasses(of_prompt(outside=outside[3:]))) == []


def test_direct_calls_are_told_by_model_the_most_often_called_first() -> None:
    profile = "arn:aws:bedrock:us-east-1:111122223333:inference-profile/eu/pro-v1:0"
    known = of_prompt(
        trail=(
            call(T0 + 90, target=MODEL),
            call(T0 + 80, target=profile, name="InvokeModel"),
            call(T0 + 70, target="pro-v1:0", name="ConverseStream", by=APP),
            call(T0 + 60, target=profile, by="arn:seen"),
            call(T0 + 50, target=profile, by="arn:logged"),
            call(T0 + 40, target=profile, name="UpdatePrompt"),
            replace(call(T0 + 30, target=profile), error="ThrottlingException"),
            call(WINDOW.until, target=profile),
            TrailEvent("Converse", T0 + 20, CALLER),
        ),
        calls=(CallGroup("3", "stable", "arn:logged", "pro-v1:0", "Converse", 1),),
        outside=(CallGroup("", "", "arn:seen", profile, "Converse", 0),),
    )
    only = (
        "CloudTrail tells of the calls only: for which prompt they were is not known, and tests that ran in this time "
        "are among them."
    )

    assert list(bypasses(known)) == [
        Cause(
            "bypass",
            "2 call(s) of pro-v1:0 went to the model directly.",
            (f"By {CALLER}, {APP}. {UNSEEN}", only),
            T0 + 70,
        ),
        Cause(
            "bypass",
            "1 call(s) of amazon.nova-lite-v1:0 went to the model directly.",
            (f"By {CALLER}. {UNSEEN}", only),
            T0 + 90,
        ),
    ]


def test_who_rendered_is_told_draft_first_then_the_newest_version_and_the_busiest_caller() -> None:
    def render(at: float, number: int, by: str = CALLER) -> TrailEvent:
        return call(at, number, name="RenderPrompt", by=by)

    known = of_prompt(
        trail=(
            render(WINDOW.since - 1, 3),
            render(T0 + 9, 2),
            render(T0 + 40, 3, APP),
            render(T0 + 7, 3),
            render(T0 + 20, 3),
            render(T0 + 5, 3),
            render(T0 + 8, 0),
            render(WINDOW.until, 3),
            replace(render(T0, 3), error="AccessDenied"),
            call(T0 + 1, 3),
            call(T0 + 1, name="RenderPrompt", target="prompt/OTHER00001"),
        )
    )

    assert list(rendered(known)) == [
        Rendered(0, CALLER, 1, T0 + 8, T0 + 8),
        Rendered(3, CALLER, 3, T0 + 5, T0 + 20),
        Rendered(3, APP, 1, T0 + 40, T0 + 40),
        Rendered(2, CALLER, 1, T0 + 9, T0 + 9),
    ]
