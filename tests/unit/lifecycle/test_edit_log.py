"""What is recorded of edits and publications, when it arrives and when the history is copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import Unavailable
from promptlane.domain.release.meant import Identity
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.review.edits import RECORDED, Edit
from promptlane.domain.trail import TRAIL_KEPT, TrailAnswer, TrailEvent, Window
from promptlane.fakes import FakeEnrolments, FakePrompts, InMemoryIdentities, InMemoryReleases, InMemoryRoutes
from promptlane.fakes.edits import InMemoryEdits
from promptlane.lifecycle.edit_log import EditLog, EditSweep
from promptlane.lifecycle.identities import NamedPrompts
from tests.support.stage import POLICY

ID, NAME, OTHER = "PROMPT0001", "support", "PROMPT0002"
NOW = 400 * 86_400.0
DRAFT = PromptDraft(NAME, "m", (), template="one")
EVENT = TrailEvent("UpdatePrompt", NOW - 60, "arn:aws:iam::1:user/ada", "IAMUser", ID, event_id="e1")


class Place:
    """Two versions of a prompt that is enrolled, unless `enrolled` names another, which means another prompt."""

    def __init__(self, enrolled: str = NAME) -> None:
        self.prompts, self.edits, self.releases = FakePrompts(), InMemoryEdits(), InMemoryReleases()
        for template in ("one", "two"):
            self.last = self.prompts.publish(replace(DRAFT, template=template), prompt_id=ID)
        self.enrolments = FakeEnrolments({enrolled: POLICY})
        self.identities, self.routes = InMemoryIdentities(), InMemoryRoutes()
        if enrolled != NAME:
            self.mean(OTHER, enrolled)
        self.now = NOW

    def mean(self, prompt_id: str, name: str = NAME) -> None:
        """What the first admission does."""
        self.identities.fix(Identity(name, prompt_id, 1.0, f"{prompt_id}-1-1"), expected=None)

    @property
    def named(self) -> NamedPrompts:
        return NamedPrompts(
            prompts=self.prompts, enrolments=self.enrolments, identities=self.identities, routes=self.routes
        )

    def clock(self) -> float:
        return self.now

    def note(self, event: TrailEvent = EVENT, **more: str) -> bool:
        log = EditLog(
            prompts=self.prompts,
            named=self.named,
            releases=self.releases,
            edits=self.edits,
            clock=self.clock,
        )
        return log.note(event, **more)


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("target", [ID, f"arn:aws:bedrock:us-east-1:1:prompt/{ID}", f"prompt/{ID}:1", NAME])
def test_an_edit_is_recorded_with_what_the_draft_holds_and_the_newest_version(name: str, target: str) -> None:
    place, event = Place(), replace(EVENT, name=name, target=target)
    place.prompts.created[ID] = EVENT.at + 1

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


@pytest.mark.parametrize("holder", [False, True])
def test_while_a_name_means_no_prompt_yet_any_prompt_may_come_to_have_it(holder: bool) -> None:
    place = Place()
    place.prompts.rename(ID, "another")
    if holder:
        place.prompts.publish(DRAFT, prompt_id=OTHER)

    assert place.note()
    assert not place.note(replace(EVENT, target="ABSENT0001"))
    assert len(place.edits.edits(ID)) == 1


def test_what_a_name_means_is_recorded_whatever_it_is_called_and_nothing_else_is() -> None:
    place = Place()
    place.mean(ID)
    place.prompts.rename(ID, "another")
    place.prompts.publish(replace(DRAFT, name="third"), prompt_id=OTHER)

    assert place.note()
    assert not place.note(replace(EVENT, target=OTHER, event_id="e2"))


def test_an_edit_of_the_prompt_that_has_the_name_meanwhile_is_no_edit_of_the_one_that_is_meant() -> None:
    place = Place()
    place.mean(ID)
    place.prompts.rename(ID, "another")
    place.prompts.publish(DRAFT, prompt_id=OTHER)
    # Recorded as its own: a deployment may say that it is meant from now on.
    assert place.note(replace(EVENT, target=OTHER))
    assert (place.edits.edits(ID), len(place.edits.edits(OTHER))) == ([], 1)


def test_a_prompt_that_calls_itself_by_the_id_of_one_that_is_gone_is_not_taken_for_it() -> None:
    place = Place()
    place.prompts.rename(ID, OTHER)

    assert not place.note(replace(EVENT, target=f"arn:aws:bedrock:us-east-1:1:prompt/{OTHER}"))
    assert place.edits._edits == {}


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
        named=place.named,
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


@pytest.mark.parametrize("holder", [False, True])
def test_the_history_is_copied_of_what_a_name_means_whatever_it_is_called(holder: bool) -> None:
    place = Place()
    place.mean(ID)
    place.prompts.rename(ID, "another")
    if holder:
        place.prompts.publish(DRAFT, prompt_id=OTHER)

    assert sweep(place, Trail(EVENT)) == [NAME]
    assert place.edits.edits(ID) == [Edit(EVENT, NOW, "history")]
    assert (place.edits.edits(OTHER), place.edits.watched(OTHER)) == ([], None)


def test_both_prompts_are_copied_while_a_deployment_names_another_one() -> None:
    place = Place()
    place.mean(ID)
    place.prompts.publish(DRAFT, prompt_id=OTHER)
    place.enrolments.deployed[NAME] = replace(POLICY, prompt_id=OTHER, prompt_id_reason="made again")
    asked: list[str] = []

    class Both(Trail):
        def events(self, prompt_id: str, *_: Any, **__: Any) -> TrailAnswer:
            asked.append(prompt_id)
            return self.answer

    assert sweep(place, Both()) == [NAME, NAME]
    assert sorted(asked) == [ID, OTHER]


def test_a_creation_by_name_alone_counts_where_bedrock_says_that_the_prompt_was_created() -> None:
    place = Place()
    place.prompts.created[ID] = NOW - 100
    made = replace(EVENT, name="CreatePrompt", target=NAME, by_name=True, event_id="c1", at=NOW - 99)
    earlier = replace(made, at=NOW - 5_000, event_id="c0")

    sweep(place, Trail(earlier, made))

    assert [e.event for e in place.edits.edits(ID)] == [made]


def test_a_name_whose_prompt_cannot_be_found_keeps_no_other_waiting() -> None:
    place, said = Place(), list[str]()
    place.enrolments.deployed["a-broken-one"] = replace(POLICY, prompt_id=OTHER)
    name_of = place.prompts.name_of

    def broken(prompt_id: str) -> str | None:
        if prompt_id == OTHER:
            raise Unavailable("Bedrock does not answer")
        return name_of(prompt_id)

    place.prompts.name_of = broken  # type: ignore[method-assign]

    assert sweep(place, Trail(), said) == [NAME]
    assert said == ["finding the prompt that a-broken-one means: Bedrock does not answer"]
