"""`reviewers`: whom the deployment mails, whether email arrives, and how a subscription is restored and confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from promptlane.domain.errors import InvalidInput, PromptlaneError
from promptlane.domain.policy import Reviewer
from promptlane.domain.release.timeline import iso
from promptlane.domain.review.declared import Declared
from promptlane.domain.review.review import reviewer_key
from promptlane.domain.review.rules import REACHED, reach_in_words

from .deployment import Deployment
from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from promptlane.aws.mail import Addressee

Json = Any
CONFIRMED_WITHIN: Final = 48 * 3600.0
"""Seconds after which SNS deletes a subscription that nobody confirmed. CloudFormation does not make it again."""
ON_CALL: Final = "on call"
_ASKED: Final = frozenset({"pending", "missing"})
"""States in which SNS is asked to send its confirmation (again)."""


@dataclass(frozen=True, slots=True)
class _Person:
    """`name`: as declared, or `on call`; empty for who has a topic and is declared no longer. `addressee` is None where
    there is no topic yet."""

    name: str
    email: str
    addressee: Addressee | None

    @property
    def state(self) -> str:
        return self.addressee.state if self.addressee else "no_topic"

    def row(self) -> dict[str, Json]:
        says = reach_in_words(self.state)
        if self.state == "missing":
            says += "; SNS deletes what is not confirmed within 48 hours: `promptlane reviewers subscribe` restores it"
        if not self.name:
            says += "; declared no longer"
        there = self.addressee
        if self.state == "pending" and there and there.since:
            says += f"; the deployment asked at {iso(there.since)}"
        told = {"name": self.name, "email": self.email, "topic": there.topic if there else None, "state": self.state}
        return {**told, "says": says, "since": iso(there.since) if there and there.since else None}


def reviewers_list(session: Session, *, as_json: bool) -> None:
    """Everybody whom the deployment mails, with the state of the subscription."""
    people = _people(session.deployment)
    rows = [person.row() for person in people]

    def show(console: Console) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table("name", "address", "subscription", "", box=None, header_style="bold")
        for row in rows:
            style = "green" if row["state"] == "confirmed" else "yellow" if row["state"] in REACHED else "red"
            table.add_row(row["name"], row["email"], Text(row["state"], style=style), row["says"])
        console.print(table if rows else "This deployment has no reviewers; declare them in reviewers.yaml and deploy.")

    session.emit(_parted(rows), as_json=as_json, show=show)


def reviewers_confirm(session: Session, who: str, link: str, *, as_json: bool) -> None:
    """Confirm a subscription with AuthenticateOnUnsubscribe, so that no mail scanner can unsubscribe anybody."""
    meant = _named(_people(session.deployment), [who])
    # Who is a reviewer and on call has two subscriptions: SNS's link names the topic.
    person = next((p for p in meant if p.addressee and p.addressee.topic in unquote(link)), meant[0])
    topic = person.addressee.topic if person.addressee else ""
    arn = session.deployment.reviewer_topics.confirm(person.email, link, topic)

    def show(console: Console) -> None:
        from .terminal import bold

        console.print(bold("{} is confirmed. Only somebody with AWS credentials can unsubscribe it.", person.email))

    session.emit({"email": person.email, "subscription": arn}, as_json=as_json, show=show)


def reviewers_subscribe(session: Session, names: Sequence[str], *, as_json: bool) -> int:
    """Have SNS send its confirmation again to those who have not confirmed: those named, or everybody. The exit code.

    Safe to repeat: whoever has confirmed is left alone.
    """
    everybody = _people(session.deployment)
    people = _named(everybody, names) if names else [p for p in everybody if p.name and p.state not in REACHED]
    by = iso(session.clock() + CONFIRMED_WITHIN)
    rows = [{**person.row(), **_ask(session.deployment, person, by)} for person in people]

    def show(console: Console) -> None:
        from .terminal import bold

        for row in rows:
            console.print(bold(f"{{}}: {row['action']}", row["email"]).append(f"; {row['why']}" if row["why"] else ""))
        if not rows:
            console.print("Everybody has confirmed.")
        if any(row["action"] == "asked" for row in rows):
            console.print(
                "SNS sends them a confirmation. They do not open its link, but paste it, or send it to you, for"
            )
            console.print("  promptlane reviewers confirm <name or address> '<link>'")

    session.emit(_parted(rows), as_json=as_json, show=show)
    return int(any(row["action"] == "failed" for row in rows))


def _ask(deployment: Deployment, person: _Person, by: str) -> dict[str, Json]:
    """What was done for one: asked (with the time until which SNS waits), nothing, or why it could not be."""
    none: dict[str, Json] = {"action": "nothing to do", "why": reach_in_words(person.state), "confirm_by": None}
    if person.state in REACHED:
        return none
    failed = {**none, "action": "failed"}
    if person.addressee is None:
        return {**failed, "why": "has no topic yet; deploy the reviewers' stacks, which subscribe them"}
    if person.state not in _ASKED:
        return {**failed, "why": f"{none['why']}; unsubscribe it first (topic {person.addressee.topic})"}
    try:
        deployment.reviewer_topics.subscribe(person.addressee)
    except PromptlaneError as error:
        return {**failed, "why": str(error)}
    return {**none, "action": "asked", "why": f"confirm by {by}", "confirm_by": by}


def _people(deployment: Deployment) -> list[_Person]:
    """Reviewers who are declared or have a topic, then those on call."""
    topics = {reviewer_key(a.email): a for a in deployment.reviewer_topics.all()}
    declared = deployment.declarations.declared()
    if declared is None:  # deployed by a version that declared nobody
        declared = Declared(tuple(Reviewer(a.email, a.email) for a in topics.values()))
    reviewers = [_Person(r.name, r.email, topics.pop(reviewer_key(r.email), None)) for r in declared.people]
    reviewers += [_Person("", left.email, left) for left in topics.values()]
    on_call = [email for email in deployment.optional("on_call").split(",") if email]
    if not on_call:
        return reviewers
    told = deployment.reviewer_topics.on_call(deployment.resource("notices_topic"), on_call)
    return [*reviewers, *(_Person(ON_CALL, a.email, a) for a in told)]


def _named(people: Sequence[_Person], names: Sequence[str]) -> list[_Person]:
    """Everybody of these names or addresses, once. InvalidInput names who is not there."""
    found: dict[tuple[str, str], _Person] = {}
    for name in names:
        meant = [p for p in people if name.strip() == p.name or name.strip().lower() == p.email.lower()]
        if not meant:
            known = ", ".join(sorted({p.email if p.name in ("", ON_CALL) else p.name for p in people})) or "nobody"
            raise InvalidInput(f"{name!r} is neither a reviewer nor on call here; there are {known}")
        found |= {(p.name, p.email): p for p in meant}
    return list(found.values())


def _parted(rows: Sequence[dict[str, Json]]) -> dict[str, Json]:
    return {
        "reviewers": [row for row in rows if row["name"] != ON_CALL],
        "on_call": [row for row in rows if row["name"] == ON_CALL],
    }
