"""The platform floor: what a deployment asks of every team's policy and suite, whoever wrote them.

It has the sections and the units of release.yaml, and only ever adds to what a policy asks. An empty floor asks
nothing. It is a setting of the deployment: a policy cannot name, lower or switch off any of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Annotated, Any, Final

from promptlane.domain import fields
from promptlane.domain.errors import FloorInvalid
from promptlane.domain.names import FULL
from promptlane.domain.policy import CanaryPolicy, Inconclusive, Policy, Reviewer, ReviewPolicy, TestPolicy

Json = Any
Breach = tuple[str, str]
"""(field of release.yaml or suite.yaml, what it is, what the floor asks, and the remedy)."""

_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]+"
_PATTERN: Final = re.compile(rf"{_ATOM}@[a-z0-9*.-]+")
_ADDRESS: Final = re.compile(_ATOM.replace("*", "", 1) + r"@[a-z0-9-]+(\.[a-z0-9-]+)+")
"""A plain address: what else the standards allow (quotes, comments, letters beyond ASCII) can be read in two ways."""
_CLOSE: Final = 1e-9
"""Relative: durations are compared after both sides were scaled for drills."""


def address_patterns(value: Json) -> tuple[str, ...]:
    """Addresses, in lower case; `*` stands for any characters but `@`."""
    patterns = tuple(_lower(p) for p in fields.texts(value))
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is not an address or a pattern of addresses such as *@example.com")
    return patterns


@dataclass(frozen=True, slots=True)
class ReviewFloor:
    """`reviewers`: patterns, one of which each reviewer's address must fit. `quorum`: least approvals, of that many
    different people. `self_approval: false`: no author may approve, so every reviewer names the principals that they
    act as, and a version whose author cannot be told costs more."""

    quorum: Annotated[int, fields.count(0, 20)] = 0
    reviewers: Annotated[tuple[str, ...], address_patterns] = ()
    self_approval: fields.Flag = True


@dataclass(frozen=True, slots=True)
class TestFloor:
    """`cases`: least number with an input of their own; `repeats` of each. `margin`: the most that it may be."""

    __test__ = False

    cases: Annotated[int, fields.count(0, 20_000)] = 0
    repeats: Annotated[int, fields.count(0, 20)] = 0
    min_pass_rate: fields.Fraction = 0.0
    margin: fields.Fraction = 1.0
    inconclusive: Inconclusive = "review"


@dataclass(frozen=True, slots=True)
class CanaryFloor:
    """`bake`: least sum of the steps' `min_bake`, seconds. `first_step`: the most traffic of the first one."""

    bake: fields.Seconds = 0.0
    first_step: fields.Share = FULL


@dataclass(frozen=True, slots=True)
class WatchFloor:
    """How long a promoted version must be watched at least, seconds."""

    duration: Annotated[float, fields.duration, "for"] = 0.0


@dataclass(frozen=True, slots=True)
class SuiteFacts:
    """What of a suite the floor asks about. `cases`: those with an input of their own; `repeats`: its own, if any.

    `fewest`: the least of the repeats that single cases have of their own.
    """

    cases: int
    repeats: int | None = None
    fewest: int | None = None


@dataclass(frozen=True, slots=True)
class Floor:
    """The whole floor of a deployment."""

    review: ReviewFloor = field(default_factory=ReviewFloor)
    tests: TestFloor = field(default_factory=TestFloor)
    canary: CanaryFloor = field(default_factory=CanaryFloor)
    watch: WatchFloor = field(default_factory=WatchFloor)

    @classmethod
    def from_dict(cls, data: Json) -> Floor:
        """FloorInvalid lists every problem as (path, message)."""
        reader = fields.Reader()
        floor = cls()
        if reader.mapping("", data, tuple(_SECTIONS)):
            floor = cls(**{key: reader.section(made, key, data.get(key)) for key, made in _SECTIONS.items()})
        if reader.problems:
            raise FloorInvalid(reader.problems)
        return floor

    def to_dict(self) -> dict[str, Json]:
        """Plain JSON values, seconds and basis points, of what is asked alone; `from_dict` reads it back."""
        told: dict[str, Json] = {}
        for key, made in _SECTIONS.items():
            section, empty = getattr(self, key), made()
            values = {name: getattr(section, name) for name in made.__slots__}
            asked = {name: value for name, value in values.items() if value != getattr(empty, name)}
            if asked:
                told[key] = {name: list(v) if isinstance(v, tuple) else v for name, v in asked.items()}
        return told

    def scaled(self, factor: float) -> Floor:
        """The same floor for policies whose waiting times were multiplied, for drills (`Policy.scaled`)."""
        if factor == 1:
            return self
        return replace(
            self,
            canary=replace(self.canary, bake=self.canary.bake * factor),
            watch=replace(self.watch, duration=self.watch.duration * factor),
        )

    def breaches(self, policy: Policy, suite: SuiteFacts) -> list[Breach]:
        """Everything in which policy and suite ask less than the floor.

        Of reviewers who are named alone nothing is known: `enrol` and `admit` ask with those whom the names stand for.
        """
        return [
            *_review(self.review, policy.review),
            *_tests(self.tests, policy.tests, suite),
            *_canary(self.canary, policy.canary),
            *_at_least("watch.for", policy.watch.duration, self.watch.duration, _seconds),
        ]


_SECTIONS: Final[Mapping[str, Any]] = {
    "review": ReviewFloor,
    "tests": TestFloor,
    "canary": CanaryFloor,
    "watch": WatchFloor,
}


def _review(floor: ReviewFloor, policy: ReviewPolicy) -> Iterator[Breach]:
    yield from _at_least("review.quorum", policy.quorum, floor.quorum, str)
    known = [(i, reviewer) for i, reviewer in enumerate(policy.reviewers) if not reviewer.by_name]
    for i, reviewer in known:
        yield from _address(floor, f"review.reviewers[{i}].email", reviewer.email)
    if floor.quorum > 1 or not floor.self_approval:
        yield from _one_person_each([reviewer for _, reviewer in known])
    if floor.self_approval:
        return
    for i, reviewer in known:
        if not reviewer.principals:
            yield (
                f"review.reviewers[{i}].principals",
                f"{reviewer.name!r} has none, so nobody could tell whether that reviewer wrote the version; the "
                "platform floor allows no self-approval: name the IAM ARNs that this person acts as",
            )
    if policy.unattributed == "allow":
        yield (
            "review.unattributed",
            "is allow; the platform floor allows no self-approval, and an author who cannot be told may be the "
            "reviewer: write one_more_approval or refuse",
        )


def _address(floor: ReviewFloor, path: str, email: str) -> Iterator[Breach]:
    if not floor.reviewers:
        return
    address = _lower(email)
    if not _ADDRESS.fullmatch(address):
        yield path, f"{email!r} is not a plain address of ASCII letters, which the platform floor asks for: write one"
    elif not any(_fits(pattern, address) for pattern in floor.reviewers):
        wanted = " or ".join(floor.reviewers)
        yield path, f"{email!r} is none of the platform floor's reviewers ({wanted}): name somebody who is"


def _one_person_each(reviewers: Sequence[Reviewer]) -> Iterator[Breach]:
    """Two entries that one person can answer for would fill a quorum of two."""
    boxes = Counter(mailbox(r.email) for r in reviewers)
    for box in sorted(box for box, number in boxes.items() if number > 1):
        names = " and ".join(repr(r.name) for r in reviewers if mailbox(r.email) == box)
        yield "review.reviewers", f"{names} share the mailbox {box}; the platform floor counts people: name others"
    for one, other in combinations(reviewers, 2):
        shared = [p for p in one.principals for q in other.principals if _overlap(p, q)]
        if shared:
            yield (
                "review.reviewers",
                f"{one.name!r} and {other.name!r} may both act as {shared[0]}; the platform floor counts people: "
                "give each reviewer principals of their own",
            )


def _tests(floor: TestFloor, policy: TestPolicy, suite: SuiteFacts) -> Iterator[Breach]:
    if suite.cases < floor.cases:
        yield (
            "suite.yaml",
            f"has {suite.cases} cases with inputs of their own; the platform floor asks for at least {floor.cases}: "
            "add cases",
        )
    where, repeats = (
        ("tests.repeats", policy.repeats) if suite.repeats is None else ("suite.yaml repeats", suite.repeats)
    )
    yield from _at_least(where, repeats, floor.repeats, str)
    if suite.fewest is not None:
        yield from _at_least("suite.yaml repeats of a case", suite.fewest, floor.repeats, str)
    yield from _at_least("tests.min_pass_rate", policy.min_pass_rate, floor.min_pass_rate, _percent)
    yield from _at_most("tests.margin", policy.margin, floor.margin, _percent)
    if floor.inconclusive == "block" and policy.inconclusive != "block":
        yield "tests.inconclusive", f"is {policy.inconclusive}; the platform floor asks for block: write that"


def _canary(floor: CanaryFloor, policy: CanaryPolicy) -> Iterator[Breach]:
    baked = sum(step.min_bake for step in policy.steps)
    yield from _at_least("canary.steps min_bake, in all,", baked, floor.bake, _seconds)
    first = policy.steps[0].weight if policy.steps else FULL
    yield from _at_most("canary.steps[0].weight", first, floor.first_step, _share)


def _at_least(path: str, found: float, least: float, say: Any) -> Iterator[Breach]:
    if not found >= least * (1 - _CLOSE):  # also for what is no number
        yield path, f"is {say(found)}; the platform floor asks for at least {say(least)}: raise it"


def _at_most(path: str, found: float, most: float, say: Any) -> Iterator[Breach]:
    if not found <= most * (1 + _CLOSE):
        yield path, f"is {say(found)}; the platform floor allows at most {say(most)}: lower it"


def mailbox(email: str) -> str:
    """Where an address's mail ends up, as far as that can be told: upper case and `+tags` make no other person."""
    local, _, domain = _lower(email).rpartition("@")
    return f"{local.partition('+')[0]}@{domain.rstrip('.')}"


def _lower(text: str) -> str:
    """ASCII letters alone: `lower` would make an ASCII k of the Kelvin sign."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def _fits(pattern: str, address: str) -> bool:
    return bool(re.fullmatch("[^@]*".join(re.escape(part) for part in pattern.split("*")), address))


def _overlap(one: str, other: str) -> bool:
    """Whether two patterns of principals can name the same caller, as `acts_as` takes them."""
    return any(_meet(p, q) for p in _reach(one) for q in _reach(other))


def _meet(one: str, other: str) -> bool:
    first, second = one.removesuffix("*"), other.removesuffix("*")
    if one != first and other != second:
        return first.startswith(second) or second.startswith(first)
    return second.startswith(first) if one != first else first.startswith(second) if other != second else one == other


def _reach(pattern: str) -> Iterator[str]:
    """The pattern, and for a role its sessions."""
    yield pattern
    parts = pattern.split(":")
    if len(parts) == 6 and parts[2] == "iam" and parts[5].startswith("role/"):
        name = parts[5].rpartition("/")[2].removesuffix("*")
        end = "*" if pattern.endswith("*") else "/*"
        yield ":".join([*parts[:2], "sts", *parts[3:5], f"assumed-role/{name}{end}"])


def _seconds(value: float) -> str:
    return f"{value:g} s"


def _percent(value: float) -> str:
    return f"{100 * value:g}%"


def _share(value: float) -> str:
    return f"{value / 100:g}%"
