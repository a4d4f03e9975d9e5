"""Bedrock's prompts: which refusals are about a key, and how one is told which."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from promptlane.aws.prompts import BedrockPrompts
from promptlane.domain.errors import AmbiguousName, KeyDenied, NotFound, Unauthorized
from promptlane.domain.release.prompt import PromptDraft

ID, OTHER = "PROMPT0001", "PROMPT0002"
KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-90ab-cdef-1234-567890abcdef"
AT = datetime(2026, 11, 27, tzinfo=UTC)
DENIED = "AccessDeniedException"


@pytest.fixture
def agent() -> Any:
    return boto3.client("bedrock-agent", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


def prompt(prompt_id: str = ID, version: str = "DRAFT", **more: Any) -> dict[str, Any]:
    arn = f"arn:aws:bedrock:us-east-1:111122223333:prompt/{prompt_id}"
    times = {"createdAt": AT, "updatedAt": AT}
    return {"name": "support", "id": prompt_id, "arn": arn, "version": version, **times, **more}


METADATA = {"promptIdentifier": ID, "includedData": "METADATA_ONLY"}


@pytest.mark.parametrize(
    ("said", "metadata", "key"),
    [
        (f"User is not authorized to perform: kms:Decrypt on resource: {KEY}", None, KEY),
        ("Access denied", {"customerEncryptionKeyArn": KEY}, KEY),
        ("Access denied by KMS", {}, ""),
        ("Access denied by KMS", DENIED, ""),
    ],
)
def test_a_refusal_of_the_key_names_it_where_anything_does(agent: Any, said: str, metadata: Any, key: str) -> None:
    with Stubber(agent) as stub:
        stub.add_client_error("get_prompt", DENIED, said)
        if metadata == DENIED:
            stub.add_client_error("get_prompt", DENIED, "no", expected_params=METADATA)
        elif metadata is not None:
            stub.add_response("get_prompt", prompt(**metadata), METADATA)
        with pytest.raises(KeyDenied) as denied:
            BedrockPrompts(agent).version(ID, 3)
        stub.assert_no_pending_responses()

    assert denied.value.key == key
    assert "promptlane:prompt_keys" in str(denied.value)
    assert (f"the key {key}" if key else "a customer-managed key") in str(denied.value)


@pytest.mark.parametrize(
    ("said", "metadata"),
    [
        ("User is not authorized to perform: bedrock:GetPrompt on resource: prompt", None),
        ("Access denied", {}),
        ("Access denied", DENIED),
    ],
)
def test_a_refusal_that_is_about_no_key_stays_what_it_is(agent: Any, said: str, metadata: Any) -> None:
    with Stubber(agent) as stub:
        stub.add_client_error("get_prompt", DENIED, said)
        if metadata == DENIED:
            stub.add_client_error("get_prompt", DENIED, "no")
        elif metadata is not None:
            stub.add_response("get_prompt", prompt(**metadata))
        with pytest.raises(Unauthorized) as denied:
            BedrockPrompts(agent).version(ID, 3)

    assert type(denied.value) is Unauthorized


def test_name_and_time_of_a_prompt_are_asked_without_its_content(agent: Any) -> None:
    with Stubber(agent) as stub:
        for _ in range(2):
            stub.add_response("get_prompt", prompt(), METADATA)
        for _ in range(2):
            stub.add_client_error("get_prompt", "ResourceNotFoundException", expected_params=METADATA)
        prompts = BedrockPrompts(agent)

        assert (prompts.name_of(ID), prompts.created_at(ID)) == ("support", AT.timestamp())
        assert (prompts.name_of(ID), prompts.created_at(ID)) == (None, None)


def test_where_even_metadata_needs_the_key_the_name_is_looked_up_in_the_list(agent: Any) -> None:
    with Stubber(agent) as stub:
        stub.add_client_error("get_prompt", DENIED, f"not authorized to perform: kms:Decrypt on {KEY}")
        stub.add_response("list_prompts", {"promptSummaries": [prompt(OTHER), prompt()]})
        stub.add_client_error("get_prompt", DENIED, f"not authorized to perform: kms:Decrypt on {KEY}")
        prompts = BedrockPrompts(agent)

        assert (prompts.name_of(ID), prompts.created_at(ID)) == ("support", None)


def test_a_version_that_is_gone_is_no_matter_of_keys(agent: Any) -> None:
    with Stubber(agent) as stub:
        stub.add_client_error("get_prompt", "ResourceNotFoundException")
        with pytest.raises(NotFound, match="has no version 3"):
            BedrockPrompts(agent).version(ID, 3)


def test_a_prompt_that_is_listed_on_two_pages_is_one(agent: Any) -> None:
    with Stubber(agent) as stub:
        stub.add_response("list_prompts", {"promptSummaries": [prompt()], "nextToken": "1"})
        stub.add_response("list_prompts", {"promptSummaries": [prompt()]})
        assert BedrockPrompts(agent).find("support") == (ID, "support")


@pytest.mark.parametrize("pages", [[[ID, OTHER]], [[ID], [OTHER]]])
def test_a_name_of_several_is_told_with_all_ids_whatever_page_they_are_on(agent: Any, pages: list[list[str]]) -> None:
    with Stubber(agent) as stub:
        for _ in range(2):
            for i, ids in enumerate(pages):
                more = {"nextToken": str(i)} if i + 1 < len(pages) else {}
                stub.add_response("list_prompts", {"promptSummaries": [prompt(one) for one in ids], **more})
        prompts = BedrockPrompts(agent)

        assert prompts.find(OTHER) == (OTHER, "support")
        with pytest.raises(AmbiguousName) as several:
            prompts.find("support")

    assert several.value.ids == [ID, OTHER]


def test_a_draft_replaces_content_and_keeps_what_is_not_in_the_file(agent: Any) -> None:
    label = {"key": "team", "value": "x"}
    there = {"name": "Variant1", "templateType": "TEXT", "templateConfiguration": {"text": {"text": "Old"}}}
    kept = {"description": "For the desk", "customerEncryptionKeyArn": KEY}
    present = prompt(**kept, defaultVariant="Variant1", variants=[{**there, "modelId": "m", "metadata": [label]}])
    wanted = {"text": {"text": "New"}}
    with Stubber(agent) as stub:
        stub.add_response("get_prompt", present, {"promptIdentifier": ID})
        written = [{**there, "templateConfiguration": wanted, "modelId": "n", "metadata": [label]}]
        whole = {"promptIdentifier": ID, "name": "support", **kept, "defaultVariant": "Variant1", "variants": written}
        stub.add_response("update_prompt", prompt(), whole)

        assert BedrockPrompts(agent).write_draft(PromptDraft("support", "n", template="New"), ID) == ID
