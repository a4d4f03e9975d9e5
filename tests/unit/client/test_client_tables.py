"""The tables behind the client when they are throttled, refuse, or cannot be reached."""

from __future__ import annotations

import time

import botocore.session
import pytest

from promptlane.client import PromptClient, RouteUnavailable, UnknownPrompt
from promptlane.client.aws import Aws, FeedbackTable, RouteTable
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, client_over
from promptlane.domain.errors import Unavailable
from tests.support.client import Dynamo


@pytest.fixture
def dynamo() -> Dynamo:
    routes = StaticRoutes()
    for name in ("one", "two"):
        routes.put(name, stable=1, canary=2, weight=2500, variables=["name"])
    return Dynamo(routes)


def client_of(dynamo: Dynamo, sink: ListSink) -> PromptClient:
    return client_over(RouteTable(dynamo, "routes"), bedrock=lambda timeout: FakeBedrock(), sink=sink, refresh=0.05)


def test_a_batch_tells_what_it_read_what_there_is_not_and_what_was_throttled(dynamo: Dynamo) -> None:
    table = RouteTable(dynamo, "routes")
    dynamo.throttled = {"two"}
    found = table.read(["one", "two", "three"])
    assert found["one"] == dynamo.routes.items["one"]
    assert isinstance(found["two"], Unavailable)
    assert "three" not in found


def test_a_throttled_table_serves_what_is_held_and_never_calls_a_prompt_unknown(dynamo: Dynamo) -> None:
    sink = ListSink()
    client = client_of(dynamo, sink)
    held = client.route("one", "u")
    dynamo.throttled = {"one", "two"}
    with pytest.raises(RouteUnavailable, match="two cannot be read"):
        client.route("two", "u")
    until = time.monotonic() + 5
    while sink.total("StaleRoute", Prompt="one")[1] < 2 and time.monotonic() < until:
        assert client.route("one", "u") is held
    assert sink.total("StaleRoute", Prompt="one")[1] >= 2
    dynamo.throttled = set()
    time.sleep(0.1)  # a failed first read is not repeated for every request
    assert client.route("two", "u").prompt == "two"
    with pytest.raises(UnknownPrompt):
        client.route("three", "u")


@pytest.mark.parametrize("prompt_id", ["PROMPT0001", "4260552910", "a1B2c3D4e5"])
def test_prompts_are_found_by_id_and_arn_and_an_unknown_id_is_unknown(dynamo: Dynamo, prompt_id: str) -> None:
    client = client_of(dynamo, ListSink())
    dynamo.routes.items["one"]["prompt_id"] = prompt_id
    arn = f"arn:aws:bedrock:eu-west-1:111122223333:prompt/{prompt_id}"
    for identifier in (prompt_id, arn, f"{arn}:7"):
        assert client.route(identifier, "u").prompt == "one"
    for identifier in ("AAAAAAAAAA", "arn:aws:bedrock:eu-west-1:111122223333:prompt/AAAAAAAAAA", "arn:aws:x", "nobody"):
        with pytest.raises(UnknownPrompt):
            client.route(identifier, "u")


def test_one_prompt_that_cannot_be_looked_up_hinders_no_other(dynamo: Dynamo) -> None:
    """Whoever may not read the index still gets every prompt by its name."""
    sink = ListSink()
    client = client_of(dynamo, sink)
    dynamo.forbidden = True
    with pytest.raises(RouteUnavailable, match="AccessDenied"):
        client.route("AAAAAAAAAA", "u")
    for name in ("one", "two"):
        assert client.route(name, "u").prompt == name
    assert sink.total("StaleRoute", Prompt="one") == (0, 0)


def test_feedback_that_cannot_be_stored_is_not_counted_and_may_be_given_again(dynamo: Dynamo) -> None:
    sink = ListSink()
    memory = FeedbackTable(dynamo, "feedback")
    client = client_over(
        dynamo.routes, bedrock=lambda timeout: FakeBedrock(), sink=sink, receipt_key="k", feedback=memory
    )
    receipt = client.converse("one", unit="u", variables={"name": "Anna"}).receipt or ""
    with pytest.raises(Unavailable, match="try again"):
        client.feedback(receipt, positive=False)
    assert not [document for document in sink.documents if "NegativeFeedback" in document.values]


@pytest.mark.parametrize("service", ["bedrock-runtime", "dynamodb", "kms", "cloudwatch"])
def test_models_are_read_as_botocore_reads_them(service: str) -> None:
    ours = Aws(region="eu-west-1").client(service, read_timeout=1.0)
    theirs = botocore.session.get_session().create_client(service, region_name="eu-west-1")
    assert ours.meta.endpoint_url == theirs.meta.endpoint_url
    names = theirs.meta.service_model.operation_names
    assert ours.meta.service_model.operation_names == names
    assert ours.meta.service_model._service_description == theirs.meta.service_model._service_description


def test_a_session_that_the_application_passes_is_used() -> None:
    import boto3

    session = boto3.session.Session(region_name="eu-north-1")
    client = Aws(session=session).client("dynamodb", read_timeout=1.0)
    assert client.meta.region_name == "eu-north-1"
