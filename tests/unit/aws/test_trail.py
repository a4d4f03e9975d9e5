"""CloudTrail's event history: masked records, throttling, names that fail, direct model calls, long lists."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from promptlane.aws.trail import CloudTrailHistory, read_event, read_events
from promptlane.domain.errors import Throttled
from promptlane.domain.release.timeline import iso
from promptlane.domain.trail import CALL_EVENTS, CONTROL_EVENTS, EDITS, TrailEvent, Window, is_about
from tests.support.prompt import ARN, ID

MODEL = "amazon.nova-lite-v1:0"
T0 = 1_760_000_000.0
WINDOW = Window(T0, T0 + 3600)
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"


def event(name: str, at: float = T0 + 60, **changes: Any) -> dict[str, Any]:
    return {
        "eventName": name,
        "eventTime": iso(at)[:19] + "Z",
        "eventID": f"{name}-{at}",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/editor"},
        "requestParameters": {"promptIdentifier": ID},
        **changes,
    }


class Cloud:
    """LookupEvents in memory: pages of 50; a name in `refused` answers so many times with an error first."""

    def __init__(self, *events: Any, refused: dict[str, int] | None = None, code: str = "ThrottlingException") -> None:
        self.events, self.refused, self.code = events, dict(refused or {}), code
        self.calls = 0

    def lookup_events(self, **query: Any) -> dict[str, Any]:
        self.calls += 1
        name = query["LookupAttributes"][0]["AttributeValue"]
        if self.refused.get(name, 0) > 0:
            self.refused[name] -= 1
            raise ClientError({"Error": {"Code": self.code, "Message": "Rate exceeded"}}, "LookupEvents")
        mine = [e for e in self.events if not isinstance(e, dict) or e["eventName"] == name]
        skip = int(query.get("NextToken") or 0)
        page = [{"CloudTrailEvent": e if isinstance(e, str) else json.dumps(e)} for e in mine[skip : skip + 50]]
        more = {"NextToken": str(skip + 50)} if skip + 50 < len(mine) else {}
        return {"Events": page, **more}


def history(cloud: Cloud, slept: list[float] | None = None) -> CloudTrailHistory:
    return CloudTrailHistory(cloud, sleep=(slept if slept is not None else []).append)


@pytest.mark.parametrize(
    "changes",
    [
        {"requestParameters": HIDDEN, "responseElements": HIDDEN, "userIdentity": HIDDEN},
        {"requestParameters": None, "responseElements": None, "userIdentity": None},
        {"requestParameters": [ID], "responseElements": 3, "resources": HIDDEN},
    ],
)
def test_a_masked_record_is_counted_and_hides_no_other(changes: dict[str, Any]) -> None:
    cloud = Cloud(event("UpdatePrompt", **changes), event("UpdatePrompt"))

    answer = history(cloud).events(ID, "p", names=("UpdatePrompt",), window=WINDOW)

    assert [e.target for e in answer.events] == [ID]
    assert answer.unreadable == 1


def test_a_masked_request_is_known_by_its_resource() -> None:
    resources = [{"type": "AWS::Bedrock::Prompt", "ARN": ARN}]

    found = read_event(event("UpdatePrompt", requestParameters=HIDDEN, resources=resources))

    assert (found.target, found.version) == (ARN, 0)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)))
def test_no_record_whatsoever_raises(junk: Any) -> None:
    events, odd = read_events([junk, event("UpdatePrompt", requestParameters=junk, resources=junk)])

    assert len(events) + odd == 2


def test_text_that_is_no_json_is_counted() -> None:
    cloud = Cloud("{cut", "null", event("UpdatePrompt"))

    answer = history(cloud).events(ID, "p", names=("UpdatePrompt",), window=WINDOW)

    assert (len(answer.events), answer.unreadable) == (1, 2)


@pytest.mark.parametrize(
    ("resources", "request_", "version"),
    [
        ([{"type": "AWS::Bedrock::PromptVersion", "ARN": f"{ARN}:7"}], {"promptIdentifier": ARN}, 7),
        ([{"type": "AWS::Bedrock::Prompt", "ARN": ARN}], {"promptIdentifier": f"{ARN}:3"}, 0),
        ([{"type": "AWS::KMS::Key", "ARN": "arn:aws:kms:k"}], {"promptIdentifier": f"{ARN}:3"}, 3),
        (None, {"promptIdentifier": f"{ARN}:DRAFT"}, 0),
        (None, {"promptIdentifier": ID, "promptVersion": "4"}, 4),
    ],
)
def test_a_rendering_names_its_version_by_its_resource_first(resources: Any, request_: Any, version: int) -> None:
    found = read_event(event("RenderPrompt", resources=resources, requestParameters=request_))

    assert found.version == version
    assert is_about(found, ID, "")


def test_a_throttled_call_is_repeated_and_loses_nothing() -> None:
    slept: list[float] = []
    cloud = Cloud(event("UpdatePrompt"), event("CreatePromptVersion"), refused={"CreatePromptVersion": 2})

    answer = history(cloud, slept).events(ID, "p", names=CONTROL_EVENTS, window=WINDOW)

    assert {e.name for e in answer.events} == {"UpdatePrompt", "CreatePromptVersion"}
    assert answer.failed == ()
    assert slept[:2] == [1.0, 2.0]


def test_a_name_that_stays_throttled_is_named_and_the_others_are_kept() -> None:
    cloud = Cloud(event("CreatePrompt"), event("UpdatePrompt"), refused={"UpdatePrompt": 99})

    answer = history(cloud).events(ID, "p", names=CONTROL_EVENTS, window=WINDOW)

    assert [e.name for e in answer.events] == ["CreatePrompt"]
    assert answer.failed == ("UpdatePrompt",)
    assert "ThrottlingException" in answer.failure


def test_where_every_name_fails_the_reason_is_raised() -> None:
    cloud = Cloud(refused=dict.fromkeys(CALL_EVENTS, 99))

    with pytest.raises(Throttled, match="looking up Converse in CloudTrail"):
        history(cloud).events(ID, "p", names=CALL_EVENTS, window=WINDOW)


def test_many_calls_keep_the_pace_of_two_a_second_and_few_do_not_wait() -> None:
    slept: list[float] = []
    few = history(Cloud(event("CreatePrompt")), slept)
    few.events(ID, "p", names=CONTROL_EVENTS, window=WINDOW)
    assert slept == []

    many = history(Cloud(*(event("Converse", T0 + k) for k in range(1000))), slept)
    many.events(ID, "p", names=("Converse",), window=WINDOW, most=1000)

    assert slept == [0.5] * 15


def test_ten_thousand_events_are_read_up_to_the_bound_and_that_is_said() -> None:
    cloud = Cloud(*(event("UpdatePrompt", T0 + k / 10) for k in range(10_000)))

    answer = history(cloud).events(ID, "p", names=CONTROL_EVENTS, window=WINDOW, most=1000)

    assert (len(answer.events), answer.truncated) == (1000, ("UpdatePrompt",))
    assert cloud.calls == 20 + 3


@pytest.mark.parametrize(
    ("target", "about"),
    [
        (MODEL, True),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}", True),
        (f"arn:aws:bedrock:us-east-1:111122223333:inference-profile/{MODEL}", True),
        (f"{MODEL}:24k", False),
        ("amazon.nova-pro-v1:0", False),
        (f"{ARN}:3", True),
        (ARN.replace("0001", "0002"), False),
        ("", False),
    ],
)
def test_direct_calls_of_the_prompts_models_are_kept(target: str, about: bool) -> None:
    call = TrailEvent("Converse", T0, "arn", target=target)

    assert is_about(call, ID, "p", [MODEL]) is about
    assert not is_about(TrailEvent("Converse", T0, "arn", target=MODEL), ID, "p")


def test_a_prompt_on_an_inference_profile_is_found_by_its_id_and_its_arn() -> None:
    profile = "us.amazon.nova-lite-v1:0"
    arn = f"arn:aws:bedrock:us-east-1:111122223333:inference-profile/{profile}"

    for model in (profile, arn):
        for target in (profile, arn):
            assert is_about(TrailEvent("InvokeModel", T0, "arn", target=target), ID, "p", [model])


def test_where_people_wait_it_neither_paces_nor_tries_again() -> None:
    cloud = Cloud(*[event("UpdatePrompt")] * 400, refused={"CreatePrompt": 1})

    answer = CloudTrailHistory(cloud, sleep=None).events(ID, "p", names=EDITS, window=WINDOW)

    assert (len(answer.events), answer.failed, cloud.calls) == (400, ("CreatePrompt",), 9)
