"""An investigation is about the prompt that an enrolled name means, whatever has the name now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptlane.domain.release.meant import Identity
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.trail import TrailEvent
from promptlane.fakes import FakeEnrolments, InMemoryIdentities
from promptlane.lifecycle.identities import NamedPrompts
from promptlane.lifecycle.investigate.run import investigate
from tests.support.investigation_case import NAME, NOW, T0, Case, two_pm
from tests.support.prompt import ID
from tests.support.stage import POLICY

OTHER = "PROMPT0009"


@pytest.fixture
def case() -> Case:
    """The name means the prompt of the case, and another prompt has it."""
    case = two_pm()
    case.prompts.rename(ID, "away")
    case.prompts.publish(PromptDraft(NAME, "m", (), template="Other"), prompt_id=OTHER)
    return case


def named(case: Case, *, deployed: str = "", fixed: bool = True) -> NamedPrompts:
    identities = InMemoryIdentities()
    if fixed:
        identities.fix(Identity(NAME, ID, 1.0, f"{ID}-1-1"), expected=None)
    policy = replace(POLICY, prompt_id=deployed)
    return NamedPrompts(
        prompts=case.sources().prompts,
        enrolments=FakeEnrolments({NAME: policy}),
        identities=identities,
        routes=case.routes,
    )


@pytest.mark.parametrize("given", [NAME, ID, f"arn:aws:bedrock:us-east-1:1:prompt/{ID}:2"])
@pytest.mark.parametrize("fixed", [True, False], ids=["fixed", "served"])
def test_the_prompt_that_is_meant_is_investigated_and_the_move_is_said(case: Case, given: str, fixed: bool) -> None:
    found = investigate(replace(case.sources(), named=named(case, fixed=fixed)), given, T0 - 4000, NOW)

    assert (found.facts.prompt, found.facts.prompt_id) == (NAME, ID)
    moved = next(m for m in found.missing if "is called 'away' now" in m.what)
    assert moved.therefore == f"everything here is about prompt {ID}, whatever has the name now"


def test_what_a_deployment_names_is_investigated(case: Case) -> None:
    found = investigate(replace(case.sources(), named=named(case, deployed=OTHER)), NAME, T0 - 4000, NOW)

    assert found.facts.prompt_id == OTHER


def test_where_bedrock_does_not_answer_the_tables_say_what_is_meant(case: Case) -> None:
    case.down.add("Bedrock")
    found = investigate(replace(case.sources(), named=named(case)), NAME, T0 - 4000, NOW)

    assert (found.facts.prompt, found.facts.prompt_id) == (NAME, ID)


def test_a_creation_of_another_prompt_of_the_name_is_none_of_this_one(case: Case) -> None:
    own = TrailEvent("CreatePrompt", NOW - 5_000, "arn:aws:iam::1:user/ada", target=NAME, event_id="c1", by_name=True)
    other = replace(own, at=NOW - 3_000, event_id="c2")
    case.prompts.created[ID] = own.at
    case.trail += [own, other]

    found = investigate(replace(case.sources(), named=named(case)), NAME, T0 - 4000, NOW)

    assert [e.event_id for e in found.facts.trail if e.event_id in ("c1", "c2")] == ["c1"]
