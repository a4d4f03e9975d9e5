"""`approve`, `reject`, `pause`, `resume`, `advance`, `rollback`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import URLLib3Session

from promptlane.cli.deciding import approve
from promptlane.cli.operations import Operations, Unreachable
from promptlane.cli.session import Session
from promptlane.domain.errors import NotApplicable
from promptlane.domain.policy import Policy, Reviewer, ReviewPolicy
from promptlane.domain.review.brief import VerdictShown, make_brief
from promptlane.domain.review.review import Authors, ReviewRequest
from promptlane.lifecycle.briefs import Briefs
from tests.support.cli_desk import OPERATOR, Desk
from tests.support.prompt import ID

RELEASE = f"{ID}-1-1"


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.publish()
    return desk


READ = "0123456789ab"


@pytest.mark.parametrize("choice", ["approve", "reject"])
def test_a_decision_is_posted_with_its_reason_and_what_was_read(desk: Desk, choice: str) -> None:
    desk.answers = [(200, {"decision": choice, "standing": "open", "why": "1 of 2 approvals"})]
    more = {"fingerprint": READ} if choice == "approve" else {}

    said = desk.json(choice, RELEASE, "--reason", " reads well ", *(f"--{k}={v}" for k, v in more.items()))

    posted = {"decision": choice, "reason": "reads well", **more}
    assert desk.posted == [(f"POST /releases/{RELEASE}/decision", posted)]
    assert said["standing"] == "open"


def under_review(desk: Desk) -> str:
    """A review of the greeter's first version; the fingerprint that is reviewed."""
    version = desk.prompts.version(ID, 1)
    policy = Policy(review=ReviewPolicy(reviewers=(Reviewer("Ann", "ann@example.com"),)))
    asked = ReviewRequest(
        RELEASE, 1, "greeter", version.ref, None, policy.review, Authors(), "pass", desk.now, desk.now + 900
    )
    desk.reviews.open(asked, "token")
    brief = make_brief(
        release_id=RELEASE,
        round=1,
        candidate=version,
        stable=None,
        authors=(),
        requested_by="ops",
        tests=VerdictShown("pass"),
        policy=policy,
    )
    Briefs(desk.objects).put(brief)
    return version.fingerprint


@pytest.mark.parametrize("as_json", [False, True])
def test_where_nobody_can_be_asked_what_is_approved_is_shown_and_named(desk: Desk, as_json: bool) -> None:
    found = under_review(desk)
    desk.answers = [(200, {"decision": "approve"})]

    done = desk.type("approve", RELEASE, "-r", "fine", *(["--json"] if as_json else []))

    assert (done.exit_code, [body["fingerprint"] for _, body in desk.posted]) == (0, [found])
    shown = "\n".join(json.loads(done.stdout)["shown"]) if as_json else done.stdout
    assert "+Greet {{name}}." in shown
    assert found in done.stdout


@pytest.mark.parametrize(("answer", "posted"), [("yes", 1), ("no", 0), ("", 0)])
def test_at_a_terminal_all_of_it_is_shown_before_it_is_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: str, posted: int
) -> None:
    found = under_review(desk)
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))

    def typed(question: str) -> str:
        asked.append(question)
        return answer

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr(desk, "answers", [(200, {"decision": "approve"})])
    session = Session(connect=desk.connect, clock=lambda: desk.now)

    with nullcontext() if posted else pytest.raises(NotApplicable):
        approve(session, RELEASE, reason="fine", fingerprint="", as_json=False)

    assert len(asked) == 1
    assert [body["fingerprint"] for _, body in desk.posted] == [found] * posted


@pytest.mark.parametrize("verb", ["pause", "resume", "advance"])
def test_an_operation_on_a_canary_is_posted(desk: Desk, verb: str) -> None:
    said = desk.json(verb, RELEASE, "--reason", "campaign")

    assert desk.posted == [(f"POST /releases/{RELEASE}/{verb}", {"reason": "campaign"})]
    assert said["operation"] == verb


def test_a_prompt_stands_for_its_release_in_flight(desk: Desk) -> None:
    desk.start(1)

    desk.json("reject", "greeter", "-r", "fine")

    assert desk.posted[0][0] == f"POST /releases/{RELEASE}/decision"


def test_without_a_release_in_flight_nothing_is_posted(desk: Desk) -> None:
    assert "no release of greeter is in flight" in desk.type("approve", "greeter", "-r", "fine").stderr
    assert desk.posted == []


@pytest.mark.parametrize("words", [("approve", RELEASE), ("rollback", "greeter"), ("pause", RELEASE)])
def test_a_reason_is_needed(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk.type(*words).exit_code == 2
    empty = desk.type(*words, "--reason", "  ")
    assert (empty.exit_code, desk.posted, desk.invoked) == (1, [], [])
    assert "--reason is empty" in empty.stderr


@pytest.mark.parametrize(
    ("status", "body", "kind", "expected"),
    [
        (403, {"title": "you wrote part of this version"}, "Unauthorized", "you wrote part"),
        (403, {"message": "Forbidden"}, "Unauthorized", "needs the operator (or reviewer) policy"),
        (404, {"title": "release X has no review"}, "NotFound", "has no review"),
        (409, {"title": "the review is over"}, "NotApplicable", "the review is over"),
        (400, {"title": "reason: too long"}, "InvalidInput", "too long"),
        (503, {"title": "nothing was decided"}, "Unreachable", "nothing was decided"),
        (429, {"message": "Too Many Requests"}, "Throttled", "Too Many"),
    ],
)
def test_a_refusal_of_the_service_is_passed_on(
    desk: Desk, status: int, body: dict[str, str], kind: str, expected: str
) -> None:
    desk.answers = [(status, body)]

    error = desk.json("approve", RELEASE, "-r", "fine", "--fingerprint", READ, exit_code=1)["error"]

    assert error["type"] == kind
    assert expected in error["message"]


def test_rollback_goes_through_the_operations_api(desk: Desk) -> None:
    desk.serve(desk.publish())
    desk.answers = [(200, {"result": "rolled_back", "stable": 1, "reason": "", "release_id": RELEASE})]

    said = desk.json("rollback", "greeter", "-r", "customers complain")

    assert desk.posted == [("POST /prompts/greeter/rollback", {"reason": "customers complain"})]
    assert (said["way"], said["stable"]) == ("api", 1)
    assert desk.invoked == []


def test_rollback_to_a_version_names_it_and_checks_that_it_exists(desk: Desk) -> None:
    desk.publish("1 {{name}}")
    desk.serve(desk.publish("2 {{name}}"))
    desk.answers = [(200, {"result": "rolled_back", "stable": 1, "reason": "", "release_id": RELEASE})]

    desk.json("rollback", "greeter", "-r", "both are bad", "--to", "1")
    refused = desk.json("rollback", "greeter", "-r", "x", "--to", "7", exit_code=1)["error"]

    assert desk.posted == [("POST /prompts/greeter/rollback", {"reason": "both are bad", "to": 1})]
    assert "version 7 of greeter is gone" in refused["message"]


def test_rollback_asks_the_function_itself_when_the_api_is_down(desk: Desk) -> None:
    desk.serve(desk.publish())
    desk.api_down = True
    desk.function_answer = {"result": "rolled_back", "stable": 1}

    said = desk.json("rollback", "greeter", "-r", "customers complain")

    payload = {"prompt": "greeter", "reason": "customers complain", "cause": "operator", "by": OPERATOR}
    assert desk.invoked == [("roll_back:console", payload)]
    assert said["way"] == "function"


def test_rollback_does_not_work_around_a_refusal(desk: Desk) -> None:
    desk.serve(desk.publish())
    desk.answers = [(403, {"message": "Forbidden"})]

    assert desk.type("rollback", "greeter", "-r", "x").exit_code == 1
    assert desk.invoked == []


def test_a_rollback_that_changed_nothing_fails(desk: Desk) -> None:
    desk.serve(desk.publish())
    desk.answers = [(409, {"result": "nothing_to_go_back_to", "reason": "no version to go back to"})]

    result = desk.type("rollback", "greeter", "-r", "x")

    assert result.exit_code == 1
    assert "no version to go back to" in result.stderr


def test_rollback_does_not_need_bedrock_for_a_name(desk: Desk) -> None:
    desk.serve(desk.publish())
    desk.prompts.find = None  # type: ignore[method-assign, assignment]
    desk.answers = [(200, {"result": "already", "stable": 1})]

    assert "was rolled back already" in desk.type("rollback", "greeter", "-r", "x").stdout


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://ops", error="refused"),
        ConnectTimeoutError(endpoint_url="https://ops"),
        ReadTimeoutError(endpoint_url="https://ops"),
        ConnectionClosedError(endpoint_url="https://ops"),
        SSLError(endpoint_url="https://ops", error="certificate"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_keeps_the_api_from_answering_is_told_apart_from_a_refusal(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: URLLib3Session, request: object) -> None:
        raise error

    monkeypatch.setattr(URLLib3Session, "send", fail)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(Unreachable, match="cannot be reached"):
        Operations.signed("https://ops").post("prompts", "greeter", "rollback", body={"reason": "now"})
