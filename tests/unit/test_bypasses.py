"""Calls past the split, as CloudTrail and the invocation log tell of them."""

from __future__ import annotations

from dataclasses import replace

from promptlane.domain.bypasses import bypasses, rendered
from promptlane.domain.inquiry import CallGroup, Gathered, TrailEvent
from promptlane.domain.names import Outcome
from promptlane.domain.release import Release
from promptlane.lifecycle.inquire import inquire
from tests.unit.investigation_case import ID, NAME, NOW, T0, two_pm

PROMPT = f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}"
MODEL = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"
CALLER = "arn:aws:iam::111122223333:user/mallory"


def call(at: float, version: int = 0, *, name: str = "Converse", target: str = "", by: str = CALLER) -> TrailEvent:
    named = target or (f"{PROMPT}:{version}" if version else PROMPT)
    return TrailEvent(name, at, by, "IAMUser", named, version)


def facts(*events: TrailEvent, releases: tuple[Release, ...] = (), **changes: object) -> Gathered:
    known = inquire(two_pm().sources(), NAME, T0 - 4000, NOW).facts
    return replace(known, trail=events, releases=(*known.releases, *releases), **changes)  # type: ignore[arg-type]


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
