"""`reviewers`, typed at a deployment whose subscriptions are in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from typer.testing import CliRunner

from promptlane.aws.mail import Addressee
from promptlane.cli.app import app
from promptlane.cli.deployment import Deployment
from promptlane.cli.session import Session
from promptlane.domain.errors import InvalidInput, Unauthorized
from promptlane.domain.policy import Reviewer
from promptlane.domain.review.declared import Declared
from promptlane.fakes.review import FakeDirectory

NOW = 1_800_000_000.0
BY = "2027-01-17T08:00:00.000Z"
PEOPLE = Declared(tuple(Reviewer(name, f"{name}@example.com") for name in ("ann", "bob", "cy", "dee", "eve")))
STATES = {"ann": "confirmed", "bob": "pending", "cy": "missing", "eve": "unexpected", "old": "confirmed"}
"""dee has no topic yet; old is declared no longer."""


class Topics:
    """The deployment's topics, as SNS would tell."""

    def __init__(self) -> None:
        self.states = {f"{name}@example.com": state for name, state in STATES.items()}
        self.called = {"ann@example.com": "missing", "night@example.com": "confirmed"}
        self.asked: list[tuple[str, str]] = []
        self.confirmed: list[tuple[str, str]] = []
        self.forbidden: set[str] = set()

    def all(self) -> Iterator[Addressee]:
        yield from (Addressee(email, f"arn:{email}", state, NOW - 60) for email, state in self.states.items())

    def on_call(self, topic: str, emails: Sequence[str]) -> list[Addressee]:
        return [Addressee(email, topic, self.called[email]) for email in emails]

    def confirm(self, email: str, link: str, topic: str = "") -> str:
        if "Token" not in link:
            raise InvalidInput("that is not a confirmation link")
        self.confirmed.append((email, topic))
        return f"{topic}:1"

    def subscribe(self, addressee: Addressee) -> None:
        if addressee.email in self.forbidden:
            raise Unauthorized("not allowed to subscribe")
        self.asked.append((addressee.email, addressee.topic))


def run(topics: Topics, *words: str, declared: Declared | None = PEOPLE, on_call: str = "") -> tuple[int, str]:
    told = {"on_call": on_call, "notices_topic": "arn:notices"} if on_call else {}
    deployment = Deployment("promptlane", told)
    deployment.__dict__.update(reviewer_topics=topics, declarations=FakeDirectory(declared))
    session = Session(connect=lambda: deployment, clock=lambda: NOW)
    result = CliRunner().invoke(app, ["reviewers", *words], obj=session, catch_exceptions=False)
    return result.exit_code, result.output


def document(topics: Topics, *words: str, status: int = 0, **how: Any) -> dict[str, Any]:
    code, output = run(topics, *words, "--json", **how)
    assert code == status, output
    return dict(json.loads(output))


def test_everybody_is_listed_by_name_with_how_they_are_reached() -> None:
    found = document(Topics(), "list", on_call="ann@example.com,night@example.com")
    assert [(r["name"], r["email"], r["state"]) for r in found["reviewers"]] == [
        ("ann", "ann@example.com", "confirmed"),
        ("bob", "bob@example.com", "pending"),
        ("cy", "cy@example.com", "missing"),
        ("dee", "dee@example.com", "no_topic"),
        ("eve", "eve@example.com", "unexpected"),
        ("", "old@example.com", "confirmed"),
    ]
    assert [(r["name"], r["email"], r["state"]) for r in found["on_call"]] == [
        ("on call", "ann@example.com", "missing"),
        ("on call", "night@example.com", "confirmed"),
    ]
    says = {r["email"]: r["says"] for r in found["reviewers"]}
    assert "within 48 hours" in says["cy@example.com"]
    assert says["bob@example.com"].endswith("; the deployment asked at 2027-01-15T07:59:00.000Z")
    assert "declared no longer" in says["old@example.com"]
    assert found["reviewers"][1]["since"] == "2027-01-15T07:59:00.000Z"
    assert document(Topics(), on_call="ann@example.com,night@example.com") == found
    assert "has not confirmed the subscription" in run(Topics())[1]


def test_what_an_earlier_version_deployed_is_listed_by_address() -> None:
    found = document(Topics(), declared=None)["reviewers"]
    assert {r["name"] for r in found} == {f"{name}@example.com" for name in STATES}


def test_without_anybody_the_remedy_is_told() -> None:
    topics = Topics()
    topics.states = {}
    assert "declare them in reviewers.yaml" in run(topics, declared=Declared())[1]


def test_whoever_has_not_confirmed_is_asked_again_and_nobody_else() -> None:
    topics = Topics()
    del topics.states["eve@example.com"]
    people = Declared(PEOPLE.people[:3])
    found = document(topics, "subscribe", declared=people, on_call="ann@example.com,night@example.com")
    asked = [("bob@example.com", "arn:bob@example.com"), ("cy@example.com", "arn:cy@example.com")]
    assert topics.asked == [*asked, ("ann@example.com", "arn:notices")]
    assert [(r["name"], r["action"], r["confirm_by"]) for r in found["reviewers"]] == [
        ("bob", "asked", BY),
        ("cy", "asked", BY),
    ]
    assert [(r["action"], r["confirm_by"]) for r in found["on_call"]] == [("asked", BY)]
    _, text = run(topics, "subscribe", declared=people)
    assert "promptlane reviewers confirm" in text


def test_those_named_are_asked_by_name_or_address_once() -> None:
    topics = Topics()
    found = document(topics, "subscribe", "bob", "BOB@example.com", "ann")
    assert topics.asked == [("bob@example.com", "arn:bob@example.com")]
    assert [(r["name"], r["action"]) for r in found["reviewers"]] == [("bob", "asked"), ("ann", "nothing to do")]
    assert "Everybody has confirmed." in run(topics, "subscribe", declared=Declared(PEOPLE.people[:1]))[1]


def test_who_cannot_be_asked_is_told_with_why_and_the_others_are_asked() -> None:
    topics = Topics()
    topics.forbidden = {"bob@example.com"}
    found = document(topics, "subscribe", status=1)
    assert topics.asked == [("cy@example.com", "arn:cy@example.com")]
    why = {r["name"]: (r["action"], r["why"]) for r in found["reviewers"]}
    assert why["bob"] == ("failed", "not allowed to subscribe")
    assert why["dee"][0] == why["eve"][0] == "failed"
    assert "has no topic yet; deploy" in why["dee"][1]
    assert "unsubscribe it first (topic arn:eve@example.com)" in why["eve"][1]
    assert why["cy"][0] == "asked"


def test_nobody_is_asked_where_a_name_is_unknown() -> None:
    topics = Topics()
    code, output = run(topics, "subscribe", "bob", "zoe", on_call="night@example.com")
    assert code == 1
    known = "ann, bob, cy, dee, eve, night@example.com, old@example.com"
    assert f"'zoe' is neither a reviewer nor on call here; there are {known}" in " ".join(output.split())
    assert topics.asked == []


def test_a_subscription_is_confirmed_on_the_topic_that_the_link_names() -> None:
    topics = Topics()
    assert run(topics, "confirm", "bob", "nonsense")[0] == 1
    assert topics.confirmed == []
    for topic in ("arn:ann@example.com", "arn:notices"):
        link = f"https://sns/?TopicArn={topic.replace(':', '%3A')}&Token=abc"
        code, output = run(topics, "confirm", "ann@example.com", link, on_call="ann@example.com")
        assert code == 0
        assert "ann@example.com is confirmed" in output
    run(topics, "confirm", "ann", "Token=abc")
    assert topics.confirmed == [
        ("ann@example.com", "arn:ann@example.com"),
        ("ann@example.com", "arn:notices"),
        ("ann@example.com", "arn:ann@example.com"),
    ]


def test_an_address_whose_case_differs_is_one_person() -> None:
    topics = Topics()
    people = Declared((replace(PEOPLE.people[0], email="Ann@Example.com"),))
    topics.states = {"ann@example.com": "confirmed"}
    assert [r["state"] for r in document(topics, declared=people)["reviewers"]] == ["confirmed"]
