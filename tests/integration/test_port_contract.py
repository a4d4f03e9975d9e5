"""Odd calls of the ports around the two tables: the fakes answer them as the AWS adapters do on the embedded AWS and,
a second opinion, on moto."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from promptlane.aws.blocks import DynamoBlocks
from promptlane.aws.contents import S3Contents
from promptlane.aws.enrolment import DynamoEnrolments
from promptlane.aws.enrolment_tags import BedrockEnrolmentTags
from promptlane.aws.notices import SnsNotices
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.reports import S3Objects
from promptlane.aws.turns import DynamoTurns
from promptlane.aws.workflow import StepFunctionsTokens, StepFunctionsWorkflow
from promptlane.domain.canary.blocks import Arm, Block, Chunk
from promptlane.domain.canary.counts import BlockStore
from promptlane.domain.errors import AmbiguousName, InvalidInput, NotFound
from promptlane.domain.names import UNIT_GROUPS
from promptlane.domain.ports import Contents, Enrolments, EnrolmentTags, Notices, PromptLister, Turns, Workflow
from promptlane.domain.release.prompt import PromptDraft, PromptVersion
from promptlane.domain.review.ports import TaskTokens
from promptlane.engine.objects import ReportBucket
from promptlane.fakes import (
    FakeEnrolments,
    FakeEnrolmentTags,
    FakeNotices,
    FakePrompts,
    FakeWorkflow,
    InMemoryBlocks,
    InMemoryTurns,
)
from promptlane.fakes.objects import MemoryContents, MemoryObjects
from promptlane.fakes.review import FakeTokens
from promptlane.lifecycle.listed_prompts import ListedPrompts
from tests.support.enrolled import enrol
from tests.support.prompt import ID, POLICY, RELEASE
from tests.support.second_emulator import MOTO, clients_of
from tests.support.tables import make_table

Client = Callable[[str], Any]
SUITE = {"cases": [{"vars": {"question": "Where?"}}]}
both = pytest.mark.parametrize("kind", ["fake", "aws", MOTO])
MOTO_LACKS = {
    "TestPrompts::*": "no versions of prompts: CreatePromptVersion is not implemented",
    "TestNotices::test_a_body_that_no_email_may_have?-moto?": "SNS takes an empty message",
    "TestObjects::test_a_key_that_no_object_may_have*long*": "S3 takes keys of more than 1,024 bytes",
    "test_a_token_that_no_step_may_have*long*": "Step Functions reads no token's length, and knows none",
}
LOOPING = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}})


@pytest.fixture
def client(kind: str, client: Client, request: pytest.FixtureRequest) -> Client:
    return clients_of(request.getfixturevalue("moto")) if kind == MOTO else client


@pytest.fixture
def dynamodb(kind: str, dynamodb: Any, request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("moto").resource("dynamodb") if kind == MOTO else dynamodb


def draft(text: str) -> PromptDraft:
    return PromptDraft(
        name="support", model="amazon.nova-lite-v1:0", template=f"{text} {{{{question}}}}", variables=("question",)
    )


@dataclass
class Published:
    """A prompt with two versions."""

    prompts: PromptLister
    tags: EnrolmentTags
    one: PromptVersion
    two: PromptVersion


@pytest.fixture
def published(kind: str, client: Client) -> Published:
    if kind == "fake":
        fake = FakePrompts()
        first, second = (fake.publish(draft(text), prompt_id=ID) for text in ("a", "b"))
        return Published(fake, FakeEnrolmentTags(fake), first, second)
    agent = client("bedrock-agent")
    real = BedrockPrompts(agent)
    first, second = (real.publish(real.write_draft(draft(text)), description="") for text in ("a", "b"))
    return Published(real, BedrockEnrolmentTags(agent, "promptlane"), first, second)


@pytest.fixture
def turns(kind: str, request: pytest.FixtureRequest) -> Turns:
    if kind == "fake":
        return InMemoryTurns()
    dynamodb = request.getfixturevalue("dynamodb")
    make_table(dynamodb.meta.client, "turns", "pk", "sk")
    return DynamoTurns(dynamodb.Table("turns"))


@both
class TestTurns:
    def test_one_release_at_a_time_has_the_turn(self, turns: Turns) -> None:
        assert turns.take("one", 100.0, 200.5)
        assert turns.take("one", 110.0, 210.0), "asked again, it has it still"
        assert not turns.take("two", 209.0, 300.0)
        turns.give_back("two")
        assert not turns.take("two", 210.0, 300.0), "what another has, nobody else gives back"
        turns.give_back("one")
        assert turns.take("two", 120.0, 300.0)

    def test_a_turn_that_nobody_gave_back_is_over(self, turns: Turns) -> None:
        turns.take("one", 100.0, 200.0)
        assert turns.take("two", 200.5, 300.0)
        turns.give_back("one")
        assert not turns.take("three", 201.0, 300.0)

    def test_giving_back_what_nobody_has(self, turns: Turns) -> None:
        turns.give_back("one")
        assert turns.take("two", 1.0, 2.0)


@both
class TestPrompts:
    def test_versions_are_read_by_number_and_found_by_name_id_and_arn(self, published: Published) -> None:
        prompts, one, two = published.prompts, published.one, published.two
        assert prompts.version(one.prompt_id, 1).fingerprint == one.fingerprint != two.fingerprint
        assert prompts.versions(one.prompt_id) == [1, 2]
        named = (one.prompt_id, "support")
        for way in ("support", one.prompt_id, two.arn, two.arn.rpartition(":")[0]):
            assert prompts.find(way) == named

    def test_a_name_of_several_is_told_with_their_ids(self, kind: str, published: Published, client: Client) -> None:
        prompts, one = published.prompts, published.one
        if isinstance(prompts, FakePrompts):
            other = prompts.publish(draft("c"), prompt_id="PROMPT0009").prompt_id
        else:
            other = str(client("bedrock-agent").create_prompt(name="support", variants=draft("c").variants())["id"])
        with pytest.raises(AmbiguousName) as several:
            prompts.find("support")
        assert several.value.ids == sorted([one.prompt_id, other])
        assert prompts.find(other) == (other, "support")

    def test_every_prompt_is_listed_and_found_from_the_list_as_without_it(
        self, kind: str, published: Published, client: Client
    ) -> None:
        prompts, one = published.prompts, published.one
        if isinstance(prompts, FakePrompts):
            prompts.updated[one.prompt_id] = time.time()
            others = [
                prompts.publish(replace(draft("c"), name=f"other-{n}"), prompt_id=f"OTHERS{n:04d}").prompt_id
                for n in range(12)
            ]
        else:
            agent = client("bedrock-agent")
            others = [
                str(agent.create_prompt(name=f"other-{n}", variants=draft("c").variants())["id"]) for n in range(12)
            ]

        listed = {summary.prompt_id: summary for summary in prompts.listed()}

        assert listed.keys() == {one.prompt_id, *others}
        assert listed[one.prompt_id].name == "support"
        assert abs(listed[one.prompt_id].updated_at - time.time()) < 60
        once = ListedPrompts(prompts)
        for wanted in ("support", one.arn, one.prompt_id, others[3], "other-3", "absent", ""):
            assert once.find(wanted) == prompts.find(wanted)
        assert once.name_of(others[0]) == prompts.name_of(others[0]) == "other-0"
        assert once.name_of("ABSENT0000") is None

    @pytest.mark.parametrize("number", [0, 3, 99999])
    def test_a_version_that_is_not_there(self, published: Published, number: int) -> None:
        with pytest.raises(NotFound):
            published.prompts.version(published.one.prompt_id, number)

    def test_a_prompt_that_is_not_there(self, published: Published) -> None:
        with pytest.raises(NotFound):
            published.prompts.version("ABSENT0000", 1)
        with pytest.raises(NotFound):
            published.prompts.versions("ABSENT0000")
        assert published.prompts.find("absent") is None
        assert published.prompts.find("") is None
        assert published.prompts.name_of("ABSENT0000") is None
        assert published.prompts.created_at("ABSENT0000") is None

    def test_when_a_prompt_was_created(self, published: Published) -> None:
        if isinstance(published.prompts, FakePrompts):
            published.prompts.created[published.one.prompt_id] = time.time()
        created = published.prompts.created_at(published.one.prompt_id)
        assert created is not None
        assert abs(created - time.time()) < 60

    def test_a_prompt_without_an_id(self, published: Published) -> None:
        with pytest.raises(InvalidInput):
            published.prompts.version("", 1)
        with pytest.raises(InvalidInput):
            published.prompts.versions("")

    def test_a_tag_stays_and_needs_its_version(self, published: Published) -> None:
        tags, arn = published.tags, published.one.arn
        assert not tags.tagged(arn)
        tags.tag(arn)
        tags.tag(arn)
        assert tags.tagged(arn)
        assert not tags.tagged(published.two.arn)
        assert tags.elsewhere(arn) == ""
        for ask in (tags.tag, tags.tagged, tags.elsewhere):
            with pytest.raises(NotFound):
                ask(arn.replace(published.one.prompt_id, "ABSENT0000"))


@pytest.fixture
def enrolments(kind: str, client: Client, dynamodb: Any, account: str) -> Enrolments:
    if kind == "fake":
        return FakeEnrolments({"support": POLICY}, SUITE)
    s3, reports = client("s3"), f"reports-{account}"
    s3.create_bucket(Bucket=reports)
    table = make_table(dynamodb, "releases", "pk", "sk")
    enrol(table, s3, reports, "support", POLICY, SUITE)
    return DynamoEnrolments(table=table, s3=s3, report_bucket=reports)


@both
class TestEnrolments:
    def test_what_is_captured_is_read_by_its_hash(self, enrolments: Enrolments) -> None:
        assert enrolments.names() == ["support"]
        policy, suite = enrolments.capture("support")
        assert (enrolments.policy(policy), enrolments.suite(suite)) == (POLICY, SUITE)
        assert enrolments.capture("support") == enrolments.deployed_hashes("support") == (policy, suite)

    @pytest.mark.parametrize("prompt", ["", "absent", "suppor", "support2"])
    def test_a_prompt_that_is_not_enrolled(self, enrolments: Enrolments, prompt: str) -> None:
        assert not enrolments.enrolled(prompt)
        assert enrolments.deployed_hashes(prompt) is None
        if prompt:
            with pytest.raises(NotFound):
                enrolments.capture(prompt)

    @pytest.mark.parametrize("sha256", ["0" * 64, "", "x"])
    def test_what_was_never_captured(self, enrolments: Enrolments, sha256: str) -> None:
        for read in (enrolments.policy, enrolments.suite):
            with pytest.raises(NotFound):
                read(sha256)


@pytest.fixture
def workflow(kind: str, client: Client) -> Workflow:
    if kind == "fake":
        return FakeWorkflow()
    role = client("iam").create_role(RoleName="machine", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    states = client("stepfunctions")
    arn = states.create_state_machine(name="release", definition=LOOPING, roleArn=role)["stateMachineArn"]
    return StepFunctionsWorkflow(states, arn)


@both
class TestWorkflow:
    def test_an_execution_is_started_once_and_stopped_for_good(self, workflow: Workflow) -> None:
        assert workflow.status("PROMPT0001-1-1") is None
        started = workflow.start("PROMPT0001-1-1", {"release_id": "PROMPT0001-1-1"})
        assert started.endswith(":PROMPT0001-1-1")
        assert workflow.start("PROMPT0001-1-1", {"release_id": "PROMPT0001-1-1"}) == started
        assert workflow.status("PROMPT0001-1-1") == "RUNNING"
        workflow.stop("PROMPT0001-1-1", "bad")
        workflow.stop("PROMPT0001-1-1", "bad")
        assert workflow.status("PROMPT0001-1-1") == "ABORTED"
        workflow.start("PROMPT0001-1-1", {"release_id": "PROMPT0001-1-1"})
        assert workflow.status("PROMPT0001-1-1") == "ABORTED"

    def test_stopping_what_does_not_run(self, workflow: Workflow) -> None:
        workflow.stop("PROMPT0001-9-1", "bad")
        assert workflow.status("PROMPT0001-9-1") is None

    @pytest.mark.parametrize("name", ["", "x" * 81, "a b", "a/b"])
    def test_a_name_that_no_execution_may_have(self, workflow: Workflow, name: str) -> None:
        with pytest.raises(InvalidInput):
            workflow.start(name, {})


@pytest.fixture
def notices(kind: str, client: Client) -> Notices:
    if kind == "fake":
        return FakeNotices()
    sns = client("sns")
    return SnsNotices(sns, sns.create_topic(Name="notices")["TopicArn"])


@both
class TestNotices:
    def test_a_long_subject_is_cut_to_what_an_email_takes(self, notices: Notices) -> None:
        notices.publish("s" * 500, "body")
        notices.publish("größer: version 2", "body")

    @pytest.mark.parametrize("subject", ["two\nlines", "\ttab", "bell\a", ""])
    def test_a_subject_that_no_email_may_have_is_made_one_that_it_may(self, notices: Notices, subject: str) -> None:
        notices.publish(subject, "body")

    @pytest.mark.parametrize("body", ["", pytest.param("x" * (256 * 1024 + 1), id="long")])
    def test_a_body_that_no_email_may_have(self, notices: Notices, body: str) -> None:
        with pytest.raises(InvalidInput):
            notices.publish("subject", body)


@pytest.mark.parametrize("kind", ["aws", MOTO])
def test_a_topic_that_was_deleted_is_not_found(client: Client) -> None:
    sns = client("sns")
    topic = sns.create_topic(Name="gone")["TopicArn"]
    sns.delete_topic(TopicArn=topic)
    with pytest.raises(NotFound):
        SnsNotices(sns, topic).publish("subject", "body")


@pytest.fixture
def objects(kind: str, client: Client, account: str) -> ReportBucket:
    if kind == "fake":
        return MemoryObjects("odd")
    s3 = client("s3")
    s3.create_bucket(Bucket=f"odd-{account}")
    return S3Objects(s3, f"odd-{account}")


@both
class TestObjects:
    def test_a_part_that_is_not_there(self, objects: ReportBucket) -> None:
        objects.put("a", b"12345")
        assert objects.get_range("a", 1, 3) == b"23"
        assert objects.get_range("a", 3, 900) == b"45"
        with pytest.raises(InvalidInput):
            objects.get_range("a", 5, 9)
        with pytest.raises(NotFound):
            objects.get_range("b", 0, 1)

    @pytest.mark.parametrize("key", ["", pytest.param("k" * 1025, id="long")])
    def test_a_key_that_no_object_may_have(self, objects: ReportBucket, key: str) -> None:
        with pytest.raises(InvalidInput):
            objects.put(key, b"")
        assert list(objects.keys("")) == []


@pytest.fixture
def contents(kind: str, client: Client, account: str) -> Contents:
    if kind == "fake":
        return MemoryContents()
    s3 = client("s3")
    s3.create_bucket(Bucket=f"versions-{account}")
    return S3Contents(s3, f"versions-{account}")


@both
def test_the_content_that_was_put_first_stays(contents: Contents) -> None:
    assert contents.put("support", "a" * 64, b"first")
    assert not contents.put("support", "a" * 64, b"second")
    assert contents.put("support", "b" * 64, b"third")
    assert contents.put("support-2", "c" * 64, b"of another prompt")

    assert set(contents.kept("support")) == {"a" * 64, "b" * 64}
    assert set(contents.kept("nobody")) == set()


@pytest.mark.parametrize("kind", ["aws", MOTO])
def test_a_conditional_put_leaves_the_object_as_it_is(client: Client, account: str) -> None:
    s3, bucket = client("s3"), f"versions-{account}"
    s3.create_bucket(Bucket=bucket)
    put = {"Bucket": bucket, "Key": "support/one.json", "IfNoneMatch": "*"}
    s3.put_object(**put, Body=b"first")
    with pytest.raises(ClientError) as refused:
        s3.put_object(**put, Body=b"second")

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="support/one.json")["Body"].read() == b"first"


@pytest.fixture
def tokens(kind: str, client: Client) -> TaskTokens:
    return FakeTokens() if kind == "fake" else StepFunctionsTokens(client("stepfunctions"))


@both
@pytest.mark.parametrize("token", ["", pytest.param("t" * 2049, id="long")])
def test_a_token_that_no_step_may_have(tokens: TaskTokens, token: str) -> None:
    with pytest.raises(InvalidInput):
        tokens.succeed(token, {})


@pytest.fixture
def blocks(kind: str, dynamodb: Any) -> BlockStore:
    if kind == "fake":
        return InMemoryBlocks()
    return DynamoBlocks(make_table(dynamodb, "releases", "pk", "sk"))


@both
def test_a_chunk_is_put_once_and_kept_apart_by_release_phase_metric_and_start(blocks: BlockStore) -> None:
    rest = ((0, 0),) * (UNIT_GROUPS - 2)
    arms = Arm(3, 1, ((3, 1), (0, 0), *rest)), Arm(7, 2, ((0, 0), (7, 2), *rest))
    chunks = [
        Chunk(phase, metric, start, start + 60, (Block(start, 60.0, 0.05, *arms),), past)
        for phase in ("canary", "watch")
        for metric, past in (("Error", (10, 1)), ("Refusal", None))
        for start in (600.0, 12_000.0)
    ]
    for chunk in chunks:
        assert blocks.put_once("PROMPT0001-1-1", chunk)
        assert not blocks.put_once("PROMPT0001-1-1", chunk)
        assert not blocks.put_once("PROMPT0001-1-1", Chunk(chunk.phase, chunk.metric, chunk.start, chunk.end + 60, ()))
    found = blocks.load("PROMPT0001-1-1", "canary")
    assert sorted(found, key=lambda c: (c.metric, c.start)) == [c for c in chunks if c.phase == "canary"]
    assert [c.start for c in found if c.metric == "Error"] == [600.0, 12_000.0]
    assert blocks.load(RELEASE, "canary") == []
