"""What is recorded of edits and publications, when it arrives and when the history is copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import Unavailable
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.review.edits import RECORDED, Edit
from promptlane.domain.trail import TRAIL_KEPT, TrailAnswer, TrailEvent, Window
from promptlane.fakes import FakeEnrolments, FakePrompts, InMemoryReleases
from promptlane.fakes.edits import InMemoryEdits
from promptlane.lifecycle.edit_log import EditLog, EditSweep
from tests.support.stage import POLICY

ID, NAME = "PROMPT0001", "support"
NOW = 400 * 86_400.0
DRAFT = PromptDraft(NAME, "m", (), template="one")
EVENT = TrailEvent("UpdatePrompt", NOW - 60, "arn:aws:iam::1:user/ada", "IAMUser", ID, event_id="e1")


class Place:
    """Two versions of a prompt that is enrolled, unless `enrolled` names another."""

    def __init__(self, enrolled: str = NAME) -> None:
        self.prompts, self.edits, self.releases = FakePrompts(), InMemoryEdits(), InMemoryReleases()
        for template in ("one", "two"):
            self.last = self.prompts.publish(replace(DRAFT, template=template), prompt_id=ID)
        self.enrolments = FakeEnrolments({enrolled: POLICY})
        self.now = NOW

    def clock(self) -> float:
        return self.now

    def note(self, event: TrailEvent = EVENT, **more: str) -> bool:
        log = EditLog(
            prompts=self.prompts,
            enrolments=self.enrolments,
            releases=self.releases,
            edits=self.edits,
            clock=self.clock,
        )
        return log.note(event, **more)


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("target", [ID, f"arn:aws:bedrock:us-east-1:1:prompt/{ID}", f"prompt/{ID}:1", NAME])
def test_an_edit_is_recorded_with_what_the_draft_holds_and_the_newest_version(name: str, target: str) -> None:
    place, event = Place(), replace(EVENT, name=name, target=target)

    assert place.note(event, sent_by="AROAX:kim")
    assert not place.note(event)
    assert place.edits.edits(ID) == [Edit(event, NOW, "event", 2, place.last.fingerprint, "AROAX:kim")]


@pytest.mark.parametrize(
    "event",
    [
        replace(EVENT, name="DeletePrompt"),
        replace(EVENT, error="AccessDenied"),
        replace(EVENT, target=""),
        replace(EVENT, target="prompt/../x"),
        replace(EVENT, target="ABSENT0001"),
    ],
    ids=["no edit", "failed", "of nothing", "no prompt's id", "of none that was ever enrolled"],
)
def test_anything_else_is_not(event: TrailEvent) -> None:
    place = Place()

    assert not place.note(event)
    assert place.edits._edits == {}


def test_a_prompt_that_is_not_enrolled_is_recorded_only_if_it_was_once() -> None:
    assert not Place(enrolled="another").note()

    released, watched = Place(enrolled="another"), Place(enrolled="another")
    released.releases.record_ended(Release(f"{ID}-1-1", NAME, 1.0, "x", state="ended"))
    watched.edits.watch(ID, Window(0, 1))
    assert released.note()
    assert watched.note()


def test_a_prompt_that_is_gone_is_recorded_without_what_it_held() -> None:
    place = Place()
    place.prompts = FakePrompts()
    place.edits.watch(ID, Window(0, 1))

    assert place.note()
    assert place.edits.edits(ID) == [Edit(EVENT, NOW)]


# Copying the history


class Trail:
    """CloudTrail's history, which keeps what it was asked."""

    def __init__(self, *events: TrailEvent, **more: Any) -> None:
        self.answer = TrailAnswer(events, **more)
        self.asked: list[Window] = []
        self.away = False

    def events(
        self, prompt_id: str, name: str, *, names: Sequence[str], window: Window, most: int = 0, models: Any = ()
    ) -> TrailAnswer:
        assert (prompt_id, name, names, most) == (ID, NAME, RECORDED, 5_000)
        self.asked.append(window)
        if self.away:
            raise Unavailable("Rate exceeded")
        return self.answer

    def logging(self) -> list[str]:
        return []


def sweep(place: Place, trail: Trail, said: list[str] | None = None) -> list[str]:
    return EditSweep(
        prompts=place.prompts,
        enrolments=place.enrolments,
        trail=trail,
        edits=place.edits,
        clock=place.clock,
        log=(said if said is not None else []).append,
    ).run()


def test_all_of_the_history_is_copied_first_and_then_what_is_new_every_six_hours() -> None:
    place, trail = Place(), Trail(EVENT, replace(EVENT, event_id="e2", error="AccessDenied"))

    assert sweep(place, trail) == [NAME]
    assert place.edits.edits(ID) == [Edit(EVENT, NOW, "history")]
    assert place.edits.watched(ID) == Window(NOW - TRAIL_KEPT, NOW - 900)
    place.now += 6 * 3600
    assert sweep(place, trail) == []
    place.now += 1
    assert sweep(place, trail) == [NAME]
    assert trail.asked == [Window(NOW - TRAIL_KEPT, NOW), Window(NOW - 900 - 3600, place.now)]
    assert place.edits.watched(ID) == Window(NOW - TRAIL_KEPT, place.now - 900)


def test_a_gap_that_the_history_no_longer_reaches_begins_it_anew() -> None:
    place = Place()
    place.edits.watch(ID, Window(5.0, NOW - TRAIL_KEPT + 3_599))

    assert sweep(place, Trail()) == [NAME]
    assert place.edits.watched(ID) == Window(NOW - TRAIL_KEPT, NOW - 900)
    joined = Place()
    joined.edits.watch(ID, Window(5.0, NOW - TRAIL_KEPT + 3_600))
    sweep(joined, Trail())
    assert joined.edits.watched(ID) == Window(5.0, NOW - 900)


@pytest.mark.parametrize(
    "gap", [{"truncated": ("UpdatePrompt",)}, {"failed": ("UpdatePrompt",), "failure": "busy"}, {"unreadable": 1}]
)
def test_a_history_that_is_not_whole_is_kept_and_not_called_copied(gap: dict[str, Any]) -> None:
    place, said = Place(), list[str]()

    assert sweep(place, Trail(EVENT, **gap), said) == []
    assert (len(place.edits.edits(ID)), place.edits.watched(ID)) == (1, None)
    assert said == [f"the history of {NAME} is not whole: {gap.get('failure', 'events are missing or cannot be read')}"]


def test_a_history_that_does_not_answer_and_a_prompt_that_is_gone_are_tried_again() -> None:
    place, trail, said = Place(), Trail(), list[str]()
    trail.away = True

    assert sweep(place, trail, said) == []
    assert said == [f"copying who edited {NAME}: Rate exceeded"]
    place.prompts = FakePrompts()
    assert sweep(place, trail) == []
    assert len(trail.asked) == 1
