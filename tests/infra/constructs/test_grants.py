"""The vocabulary of permissions: every word of it whole, on the resources of one deployment."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import pytest
from aws_cdk import App
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.grants import Grant, Grants, allow, attach, distinct, merged
from infra.stacks.state import StateStack
from tests.support.alone import KEPT, accepted, alone, made, plain
from tests.support.synthesized import Json, context


@cache
def state() -> StateStack:
    return StateStack(App(context=context()), "lane-state", config=KEPT)


def grants() -> Grants:
    return Grants(config=KEPT, state=state().state)


def written(words: Sequence[Grant]) -> list[tuple[Json, ...]]:
    """(sid, actions, resources, conditions if any) of each, as a policy would have it."""
    found = []
    for grant in words:
        statement = plain(state().resolve(grant.statement().to_statement_json()))
        assert statement["Effect"] == "Allow"
        parts = (statement["Sid"], statement["Action"], statement["Resource"], statement.get("Condition"))
        found.append(parts if parts[3] else parts[:3])
    return found


def within(*keys: str) -> Json:
    """The condition that a request names items under these partition keys, and does name some."""
    leading = "dynamodb:LeadingKeys"
    return {"ForAllValues:StringLike": {leading: list(keys)}, "Null": {leading: "false"}}


DATA_KEY = ("DataKey", ["kms:Decrypt", "kms:GenerateDataKey"], "<DataKey.Arn>")
OPEN = (
    "OpenVersions",
    "kms:Decrypt",
    "<DataKey.Arn>",
    {"StringLike": {"kms:EncryptionContext:aws:s3:arn": ["<Versions.Arn>", "<Versions.Arn>/*"]}},
)
MESSAGE_KEY = ("MessageKey", ["kms:Decrypt", "kms:GenerateDataKey"], "<MessageKey.Arn>")
TAG_ENROLLED = (
    "TagEnrolled",
    "bedrock:TagResource",
    "arn:<aws>:bedrock:<here>:prompt/*",
    {
        "StringEquals": {"aws:RequestTag/promptlane:enrolled": "lane"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["promptlane:enrolled"]},
    },
)
INVOKE_MODELS = (
    "InvokeModels",
    ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
    [
        "arn:<aws>:bedrock:*::foundation-model/*",
        "arn:<aws>:bedrock:<here>:*inference-profile/*",
        "arn:<aws>:bedrock:<here>:provisioned-model/*",
        "arn:<aws>:bedrock:<here>:imported-model/*",
        "arn:<aws>:bedrock:<here>:custom-model-deployment/*",
        "arn:<aws>:bedrock:<here>:*prompt-router/*",
    ],
)


def only_below(*keys: str) -> Json:
    """Of partition keys; a request that names none is refused by `Null`, which `ForAllValues` alone lets through."""
    return {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(keys)},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


WORDS: dict[str, tuple[Callable[[Grants], list[Grant]], list[tuple[Json, ...]]]] = {
    "put what versions hold": (
        lambda g: g.contents_write(),
        [
            ("PutVersions", "s3:PutObject", "<Versions.Arn>/*.json"),
            ("ListVersions", "s3:ListBucket", "<Versions.Arn>"),
            DATA_KEY,
        ],
    ),
    "read what versions hold": (
        lambda g: g.contents_read(),
        [("ReadVersions", "s3:GetObject", "<Versions.Arn>/*.json"), OPEN],
    ),
    "read what some prompts' versions hold": (
        lambda g: g.contents_read(["one", "two"]),
        [("ReadVersions", "s3:GetObject", ["<Versions.Arn>/one/*.json", "<Versions.Arn>/two/*.json"]), OPEN],
    ),
    "set the drill alarm": (
        lambda g: g.drill(),
        [("Drill", "cloudwatch:SetAlarmState", "arn:<aws>:cloudwatch:<here>:alarm:lane/drill")],
    ),
    "read routes": (lambda g: g.routes_read(), [("ReadRoutes", "dynamodb:GetItem", "<Routes.Arn>")]),
    "write routes": (
        lambda g: g.routes_write(),
        [("WriteRoutes", ["dynamodb:GetItem", "dynamodb:PutItem"], "<Routes.Arn>")],
    ),
    "read a release": (
        lambda g: g.releases_read(),
        [
            ("ReadReleases", "dynamodb:GetItem", "<Releases.Arn>"),
            DATA_KEY,
        ],
    ),
    "read releases": (
        lambda g: g.releases_read(query=True),
        [
            ("ReadReleases", ["dynamodb:GetItem", "dynamodb:Query"], "<Releases.Arn>"),
            DATA_KEY,
        ],
    ),
    "put items of releases": (
        lambda g: g.releases_write(put=["timeline#"]),
        [
            ("ReadReleases", "dynamodb:GetItem", "<Releases.Arn>"),
            DATA_KEY,
            ("PutReleaseItems", "dynamodb:PutItem", "<Releases.Arn>", only_below("timeline#*")),
        ],
    ),
    "put, delete and change items of releases": (
        lambda g: g.releases_write(
            query=True, put=["chain#", "blocks#"], delete=["prompt#", "reviews"], update=["review#"]
        ),
        [
            ("ReadReleases", ["dynamodb:GetItem", "dynamodb:Query"], "<Releases.Arn>"),
            DATA_KEY,
            ("PutReleaseItems", "dynamodb:PutItem", "<Releases.Arn>", only_below("chain#*", "blocks#*")),
            ("ChangeReleaseItems", "dynamodb:UpdateItem", "<Releases.Arn>", only_below("review#*")),
            ("DropReleaseItems", "dynamodb:DeleteItem", "<Releases.Arn>", only_below("prompt#*", "reviews")),
        ],
    ),
    "read the stream": (
        lambda g: g.stream_read(),
        [
            (
                "ReadStream",
                ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
                "<Releases.StreamArn>",
            ),
            ("ListStreams", "dynamodb:ListStreams", "*"),
        ],
    ),
    "read reports": (
        lambda g: g.reports(read=["config/*", "releases/*"]),
        [
            ("ReadReports", "s3:GetObject", ["<Reports.Arn>/config/*", "<Reports.Arn>/releases/*"]),
            DATA_KEY,
        ],
    ),
    "read reports that may be missing": (
        lambda g: g.reports(read=["config/*"], may_be_missing=True),
        [
            ("ReadReports", "s3:GetObject", "<Reports.Arn>/config/*"),
            ("TellMissingReports", "s3:ListBucket", "<Reports.Arn>"),
            DATA_KEY,
        ],
    ),
    "write reports": (
        lambda g: g.reports(write=["archive/*"], may_be_missing=True),
        [
            ("WriteReports", "s3:PutObject", "<Reports.Arn>/archive/*"),
            DATA_KEY,
        ],
    ),
    "read deployed files": (
        lambda g: g.deployed_files(),
        [
            (
                "ReadDeployedPolicies",
                "s3:GetObject",
                "arn:<aws>:s3:::cdk-*-assets-<AWS::AccountId>-<AWS::Region>/*.json",
            )
        ],
    ),
    "ask CloudFormation": (
        lambda g: g.stacks_read(),
        [
            (
                "AskCloudFormation",
                ["cloudformation:DescribeStacks", "cloudformation:DescribeStackResource"],
                "arn:<aws>:cloudformation:<here>:stack/*",
            )
        ],
    ),
    "read prompts": (
        lambda g: g.prompts_read(),
        [
            ("ReadPrompts", "bedrock:GetPrompt", "arn:<aws>:bedrock:<here>:prompt/*"),
            ("ListPrompts", "bedrock:ListPrompts", "*"),
        ],
    ),
    "read prompts by their id": (
        lambda g: g.prompts_read(listed=False),
        [("ReadPrompts", "bedrock:GetPrompt", "arn:<aws>:bedrock:<here>:prompt/*")],
    ),
    "delete versions": (
        lambda g: g.versions_delete(),
        [("DeleteVersions", "bedrock:DeletePrompt", "arn:<aws>:bedrock:<here>:prompt/*:*")],
    ),
    "enrol": (
        lambda g: g.enrolment_tags(),
        [
            TAG_ENROLLED,
            ("ReadTags", "bedrock:ListTagsForResource", "arn:<aws>:bedrock:<here>:prompt/*"),
        ],
    ),
    "answer": (
        lambda g: g.prompts_answer(),
        [
            ("RenderVersions", ["bedrock:RenderPrompt", "bedrock:GetPrompt"], "arn:<aws>:bedrock:<here>:prompt/*:*"),
            INVOKE_MODELS,
        ],
    ),
    "be an application": (
        lambda g: g.application(),
        [
            ("ReadRoutes", ["dynamodb:GetItem", "dynamodb:BatchGetItem"], "<Routes.Arn>"),
            ("FindRoutesById", "dynamodb:Query", "<Routes.Arn>/index/by_id"),
            ("CountFeedbackOnce", "dynamodb:PutItem", "<Feedback.Arn>"),
            ("SealReceipts", ["kms:GenerateDataKey", "kms:Decrypt"], "<ReceiptKey.Arn>"),
            (
                "RenderVersions",
                ["bedrock:RenderPrompt", "bedrock:GetPrompt"],
                "arn:<aws>:bedrock:<here>:prompt/*:*",
                {"StringEquals": {"aws:ResourceTag/promptlane:enrolled": "lane"}},
            ),
            INVOKE_MODELS,
        ],
    ),
    "be an application of two prompts": (
        lambda g: g.application(["one", "two"])[:4],
        [
            ("ReadRoutes", ["dynamodb:GetItem", "dynamodb:BatchGetItem"], "<Routes.Arn>", within("one", "two")),
            ("FindRoutesById", "dynamodb:Query", "<Routes.Arn>/index/by_id"),
            ("CountFeedbackOnce", "dynamodb:PutItem", "<Feedback.Arn>", within("one/*", "two/*")),
            (
                "SealReceipts",
                ["kms:GenerateDataKey", "kms:Decrypt"],
                "<ReceiptKey.Arn>",
                {"StringEquals": {"kms:EncryptionContext:prompt": ["one", "two"]}},
            ),
        ],
    ),
    "be the streaming gateway": (
        lambda g: g.streams(),
        [
            ("ReadRoutes", ["dynamodb:GetItem", "dynamodb:BatchGetItem"], "<Routes.Arn>"),
            ("FindRoutesById", "dynamodb:Query", "<Routes.Arn>/index/by_id"),
            ("SealReceipts", "kms:GenerateDataKey", "<ReceiptKey.Arn>"),
            (
                "RenderVersions",
                ["bedrock:RenderPrompt", "bedrock:GetPrompt"],
                "arn:<aws>:bedrock:<here>:prompt/*:*",
                {"StringEquals": {"aws:ResourceTag/promptlane:enrolled": "lane"}},
            ),
            ("InvokeModels", "bedrock:InvokeModelWithResponseStream", INVOKE_MODELS[2]),
        ],
    ),
    "ask the streaming gateway": (
        lambda g: g.stream_call("checkout"),
        [
            (
                "StreamAnswers",
                "lambda:InvokeFunctionUrl",
                "arn:<aws>:lambda:<here>:function:lane-stream:checkout",
                {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
            ),
            (
                "StreamThroughTheAddress",
                "lambda:InvokeFunction",
                "arn:<aws>:lambda:<here>:function:lane-stream:checkout",
                {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
            ),
        ],
    ),
    "apply guardrails": (
        lambda g: g.guardrails(),
        [
            (
                "ApplyGuardrails",
                "bedrock:ApplyGuardrail",
                ["arn:<aws>:bedrock:<here>:guardrail/*", "arn:<aws>:bedrock:*:<AWS::AccountId>:guardrail-profile/*"],
            )
        ],
    ),
    "start releases": (
        lambda g: g.machine_start(),
        [("StartReleases", "states:StartExecution", "arn:<aws>:states:<here>:stateMachine:lane-release")],
    ),
    "look at executions and stop them": (
        lambda g: g.executions("DescribeExecution", "StopExecution"),
        [
            (
                "Executions",
                ["states:DescribeExecution", "states:StopExecution"],
                "arn:<aws>:states:<here>:execution:lane-release:*",
            )
        ],
    ),
    "answer a review": (
        lambda g: g.task_answer(),
        [("AnswerReview", "states:SendTaskSuccess", "arn:<aws>:states:<here>:stateMachine:lane-release")],
    ),
    "send notices": (
        lambda g: g.notices_send(),
        [
            ("SendNotices", "sns:Publish", "<NoticesTopic>"),
            MESSAGE_KEY,
        ],
    ),
    "mail reviewers": (
        lambda g: g.reviewers_send(),
        [
            (
                "MailReviewers",
                ["sns:Publish", "sns:ListSubscriptionsByTopic"],
                "arn:<aws>:sns:<here>:lane-reviewers-*",
            ),
            ("ReadSubscriptions", "sns:GetSubscriptionAttributes", "*"),
            MESSAGE_KEY,
            ("ReadReviewers", "ssm:GetParameter", "arn:<aws>:ssm:<here>:parameter/lane/reviewers/*"),
        ],
    ),
    "ask for releases": (
        lambda g: g.queue_send("arn:aws:sqs:eu-west-1:111122223333:requests"),
        [
            ("RequestReleases", "sqs:SendMessage", "arn:aws:sqs:eu-west-1:111122223333:requests"),
            MESSAGE_KEY,
        ],
    ),
    "read alarms": (lambda g: g.alarms_read(), [("ReadAlarms", "cloudwatch:DescribeAlarms", "*")]),
    "read metrics": (lambda g: g.metrics_read(), [("ReadMetrics", "cloudwatch:GetMetricData", "*")]),
    "write metrics": (
        lambda g: g.metrics_write(),
        [
            (
                "PublishMetrics",
                "cloudwatch:PutMetricData",
                "*",
                {"StringEquals": {"cloudwatch:namespace": "Promptlane"}},
            )
        ],
    ),
    "call the gateway": (
        lambda g: g.gateway_call("a1b2c3d4e5"),
        [("CallGateway", "execute-api:Invoke", "arn:<aws>:execute-api:<here>:a1b2c3d4e5/$default/*/*")],
    ),
    "call the gateway for one prompt": (
        lambda g: g.gateway_call("a1b2c3d4e5", ["one"]),
        [
            (
                "CallGateway",
                "execute-api:Invoke",
                [
                    f"arn:<aws>:execute-api:<here>:a1b2c3d4e5/$default/{call}"
                    for call in (
                        "POST/prompts/one/converse",
                        "GET/prompts/one/route",
                        "POST/feedback",
                        "GET/openapi.json",
                    )
                ],
            )
        ],
    ),
    "find authors": (lambda g: g.trail_read(), [("FindAuthors", "cloudtrail:LookupEvents", "*")]),
    "sign links": (lambda g: g.links("GenerateMac"), [("ReviewLinks", "kms:GenerateMac", "<ReviewKey.Arn>")]),
    "wind up": (
        lambda g: g.invoke("arn:aws:lambda:eu-west-1:111122223333:function:wind_up"),
        [("WindUpDeadReleases", "lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:111122223333:function:wind_up")],
    ),
}


@pytest.mark.parametrize("word", WORDS)
def test_a_permission_names_its_actions_and_its_resources_exactly(word: str) -> None:
    call, expected = WORDS[word]
    assert written(call(grants())) == expected


@pytest.mark.parametrize("word", WORDS)
def test_a_permission_with_a_pattern_says_why(word: str) -> None:
    made = WORDS[word][0](grants())
    with_pattern = [grant.sid for grant in made if "*" in str(plain(state().resolve(list(grant.resources))))]
    assert [grant.sid for grant in made if grant.because] == with_pattern


def test_every_word_is_asked() -> None:
    asked = {name for call, _ in WORDS.values() for name in call.__code__.co_names}
    public = {name for name, value in vars(Grants).items() if callable(value) and not name.startswith("_")}
    assert public - asked == {"message_key", "prompt_keys"}, "they are part of others"


@pytest.mark.parametrize(
    "word",
    [
        lambda g: g.prompts_read(),
        lambda g: g.prompts_read(listed=False),
        lambda g: g.prompts_answer(),
        lambda g: g.application(),
    ],
    ids=["read", "read one", "answer", "application"],
)
def test_keys_of_prompts_are_used_for_prompts_alone_by_whoever_reads_or_renders_them(
    word: Callable[[Grants], list[Grant]],
) -> None:
    key = "arn:aws:kms:eu-west-1:111122223333:key/12345678-90ab-cdef-1234-567890abcdef"
    context = {"StringLike": {"kms:EncryptionContext:aws:bedrock-prompts:arn": "arn:<aws>:bedrock:<here>:prompt/*"}}
    stack = state()
    config = replace(KEPT, prompt_keys=(key,))

    (found,) = [g for g in written(word(Grants(config=config, state=stack.state))) if g[0] == "PromptKeys"]

    assert found == ("PromptKeys", ["kms:Decrypt", "kms:GenerateDataKey"], key, context)
    assert "PromptKeys" not in [g.sid for g in word(Grants(config=KEPT, state=stack.state))]


def test_a_grant_has_no_conditions_and_no_reason_unless_they_are_given() -> None:
    assert allow("Read", ["s3:GetObject", "s3:ListBucket"], ["one", "two"]) == Grant(
        sid="Read", actions=("s3:GetObject", "s3:ListBucket"), resources=("one", "two"), conditions={}, because=""
    )
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    assert allow("Read", ["s3:GetObject"], ["*"], condition, because="So it is.") == Grant(
        sid="Read", actions=("s3:GetObject",), resources=("*",), conditions=condition, because="So it is."
    )


def test_the_reason_is_recorded_for_patterns_alone_and_only_where_one_is_given() -> None:
    stack = alone()
    holder = Construct(stack, "Holder")
    allow("Read", ["s3:GetObject"], ["arn:aws:s3:::a", "arn:aws:s3:::b/*", "*"], because="Why.").accept_patterns(holder)
    allow("Write", ["s3:PutObject"], ["arn:aws:s3:::c/*"]).accept_patterns(holder)
    assert accepted(stack) == {
        ("Alone/Holder", "AwsSolutions-IAM5[Resource::arn:aws:s3:::b/*]"),
        ("Alone/Holder", "AwsSolutions-IAM5[Resource::*]"),
    }


READ, WRITE, LIST = (allow(sid, [f"s3:{sid}"], ["bucket/*"]) for sid in ("GetObject", "PutObject", "ListParts"))


def test_a_grant_asked_for_twice_is_given_once() -> None:
    assert distinct([READ, WRITE, replace(READ), LIST, WRITE]) == [READ, WRITE, LIST]
    assert distinct([]) == []


@pytest.mark.parametrize(
    "other",
    [
        replace(READ, actions=("s3:GetObjectVersion",)),
        replace(READ, resources=("other/*",)),
        replace(READ, conditions={"Bool": {"aws:SecureTransport": "true"}}),
        replace(READ, because="Another reason."),
    ],
)
def test_a_second_grant_with_the_same_sid_is_refused_if_it_differs(other: Grant) -> None:
    with pytest.raises(ValueError, match="two statements with the sid GetObject") as refused:
        distinct([READ, WRITE, other])
    assert str(READ) in str(refused.value)
    assert str(other) in str(refused.value)


def test_one_word_asked_for_twice_on_different_things_is_refused() -> None:
    g = grants()
    with pytest.raises(ValueError, match="RequestReleases"):
        distinct([*g.queue_send("arn:aws:sqs:::one"), *g.queue_send("arn:aws:sqs:::two")])


def test_a_role_is_given_each_grant_once_and_a_policy_those_on_one_resource_as_one() -> None:
    stack = alone()
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    policy = iam.ManagedPolicy(stack, "Policy")
    why = replace(LIST, because="Why.", resources=("bucket/*", "other"))
    attach(role, [READ, why, READ])
    attach(policy, [READ, WRITE, why], merge=True)
    resources = made(stack)
    document = resources["RoleDefaultPolicy"]["Properties"]["PolicyDocument"]
    assert [s["Sid"] for s in document["Statement"]] == ["GetObject", "ListParts"]
    document = resources["Policy"]["Properties"]["PolicyDocument"]
    assert [(s.get("Sid"), s["Action"]) for s in document["Statement"]] == [
        (None, ["s3:GetObject", "s3:PutObject"]),
        (None, "s3:ListParts"),
    ]
    finding = "AwsSolutions-IAM5[Resource::bucket/*]"
    assert accepted(stack) == {("Alone/Role", finding), ("Alone/Policy", finding)}
    with pytest.raises(ValueError, match="GetObject"):
        attach(role, [READ, replace(READ, resources=("other",))])


def test_grants_on_the_same_resources_under_the_same_conditions_become_one() -> None:
    only = allow("Only", ["s3:GetObject"], ["bucket/*"], {"Bool": {"aws:SecureTransport": "true"}}, because="Why.")
    there = allow("There", ["s3:PutObject", "s3:Abort"], ["two", "one"])
    here = allow("Here", ["s3:GetObject", "s3:Abort"], ["one", "two"])
    assert merged([WRITE, only, there, READ, here]) == [
        replace(WRITE, sid="", actions=("s3:GetObject", "s3:PutObject")),
        replace(only, sid=""),
        replace(there, sid="", actions=("s3:Abort", "s3:GetObject", "s3:PutObject")),
    ]


def test_grants_of_the_same_actions_under_the_same_conditions_become_one() -> None:
    one, two = (allow(key.title(), ["kms:Decrypt", "kms:Encrypt"], [key]) for key in ("one", "two"))
    only = allow("Only", ["kms:Encrypt", "kms:Decrypt"], ["two"], {"Bool": {"aws:SecureTransport": "true"}})
    less = allow("Less", ["kms:Decrypt"], ["three"])
    assert merged([one, two, only, less]) == [
        replace(one, sid="", resources=("one", "two")),
        replace(only, sid="", actions=("kms:Decrypt", "kms:Encrypt")),
        replace(less, sid=""),
    ]
