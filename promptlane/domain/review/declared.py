"""The reviewers whom a deployment declares, each once: whom the names in policies stand for.

A policy is deployed with names alone. A release resolves them when it is admitted and keeps what it found; whoever is
declared no longer decides nothing any more, in no review, whatever a release keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from promptlane.domain import fields
from promptlane.domain.errors import PolicyInvalid
from promptlane.domain.policy import Policy, Reviewer
from promptlane.domain.text import folded, shortened

from .review import reviewer_key

Json = Any
Found = tuple[str, str]
"""(path, what is wrong with it)."""
MOST: Final = 500
"""Reviewers of one deployment; they are one item of the release table, which has room for 400 KB."""
MOST_BYTES: Final = 262_144
_NAMES_SHOWN: Final = 300


@dataclass(frozen=True)
class Declared:
    """`people`: by name; no two share a name or an address, whatever the case, blanks or Unicode form."""

    people: tuple[Reviewer, ...] = ()

    @classmethod
    def from_dict(cls, data: Json) -> Declared:
        """Read reviewers.yaml or the canonical form, `{name: {email, principals, groups}}`.

        PolicyInvalid lists every problem as (path, message).
        """
        reader = fields.Reader()
        found = []
        if isinstance(data, Mapping):
            found = [_person(reader, str(name), data[name]) for name in data]
        elif data is not None:
            reader.problem("", "must map each reviewer's name to {email: ..., principals: [...], groups: [...]}")
        people = [person for person in found if person]
        for first, second, what in clashes(people):
            reader.problem(second.name, f"has the {what} of {first.name!r}; declare each person once")
        if len(people) > MOST:
            reader.problem("", f"declares {len(people)} reviewers; a deployment has room for {MOST}: remove some")
        if reader.problems:
            raise PolicyInvalid(reader.problems)
        return cls(tuple(sorted(people, key=lambda person: person.name)))

    def to_dict(self) -> dict[str, Json]:
        """Plain values; `from_dict` reads them back."""
        return {
            p.name: {"email": p.email, "groups": list(p.groups), "principals": list(p.principals)} for p in self.people
        }

    def named(self, name: str) -> Reviewer | None:
        return self._by_name.get(name)

    def at(self, email: str) -> Reviewer | None:
        """Who is mailed at this address."""
        return self._by_key.get(reviewer_key(email))

    def now(self, reviewer: Reviewer) -> Reviewer | None:
        """A reviewer of a captured policy as they are declared now; None for one who is not, or has another address."""
        found = self.named(reviewer.name)
        same = found is not None and reviewer_key(found.email) == reviewer_key(reviewer.email)
        return found if same else None

    def resolve(self, policy: Policy) -> Policy:
        """The policy with address, principals and groups of every reviewer. PolicyInvalid lists who is not declared.

        A policy may put reviewers in groups of its own; a group that the deployment gives is the deployment's.
        """
        reviewers, problems = [], []
        for i, reviewer in enumerate(policy.review.reviewers):
            path = f"review.reviewers[{i}]"
            found = self.named(reviewer.name) if reviewer.by_name else self.at(reviewer.email)
            wrong = self._wrong(reviewer, found)
            problems += [(path, message) for message in wrong]
            if found is not None and not wrong:
                groups = tuple(dict.fromkeys([*found.groups, *reviewer.groups]))
                reviewers.append(replace(found, groups=groups))
        if problems:
            raise PolicyInvalid(problems)
        resolved = replace(policy, review=replace(policy.review, reviewers=tuple(reviewers)))
        return Policy.from_dict(resolved.to_dict())

    def _wrong(self, given: Reviewer, found: Reviewer | None) -> list[str]:
        if found is None:
            who = repr(given.name) if given.by_name else f"{given.name!r} <{given.email}>"
            return [f"{who} is no reviewer of this deployment; {self._whom()}, or have reviewers.yaml declare them"]
        same_name = folded(given.name) == folded(found.name)
        same_principals = not given.principals or set(given.principals) == set(found.principals)
        if not (same_name and same_principals):
            return [
                f"{given.name!r} <{given.email}> is declared as {found.name!r} with the principals "
                f"{', '.join(found.principals) or '(none)'}; name them by that name alone"
            ]
        taken = {group for person in self.people if person != found for group in person.groups}
        return [
            f"{found.name!r} is not in the group {group!r}, which reviewers.yaml gives; add it there, or use another "
            "group"
            for group in given.groups
            if group in taken and group not in found.groups
        ]

    def _whom(self) -> str:
        if not self.people:
            return "none are declared"
        return f"name one of {shortened(', '.join(self._by_name), _NAMES_SHOWN)}"

    @cached_property
    def _by_name(self) -> dict[str, Reviewer]:
        return {person.name: person for person in self.people}

    @cached_property
    def _by_key(self) -> dict[str, Reviewer]:
        return {reviewer_key(person.email): person for person in self.people}


def clashes(people: Iterable[Reviewer]) -> list[tuple[Reviewer, Reviewer, str]]:
    """Pairs of reviewers who share a name or an address, the earlier first, and which of both it is."""
    found: list[tuple[Reviewer, Reviewer, str]] = []
    seen: dict[tuple[str, str], Reviewer] = {}
    for person in people:
        for what in ("name", "email"):
            first = seen.setdefault((what, folded(getattr(person, what))), person)
            if first is not person:
                found.append((first, person, what))
    return found


def resolved(policy: Policy, declared: Declared | None) -> Policy:
    """The policy with the reviewers whom its names stand for; PolicyInvalid.

    Where no deployment ever declared anybody, a policy that names nobody but by address stands as it is.
    """
    if declared is not None:
        return declared.resolve(policy)
    named = [(f"review.reviewers[{i}]", r.name) for i, r in enumerate(policy.review.reviewers) if r.by_name]
    if named:
        remedy = "is no reviewer: this deployment declares none; deploy its Pipeline stack first"
        raise PolicyInvalid([(path, f"{name!r} {remedy}") for path, name in named])
    return policy


def _person(reader: fields.Reader, name: str, data: Json) -> Reviewer | None:
    if not name.strip() or name != name.strip():
        reader.problem(name, "must be a name without blanks around it")
        return None
    if not isinstance(data, Mapping) or "email" not in data:
        reader.problem(name, "must have an email, for example {email: alice@example.com, groups: [legal]}")
        return None
    if "name" in data:
        reader.problem(f"{name}.name", "unknown key; the name is what the reviewer stands under")
        return None
    return reader.item(Reviewer, name, {"name": name, **data})
