"""What is admitted is bound to its content, policy and suite; what cannot be released is refused with every reason."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.errors import AdmissionRefused, NotFound, Unavailable
from promptlane.domain.policy import Reviewer
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.declared import Declared
from promptlane.lifecycle.admit import Admission
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import EARLIER, POLICY, Stage

NO_FLOOR = Floor()


def admitted(
    stage: Stage, name: str = RELEASE, complaints: tuple[str, ...] = (), floor: Floor = NO_FLOOR, cases: int = 2
) -> Release:
    checked: list[tuple[dict[str, object], frozenset[str]]] = []

    def check_suite(suite: dict[str, object], variables: frozenset[str]) -> tuple[list[str], SuiteFacts]:
        checked.append((suite, variables))
        return list(complaints), SuiteFacts(cases)

    names = (
        *("prompts", "enrolments", "identities", "tags", "routes", "releases"),
        *("directory", "quarantine", "contents", "clock"),
    )
    try:
        return Admission(**stage.ports(*names), check_suite=check_suite, floor=floor).admit(name)
    finally:
        assert checked in ([], [({"cases": [{"id": "one"}]}, frozenset({"q"}))])


def started(version: int = 2, **fields: Any) -> Stage:
    stage = Stage()
    stage.enrolments.deployed_suite = {"cases": [{"id": "one"}]}
    stage.release(version, **{"candidate": None, **fields})
    return stage


@pytest.mark.parametrize("first", [False, True])
def test_an_admission_binds_candidate_stable_policy_and_suite(first: bool) -> None:
    stage = started()
    if first:
        stage.routes._routes.clear()
    record, version = stage.releases.get(RELEASE), stage.prompts.version(ID, 2)
    stable = None if first else stage.ref(1)
    policy, suite = stage.enrolments.capture(PROMPT)

    release = admitted(stage)

    assert release == stage.releases.get(RELEASE)
    assert release == replace(
        record,
        state="admitted",
        description="Manner 2",
        candidate=version.ref,
        stable=stable,
        policy_sha256=policy,
        suite_sha256=suite,
        revision=2,
    )
    assert stage.tags.versions == {version.arn}
    assert stage.told(RELEASE)[1:] == [
        TimelineEntry(
            f"{RELEASE}/admitted",
            RELEASE,
            stage.now,
            Event.ADMITTED,
            "promptlane",
            {
                "version": 2,
                "fingerprint": version.fingerprint,
                "arn": version.arn,
                "description": "Manner 2",
                "policy": policy,
                "suite": suite,
                "enrolled_policy": policy,
                "stable": None if first else 1,
                "stable_fingerprint": None if stable is None else stable.fingerprint,
            },
        )
    ]


def test_an_admission_that_is_repeated_returns_what_the_first_bound() -> None:
    stage = started()
    first = admitted(stage)
    stage.serve(3)
    stage.tags.versions.clear()

    assert admitted(stage) == first
    assert (stage.tags.versions, len(stage.told(RELEASE))) == (set(), 2)


def refused(stage: Stage, complaints: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    before = stage.releases.get(RELEASE)
    with pytest.raises(AdmissionRefused) as raised:
        admitted(stage, complaints=complaints)
    assert (stage.releases.get(RELEASE), stage.tags.versions, len(stage.told(RELEASE))) == (before, set(), 1)
    return raised.value.problems


def test_a_refusal_tells_every_problem_at_once() -> None:
    stage = started()
    stage.enrolments.deployed = {PROMPT: replace(POLICY, allowed_models=("n",))}
    stage.serve(1, quarantined={**EARLIER, stage.ref(2).fingerprint: {"version": 2, "release_id": f"{ID}-2-9"}})

    (model, *others) = refused(stage, ("no case", "no slice"))

    assert (model[0], "model 'm' is not among" in model[1]) == ("version", True)
    assert others == [
        ("suite", "no case"),
        ("suite", "no slice"),
        (
            "version",
            f"its content was rolled back in release {ID}-2-9; if it shall be tried again, say so: "
            "promptlane release support 2",
        ),
    ]


def test_a_prompt_that_another_deployment_releases_is_refused_by_its_name() -> None:
    stage = started()
    stage.tags.other = "second-lane"
    ((where, problem),) = refused(stage)
    assert where == "version"
    assert "the prompt carries the tag promptlane:enrolled=second-lane: that deployment releases it" in problem
    assert "Remove its stack there and the tag" in problem


def test_a_model_that_its_region_does_not_offer_is_refused_with_what_it_offers() -> None:
    stage = started()
    stage.prompts.alter(ID, 2, PromptDraft(PROMPT, "eu.amazon.nova-lite-v1:0", ("q",), template="{{q}}"))
    ((where, problem),) = refused(stage)
    assert where == "version"
    assert "it offers amazon.nova-lite-v1:0 itself and us.amazon.nova-lite-v1:0: publish a version with" in problem


def test_what_was_rolled_back_is_admitted_when_it_is_asked_for_explicitly() -> None:
    stage = started(explicit=True)
    stage.serve(1, quarantined={stage.ref(2).fingerprint: {"version": 2, "release_id": f"{ID}-2-9"}})

    assert admitted(stage).state == "admitted"


@pytest.mark.parametrize("explicit", [False, True])
def test_a_version_with_the_content_of_stable_is_refused(explicit: bool) -> None:
    stage = started(explicit=explicit)
    twin = replace(stage.ref(1), fingerprint=stage.ref(2).fingerprint)
    stored = stage.route
    stage.routes.put(replace(stored, stable=twin, revision=8), expected=stored)

    assert refused(stage) == [
        ("version", "its content is what stable version 1 serves already; there is nothing to release")
    ]


def test_a_version_that_is_gone_is_refused_by_its_number() -> None:
    stage = Stage(versions=1)
    stage.releases.start(
        Release(RELEASE, PROMPT, 1.0, "author"), TimelineEntry(f"{RELEASE}/started", RELEASE, 1.0, Event.STARTED)
    )

    assert refused(stage) == [("version", f"prompt {ID} has no version 2")]


def test_a_release_that_nobody_recorded_is_not_found() -> None:
    with pytest.raises(NotFound, match=RELEASE):
        admitted(Stage())


def test_names_become_the_reviewers_of_the_deployment_and_unknown_ones_end_the_release() -> None:
    stage = started()
    stage.enrolments.deployed[PROMPT] = named = replace(
        POLICY, review=replace(POLICY.review, reviewers=(Reviewer("ann"),))
    )
    with pytest.raises(AdmissionRefused) as refused:
        admitted(stage)
    ((path, message),) = refused.value.problems
    assert (path, "this deployment declares none" in message) == ("review.reviewers[0]", True)
    stage.directory.found = declared = Declared((Reviewer("ann", "ann@example.com", ("legal",)),))

    release = admitted(stage)

    assert stage.enrolments.policy(release.policy_sha256) == declared.resolve(named)
    enrolled, _ = stage.enrolments.capture(PROMPT)
    (entry,) = [e for e in stage.told(RELEASE) if e.event is Event.ADMITTED]
    assert (entry.detail["policy"], entry.detail["enrolled_policy"]) == (release.policy_sha256, enrolled)
    assert release.policy_sha256 != enrolled


def test_the_floor_is_held_against_those_whom_the_names_stand_for() -> None:
    stage = started()
    stage.enrolments.deployed[PROMPT] = replace(POLICY, review=replace(POLICY.review, reviewers=(Reviewer("ann"),)))
    stage.directory.found = Declared((Reviewer("ann", "ann@example.com"),))
    with pytest.raises(AdmissionRefused, match="none of the platform floor's reviewers"):
        admitted(stage, floor=Floor.from_dict({"review": {"reviewers": ["*@example.org"]}}))


def test_what_is_admitted_can_be_read_by_applications_under_its_fingerprint() -> None:
    stage = started()
    admitted(stage)
    version = stage.prompts.version(ID, 2)
    kept = stage.contents.data[f"{PROMPT}/{version.fingerprint}.json"]

    assert list(stage.contents.data) == [f"{PROMPT}/{version.fingerprint}.json"]
    assert hashlib.sha256(kept).hexdigest() == version.fingerprint
    assert json.loads(kept)["variants"][0]["templateConfiguration"]["text"]["text"] == "Answer {{q}} in manner 2"


def test_what_is_refused_cannot_be_read() -> None:
    stage = started()
    with pytest.raises(AdmissionRefused):
        admitted(stage, complaints=("does not fit",))

    assert stage.contents.data == {}


def test_nothing_is_recorded_as_admitted_whose_content_was_not_put(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = started()

    def down(*given: Any) -> bool:
        raise Unavailable("the bucket does not answer")

    monkeypatch.setattr(stage.contents, "put", down)
    with pytest.raises(Unavailable):
        admitted(stage)
    assert stage.releases.get(RELEASE).state == "started"

    monkeypatch.undo()
    assert admitted(stage).state == "admitted"
