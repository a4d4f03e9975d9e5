"""One guardrail from prompt.yaml to users: published, tested, routed and applied, all on the embedded AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.credentials import Credentials

from local import keys
from local.running import EmbeddedAws
from promptlane.aws.guardrails import SsmGuardrails
from promptlane.aws.models import ConverseModel
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.transport import BedrockTransport
from promptlane.client import PromptClient
from promptlane.client.testing import ListSink, StaticRoutes, client_over
from promptlane.domain.errors import NotFound
from promptlane.domain.release.prompt import PromptDraft, PromptVersion, static_problems
from promptlane.engine.parse import parse
from promptlane.engine.runner import Bench, run_cases
from promptlane.engine.targets import Target

SUITE = {
    "tests": [
        {"id": "blocked", "vars": {"question": "Which casino?"}, "assert": [{"type": "guardrail-intervened"}]},
        {"id": "answered", "vars": {"question": "Which parcel?"}, "assert": [{"type": "guardrails"}]},
    ]
}


class World:
    """A guardrail with version 1, and two versions of a prompt: the first without it, the second with."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self.bedrock, self.runtime = client("bedrock"), client("bedrock-runtime")
        words = {"wordsConfig": [{"text": "casino"}]}
        said = {"blockedInputMessaging": "Not that.", "blockedOutputsMessaging": "Nor that."}
        made = self.bedrock.create_guardrail(name="shop", wordPolicyConfig=words, **said)
        self.id, self.arn = made["guardrailId"], made["guardrailArn"]
        self.bedrock.create_guardrail_version(guardrailIdentifier=self.id)
        self.prompts = BedrockPrompts(client("bedrock-agent"))
        self.drafts = [self.draft(), self.draft(guardrail={"id": self.id, "version": 1})]
        self.versions = [self.published(draft) for draft in self.drafts]
        self.routes = StaticRoutes()

    @staticmethod
    def draft(**more: Any) -> PromptDraft:
        plain = {"name": "shop", "model": "amazon.nova-lite-v1:0", "variables": ["question"]}
        return PromptDraft.from_dict({**plain, "template": "Answer: {{question}}", **more})

    def published(self, draft: PromptDraft) -> PromptVersion:
        return self.prompts.publish(self.prompts.write_draft(draft), description="")

    def client(self, *, canary: bool) -> PromptClient:
        """All units get the second version where it is the canary, else the first."""
        self.routes.put("shop", stable=1, canary=2, weight=10_000 if canary else 0)
        for name, version in zip(("stable", "canary"), self.versions, strict=True):
            self.routes.items["shop"][name] = version.ref.to_item()
        return client_over(self.routes, bedrock=lambda timeout: self.runtime, sink=ListSink())


@pytest.fixture
def world(client: Callable[[str], Any]) -> World:
    return World(client)


@pytest.fixture
def model(embedded_aws: EmbeddedAws, client: Callable[[str], Any], account: str) -> Iterator[ConverseModel]:
    endpoint = client("bedrock-runtime").meta.endpoint_url
    known = Credentials(*keys.credentials(embedded_aws.home, account).values())
    transport = BedrockTransport(endpoint=endpoint, region="us-east-1", credentials=known)
    yield ConverseModel(transport)
    transport.close()


def test_a_version_keeps_its_guardrail_and_another_is_another_content(world: World) -> None:
    without, guarded = world.versions
    assert without.guardrail is None
    assert guarded.guardrail == world.drafts[1].guardrail
    assert guarded.fingerprint == world.drafts[1].fingerprint != without.fingerprint
    assert static_problems(guarded) == []
    assert world.published(world.draft()).fingerprint == without.fingerprint, "taken out again"


def test_tests_by_arn_and_at_the_desk_meet_the_guardrail(world: World, model: ConverseModel) -> None:
    for target in (Target.of_version(world.versions[1]), Target.of_draft("draft", world.drafts[1].variants())):
        stable = Target.of_version(world.versions[0])
        found = {run.case.id: run for run in run_cases(parse(SUITE).cases, Bench(target, stable, model))}
        assert [found[name].candidate[0].passed for name in ("blocked", "answered")] == [True, True]
        answered = found["blocked"].stable
        assert answered is not None
        assert answered[0].passed is False, "nothing intervened"


@pytest.mark.parametrize("canary", [True, False])
def test_users_of_each_arm_get_what_was_tested(world: World, canary: bool) -> None:
    client = world.client(canary=canary)

    answer = client.converse("shop", unit="u", variables={"question": "Which casino?"})
    streamed = client.converse_stream("shop", unit="u", variables={"question": "Which casino?"})
    text = "".join(streamed)

    assert (answer.stop_reason == "guardrail_intervened") is canary
    assert (answer.text == text == "Not that.") is canary


def test_a_guardrail_called_by_name_is_the_one_that_its_parameter_names(
    world: World, client: Callable[[str], Any]
) -> None:
    ssm = client("ssm")
    ssm.put_parameter(Name="/shop/guardrails/front", Value=f"{world.id}:1", Type="String")
    try:
        assert SsmGuardrails(ssm, "shop").find("front") == world.drafts[1].guardrail
        with pytest.raises(NotFound, match="there is no SSM parameter /shop/guardrails/back"):
            SsmGuardrails(ssm, "shop").find("back")
    finally:
        ssm.delete_parameter(Name="/shop/guardrails/front")


def test_a_guardrail_by_arn_is_the_same(world: World) -> None:
    world.versions[1] = world.published(world.draft(guardrail={"id": world.arn, "version": 1}))
    client = world.client(canary=True)
    assert client.converse("shop", unit="u", variables={"question": "Which casino?"}).text == "Not that."


def test_when_it_is_deleted_stable_answers_and_tests_are_missing(world: World, model: ConverseModel) -> None:
    client = world.client(canary=True)
    world.bedrock.delete_guardrail(guardrailIdentifier=world.id)

    answer = client.converse("shop", unit="u", variables={"question": "Which parcel?"})
    (missing, never_asked) = run_cases(parse(SUITE).cases, Bench(Target.of_version(world.versions[1]), None, model))

    assert (answer.shielded, answer.version) == (True, 1)
    for run in (missing, never_asked):
        assert "or this version of it, is not in this account and Region" in run.candidate[0].missing
