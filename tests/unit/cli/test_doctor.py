"""`promptlane doctor`, typed at a deployment in memory."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from promptlane.aws.mail import Addressee
from promptlane.cli.app import app
from promptlane.cli.deployment import Deployment
from promptlane.cli.session import Session
from tests.support.healthy import RESOURCES, Healthy, visit


def run(*words: str, account: Healthy | None = None) -> tuple[int, str]:
    seen = visit(account)

    class Named:
        fixed = staticmethod(seen.fixed)

    class Topics:
        @staticmethod
        def all() -> list[Addressee]:
            return [Addressee(email, "topic", state) for email, state in seen.reviewers()]

    deployment = Deployment("lane", {**RESOURCES})
    deployment.__dict__.update(
        account=seen.account,
        enrolments=seen.enrolments,
        named=Named,
        prompts=seen.prompts,
        routes=seen.routes,
        releases=seen.releases,
        reviewer_topics=Topics,
    )
    session = Session(connect=lambda: deployment, clock=lambda: seen.now)
    result = CliRunner().invoke(app, ["doctor", *words], obj=session, catch_exceptions=False)
    return result.exit_code, result.output


def test_nothing_wrong_is_exit_code_0_and_what_was_left_out_is_said() -> None:
    code, text = run("--only", "clock", "--only", "trial-prompt")
    assert code == 0
    assert "It differs by 0 s." in text
    assert "promptlane doctor --write --only trial-prompt" in text.replace("\n", " ")
    assert "1 ok, 1 skipped." in text


def test_something_wrong_is_exit_code_1_in_text_and_as_json() -> None:
    sick = Healthy(ahead=90)
    code, text = run("--only", "clock", account=sick)
    assert (code, "90 s ahead of AWS's" in text, "NTP" in text) == (1, True, True)
    code, text = run("--only", "clock", "--json", account=sick)
    found = json.loads(text)
    assert (code, found["schema"], found["counts"]["wrong"], found["checks"][0]["id"]) == (1, 1, 1, "clock")


def test_a_check_that_there_is_not_is_named_with_those_that_there_are() -> None:
    code, text = run("--only", "humours")
    assert code == 1
    assert "there is no check 'humours'" in text
    assert "dead-letters" in text


def test_the_permissions_are_printed_without_a_look() -> None:
    code, text = run("--permissions", "--only", "clock")
    assert (code, json.loads(text)["Statement"][0]["Action"]) == (0, ["sts:GetCallerIdentity"])
