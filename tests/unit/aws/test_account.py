"""What `promptlane doctor` reads of an account: how answers of AWS are understood, and what is asked for."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from promptlane.aws import account as adapter
from promptlane.aws.account import AwsAccount
from promptlane.domain.errors import NotFound, Unauthorized
from promptlane.lifecycle.doctor.account import Queue, Rule, Subscriber, Trail
from promptlane.lifecycle.doctor.checks import CHECKS

Json = Any
Answer = Callable[..., Json] | Json


class Service:
    """A client that gives prepared answers, whole or as the only page."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers

    def __getattr__(self, operation: str) -> Callable[..., Json]:
        answer = self._answers[operation]
        return answer if callable(answer) else lambda **_: answer

    def get_paginator(self, operation: str) -> Any:
        class Pages:
            paginate = staticmethod(lambda **arguments: [getattr(self, operation)(**arguments)])

        return Pages


def account(**answers: Answer) -> AwsAccount:
    service = Service(answers)
    return AwsAccount(lambda name: service)


def refusal(code: str, message: str = "no") -> Callable[..., Json]:
    def refuse(**_: Json) -> Json:
        raise ClientError({"Error": {"Code": code, "Message": message}}, "Operation")

    return refuse


def selector(**fields: list[str]) -> Json:
    chosen = [{"Field": name.replace("_", "."), "Equals": values} for name, values in fields.items()]
    return {"AdvancedEventSelectors": [{"FieldSelectors": chosen}]}


@pytest.mark.parametrize(
    ("selectors", "manages", "renders"),
    [
        ({"EventSelectors": [{"IncludeManagementEvents": True, "ReadWriteType": "All"}]}, True, False),
        ({"EventSelectors": [{"IncludeManagementEvents": True, "ReadWriteType": "WriteOnly"}]}, True, False),
        ({"EventSelectors": [{"IncludeManagementEvents": True, "ReadWriteType": "ReadOnly"}]}, False, False),
        ({"EventSelectors": [{"IncludeManagementEvents": False, "ReadWriteType": "All"}]}, False, False),
        (selector(eventCategory=["Management"]), True, False),
        (selector(eventCategory=["Management"], readOnly=["true"]), False, False),
        (selector(eventCategory=["Data"], resources_type=["AWS::Bedrock::PromptVersion"]), False, True),
        (selector(eventCategory=["Data"], resources_type=["AWS::S3::Object"]), False, False),
        ({}, False, False),
    ],
)
def test_what_a_trail_records_is_read_from_either_kind_of_selector(
    selectors: Json, manages: bool, renders: bool
) -> None:
    found = account(
        describe_trails={"trailList": [{"Name": "t", "TrailARN": "arn:t"}]},
        get_trail_status={"IsLogging": True, "LatestDeliveryError": "AccessDenied"},
        get_event_selectors=selectors,
    ).trails()
    assert found == [Trail("t", True, "AccessDenied", manages, renders)]


WELL = {
    "regionAvailability": "AVAILABLE",
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
    "agreementAvailability": {"status": "AVAILABLE"},
}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, ""),
        ({"authorizationStatus": "NOT_AUTHORIZED"}, "not authorized"),
        ({"entitlementAvailability": "NOT_AVAILABLE"}, "not entitled"),
        ({"regionAvailability": "NOT_AVAILABLE"}, "not in this Region"),
        ({"agreementAvailability": {"status": "PENDING"}}, "agreement"),
        ({"agreementAvailability": {}}, ""),
    ],
)
def test_a_model_may_be_called_unless_one_of_four_answers_says_otherwise(answer: Json, said: str) -> None:
    problem = account(get_foundation_model_availability={**WELL, **answer}).model_problem("amazon.nova-lite-v1:0")
    assert said in problem
    assert bool(problem) == bool(said)


def test_the_model_behind_an_inference_profile_is_what_is_asked_about() -> None:
    asked: list[str] = []

    def availability(modelId: str) -> Json:  # noqa: N803 - AWS's name
        asked.append(modelId)
        return WELL

    models = [{"modelArn": "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0"}]
    profile = {"status": "ACTIVE", "models": models}
    made = account(get_inference_profile=profile, get_foundation_model_availability=availability)
    for model in ("eu.amazon.nova-lite-v1:0", "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-lite-v1:0"):
        assert made.model_problem(model) == ""
    assert made.model_problem("minimax.minimax-m2.1") == "", "a dot more makes no profile"
    assert asked == ["amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", "minimax.minimax-m2.1"]
    gone = account(get_inference_profile={**profile, "status": "LEGACY"})
    assert gone.model_problem("eu.amazon.nova-lite-v1:0") == "the inference profile is LEGACY"
    absent = account(get_foundation_model_availability=refusal("ResourceNotFoundException"))
    assert "not have it" in absent.model_problem("amazon.nova-lite-v1:0")


def test_a_rule_is_found_on_its_bus_however_cloudformation_names_it() -> None:
    def describe(Name: str, EventBusName: str = "default") -> Json:  # noqa: N803 - AWS's names
        if (Name, EventBusName) not in (("scheduled", "default"), ("started", "lane")):
            return refusal("ResourceNotFoundException")()
        return {"State": "DISABLED" if Name == "scheduled" else "ENABLED"}

    made = account(describe_rule=describe, get_metric_statistics={"Datapoints": [{"Sum": 2.0}, {"Sum": 1.0}]})
    found = [*made.rules(["scheduled", "started"], "lane"), *made.rules(["lane|started"], "")]
    assert found == [Rule("scheduled", False, 3.0), Rule("started", True, 3.0), Rule("started", True, 3.0)]
    with pytest.raises(NotFound):
        made.rules(["gone"], "lane")


def test_a_queue_that_gives_its_messages_up_to_another_is_none_of_dead_letters() -> None:
    attributes = iter(
        [{"ApproximateNumberOfMessages": "2"}, {"ApproximateNumberOfMessages": "7", "RedrivePolicy": "{}"}, {}]
    )
    found = account(get_queue_attributes=lambda **_: {"Attributes": next(attributes)}).queues(
        ["https://sqs/1/dead", "https://sqs/1/work", "https://sqs/1/new"]
    )
    assert found == [Queue("dead", 2, True), Queue("work", 7, False), Queue("new", 0, True)]


def test_subscriptions_that_wait_are_told_from_confirmed_and_deleted_ones() -> None:
    listed = [
        {"Protocol": "email", "Endpoint": "a@example.com", "SubscriptionArn": "arn:aws:sns:x"},
        {"Protocol": "email", "Endpoint": "b@example.com", "SubscriptionArn": "PendingConfirmation"},
        {"Protocol": "email", "Endpoint": "c@example.com", "SubscriptionArn": "Deleted"},
    ]
    found = account(list_subscriptions_by_topic={"Subscriptions": listed}).subscribers("topic")
    assert found == [Subscriber("email", "a@example.com", True), Subscriber("email", "b@example.com", False)]


def test_stacks_of_another_deployment_are_not_taken_for_ours() -> None:
    names = ("lane-state", "lane-prompt-support-1a2b", "lane-two-state", "lanes-state", "lane-other", "other")
    listed = [{"StackName": name, "StackStatus": "CREATE_COMPLETE"} for name in names]
    found = account(describe_stacks={"Stacks": listed}).stacks("lane")
    assert [stack.name for stack in found] == ["lane-state", "lane-prompt-support-1a2b"]
    assert {stack.drift for stack in found} == {"NOT_CHECKED"}


def test_a_clock_is_compared_with_the_date_of_an_answer() -> None:
    def answered(date: str) -> AwsAccount:
        return account(get_caller_identity={"ResponseMetadata": {"HTTPHeaders": {"date": date} if date else {}}})

    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert abs(answered(now).skew()) < 5
    assert answered("Fri, 01 Jan 2021 00:00:00 GMT").skew() > 86_400
    assert answered("").skew() == 0


def test_a_prompt_of_a_trial_is_deleted_whatever_fails_amid_it() -> None:
    deleted: list[str] = []
    made = account(
        create_prompt={"id": "TRIAL00001", "createdAt": 1},
        create_prompt_version={"createdAt": 1},
        get_prompt=refusal("AccessDeniedException"),
        delete_prompt=lambda promptIdentifier: deleted.append(promptIdentifier),  # noqa: N803 - AWS's name
    )
    with pytest.raises(Unauthorized):
        made.try_prompt("trial", 3)
    assert deleted == ["TRIAL00001", "TRIAL00001"], "the prompt, and the one of the same name"


# --- what a check asks for is what its adapter calls ------------------------------------------------------------------

PREFIXES = {"bedrock-agent": "bedrock", "service-quotas": "servicequotas"}


def camel(operation: str) -> str:
    return "".join(part.capitalize() for part in operation.split("_"))


def methods() -> Iterator[tuple[str, set[str]]]:
    """(method of the adapter, IAM actions of the calls in it and in what it calls)."""
    source = inspect.getsource(adapter)
    functions = {
        node.name: ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)
    }

    def actions(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        text = functions[name]
        found = set(re.findall(r"_client\('([\w-]+)'\)\.(\w+)\(", text)) | set(
            re.findall(r"_pages\('([\w-]+)', '(\w+)'", text)
        )
        for variable, service in re.findall(r"(\w+) = self\._client\('([\w-]+)'\)(?!\.)", text):
            found |= {(service, call) for call in re.findall(rf"\b{variable}\.(\w+)\(", text)}
        if match := re.search(r"(\w+), name = \(self\._client\('([\w-]+)'\)", text):
            found |= {(match[2], call) for call in re.findall(rf"\b{match[1]}\.(\w+)\(", text)}
        if name == "_tried":
            found |= {("bedrock-agent", call) for call in re.findall(r"agent\.(\w+)\(", text)}
        iam = {f"{PREFIXES.get(service, service)}:{camel(call)}" for service, call in found}
        inner = set(re.findall(r"(?:self\.)?(_?\w+)\(", text)) & functions.keys() - seen - {name}
        return iam.union(*(actions(one, seen | {name}) for one in inner))

    for name in functions:
        if not name.startswith("_"):
            yield name, actions(name)


def calls(look: Callable[..., Any]) -> set[str]:
    """Methods of the account that a check uses, itself or by a helper of its module."""
    module = inspect.getmodule(look)
    assert isinstance(module, ModuleType)
    text = inspect.getsource(look)
    for helper in re.findall(r"(?<![.\w])(\w+)\(visit[,)]", text):
        text += inspect.getsource(getattr(module, helper))
    return set(re.findall(r"visit\.account\.(\w+)\(", text))


def test_each_check_asks_for_what_its_adapter_calls_and_nothing_else() -> None:
    by_method = dict(methods())
    assert by_method["trails"] == {f"cloudtrail:{v}" for v in ("DescribeTrails", "GetTrailStatus", "GetEventSelectors")}
    of_others = {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "bedrock:GetPrompt", "ssm:GetParametersByPath"}
    for check in CHECKS:
        used = set[str]().union(*(by_method[method] for method in calls(check.look)))
        assert used <= set(check.asks), (check.id, used - set(check.asks))
        more = set(check.asks) - used - of_others
        if check.id not in ("reviewers", "enrolments"):  # these look by other adapters
            assert more == set(), (check.id, more)
