"""Prompts that others made, on the embedded AWS: published, read, tested, restored and published again from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptlane.aws.prompts import BedrockPrompts
from promptlane.domain.release.content import fingerprint
from promptlane.domain.release.housekeeping import archive_key, archived
from promptlane.domain.release.prompt import static_problems
from promptlane.engine.suite import Case
from promptlane.engine.targets import Target
from promptlane.fakes.objects import MemoryObjects
from promptlane.lifecycle.restore import restore
from tests.support.cli_desk import Desk
from tests.support.others import ACCEPTED, Other, known

Client = Callable[[str], Any]
each = pytest.mark.parametrize("other", ACCEPTED, ids=known(ACCEPTED))


def created(client: Client, other: Other, name: str = "support") -> str:
    (variant,) = other.variants
    made = client("bedrock-agent").create_prompt(
        name=name, variants=[variant], defaultVariant=variant["name"], **other.more
    )
    return str(made["id"])


@each
def test_a_version_is_read_as_it_was_made_and_comes_back_from_the_archive(client: Client, other: Other) -> None:
    prompts, archive = BedrockPrompts(client("bedrock-agent")), MemoryObjects()
    prompt_id = created(client, other)
    published = prompts.publish(prompt_id, description="")

    first = prompts.version(prompt_id, 1)
    assert (first.fingerprint, first.ref.variables) == (fingerprint(other.variants), other.needs)
    assert published.fingerprint == first.fingerprint
    assert static_problems(first, allowed_models=other.allowed) == []

    archive.put(archive_key(prompt_id, 1), archived(first))
    (variant,) = other.variants
    text = {"text": {"text": "Something else"}}
    changed = {**variant, "templateType": "TEXT", "templateConfiguration": text}
    before = fingerprint([changed])
    prompts.write_variants(prompt_id, [changed], variant["name"])
    prompts.delete(prompt_id, 1)
    back = restore(prompts, archive, prompt_id, 1)

    assert (back.version, back.fingerprint) == (2, first.fingerprint)
    assert fingerprint(prompts.draft_variants(prompt_id)) == before, "the draft is put back"
    assert restore(prompts, archive, prompt_id, 1).version == 2, "nothing is published twice"


@each
def test_it_answers(client: Client, other: Other) -> None:
    if "inference-profile" in json.dumps(other.variants):
        pytest.skip("the profile's ARN names another account")
    version = BedrockPrompts(client("bedrock-agent")).publish(created(client, other), description="")
    request = Target.of_version(version).request(Case(id="1", vars=dict.fromkeys(other.needs, "A-17"), asserts=()))
    answer = client("bedrock-runtime").converse(modelId=request.model_id, **request.body)

    assert answer["stopReason"] in ("end_turn", "tool_use", "max_tokens", "stop_sequence")


def test_publishing_a_file_over_such_a_prompt_says_that_nothing_changed(client: Client, tmp_path: Path) -> None:
    (other,) = [one for one in ACCEPTED if one.made_by == "the console"]
    prompt_id = created(client, other, "greeter")
    desk: Any = Desk()
    desk.prompts = BedrockPrompts(client("bedrock-agent"))
    said: dict[str, Any] = {"name": "greeter", "model": "amazon.nova-lite-v1:0", "variables": ["question", "product"]}
    said |= {"template": "Answer {{question}} about {{product}}."}
    said |= {"inference": {"temperature": 0.7, "max_tokens": 512, "stop_sequences": []}}
    (tmp_path / "prompt.yaml").write_text(json.dumps(said))

    first = desk.json("publish", str(tmp_path), "-m", "first")
    again = desk.json("publish", str(tmp_path))

    assert (first["prompt_id"], first["result"], first["draft"]) == (prompt_id, "published", "unchanged")
    assert (again["result"], again["draft"], again["version"]) == ("unchanged", "unchanged", 1)
    kept = client("bedrock-agent").get_prompt(promptIdentifier=prompt_id)
    assert (kept["defaultVariant"], kept["description"]) == ("variant-001", "d" * 200)

    (tmp_path / "prompt.yaml").write_text(json.dumps(said | {"model": "amazon.nova-pro-v1:0"}))
    changed = desk.json("publish", str(tmp_path), "-m", "better")
    assert (changed["result"], changed["version"], changed["draft"]) == ("published", 2, "updated")
    assert desk.json("publish", str(tmp_path))["result"] == "unchanged"
    kept = client("bedrock-agent").get_prompt(promptIdentifier=prompt_id, promptVersion="2")
    (variant,) = kept["variants"]
    assert (variant["name"], variant["modelId"], variant["metadata"]) == (
        "variant-001",
        "amazon.nova-pro-v1:0",
        [{"key": "owner", "value": "help desk"}],
    )


def test_every_command_refuses_a_name_of_several_and_takes_an_id(client: Client, tmp_path: Path) -> None:
    (other,) = [one for one in ACCEPTED if one.made_by == "the console"]
    ids = sorted(created(client, other, "greeter") for _ in range(2))
    desk: Any = Desk()
    desk.prompts = BedrockPrompts(client("bedrock-agent"))
    for prompt_id in ids:
        desk.prompts.publish(prompt_id, description="one")
    told = f"2 prompts of Bedrock are called 'greeter': {ids[0]} and {ids[1]}"
    (tmp_path / "prompt.yaml").write_text(json.dumps({"name": "greeter", "model": "m", "template": "Hi"}))

    for words in (
        ["publish", str(tmp_path), "-m", "why"],
        ["diff", "greeter", "1", "draft"],
        ["release", "greeter", "1"],
        ["restore", "greeter", "1"],
        ["status", "greeter"],
        ["history", "greeter"],
    ):
        result = desk.type(*words)
        assert result.exit_code, words
        assert told in " ".join(result.output.split()), words
    assert desk.json("diff", ids[1], "1", "draft")["changed"] == []
