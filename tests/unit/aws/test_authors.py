"""What CloudTrail's records tell of who edited and published a prompt."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from promptlane.aws.trail import CloudTrailHistory
from promptlane.domain.trail import EDITS, PUBLISH, TrailAnswer, Window
from tests.support.review import ACCOUNT, AUTHOR, PROMPT_ID


class FakeCloudTrail:
    """LookupEvents with records of AWS's shape, in pages of two."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = records
        self.queries: list[dict[str, Any]] = []

    def lookup_events(self, **query: Any) -> dict[str, Any]:
        self.queries.append(query)
        name = query["LookupAttributes"][0]["AttributeValue"]
        found = [r for r in self.records if r["eventName"] == name]
        start = int(query.get("NextToken", 0))
        answer: dict[str, Any] = {"Events": [{"CloudTrailEvent": json.dumps(r)} for r in found[start : start + 2]]}
        return answer | ({"NextToken": str(start + 2)} if start + 2 < len(found) else {})


def record(name: str, at: float, arn: str = AUTHOR, **more: Any) -> dict[str, Any]:
    return {
        "eventName": name,
        "eventTime": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "userIdentity": {"type": "IAMUser", "arn": arn},
        "requestParameters": {"promptIdentifier": PROMPT_ID},
        "responseElements": None,
        **more,
    }


def look_up(trail: FakeCloudTrail, since: float = 1_000) -> TrailAnswer:
    history = CloudTrailHistory(trail, sleep=None)
    return history.events(PROMPT_ID, "support-assistant", names=(PUBLISH, *EDITS), window=Window(since, 9_060))


def told(*records: dict[str, Any]) -> TrailAnswer:
    return look_up(FakeCloudTrail(*records))


def test_records_of_this_prompt_are_read_in_every_spelling_of_its_id() -> None:
    arn = f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:prompt/{PROMPT_ID}"
    found = told(
        record("UpdatePrompt", 5_000),
        record("UpdatePrompt", 6_000, requestParameters={"promptIdentifier": arn}),
        record("UpdatePrompt", 7_000, requestParameters={"promptIdentifier": f"{arn}:1"}),
        record("CreatePromptVersion", 9_000, responseElements={"version": "2", "id": PROMPT_ID}),
    )
    assert [t.at for t in found.events] == [5_000, 6_000, 7_000, 9_000]
    assert found.events[-1].version == 2


def test_other_prompts_are_left_out() -> None:
    found = told(
        record("UpdatePrompt", 5_000, requestParameters={"promptIdentifier": "OTHERID123"}),
        record("UpdatePrompt", 5_000, requestParameters=None),
        record("CreatePrompt", 5_000, requestParameters={"name": "another"}),
    )
    assert (found.events, found.unreadable) == ((), 1)


def test_the_creation_of_a_prompt_is_known_by_its_answer_or_its_name() -> None:
    found = told(
        record("CreatePrompt", 5_000, requestParameters={"name": "support-assistant"}),
        record("CreatePrompt", 6_000, requestParameters={"name": "HIDDEN"}, responseElements={"id": PROMPT_ID}),
        record(
            "CreatePrompt",
            7_000,
            requestParameters={"name": "support-assistant"},
            responseElements={"id": "OTHERID123"},
        ),
    )
    assert [t.at for t in found.events] == [5_000, 6_000]


def test_a_trail_without_end_is_cut_and_says_so() -> None:
    found = told(*[record("UpdatePrompt", 5_000)] * 1_100)
    assert found.truncated == ("UpdatePrompt",)
    assert len(found.events) == 1_000


def test_a_prompt_is_known_by_an_arn_as_the_calls_path_spells_it() -> None:
    arn = f"arn%3Aaws%3Abedrock%3Aeu-west-1%3A{ACCOUNT}%3Aprompt%2F{PROMPT_ID}"

    assert len(told(record("UpdatePrompt", 5_000, requestParameters={"promptIdentifier": arn})).events) == 1


def test_who_called_for_whom_and_whose_session_it_is_are_read() -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/deploy"
    identity = {
        "type": "AssumedRole",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/kim",
        "invokedBy": "cloudformation.amazonaws.com",
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": role}},
    }
    (event,) = told(record("UpdatePrompt", 5_000, userIdentity=identity)).events

    assert (event.arn, event.invoked_by, event.issuer) == (identity["arn"], identity["invokedBy"], role)


@pytest.mark.parametrize("broken", [{"sessionContext": None}, {"sessionContext": {"sessionIssuer": "x"}}, {}])
def test_an_identity_of_another_form_names_no_issuer(broken: dict[str, Any]) -> None:
    (event,) = told(record("UpdatePrompt", 5_000, userIdentity={"type": "SAMLUser", **broken})).events

    assert (event.arn, event.kind, event.invoked_by, event.issuer) == ("", "SAMLUser", "", "")


def test_the_lookup_is_bounded_in_time() -> None:
    trail = FakeCloudTrail()
    look_up(trail)
    assert trail.queries[0]["StartTime"] == datetime.fromtimestamp(999, UTC)
    look_up(trail, since=0)
    assert "StartTime" not in trail.queries[-1]
