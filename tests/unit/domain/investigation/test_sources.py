"""What an investigation asks its sources for, and which of their events are about a prompt."""

from __future__ import annotations

import pytest

from promptlane.domain.investigation.sources import AlarmChange, CallGroup, Gathered, LoggingState, Missing, Sampled
from promptlane.domain.trail import (
    CALL_EVENTS,
    CONTROL_EVENTS,
    OBSERVATION_EVENTS,
    RENDER_EVENTS,
    TrailAnswer,
    TrailEvent,
    Window,
    is_about,
    is_model,
)
from tests.support.investigation_case import NAME
from tests.support.prompt import ID

PROMPT = f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}"
NOVA = "amazon.nova-lite-v1:0"
FOUNDATION = f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}"


def test_events_are_asked_for_by_the_names_that_cloudtrail_gives_them() -> None:
    assert CONTROL_EVENTS == ("CreatePrompt", "UpdatePrompt", "CreatePromptVersion", "DeletePrompt")
    assert OBSERVATION_EVENTS == (
        "StopLogging",
        "StartLogging",
        "DeleteTrail",
        "PutEventSelectors",
        "PutModelInvocationLoggingConfiguration",
        "DeleteModelInvocationLoggingConfiguration",
    )
    assert CALL_EVENTS == ("Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream")
    assert RENDER_EVENTS == ("RenderPrompt",)


@pytest.mark.parametrize(("at", "held"), [(9.9, False), (10, True), (19.9, True), (20, False)])
def test_a_window_holds_its_beginning_and_not_its_end(at: float, held: bool) -> None:
    assert Window(10, 20).holds(at) is held


def test_a_window_that_ends_before_it_begins_has_no_length() -> None:
    assert (Window(10, 12.5).seconds, Window(20, 10).seconds) == (2.5, 0.0)


def test_what_a_source_does_not_tell_is_empty() -> None:
    window = Window(0, 1)
    assert TrailEvent("Converse", 1.0, "ada") == TrailEvent("Converse", 1.0, "ada", "", "", 0, "", "", "")
    assert TrailAnswer(()) == TrailAnswer((), (), (), "", 0, 0, 0, 0.0)
    assert AlarmChange("a", 1.0, "OK", "ALARM") == AlarmChange("a", 1.0, "OK", "ALARM", "")
    assert CallGroup("", "", "", "m", "Converse", 1) == CallGroup("", "", "", "m", "Converse", 1, 0, 0, 0, 0.0, 0.0)
    assert LoggingState(True) == LoggingState(True, "", True, "")
    assert Sampled(()) == Sampled((), 0, 0)
    assert Gathered("p", "i", window, window, 1.0) == Gathered(
        "p", "i", window, window, 1.0, None, (), (), (), (), (), (), (), {}, (), True
    )


def test_a_gap_as_json() -> None:
    assert Missing("routes", "it failed", "unknown", "retry").to_dict() == {
        "source": "routes",
        "what": "it failed",
        "therefore": "unknown",
        "remedy": "retry",
    }
    assert Missing("routes", "it failed", "unknown").to_dict()["remedy"] == ""


@pytest.mark.parametrize(
    ("name", "target", "about"),
    [
        ("StopLogging", "trail/other", True),
        ("DeleteModelInvocationLoggingConfiguration", "", True),
        ("UpdatePrompt", PROMPT, True),
        ("UpdatePrompt", f"{PROMPT}:3", True),
        ("UpdatePrompt", f"arn:aws:x:prompt/old:prompt/{ID}:3:4", True),
        ("UpdatePrompt", f"{PROMPT}9", False),
        ("UpdatePrompt", "arn:aws:x:prompt/", False),
        ("UpdatePrompt", ID, True),
        ("CreatePrompt", NAME, True),
        ("UpdatePrompt", "OTHER00001", False),
        ("UpdatePrompt", "", False),
        ("RenderPrompt", ID, True),
        ("Converse", f"{PROMPT}:3", True),
        ("Converse", f"{PROMPT.replace('0001', '0002')}:3", False),
        ("Converse", NOVA, True),
        ("InvokeModel", FOUNDATION, True),
        ("ConverseStream", "second-model", True),
        ("Converse", "third-model", False),
        ("Converse", ID, False),
        ("UpdatePrompt", NOVA, False),
    ],
)
def test_an_event_is_about_the_prompt_its_models_or_what_is_observed(name: str, target: str, about: bool) -> None:
    event = TrailEvent(name, 0.0, "ada", target=target)

    assert is_about(event, ID, NAME, [NOVA, "arn:aws:x/y/second-model"]) is about


def test_without_an_id_and_a_name_and_models_nothing_but_observation_is_about_the_prompt() -> None:
    for name, target in (("UpdatePrompt", "prompt/"), ("UpdatePrompt", ""), ("Converse", NOVA), ("Converse", "")):
        assert not is_about(TrailEvent(name, 0.0, "ada", target=target), "", "")
    assert is_about(TrailEvent("StopLogging", 0.0, "ada"), "", "")
    assert is_about(TrailEvent("CreatePrompt", 0.0, "ada", target=NAME), "", NAME)


@pytest.mark.parametrize(
    ("target", "model", "same"),
    [
        (NOVA, NOVA, True),
        (FOUNDATION, NOVA, True),
        (NOVA, FOUNDATION, True),
        ("arn:aws:x:1:inference-profile/eu/a/b", "arn:aws:y/z/b", True),
        (f"eu.{NOVA}", NOVA, False),
        (NOVA, f"eu.{NOVA}", False),
        ("arn:aws:x/", "", False),
        ("", "", False),
        ("arn:aws:x/", "arn:aws:y/", False),
    ],
)
def test_a_target_names_a_model_by_its_id_or_by_an_arn_that_ends_in_it(target: str, model: str, same: bool) -> None:
    assert is_model(target, model) is same
