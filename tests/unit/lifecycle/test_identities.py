"""A name means one prompt: the first that was admitted, or the one that a deployment names; moves are told, once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.errors import AdmissionRefused, Unavailable
from promptlane.domain.names import Phase
from promptlane.domain.release.findings import Findings
from promptlane.domain.release.meant import AnotherPrompt, Identity, Standing
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.quarantine import entry_of
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Quarantined
from promptlane.domain.release.routed import route_findings
from promptlane.domain.release.timeline import Event
from promptlane.domain.release.trigger import PromptChange, change
from promptlane.lifecycle.admit import Admission
from promptlane.lifecycle.identities import NamedPrompts, remade
from promptlane.lifecycle.prompt_watch import PromptWatch
from promptlane.lifecycle.shift import Traffic
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import POLICY, TRAFFIC, Stage

NEW_ID = "PROMPT0009"
OTHER = "OTHERS0001"
HERE = {"account": "111122223333", "region": "us-east-1"}


def admit(stage: Stage, name: str) -> Release:
    names = (
        *("prompts", "enrolments", "identities", "tags", "routes", "releases"),
        *("directory", "quarantine", "contents", "clock"),
    )
    suite: tuple[list[str], SuiteFacts] = ([], SuiteFacts(1))
    return Admission(**stage.ports(*names), check_suite=lambda *_: suite, floor=Floor()).admit(name)


def named(stage: Stage) -> NamedPrompts:
    return NamedPrompts(**stage.ports("prompts", "enrolments", "identities", "routes"))


def watch(stage: Stage) -> PromptWatch:
    return PromptWatch(named=named(stage), **stage.ports("watched", "notices", "clock"))


def deployed(stage: Stage, prompt_id: str, reason: str = "") -> None:
    stage.enrolments.deployed[PROMPT] = replace(POLICY, prompt_id=prompt_id, prompt_id_reason=reason)


def made_again(stage: Stage, versions: int = 2) -> Release:
    """Another prompt has the name, and a release of its last version has started."""
    stage.prompts.remove(ID)
    for number in range(1, versions + 1):
        draft = PromptDraft(PROMPT, "m", ("q",), template=f"Other {{{{q}}}} {number}")
        stage.prompts.publish(draft, prompt_id=NEW_ID)
    release = Release(f"{NEW_ID}-{versions}-1", PROMPT, 1.0, "ada")
    stage.releases.record_ended(release)
    return release


def test_the_first_admission_fixes_what_a_name_means_and_later_ones_keep_it() -> None:
    stage = Stage(served=False)
    assert named(stage).fixed(PROMPT) == ""
    stage.release(2, candidate=None)

    admit(stage, RELEASE)

    fixed = Identity(PROMPT, ID, stage.now, RELEASE)
    assert stage.identities.get(PROMPT) == fixed
    assert named(stage).find(PROMPT) == named(stage).fixed(PROMPT) == ID
    assert [e.event for e in stage.told(RELEASE)] == [Event.STARTED, Event.ADMITTED]
    stage.now += 100
    stage.releases.unlock(ID, RELEASE)
    stage.release(3, candidate=None)
    admit(stage, f"{ID}-3-1")
    assert stage.identities.get(PROMPT) == fixed


def test_a_route_from_before_fixes_a_name_too() -> None:
    assert named(Stage()).fixed(PROMPT) == ID


def test_a_refused_release_fixes_nothing() -> None:
    stage = Stage(served=False)
    stage.release(2, candidate=None)
    names = (
        *("prompts", "enrolments", "identities", "tags", "routes", "releases"),
        *("directory", "quarantine", "contents", "clock"),
    )
    admission = Admission(
        **stage.ports(*names), check_suite=lambda *_: (["does not fit"], SuiteFacts(1)), floor=Floor()
    )
    with pytest.raises(AdmissionRefused):
        admission.admit(RELEASE)

    assert stage.identities.get(PROMPT) is None


@pytest.mark.parametrize("known", [False, True], ids=["by its route alone", "by an admission"])
def test_a_deployment_gives_a_name_to_another_prompt_and_its_reason_enters_the_timeline(known: bool) -> None:
    stage = Stage()
    if known:
        stage.identities.fix(Identity(PROMPT, ID, 1.0, RELEASE), expected=None)
    release = made_again(stage)
    deployed(stage, NEW_ID, "deleted by accident")

    admitted = admit(stage, release.release_id)

    assert stage.identities.get(PROMPT) == Identity(
        PROMPT, NEW_ID, stage.now, release.release_id, ID, "deleted by accident"
    )
    told = {e.event: e.detail for e in stage.told(release.release_id)}
    assert told[Event.PROMPT_REPLACED] == {"prompt_id": NEW_ID, "before": ID, "reason": "deleted by accident"}
    assert admitted.stable is None, "what was deleted can be compared with no more"
    deployed(stage, "")
    assert named(stage).fixed(PROMPT) == NEW_ID, "a deployment that names none changes nothing"


def test_an_admission_that_was_cut_off_after_it_fixed_the_id_still_tells_the_reason() -> None:
    stage = Stage()
    release = made_again(stage)
    deployed(stage, NEW_ID, "made again")
    stage.identities.fix(Identity(PROMPT, NEW_ID, 4.0, release.release_id, ID, "made again"), expected=None)

    admit(stage, release.release_id)

    assert [e.event for e in stage.told(release.release_id)] == [Event.PROMPT_REPLACED, Event.ADMITTED]


@pytest.mark.parametrize(
    ("prompt_id", "reason", "says"),
    [
        ("", "", rf"^prompt_id: 'support' means prompt {ID}, and this is prompt {NEW_ID}"),
        (ID, "", rf"^prompt_id: 'support' means prompt {ID}, and this is prompt {NEW_ID}"),
        (NEW_ID, "", rf"^prompt_id_reason: 'support' meant prompt {ID} until now: say why it means {NEW_ID}"),
    ],
)
def test_another_prompt_under_the_name_is_refused(prompt_id: str, reason: str, says: str) -> None:
    stage = Stage()
    release = made_again(stage)
    deployed(stage, prompt_id, reason)

    with pytest.raises(AdmissionRefused, match=says):
        admit(stage, release.release_id)
    assert stage.identities.get(PROMPT) is None


def test_a_version_with_the_number_of_a_served_one_of_the_old_prompt_is_published_once_more() -> None:
    stage = Stage()
    release = made_again(stage, versions=1)
    deployed(stage, NEW_ID, "made again")

    with pytest.raises(AdmissionRefused, match=r"^version: version 1 of another prompt is served under this name"):
        admit(stage, release.release_id)


@pytest.mark.parametrize(
    ("moved", "what"),
    [
        (lambda s: s.prompts.remove(ID), f"'support' means prompt {ID}, which was deleted"),
        (lambda s: s.prompts.rename(ID, "x"), f"'support' means prompt {ID}, which is called 'x' now"),
        (made_again, f"'support' means prompt {ID}, which was deleted; prompt {NEW_ID} has its name"),
        (lambda s: s.prompts.rename(ID, "Support"), f"'support' means prompt {ID}, which is called 'Support' now"),
    ],
    ids=["deleted", "renamed", "made again", "in another case"],
)
def test_a_moved_name_is_told_once_for_each_event_and_again_when_it_recurs(moved: Any, what: str) -> None:
    stage = Stage()
    looking = watch(stage)
    assert looking.look(PROMPT) == Standing(PROMPT, ID, PROMPT, "")
    assert stage.notices.sent == []
    moved(stage)
    event = PromptChange("e1", "UpdatePrompt", ID, "", 0, "arn:mallory")

    assert looking.on_change(event) == [PROMPT]
    assert looking.on_change(event) == [], "delivered twice"
    looking.look(PROMPT)

    ((subject, body),) = stage.notices.sent
    assert subject == "[Promptlane] support: its name means another prompt"
    assert body.startswith(f"{what}.\nUpdatePrompt of prompt {ID} by arn:mallory.")
    with pytest.raises(AnotherPrompt, match="nothing of it is released, published or deleted until"):
        named(stage).find(PROMPT)
    looking.on_change(replace(event, event_id="e2"))
    assert len(stage.notices.sent) == 2


def test_what_no_event_told_is_told_by_reconcile_when_it_is_found_and_when_it_recurs() -> None:
    stage = Stage()
    looking = watch(stage)
    for name in ("x", PROMPT, "x", "y"):
        stage.prompts.rename(ID, name)
        looking.look(PROMPT)
        looking.look(PROMPT)

    assert [body.splitlines()[0].partition("called ")[2] for _, body in stage.notices.sent] == [
        "'x' now.",
        "'x' now.",
        "'y' now.",
    ]


def test_a_notice_that_could_not_be_sent_is_sent_with_the_next_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.prompts.rename(ID, "x")
    event = PromptChange("e1", "UpdatePrompt", ID, "x", 0, "arn:mallory")

    def down(*_: str) -> None:
        raise Unavailable("SNS does not answer")

    with monkeypatch.context() as away:
        away.setattr(stage.notices, "publish", down)
        with pytest.raises(Unavailable):
            watch(stage).on_change(event)
    assert watch(stage).on_change(event) == [PROMPT]
    assert len(stage.notices.sent) == 1


@pytest.mark.parametrize(
    "other",
    [
        PromptChange("e1", "UpdatePrompt", ID, PROMPT, 0, "ada"),
        PromptChange("e1", "UpdatePrompt", "PROMPT0007", "elsewhere", 0, "ada"),
        PromptChange("e1", "DeletePrompt", ID, "", 3, "ada"),
        PromptChange("e1", "DeletePrompt", "PROMPT0007", "", 1, "ada"),
    ],
    ids=["an edit", "another prompt", "a version in no use", "another prompt's version"],
)
def test_what_moves_no_name_is_told_to_nobody(other: PromptChange) -> None:
    stage = Stage()

    assert watch(stage).on_change(other) == []
    assert stage.notices.sent == []


def event(name: str, **detail: Any) -> dict[str, Any]:
    return {
        "detail-type": "AWS API Call via CloudTrail",
        "account": HERE["account"],
        "detail": {
            "eventSource": "bedrock.amazonaws.com",
            "eventName": name,
            "eventID": "e-1",
            "awsRegion": HERE["region"],
            "userIdentity": {"arn": "arn:ada"},
            **detail,
        },
    }


ARN_OF = f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}"


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (
            event("UpdatePrompt", requestParameters={"promptIdentifier": ID, "name": "x"}),
            PromptChange("e-1", "UpdatePrompt", ID, "x", 0, "arn:ada"),
        ),
        (
            event("DeletePrompt", requestParameters={"promptIdentifier": ARN_OF, "promptVersion": "3"}),
            PromptChange("e-1", "DeletePrompt", ID, "", 3, "arn:ada"),
        ),
        (
            event("DeletePrompt", requestParameters={"promptIdentifier": f"{ARN_OF}:4"}),
            PromptChange("e-1", "DeletePrompt", ID, "", 4, "arn:ada"),
        ),
        (
            event("CreatePrompt", requestParameters={"name": "x"}, responseElements={"id": ID}),
            PromptChange("e-1", "CreatePrompt", ID, "x", 0, "arn:ada"),
        ),
        (
            event("UpdatePrompt", requestParameters="HIDDEN_DUE_TO_SECURITY_REASONS", responseElements=None),
            PromptChange("e-1", "UpdatePrompt", "", "", 0, "arn:ada"),
        ),
        (event("CreatePromptVersion", requestParameters={"promptIdentifier": ID}), None),
        ({"source": "promptlane.request", "prompt": PROMPT}, None),
        ("text", None),
    ],
)
def test_what_an_event_tells_of_a_prompt(message: Any, found: PromptChange | None) -> None:
    assert change(json.loads(json.dumps(message)), **HERE) == found


@pytest.mark.parametrize("deployed", ["", OTHER])
@pytest.mark.parametrize(
    "fixed", [None, Identity(PROMPT, ID, 1.0, RELEASE), Identity(PROMPT, ID, 1.0, RELEASE, OTHER, "moved")]
)
@pytest.mark.parametrize("served", [True, False])
def test_what_many_names_mean_is_what_each_of_them_means(deployed: str, fixed: Identity | None, served: bool) -> None:
    stage = Stage(served=served)
    stage.enrolments.deployed = {
        PROMPT: replace(POLICY, prompt_id=deployed),
        "new": POLICY,
        "named": replace(POLICY, prompt_id="NAMED00001"),
    }
    if fixed is not None:
        stage.identities.fix(fixed, expected=None)
    named = NamedPrompts(**stage.ports("prompts", "enrolments", "identities", "routes"))

    meanings = named.meanings([PROMPT, "new", "named", "absent"])

    assert meanings == {name: named.every(name) for name in (PROMPT, "new", "named", "absent")}
    for name, ids in meanings.items():
        assert named.fixed(name) == (ids[0] if ids else "")


def test_a_prompt_that_was_made_anew_is_promoted_over_the_route_of_the_one_that_is_gone() -> None:
    """Its stable can be compared with, or gone back to, no more: tests and people decide, as on a first version."""
    stage = Stage()
    stage.serve(1, previous=stage.ref(3), phase=Phase.STEADY, epoch=4_000_000)
    before = stage.route
    assert not remade(stage.prompts, before, NEW_ID)
    release = made_again(stage)
    deployed(stage, NEW_ID, "deleted by accident")
    admitted = admit(stage, release.release_id)
    approval = {"candidate": admitted.candidate.fingerprint if admitted.candidate else "", "stable": None}
    stage.releases.update(replace(admitted, state="review", approval=approval))
    traffic = Traffic(**stage.ports(*TRAFFIC))

    assert [traffic.promote(release.release_id).result for _ in range(2)] == ["done", "done"]

    route = stage.route
    assert (route.prompt_id, route.stable, route.previous) == (NEW_ID, admitted.candidate, None)
    assert (route.phase, route.revision, route.epoch) == (Phase.STEADY, before.revision + 1, 5_000_000)
    assert route.quarantined == before.quarantined, "what was rolled back stays barred"
    assert [e.event for e in stage.told(release.release_id)].count(Event.PROMOTED) == 1
    found = Findings()
    route_findings(route, {release.release_id: stage.releases.timeline(release.release_id)}, found)
    assert ([str(problem) for problem in found.problems], len(found.uncovered)) == ([], 1)


def test_a_content_that_was_rolled_back_is_barred_under_another_prompt_id_too() -> None:
    stage = Stage()
    release = made_again(stage)
    deployed(stage, NEW_ID, "deleted by accident")
    admitted = admit(stage, release.release_id)
    assert admitted.candidate is not None
    approval = {"candidate": admitted.candidate.fingerprint, "stable": None}
    stage.releases.update(replace(admitted, state="review", approval=approval))
    stage.quarantine.keep(PROMPT, {admitted.candidate.fingerprint: entry_of(admitted.candidate, RELEASE, 4.0)})

    with pytest.raises(Quarantined, match=f"rolled back in release {RELEASE}"):
        Traffic(**stage.ports(*TRAFFIC)).promote(release.release_id)
