"""Prompts from one list: found as Bedrock would find them, and what is on no list is read itself."""

from __future__ import annotations

import pytest

from promptlane.domain.errors import AmbiguousName
from promptlane.domain.ports import PromptSummary
from promptlane.domain.release.prompt import PromptDraft
from promptlane.fakes import FakePrompts
from promptlane.lifecycle.listed_prompts import ListedPrompts


def account(**names: str) -> FakePrompts:
    """Prompts by id."""
    prompts = FakePrompts()
    for prompt_id, name in names.items():
        prompts.publish(PromptDraft(name, "m", ("q",), template="{{q}}"), prompt_id=prompt_id)
    return prompts


def test_an_id_means_its_prompt_whatever_another_calls_itself() -> None:
    listed = ListedPrompts(account(AAAAAAAAAA="BBBBBBBBBB", BBBBBBBBBB="support"))

    assert listed.find("BBBBBBBBBB") == ("BBBBBBBBBB", "support")
    assert listed.find("arn:aws:bedrock:us-east-1:111122223333:prompt/AAAAAAAAAA:3") == ("AAAAAAAAAA", "BBBBBBBBBB")


def test_a_name_of_several_is_refused() -> None:
    with pytest.raises(AmbiguousName):
        ListedPrompts(account(AAAAAAAAAA="support", BBBBBBBBBB="support")).find("support")


def test_a_prompt_that_a_list_leaves_out_is_not_gone() -> None:
    prompts = account(AAAAAAAAAA="support")
    prompts.listed = lambda: list[PromptSummary]()  # type: ignore[method-assign]

    assert ListedPrompts(prompts).name_of("AAAAAAAAAA") == "support"
    assert ListedPrompts(prompts).name_of("BBBBBBBBBB") is None


def test_versions_and_contents_are_read_as_they_are_now() -> None:
    prompts = account(AAAAAAAAAA="support")
    listed = ListedPrompts(prompts)
    assert listed.listed() == prompts.listed()
    prompts.publish(PromptDraft("support", "m", ("q",), template="{{q}}!"), prompt_id="AAAAAAAAAA")

    assert listed.versions("AAAAAAAAAA") == [1, 2]
    assert listed.version("AAAAAAAAAA", 2) == prompts.version("AAAAAAAAAA", 2)
    assert listed.created_at("AAAAAAAAAA") is None
