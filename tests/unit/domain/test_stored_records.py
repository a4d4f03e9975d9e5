"""Every record reads back as it was stored, whatever its fields hold; its stored names are a contract."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.policy import Reviewer, ReviewPolicy
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import STATES, Release, Waiting
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.brief import Brief
from promptlane.domain.review.review import Authors, Choice, ReviewDecision, ReviewRequest, policy_item
from tests.support import generated
from tests.support.prompt import ID

ONE, TWO, THREE = (VersionRef(n, f"{n:064d}", f"arn:{n}") for n in (1, 2, 3))
ENTRY = TimelineEntry("P-2-1/route/9", "P-2-1", 12.5, Event.CANARY_SHIFTED, "lead", {"weight": 500}, 3, "p" * 64, "h")
STORED_ENTRY = {
    "id": "P-2-1/route/9",
    "release_id": "P-2-1",
    "seq": 3,
    "at": "1970-01-01T00:00:12.500Z",
    "event": "Canary Shifted",
    "by": "lead",
    "detail": {"weight": 500},
    "prev_hash": "p" * 64,
    "hash": "h",
}

RECORDS = [
    (generated.refs, VersionRef.to_item, VersionRef.from_item),
    (generated.entries, TimelineEntry.to_dict, TimelineEntry.from_dict),
    (generated.routes, Route.to_item, Route.from_item),
    (generated.releases, Release.to_item, Release.from_item),
    (generated.authors, Authors.to_dict, Authors.from_dict),
    (generated.decisions, ReviewDecision.to_dict, ReviewDecision.from_dict),
    (generated.requests, ReviewRequest.to_item, ReviewRequest.from_item),
    (generated.briefs, Brief.to_dict, Brief.from_dict),
]


@pytest.mark.parametrize(("records", "stored", "read"), RECORDS, ids=[r[1].__qualname__.split(".")[0] for r in RECORDS])
@settings(max_examples=10)
@given(data=st.data())
def test_a_record_with_all_its_fields_reads_back_as_it_was(records: Any, stored: Any, read: Any, data: Any) -> None:
    record = data.draw(records)

    back = read(json.loads(json.dumps(stored(record))))

    assert back == record
    assert repr(back) == repr(record), "what is left out of comparisons is read back too"


def test_a_version_is_stored_by_these_names_and_its_variables_where_they_are_known() -> None:
    known = VersionRef(4, "f" * 64, "arn:4", ("name", "order"))

    assert known.to_item() == {"version": 4, "fingerprint": "f" * 64, "arn": "arn:4", "variables": ["name", "order"]}
    both = VersionRef(4, "f" * 64, "arn:4", rounded="e" * 64)
    assert both.to_item() == {"version": 4, "fingerprint": "f" * 64, "arn": "arn:4", "rounded": "e" * 64}
    assert VersionRef.from_item(both.to_item()).at_six_digits == "e" * 64
    assert VersionRef.from_item(TWO.to_item()).at_six_digits == TWO.fingerprint, "what was stored before has one"
    assert TWO.to_item() == {"version": 2, "fingerprint": TWO.fingerprint, "arn": "arn:2"}
    assert VersionRef.from_item(TWO.to_item()).variables is None
    assert VersionRef.from_item({**TWO.to_item(), "variables": []}).variables == ()


def test_a_route_is_stored_by_these_names() -> None:
    route = Route(
        "support",
        ID,
        TWO,
        ONE,
        THREE,
        250,
        500,
        "salt",
        "P-2-1",
        9,
        Phase.WATCH,
        11.0,
        99.0,
        ((10.0, 100), (11.0, 250)),
        {"q": {"version": 7, "release_id": "P-7-1", "at": 5.0}},
        (ENTRY,),
        epoch=1_760_000_000_123,
    )

    assert route.to_item() == {
        "schema": 1,
        "prompt": "support",
        "prompt_id": ID,
        "stable": TWO.to_item(),
        "previous": ONE.to_item(),
        "canary": THREE.to_item(),
        "weight": 250,
        "holdback": 500,
        "salt": "salt",
        "release_id": "P-2-1",
        "revision": 9,
        "epoch": 1_760_000_000_123,
        "phase": "watch",
        "phase_since": 11.0,
        "watch_until": 99.0,
        "shifts": [[10.0, 100], [11.0, 250]],
        "quarantined": {"q": {"version": 7, "release_id": "P-7-1", "at": 5.0}},
        "pending": [STORED_ENTRY],
    }


def test_a_route_that_holds_only_what_it_must_is_steady_and_gives_all_to_stable() -> None:
    whole = Route(
        prompt="support",
        prompt_id=ID,
        stable=TWO,
        previous=None,
        canary=None,
        weight=0,
        holdback=0,
        salt="",
        release_id="",
        revision=1,
        phase=Phase.STEADY,
        phase_since=0.0,
        watch_until=0.0,
        shifts=(),
        quarantined={},
        pending=(),
        epoch=0,
    )

    assert Route("support", ID, TWO) == whole
    assert set(whole.to_item()) & {"previous", "canary"} == set()
    item = {"prompt": "support", "prompt_id": ID, "stable": TWO.to_item(), "revision": 1}
    assert Route.from_item(item) == whole
    assert Route.from_item({**item, "schema": 1, "previous": None, "quarantined": None, "pending": None}) == whole


def test_a_route_of_a_newer_schema_or_without_stable_is_named_and_refused() -> None:
    item = Route("support", ID, TWO).to_item()

    with pytest.raises(InvalidInput, match=r"^the route of 'support' has schema 2, this code knows 1; upgrade"):
        Route.from_item({**item, "schema": 2})
    del item["stable"]
    with pytest.raises(InvalidInput, match=r"^the route of 'support' names no stable version$"):
        Route.from_item(item)


def test_a_timeline_entry_is_stored_by_these_names() -> None:
    assert ENTRY.to_dict() == STORED_ENTRY


def test_a_timeline_entry_is_the_systems_own_and_unchained_unless_it_says_otherwise() -> None:
    entry = TimelineEntry("a", "P-2-1", 1.0, Event.STARTED)

    assert entry == TimelineEntry("a", "P-2-1", 1.0, Event.STARTED, "promptlane", {}, 0, "", "")


def test_a_release_is_stored_without_what_is_empty() -> None:
    release = Release(
        "PROMPT0001-2-3", "support", 5.0, "ada", outcome=Outcome.EXPIRED, candidate=TWO, paused={"by": "x"}
    )

    assert release.to_item() == {
        "release_id": "PROMPT0001-2-3",
        "prompt": "support",
        "started_at": 5.0,
        "requested_by": "ada",
        "explicit": False,
        "state": "started",
        "outcome": "expired",
        "ended_at": 0.0,
        "candidate": TWO.to_item(),
        "round": 0,
        "step": 0,
        "paused": {"by": "x"},
        "revision": 1,
    }
    assert type(release.to_item()["outcome"]) is str


def test_a_new_release_has_done_nothing_yet() -> None:
    whole = Release(
        release_id="PROMPT0001-2-3",
        prompt="support",
        started_at=5.0,
        requested_by="ada",
        explicit=False,
        state="started",
        outcome=None,
        reason="",
        ended_at=0.0,
        description="",
        candidate=None,
        stable=None,
        policy_sha256="",
        suite_sha256="",
        round=0,
        verdict={},
        approval={},
        step=0,
        paused=None,
        advance=None,
        request_id="",
        revision=1,
    )

    assert Release("PROMPT0001-2-3", "support", 5.0, "ada") == whole
    assert (
        Release.from_item(
            {"release_id": "PROMPT0001-2-3", "prompt": "support", "started_at": 5, "requested_by": "ada", "other": 1}
        )
        == whole
    )


def test_the_states_of_a_release_are_in_their_order() -> None:
    assert STATES == ("started", "admitted", "testing", "review", "canary", "watch", "ended")


def test_a_waiting_version_is_no_explicit_request_unless_it_says_so() -> None:
    assert Waiting("support", ID, 2, 5.0, "ada") == Waiting("support", ID, 2, 5.0, "ada", False)


def test_authors_nobody_asked_about_are_none_and_complete() -> None:
    assert Authors() == Authors((), (), True, 0.0, 0.0)
    assert Authors.from_dict({}) == Authors((), (), True, 0.0, 0.0)
    stored = {"principals": ["a"], "unattributed": ["d"], "complete": False, "since": 1.0, "until": 2.5}
    assert Authors(("a",), ("d",), False, 1.0, 2.5).to_dict() == stored
    assert Authors.from_dict(stored).to_dict() == stored


def test_a_decision_is_stored_by_these_names() -> None:
    decision = ReviewDecision("key", Choice.REJECT, "no", 7.0, "ada@example.com", "link", "203.0.113.7", "c", None, 3)
    stored = {
        "reviewer": "key",
        "choice": "reject",
        "reason": "no",
        "at": 7.0,
        "by": "ada@example.com",
        "via": "link",
        "address": "203.0.113.7",
        "candidate": "c",
        "stable": None,
        "number": 3,
    }

    assert decision.to_dict() == stored
    assert ReviewDecision.from_dict(stored) == decision
    assert type(decision.to_dict()["choice"]) is str
    del stored["stable"], stored["number"]
    unnumbered = ReviewDecision("key", Choice.REJECT, "no", 7.0, "ada@example.com", "link", "203.0.113.7", "c", None)
    assert ReviewDecision.from_dict(stored) == unnumbered
    assert unnumbered.number == 0


def request(**more: Any) -> ReviewRequest:
    policy = ReviewPolicy((Reviewer("Ada", "ada@example.com"),))
    fields = {
        "release_id": "P-2-1",
        "round": 2,
        "prompt": "support",
        "candidate": TWO,
        "stable": None,
        "policy": policy,
        "authors": Authors(("arn:a",)),
        "verdict": "pass",
        "requested_at": 5.0,
        "expires_at": 9.0,
    }
    return ReviewRequest(**{**fields, **more})


def test_a_review_request_is_stored_by_these_names() -> None:
    asked = request(stable=ONE, decisions=4, outcome={"decision": "approved"}, reach={"key": "pending"})

    assert asked.to_item() == {
        "release_id": "P-2-1",
        "round": 2,
        "prompt": "support",
        "candidate": TWO.to_item(),
        "stable": ONE.to_item(),
        "policy": policy_item(asked.policy),
        "authors": Authors(("arn:a",)).to_dict(),
        "verdict": "pass",
        "requested_at": 5.0,
        "expires_at": 9.0,
        "decisions": 4,
        "outcome": {"decision": "approved"},
        "reach": {"key": "pending"},
    }


def test_a_new_review_request_has_no_decision_and_holds_no_token() -> None:
    asked = request()

    assert asked == request(decisions=0, outcome=None, reach={})
    item = asked.to_item()
    assert (item["stable"], item["outcome"]) == (None, None)
    assert ReviewRequest.from_item(item) == asked
    for name in ("stable", "decisions", "outcome", "reach"):
        del item[name]
    assert ReviewRequest.from_item(item) == asked
    old = {**item, "code": "ABCDEFGH", "task_token": "secret"}
    assert ReviewRequest.from_item(old) == asked, "as earlier versions stored it"
    assert "secret" not in str(asked.to_item() | asked.__class__.from_item(old).to_item())


def test_a_brief_is_stored_by_these_names_and_another_schema_is_refused() -> None:
    brief = Brief("P-2-1", 2, "support", 2, "warmer", ("arn:a",), "bo", [{"modelId": "m"}])
    stored = {
        "schema": 1,
        "release_id": "P-2-1",
        "round": 2,
        "prompt": "support",
        "version": 2,
        "description": "warmer",
        "authors": ["arn:a"],
        "requested_by": "bo",
        "candidate_variants": [{"modelId": "m"}],
        "stable_variants": [],
        "stable_version": None,
        "tests": {
            "verdict": "",
            "reason": "",
            "rows": [],
            "newly_failing": [],
            "left_out": 0,
            "inconclusive": [],
            "blind": [],
            "report_key": "",
        },
        "plan": [],
    }

    assert brief.to_dict() == stored
    assert Brief.from_dict({**stored, "stable_variants": ()}) == brief
    with pytest.raises(InvalidInput, match=r"^the review's record has schema 2; this code knows 1$"):
        Brief.from_dict({**stored, "schema": 2})


@settings(max_examples=5)
@given(generated.verdicts)
def test_a_case_that_newly_fails_is_stored_by_these_names(tests: Any) -> None:
    stored = Brief("P-2-1", 2, "support", 2, "", (), "", [], tests=tests).to_dict()["tests"]

    assert stored["newly_failing"] == [{"name": c.name, "slice": c.slice, "why": c.why} for c in tests.newly_failing]
