"""Guardrails of the embedded AWS: blocked by their words, version by version, and refused as AWS refuses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]
MODEL = "amazon.nova-lite-v1:0"
MISSING = "The guardrail identifier or version provided in the request does not exist."
INVALID = "The provided guardrail identifier is invalid."


@pytest.fixture
def guard(client: Client) -> str:
    """A guardrail whose version 1 blocks `casino`, version 2 `tobacco`; its id."""
    bedrock = client("bedrock")
    said = {"blockedInputMessaging": "Not that.", "blockedOutputsMessaging": "I will not say."}
    made: str = bedrock.create_guardrail(name="words", wordPolicyConfig={"wordsConfig": [{"text": "casino"}]}, **said)[
        "guardrailId"
    ]
    bedrock.create_guardrail_version(guardrailIdentifier=made)
    bedrock.update_guardrail(
        guardrailIdentifier=made, name="words", wordPolicyConfig={"wordsConfig": [{"text": "tobacco"}]}, **said
    )
    bedrock.create_guardrail_version(guardrailIdentifier=made)
    return made


def asked(client: Client, text: str, **config: str) -> Any:
    said = [{"role": "user", "content": [{"text": text}]}]
    return client("bedrock-runtime").converse(modelId=MODEL, messages=said, guardrailConfig=config)


def refusal(client: Client, config: dict[str, str]) -> str:
    with pytest.raises(ClientError) as caught:
        asked(client, "hi", **config)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value)


@pytest.mark.parametrize("by_arn", [False, True])
@pytest.mark.parametrize(("version", "blocked"), [("1", "casino"), ("2", "tobacco"), ("DRAFT", "tobacco")])
def test_a_version_blocks_by_its_own_words(
    client: Client, guard: str, version: str, blocked: str, by_arn: bool
) -> None:
    arn = client("bedrock").get_guardrail(guardrailIdentifier=guard)["guardrailArn"]
    config = {"guardrailIdentifier": arn if by_arn else guard, "guardrailVersion": version}

    for word in ("casino", "tobacco"):
        reply = asked(client, f"Where is the {word}?", **config)
        assert (reply["stopReason"] == "guardrail_intervened") == (word == blocked)
        text = reply["output"]["message"]["content"][0]["text"]
        assert (text == "Not that.") == (word == blocked)


def test_what_the_model_says_is_looked_at_too_and_traced_where_asked(client: Client, guard: str) -> None:
    bedrock = client("bedrock")
    echoes = {"regexesConfig": [{"name": "any", "pattern": "[A-Za-z]{4,}", "action": "BLOCK", "inputEnabled": False}]}
    said = {"blockedInputMessaging": "Not that.", "blockedOutputsMessaging": "I will not say."}
    made = bedrock.create_guardrail(name="out", sensitiveInformationPolicyConfig=echoes, **said)["guardrailId"]
    config = {"guardrailIdentifier": made, "guardrailVersion": "DRAFT"}

    plain, traced = asked(client, "Hello there", **config), asked(client, "Hello there", trace="enabled", **config)

    assert plain["output"]["message"]["content"] == [{"text": "I will not say."}]
    assert "trace" not in plain
    assert set(traced["trace"]["guardrail"]) == {"inputAssessment", "outputAssessments"}
    assert traced["stopReason"] == plain["stopReason"] == "guardrail_intervened"


def test_a_stream_is_blocked_alike(client: Client, guard: str) -> None:
    config = {"guardrailIdentifier": guard, "guardrailVersion": "1", "streamProcessingMode": "async"}
    said = [{"role": "user", "content": [{"text": "casino"}]}]
    stream = client("bedrock-runtime").converse_stream(modelId=MODEL, messages=said, guardrailConfig=config)["stream"]

    events = list(stream)

    assert [e["messageStop"]["stopReason"] for e in events if "messageStop" in e] == ["guardrail_intervened"]
    said_back = [e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e]
    assert "".join(said_back) == "Not that."


def test_what_does_not_exist_is_refused_in_aws_words(client: Client, guard: str) -> None:
    config = {"guardrailIdentifier": guard, "guardrailVersion": "1"}
    for wrong, says in (
        ({"guardrailVersion": "9"}, MISSING),
        ({"guardrailIdentifier": "gr0000000000"}, MISSING),
        ({"guardrailIdentifier": "arn:aws:bedrock:us-east-1:111122223333:guardrail/gr1"}, MISSING),
        ({"guardrailIdentifier": "My_Guard"}, INVALID),
    ):
        assert says in refusal(client, {**config, **wrong})
    client("bedrock").delete_guardrail(guardrailIdentifier=guard)
    assert MISSING in refusal(client, config)
