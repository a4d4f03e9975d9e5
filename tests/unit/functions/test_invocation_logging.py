"""The custom resource for model invocation logging, over Bedrock's setting and the parameter that remembers."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from promptlane.domain.errors import InvalidInput, NotFound, PromptlaneError, Unauthorized, Unavailable
from tests.support.functions import DEPLOYMENT, Context, World, real

Json = Any
PROPERTIES = {
    "LogGroupName": "/lane/invocations",
    "RoleArn": "arn:aws:iam::111122223333:role/log",
    "LargeDataBucket": "lane-large",
    "LargeDataPrefix": "bodies",
}
WANTED = {
    "cloudWatchConfig": {
        "logGroupName": "/lane/invocations",
        "roleArn": "arn:aws:iam::111122223333:role/log",
        "largeDataDeliveryS3Config": {"bucketName": "lane-large", "keyPrefix": "bodies"},
    },
    "textDataDeliveryEnabled": True,
    "imageDataDeliveryEnabled": False,
    "embeddingDataDeliveryEnabled": False,
    "videoDataDeliveryEnabled": False,
    "audioDataDeliveryEnabled": False,
}
FOREIGN = {"s3Config": {"bucketName": "theirs"}, "textDataDeliveryEnabled": True}


def event(kind: str = "Create", **changed: Json) -> dict[str, Json]:
    return {
        "RequestType": kind,
        "ResponseURL": "https://cloudformation.example/answer",
        "StackId": "the-stack",
        "RequestId": "the-request",
        "LogicalResourceId": "the-resource",
        "ResourceProperties": PROPERTIES,
        **changed,
    }


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, float]]:
    """Requests to CloudFormation, with the seconds that each was given."""
    requests: list[tuple[Any, float]] = []

    def urlopen(request: Any, timeout: float) -> Any:
        requests.append((request, timeout))
        return contextlib.nullcontext()

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return requests


def setting() -> Json:
    return real("bedrock").get_model_invocation_logging_configuration().get("loggingConfig")


def test_it_is_switched_on_and_back_off_and_cloudformation_is_told(world: World, sent: list[tuple[Any, float]]) -> None:
    function = world.function("invocation_logging")

    answer = function.handle(event(), Context())

    assert answer == {
        "Status": "SUCCESS",
        "Reason": "model invocation logging is on (log stream stream)",
        "PhysicalResourceId": "model-invocation-logging",
        "StackId": "the-stack",
        "RequestId": "the-request",
        "LogicalResourceId": "the-resource",
        "Data": {"Said": "model invocation logging is on"},
    }
    ((request, timeout),) = sent
    assert (request.method, request.full_url, timeout) == ("PUT", "https://cloudformation.example/answer", 10)
    assert (json.loads(request.data), request.headers) == (answer, {"Content-type": ""})
    assert setting() == WANTED
    name = f"/{DEPLOYMENT}/logging-found"
    assert real("ssm").get_parameter(Name=name)["Parameter"]["Value"]

    off = function.handle(event("Delete", PhysicalResourceId="as-it-was-called"), None)

    assert (off["Status"], off["PhysicalResourceId"], off["Reason"]) == (
        "SUCCESS",
        "as-it-was-called",
        off["Data"]["Said"],
    )
    assert "off, as it was found" in off["Reason"]
    assert not setting()
    with pytest.raises(real("ssm").exceptions.ParameterNotFound):
        real("ssm").get_parameter(Name=name)


def test_somebody_elses_setting_fails_the_stack_at_once_and_stays(world: World, sent: list[tuple[Any, float]]) -> None:
    real("bedrock").put_model_invocation_logging_configuration(loggingConfig=FOREIGN)

    answer = world.function("invocation_logging").handle(event(), Context())

    assert answer["Status"] == "FAILED"
    assert "bucket theirs" in answer["Reason"]
    assert setting() == FOREIGN
    assert world.slept == []


def put_refused(world: World, error: PromptlaneError, times: int = 0) -> Callable[[], int]:
    """Refuses to write the setting; how often it was asked to."""
    tries: list[Json] = []

    def refuse(params: dict[str, Json]) -> None:
        tries.append(params)
        raise error

    world.before("bedrock", "PutModelInvocationLoggingConfiguration", refuse, times)
    return lambda: len(tries)


@pytest.mark.parametrize("error", [InvalidInput("role"), Unauthorized("role")])
def test_a_role_that_was_just_made_is_given_time(
    world: World, sent: list[tuple[Any, float]], error: PromptlaneError
) -> None:
    tries = put_refused(world, error, times=5)

    assert world.function("invocation_logging").handle(event("Update"), Context())["Status"] == "SUCCESS"
    assert (tries(), world.slept, setting()) == (5, [5.0] * 5, WANTED)


def test_a_role_that_never_works_is_given_up(world: World, sent: list[tuple[Any, float]]) -> None:
    tries = put_refused(world, InvalidInput("the role does not work"))

    answer = world.function("invocation_logging").handle(event(), Context())

    assert (answer["Status"], answer["Data"]) == ("FAILED", {"Said": "the role does not work"})
    assert (tries(), world.slept) == (6, [5.0] * 5)


@pytest.mark.parametrize("error", [Unavailable("away"), NotFound("gone")])
def test_what_time_does_not_mend_is_not_tried_again(
    world: World, sent: list[tuple[Any, float]], error: PromptlaneError
) -> None:
    tries = put_refused(world, error)

    assert world.function("invocation_logging").handle(event(), Context())["Status"] == "FAILED"
    assert (tries(), world.slept) == (1, [])


def test_cloudformation_is_also_told_of_what_is_missing_and_of_no_more_than_it_takes(
    world: World, sent: list[tuple[Any, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    function = world.function("invocation_logging")
    missing = function.handle(event(ResourceProperties={}), Context())
    assert (missing["Status"], missing["Data"]) == ("FAILED", {"Said": "'LargeDataBucket'"})

    put_refused(world, Unavailable("x" * 2_000))
    long = function.handle(event(), Context())
    assert (long["Data"], long["Reason"]) == ({"Said": "x" * 750}, "x" * 750 + " (log stream stream)")
    assert function.handle(event(), object())["Reason"] == "x" * 750


def test_an_answer_goes_to_the_web_alone(world: World, sent: list[tuple[Any, float]]) -> None:
    function = world.function("invocation_logging")
    for url in ("file:///etc/passwd", "ftp://elsewhere/x"):
        with pytest.raises(InvalidInput, match=f"ResponseURL '{url}' is not a web address"):
            function.handle(event(ResponseURL=url), Context())
    assert sent == []
    function.handle(event(ResponseURL="http://localhost:4566/answer"), Context())
    assert sent[0][0].full_url == "http://localhost:4566/answer"
