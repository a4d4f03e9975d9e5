"""The custom resource that selects renders, over CloudTrail's trail."""

from __future__ import annotations

import contextlib
import urllib.request
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from promptlane.lifecycle.render_events import LEFT_OUT, RECORDED
from tests.support.functions import Context, World

Json = Any


class Trails:
    """The client `cloudtrail`. `knows`: whether its Region has data events of prompts."""

    meta = SimpleNamespace(events=SimpleNamespace(register=lambda *_, **__: None))

    def __init__(self, *, knows: bool = True, there: bool = True) -> None:
        self.knows, self.there = knows, there
        self.selected: list[str] = []
        self.logging = True

    def put_event_selectors(self, **request: Json) -> None:
        assert request["TrailName"] == "lane"
        names = [selector["Name"] for selector in request["AdvancedEventSelectors"]]
        if "Rendered prompt versions" in names and not self.knows:
            raise ClientError({"Error": {"Code": "InvalidEventSelectorsException", "Message": "no such type"}}, "Put")
        self.selected = names

    def start_logging(self, **request: str) -> None:
        assert request == {"Name": "lane"}
        self.logging = True

    def stop_logging(self, **request: str) -> None:
        assert request == {"Name": "lane"}
        self.logging = False

    def get_trail_status(self, **request: str) -> None:
        if not self.there:
            raise ClientError({"Error": {"Code": "TrailNotFoundException", "Message": "gone"}}, "GetTrailStatus")


@pytest.fixture(autouse=True)
def _answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: contextlib.nullcontext())


def asked(world: World, trails: Trails, kind: str = "Create", *, management: bool = True) -> tuple[str, str]:
    """(status, what was said)."""
    world.services["cloudtrail"] = trails
    event = {
        "RequestType": kind,
        "ResponseURL": "https://cloudformation.example/answer",
        "ResourceProperties": {"ManagementEvents": str(management).lower(), "Trail": "1"},
    }
    answer = world.function("record_renders", TRAIL="lane").handle(event, Context())
    return answer["Status"], answer["Data"]["Said"]


@pytest.mark.parametrize("management", [True, False])
def test_renders_are_recorded_beside_what_is_ours_to_record(world: World, management: bool) -> None:
    trails = Trails()
    assert asked(world, trails, management=management) == ("SUCCESS", RECORDED)
    assert trails.selected == [*(["Management events"] if management else []), "Rendered prompt versions"]
    assert trails.logging


def test_a_region_without_such_events_records_the_rest_and_says_so(world: World) -> None:
    trails = Trails(knows=False)
    assert asked(world, trails) == ("SUCCESS", LEFT_OUT)
    assert (trails.selected, trails.logging) == (["Management events"], True)


def test_a_trail_that_nothing_is_left_for_stands_still(world: World) -> None:
    """It would write the account's second copy of its management events, which is billed."""
    trails = Trails(knows=False)
    assert asked(world, trails, management=False) == ("SUCCESS", LEFT_OUT)
    assert not trails.logging
    trails.knows = True
    assert asked(world, trails, "Update", management=False) == ("SUCCESS", RECORDED)
    assert trails.logging


def test_when_nobody_asks_for_them_any_more_they_are_no_longer_recorded(world: World) -> None:
    trails = Trails()
    asked(world, trails)
    assert asked(world, trails, "Delete")[0] == "SUCCESS"
    assert trails.selected == ["Management events"]


def test_a_trail_that_is_gone_keeps_no_stack_from_going(world: World) -> None:
    trails = Trails(there=False)
    assert asked(world, trails, "Delete")[0] == "SUCCESS"
    assert trails.selected == []


def test_a_refusal_that_has_another_reason_fails_the_deployment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    trails = Trails()

    def refused(**_: Json) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "may not"}}, "PutEventSelectors")

    monkeypatch.setattr(trails, "put_event_selectors", refused)
    status, said = asked(world, trails)
    assert status == "FAILED"
    assert "may not" in said
