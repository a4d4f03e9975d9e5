"""Suites: the regression tests of a prompt, in promptfoo's vocabulary, fully written out.

A Suite holds nothing but cases: `parse.parse` reads it from suite.yaml, a promptfoo config or its canonical form, where
datasets, defaults and lists of values are multiplied out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from promptlane.domain.enrolment.floor import SuiteFacts
from promptlane.domain.release.content import canonical_json

from .kinds import READS
from .templates import references

Json = Any
Message = Mapping[str, Json]
"""`{role: user | assistant, content: [blocks of Converse]}`."""
Read = Callable[[str], bytes]
"""Content of a file that the suite names, by its path relative to the suite. Raises OSError."""

MAX_CASES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Assertion:
    """One thing that must hold of an answer. `kind` is a key of `assertions.KINDS`; `negated`: written with `not-`.

    `value` and `threshold` are as written (threshold None: the kind's default). An `assert-set` has `children`.
    """

    kind: str
    negated: bool = False
    value: Json = None
    threshold: float | None = None
    weight: float = 1.0
    metric: str = ""
    children: tuple[Assertion, ...] = ()

    @property
    def type(self) -> str:
        return f"not-{self.kind}" if self.negated else self.kind

    def to_dict(self) -> dict[str, Json]:
        """As it would be written in a suite."""
        data: dict[str, Json] = {"type": self.type}
        if self.value is not None:
            data["value"] = self.value
        if self.threshold is not None:
            data["threshold"] = self.threshold
        if self.weight != 1:
            data["weight"] = self.weight
        if self.metric:
            data["metric"] = self.metric
        if self.children:
            data["assert"] = [c.to_dict() for c in self.children]
        return data

    @property
    def digest(self) -> str:
        """Names this assertion by its content, so that one comparison of two answers serves both of their grades."""
        return hashlib.sha256(canonical_json(self.to_dict()).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user says to the answer before, and what must hold of the answer to it.

    `user`: blocks of Converse. `tool_results`: what the tools gave that the answer before called, blocks by tool name.
    """

    user: tuple[Mapping[str, Json], ...]
    asserts: tuple[Assertion, ...]
    tool_results: Mapping[str, Sequence[Mapping[str, Json]]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Json]:
        return {**self.asked(), "assert": [a.to_dict() for a in self.asserts]}

    def asked(self) -> dict[str, Json]:
        """What the model sees of it."""
        data = {"user": list(self.user), "tool_results": {k: list(v) for k, v in self.tool_results.items()}}
        return {k: v for k, v in data.items() if v}


@dataclass(frozen=True, slots=True)
class Case:
    """One test: the variables to fill in, and what must hold of the answer.

    Passes when every assertion does; with `threshold`, when the weighted mean of their scores reaches it. `tags` name
    the slices it belongs to. A `critical` case that newly fails decides the verdict alone. `messages` are sent behind
    the template, as an application sends them; `chat` names the variable that they were taken from, which counts for
    templates that do not take it. `turns` go on from the answer. `repeats` are its own, where it has any; with
    `at_least` it passes as one when so many of them do.
    """

    id: str
    vars: Mapping[str, str]
    asserts: tuple[Assertion, ...]
    description: str = ""
    threshold: float | None = None
    tags: tuple[str, ...] = ()
    critical: bool = False
    metadata: Mapping[str, Json] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    chat: str = ""
    turns: tuple[Turn, ...] = ()
    repeats: int | None = None
    at_least: int | None = None

    def to_dict(self) -> dict[str, Json]:
        """Canonical form, without what is empty."""
        data: dict[str, Json] = {
            "id": self.id,
            "description": self.description,
            "vars": dict(self.vars),
            "messages": list(self.messages),
            "chat": self.chat,
            "assert": [a.to_dict() for a in self.asserts],
            "turns": [t.to_dict() for t in self.turns],
            "threshold": self.threshold,
            "tags": list(self.tags),
            "critical": self.critical,
            "repeats": self.repeats,
            "at_least": self.at_least,
            "metadata": dict(self.metadata),
        }
        return {k: v for k, v in data.items() if v not in (None, "", [], {}, False)}

    def inputs(self, variables: Iterable[str]) -> dict[str, str]:
        """The variables that the template takes; others serve the assertions only, and Bedrock would refuse them."""
        wanted = frozenset(variables)
        return {k: v for k, v in self.vars.items() if k in wanted}

    def history(self, variables: Collection[str]) -> tuple[Message, ...]:
        """What is sent behind a template that takes these variables, with `{{variables}}` not yet filled in."""
        return () if self.chat in variables else self.messages

    def runs(self, otherwise: int) -> int:
        """How often each side runs it; `otherwise`: where it says nothing."""
        return self.repeats or otherwise

    @property
    def calls(self) -> int:
        """How often a model is called for one run of it."""
        return 1 + len(self.turns)

    @property
    def all_asserts(self) -> tuple[Assertion, ...]:
        """The assertions of all its answers."""
        return (*self.asserts, *(a for turn in self.turns for a in turn.asserts))

    def digest(self, variables: Iterable[str]) -> str:
        """Names what the model is asked, so that an answer can be used again when only assertions changed."""
        wanted = frozenset(variables)
        asked: dict[str, Json] = self.inputs(wanted)
        if sent := [*self.history(wanted), *(turn.asked() for turn in self.turns)]:
            named = {name: self.vars[name] for name in references(sent) & self.vars.keys()}
            asked = {"inputs": asked, "sent": sent, "named": named}
        return hashlib.sha256(canonical_json(asked).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Suite:
    """All cases of a prompt. `repeats` overrides the policy's. `notes`: what of a promptfoo file was left out."""

    cases: tuple[Case, ...]
    description: str = ""
    repeats: int | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Json]:
        """Canonical form, with every case written out; `parse` reads it back to an equal suite."""
        data: dict[str, Json] = {
            "description": self.description,
            "repeats": self.repeats,
            "tests": [c.to_dict() for c in self.cases],
        }
        return {k: v for k, v in data.items() if v not in (None, "")}

    @property
    def checks(self) -> set[str]:
        """Names of the registered Python checks that the cases use."""
        return {str(a.value) for case in self.cases for a in flat(case.all_asserts) if a.kind == "python"}

    @property
    def kinds(self) -> set[str]:
        """Every assertion kind in use."""
        return {a.kind for case in self.cases for a in flat(case.all_asserts)}


def facts(suite: Suite) -> SuiteFacts:
    """What the platform floor asks about: the same input counts once, whatever else a case says of it."""
    inputs = {canonical_json([dict(c.vars), c.messages, [t.asked() for t in c.turns]]) for c in suite.cases}
    return SuiteFacts(len(inputs), suite.repeats, min((c.repeats for c in suite.cases if c.repeats), default=None))


def flat(assertions: Iterable[Assertion]) -> Iterable[Assertion]:
    """The assertions and those within sets."""
    for assertion in assertions:
        yield assertion
        yield from flat(assertion.children)


def problems(suite: Suite, variables: Iterable[str]) -> list[str]:
    """Where suite and template disagree: variables that no template takes, and template variables that are not given.

    A variable that only assertions refer to is fine. Each sentence names the cases and the remedy.
    """
    declared = set(variables)
    unknown: dict[str, list[str]] = {}
    absent: dict[str, list[str]] = {}
    for case in suite.cases:
        used = {name for a in flat(case.all_asserts) for name in references(a.value)} | {case.chat}
        used |= {name for a in flat(case.all_asserts) for names in READS.get(a.kind, ()) for name in names}
        used |= references([case.messages, [turn.asked() for turn in case.turns]])
        for name in case.vars.keys() - declared - used:
            unknown.setdefault(name, []).append(case.id)
        for name in declared - case.vars.keys():
            absent.setdefault(name, []).append(case.id)
    known = ", ".join(sorted(declared)) or "none"
    found = [
        f"variable {name!r} of {_some(ids)} is not in the template (which has {known}); rename or remove it"
        for name, ids in sorted(unknown.items())
    ]
    return found + [
        f"{_some(ids)} gives no value for template variable {name!r}; add it to `vars` or to defaultTest.vars"
        for name, ids in sorted(absent.items())
    ]


def _some(ids: list[str]) -> str:
    shown = ", ".join(repr(i) for i in ids[:3])
    rest = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return f"case {shown}" if len(ids) == 1 else f"cases {shown}{rest}"
