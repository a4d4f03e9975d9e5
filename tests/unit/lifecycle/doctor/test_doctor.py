"""Each check of `promptlane doctor`: well, wrong with a remedy, or not to be told; and all of them in a row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptlane.domain.errors import Unauthorized, Unavailable
from promptlane.lifecycle.doctor.account import (
    Alarm,
    Queue,
    Rule,
    SourceMapping,
    Stack,
    Subscriber,
    Trail,
)
from promptlane.lifecycle.doctor.checks import CHECKS
from promptlane.lifecycle.doctor.report import Finding, Status, document, examine, policy
from tests.support.admitted import Admitted, suite
from tests.support.healthy import MODEL, TRIED, Healthy, begun, record, ringing, visit

Json = Any
BY_ID = {check.id: check for check in CHECKS}


def look(id: str, account: Healthy | None = None, **change: Any) -> Finding:
    ((examined),) = examine([BY_ID[id]], visit(account, **change), write=True)
    return examined.finding


def test_a_healthy_deployment_has_nothing_wrong() -> None:
    found = document(examine(CHECKS, visit(), write=True), deployment="lane", at="now")
    assert [row["id"] for row in found["checks"] if row["status"] != "ok"] == []
    assert found["counts"] == {"ok": len(CHECKS), "wrong": 0, "cannot tell": 0, "skipped": 0}
    assert (found["schema"], found["deployment"]) == (1, "lane")


OK = Healthy()
WRONG: list[tuple[str, Callable[[], Healthy], str, str]] = [
    ("stacks", lambda: Healthy(made={}), "no stack lane-state", "deploy --all"),
    (
        "stacks",
        lambda: Healthy(made={**OK.made, "access": Stack("lane-access", "UPDATE_ROLLBACK_COMPLETE")}),
        "lane-access is UPDATE_ROLLBACK_COMPLETE",
        "events",
    ),
    (
        "stacks",
        lambda: Healthy(made={**OK.made, "audit": Stack("lane-audit", "CREATE_COMPLETE", "DRIFTED")}),
        "by hand.*lane-audit",
        "drift",
    ),
    ("role-names", lambda: Healthy(roles=("lane-pipelin-RelayRole",)), "Outside lane-pipeline", "shorter"),
    ("role-names", lambda: Healthy(roles=OK.roles[1:]), "lane-pipeline-RequestReviewRole", "shorter"),
    ("keys", lambda: Healthy(states={"k": "PendingDeletion"}), "k is PendingDeletion", "cancel its deletion"),
    ("lambda-quota", lambda: Healthy(limit=(10, 10)), "10 concurrent executions", "Service Quotas"),
    ("lambda-quota", lambda: Healthy(limit=(1000, 20)), "20 of them unreserved", "Service Quotas"),
    ("prompt-quota", lambda: Healthy(count=480), "480 of 500", "ask for more"),
    ("clock", lambda: Healthy(ahead=90), "90 s ahead", "NTP"),
    ("clock", lambda: Healthy(ahead=-90), "90 s behind", "NTP"),
    ("trail", lambda: Healthy(trailed=()), "No trail is logging", "start-logging"),
    ("trail", lambda: Healthy(trailed=[Trail("lane", False, "", True, True)]), "No trail is logging", "start-logging"),
    ("trail", lambda: Healthy(trailed=[Trail("lane", True, "", False, True)]), "No trail is logging", "existing_trail"),
    ("trail", lambda: Healthy(trailed=[Trail("lane", True, "AccessDenied", True, True)]), "AccessDenied", "policy"),
    ("trail", lambda: Healthy(trailed=[Trail("lane", True, "", True, False)]), "selects renderings", "selectors"),
    ("rules", lambda: Healthy(ruled=()), "no rules", "deploy"),
    ("rules", lambda: Healthy(ruled=[Rule("r", False, 0)]), "Disabled: r", "enable-rule"),
    ("rules", lambda: Healthy(ruled=[Rule("r", True, 3)]), r"r \(3\)", "resource policy"),
    ("streams", lambda: Healthy(mapped=()), "intake reads nothing; relay reads nothing", "Triggers"),
    ("streams", lambda: Healthy(mapped=[SourceMapping("f", "Disabled", "")]), "is Disabled", "Triggers"),
    ("streams", lambda: Healthy(mapped=[SourceMapping("f", "Enabled", "PROBLEM: role")]), "PROBLEM: role", "role"),
    ("dead-letters", lambda: Healthy(queued=[Queue("dead", 2, True)]), "dead: 2", "runbook"),
    ("alarms", lambda: Healthy(ringing=()), "no alarms", "observability"),
    (
        "alarms",
        lambda: ringing(Alarm("lane_health-x", "ALARM", 0, True, "why")),
        r"lane_health-x \(why\)",
        "each",
    ),
    (
        "alarms",
        lambda: Healthy(fuses=[Alarm("lane/p/c/Error", "ALARM", 0, True)]),
        "lane/p/c/Error",
        "status",
    ),
    (
        "alarms",
        lambda: ringing(Alarm("lane_health-x", "OK", 0, False)),
        "Tell nobody",
        "enable-alarm-actions",
    ),
    (
        "alarms",
        lambda: Healthy(ringing=[Alarm("lane_health-remind-not-running", "INSUFFICIENT_DATA", 0, True)]),
        "no data for two days",
        "rules",
    ),
    ("notices", lambda: Healthy(told=()), "Nobody gets", "on_call"),
    ("notices", lambda: Healthy(told=[Subscriber("email", "a@example.com", False)]), "a@example.com", "two days|link"),
    ("notices", lambda: Healthy(fused=()), "fuse reaches nothing", "deploy"),
    ("models", lambda: Healthy(problem="the account is not entitled"), f"{MODEL} of support: the account", "catalog"),
    ("invocation-log", lambda: Healthy(logged=None), "logging is off", "invocation_logging=on"),
    ("invocation-log", lambda: Healthy(logged={"s3Config": {"bucketName": "b"}}), "bucket alone", "ask who"),
    (
        "invocation-log",
        lambda: Healthy(logged={**(OK.logged or {}), "textDataDeliveryEnabled": False}),
        "Texts are not",
        "text data",
    ),
    ("log-records", lambda: Healthy(kept=[record(MODEL)]), f"name the model .{MODEL}", "bypass_models"),
    ("trial-prompt", lambda: Healthy(tried=replace(TRIED, published=11, refusal="")), "one more was taken", "quota"),
    ("trial-prompt", lambda: Healthy(tried=replace(TRIED, refusal="Other: no")), "Other: no", "quota"),
    ("trial-prompt", lambda: Healthy(tried=replace(TRIED, numbers_kept=False)), "numbers", "Tell us"),
    ("trial-prompt", lambda: Healthy(tried=replace(TRIED, renamed=False)), "new name", "Tell us"),
    ("trial-prompt", lambda: Healthy(tried=replace(TRIED, freed=False)), "taken again", "Tell us"),
]


@pytest.mark.parametrize(("id", "account", "said", "remedy"), WRONG, ids=[f"{w[0]}-{w[2]}"[:40] for w in WRONG])
def test_what_is_wrong_is_said_with_its_remedy(id: str, account: Callable[[], Healthy], said: str, remedy: str) -> None:
    found = look(id, account())
    assert found.status is Status.WRONG, found
    assert re.search(said, found.said)
    assert re.search(remedy, found.remedy)


def test_what_the_deployment_itself_shows_can_be_wrong_too() -> None:
    assert look("version", version="1.2.4").said == "1.2.3 is deployed, and this command is 1.2.4."
    lost = look("reviewers", reviewers=lambda: [("lead@example.com", "pending"), ("b@example.com", "confirmed")])
    assert (lost.status, "lead@example.com" in lost.said, "b@example.com" in lost.said) == (Status.WRONG, True, False)
    other = look("enrolments", fixed={"support": "ANOTHER001"}.get)
    assert (other.status, other.said) == (Status.WRONG, "support (ANOTHER001) was deleted.")
    silent = look("events", releases=begun())
    assert (silent.status, "None of the newest 1" in silent.said) == (Status.WRONG, True)


UNTOLD: list[tuple[str, dict[str, Any]]] = [
    ("version", {"resources": {}}),
    ("role-names", {"account": Healthy(roles=())}),
    ("keys", {"account": Healthy(states={})}),
    ("prompt-quota", {"account": Healthy(quota={"Flows per account": 100.0})}),
    ("events", {"fixed": {}.get}),
    ("models", {"routes": Admitted(suite(1), first=True).routes}),
    ("log-records", {"account": Healthy(kept=())}),
    ("log-records", {"resources": {}}),
    ("reviewers", {"reviewers": lambda: ()}),
]


@pytest.mark.parametrize(("id", "change"), UNTOLD, ids=[f"{id}-{n}" for n, (id, _) in enumerate(UNTOLD)])
def test_what_cannot_be_told_is_neither_well_nor_wrong(id: str, change: dict[str, Any]) -> None:
    found = look(id, **change)
    assert found.status is Status.UNKNOWN, found
    assert found.remedy


def test_a_lock_against_looking_names_the_permission_and_stops_no_other_check() -> None:
    class Locked(Healthy):
        def concurrency(self) -> tuple[int, int]:
            raise Unauthorized("reading Lambda's limits: AccessDeniedException: not allowed")

        def trails(self) -> Sequence[Trail]:
            raise Unavailable("reading the trails: InternalFailure")

    found = {one.check.id: one.finding for one in examine(CHECKS, visit(Locked()), write=True)}
    assert found["lambda-quota"].status is found["trail"].status is Status.UNKNOWN
    assert "lambda:GetAccountSettings" in found["lambda-quota"].remedy
    assert "Try again" in found["trail"].remedy
    assert {f.status for id, f in found.items() if id not in ("lambda-quota", "trail")} == {Status.OK}


def test_nothing_is_written_unless_it_is_asked_for() -> None:
    account = Healthy()
    found = {one.check.id: one.finding for one in examine(CHECKS, visit(account))}
    assert account.made_prompts == []
    skipped = found["trial-prompt"]
    assert (skipped.status, skipped.remedy) == (Status.SKIPPED, "promptlane doctor --write --only trial-prompt")
    list(examine(CHECKS, visit(account), write=True))
    assert len(account.made_prompts) == 1


def test_the_policy_allows_what_checks_ask_for_and_writes_for_those_alone_that_write() -> None:
    reading, writing = (set(policy(CHECKS, write=w)["Statement"][0]["Action"]) for w in (False, True))
    assert "lambda:GetAccountSettings" in reading
    verbs = {action.partition(":")[2] for action in reading}
    assert all(verb.startswith(("Get", "List", "Describe", "Query", "Scan", "Filter")) for verb in verbs), verbs
    assert writing - reading == {
        f"bedrock:{verb}" for verb in ("CreatePrompt", "UpdatePrompt", "CreatePromptVersion", "DeletePrompt")
    }


def test_every_row_that_a_check_settles_stands_among_the_live_checks_and_names_it() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs/live-checks.md").read_text()
    rows = dict(re.findall(r"^\| `([\w-]+)` (\|.*)$", page, re.M))
    listed = re.findall(r"^\| `([\w-]+)` ", page, re.M)
    assert len(listed) == len(set(listed)), "each row has an id of its own"
    settled = {row: check.id for check in CHECKS for row in check.settles}
    assert settled.keys() - rows.keys() == set()
    for row, check in settled.items():
        assert f"`doctor` ({check})" in rows[row], row
    named = {id for row in rows.values() for id in re.findall(r"`doctor` \(([\w-]+)\)", row)}
    assert named == set(settled.values())


def test_the_ids_of_checks_are_unlike_each_other_and_the_document_is_plain_json() -> None:
    assert len(BY_ID) == len(CHECKS)
    found = document(examine(CHECKS, visit()), deployment="lane", at="now")
    assert json.loads(json.dumps(found)) == found
