"""Prompts that others made, on their way: names of several, keys that nobody named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.errors import AdmissionRefused, AmbiguousName, KeyDenied
from promptlane.domain.release.prompt import PromptDraft, PromptVersion
from promptlane.domain.release.trigger import ReleaseRequest
from promptlane.fakes import FakePrompts
from promptlane.lifecycle.admit import Admission
from promptlane.lifecycle.identities import NamedPrompts, holder, standing
from promptlane.lifecycle.intake import Intake, Taken
from promptlane.lifecycle.listed_prompts import ListedPrompts
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import POLICY, Stage

OTHER = "PROMPT0009"
KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-90ab-cdef-1234-567890abcdef"


class Sealed(FakePrompts):
    """Version 2 lies under a key that nobody may use."""

    def version(self, prompt_id: str, version: int) -> PromptVersion:
        found = super().version(prompt_id, version)
        if version == 2:
            raise KeyDenied(f"reading version {version} of prompt {prompt_id}", prompt_id, KEY)
        return found


def twice_named(*, served: bool) -> Stage:
    stage = Stage(served=served)
    stage.prompts.publish(PromptDraft(PROMPT, "m", ("q",), template="Other {{q}}"), prompt_id=OTHER)
    return stage


def admission(stage: Stage) -> Admission:
    names = (
        *("prompts", "enrolments", "identities", "tags", "routes", "releases"),
        *("directory", "quarantine", "contents", "clock"),
    )
    suite: tuple[list[str], SuiteFacts] = ([], SuiteFacts(1))
    return Admission(**stage.ports(*names), check_suite=lambda *_: suite, floor=Floor())


def taken(stage: Stage, prompt: str, version: int) -> Taken:
    ports = stage.ports("prompts", "enrolments", "identities", "routes", "releases", "workflow", "clock")
    return Intake(**ports).take(ReleaseRequest(prompt, version, "author"))


def test_a_name_of_several_is_refused_and_an_id_is_taken() -> None:
    stage = twice_named(served=True)

    refused = taken(stage, PROMPT, 2)

    assert (refused.result, stage.workflow.executions) == ("refused", {})
    assert f"2 prompts of Bedrock are called 'support': {ID} and {OTHER}" in refused.reason
    assert "prompt_id" in refused.reason
    assert taken(stage, ID, 2).result == "started"


@pytest.mark.parametrize("fixed", ["by a route", "by a deployment", "by nothing"])
def test_a_first_release_under_a_name_of_several_waits_until_a_deployment_says_which(fixed: str) -> None:
    stage = twice_named(served=fixed == "by a route")
    if fixed == "by a deployment":
        stage.enrolments.deployed[PROMPT] = replace(POLICY, prompt_id=ID)
    stage.release(2, candidate=None)

    if fixed != "by nothing":
        assert admission(stage).admit(RELEASE).state == "admitted"
        return
    with pytest.raises(AdmissionRefused, match=f"prompt_id: 2 prompts .* {ID} and {OTHER}"):
        admission(stage).admit(RELEASE)
    assert (stage.identities.get(PROMPT), stage.tags.versions) == (None, set())


def test_whoever_asks_by_a_name_of_several_is_told_all_ids_and_a_fixed_name_asks_nobody() -> None:
    stage = twice_named(served=False)
    names = NamedPrompts(**stage.ports("prompts", "enrolments", "identities", "routes"))
    listed = ListedPrompts(stage.prompts)
    for ask in (stage.prompts.find, listed.find, names.find, lambda name: holder(stage.prompts, name)):
        with pytest.raises(AmbiguousName, match=f"{ID} and {OTHER}"):
            ask(PROMPT)
    assert stage.prompts.find(OTHER) == (OTHER, PROMPT)

    stage.serve(1)
    assert names.find(PROMPT) == ID
    stage.prompts.rename(ID, "elsewhere")
    stage.prompts.publish(PromptDraft(PROMPT, "m", ("q",), template="A third {{q}}"), prompt_id="PROMPT0010")
    found = standing(stage.prompts, PROMPT, ID)
    assert found.what == (
        f"'support' means prompt {ID}, which is called 'elsewhere' now; prompts {OTHER} and PROMPT0010 have its name"
    )


def test_a_prompt_under_a_key_that_nobody_named_fails_at_admission_by_a_sentence() -> None:
    stage = Stage(served=False)
    sealed: Any = Sealed()
    vars(sealed).update(vars(stage.prompts))
    stage.prompts = sealed

    assert taken(stage, ID, 2).result == "started"
    with pytest.raises(AdmissionRefused) as refused:
        admission(stage).admit(RELEASE)

    assert refused.value.problems == [
        (
            "version",
            f"reading version 2 of prompt {ID}: prompt {ID} is encrypted with the key {KEY}, which this caller may not "
            "use. Name the key in the setting promptlane:prompt_keys and deploy; its key policy must let the account's "
            "IAM policies grant it",
        )
    ]
