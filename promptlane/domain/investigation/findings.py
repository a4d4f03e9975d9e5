"""What an investigation found: the joined timeline, where versions came from, ranked causes, examples, the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from promptlane.domain.metrics import logged, noun_of
from promptlane.domain.release.timeline import iso
from promptlane.domain.text import one_line

from .causes import Contrast
from .invocation import Invocation
from .sources import CallGroup, Gathered, Missing

Json = Any
CauseKind = Literal["version", "outside", "bypass", "deleted"]


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the joined timeline. `change`: it may have changed what users get."""

    at: float
    source: Literal["cloudtrail", "release", "alarm", "route"]
    what: str
    by: str = ""
    version: int = 0
    change: bool = False

    def to_dict(self) -> dict[str, Json]:
        return {**asdict(self), "at": iso(self.at), "version": self.version or None}


@dataclass(frozen=True, slots=True)
class Story:
    """Where a version came from and how it got its traffic. A time of 0 or an empty name: not known."""

    version: int
    release_id: str = ""
    description: str = ""
    published_at: float = 0.0
    published_by: str = ""
    edited_by: tuple[str, ...] = ()
    requested_by: str = ""
    approved_by: tuple[str, ...] = ()
    verdict: str = ""
    first_served: float = 0.0
    promoted_at: float = 0.0
    rolled_back_at: float = 0.0
    restored_at: float = 0.0

    @property
    def traffic(self) -> tuple[tuple[str, float], ...]:
        """(what happened, when) in the order of time: how it got and lost its traffic."""
        told = {"served from": self.first_served, "promoted": self.promoted_at, "rolled back": self.rolled_back_at}
        told["put back by a rollback"] = self.restored_at
        return tuple(sorted(((word, at) for word, at in told.items() if at), key=lambda t: t[1]))

    def to_dict(self) -> dict[str, Json]:
        return {
            "version": self.version,
            "release_id": self.release_id or None,
            "description": self.description,
            "published_at": _time(self.published_at),
            "published_by": self.published_by or None,
            "edited_by": list(self.edited_by),
            "requested_by": self.requested_by or None,
            "approved_by": list(self.approved_by),
            "tests": self.verdict or None,
            "first_served_at": _time(self.first_served),
            "promoted_at": _time(self.promoted_at),
            "rolled_back_at": _time(self.rolled_back_at),
            "restored_at": _time(self.restored_at),
        }


@dataclass(frozen=True, slots=True)
class Cause:
    """One explanation. `contrast` is None where no count could speak for or against it."""

    kind: CauseKind
    title: str
    because: tuple[str, ...]
    at: float
    version: int = 0
    contrast: Contrast | None = None
    also: tuple[Contrast, ...] = ()

    @property
    def shown(self) -> bool:
        """Whether chance is a poor explanation, and nothing else explains the same counts as well."""
        return self.contrast is not None and self.contrast.convincing

    @property
    def certainty(self) -> str:
        """How sure it is, in a few words."""
        if self.contrast is None:
            return "no count can test it"
        if self.contrast.rivalled:
            return "not shown: another explanation fits as well"
        return f"chance {chance_words(self.contrast.chance)}{'' if self.shown else ', not shown'}"

    def to_dict(self) -> dict[str, Json]:
        told = {"kind": self.kind, "title": self.title, "because": list(self.because), "at": _time(self.at)}
        contrast = self.contrast.to_dict() if self.contrast else None
        also = [c.to_dict() for c in self.also]
        return {**told, "version": self.version or None, "shown": self.shown, "contrast": contrast, "also": also}


@dataclass(frozen=True, slots=True)
class Remedy:
    """How to end it: the exact command, or why there is none."""

    command: str
    says: str


@dataclass(frozen=True, slots=True)
class ConversationPair:
    """A conversation that went wrong, and the one most like it that went well under the version before."""

    bad: Invocation
    good: Invocation | None
    bad_variables: Mapping[str, str]
    good_variables: Mapping[str, str]

    def to_dict(self) -> dict[str, Json]:
        return {
            "bad": _conversation(self.bad, self.bad_variables),
            "good": _conversation(self.good, self.good_variables) if self.good else None,
        }


@dataclass(frozen=True, slots=True)
class Rendered:
    """How often a caller had a version of the prompt rendered (`RenderPrompt`). Version 0: DRAFT."""

    version: int
    caller: str
    calls: int
    first: float
    last: float

    @property
    def name(self) -> str:
        return f"version {self.version}" if self.version else "DRAFT"

    def to_dict(self) -> dict[str, Json]:
        times = {"first": _time(self.first), "last": _time(self.last)}
        return {**asdict(self), "version": self.version or "DRAFT", "caller": self.caller or None, **times}


@dataclass(frozen=True, slots=True)
class Investigation:
    """The answer. `before` and `after` are the versions that it is about (0: none).

    `after` is the version of `subject`, else the one that last began to get traffic. `subject`: the shown version cause
    that can be ended, else the first shown one.
    """

    facts: Gathered
    timeline: tuple[Happening, ...]
    causes: tuple[Cause, ...]
    stories: tuple[Story, ...]
    before: int
    after: int
    diff: tuple[str, ...]
    remedy: Remedy
    missing: tuple[Missing, ...]
    pairs: tuple[ConversationPair, ...] = ()
    rendered: tuple[Rendered, ...] = ()
    subject: Cause | None = None

    @property
    def leading(self) -> Cause | None:
        return self.causes[0] if self.causes and self.causes[0].shown else None

    def to_dict(self) -> dict[str, Json]:
        facts = self.facts
        return {
            "schema": 1,
            "prompt": facts.prompt,
            "prompt_id": facts.prompt_id or None,
            "since": iso(facts.window.since),
            "until": iso(facts.window.until),
            "generated_at": iso(facts.now),
            "summary": list(summary(self)),
            "causes": [c.to_dict() for c in self.causes],
            "remedy": {"command": self.remedy.command or None, "says": self.remedy.says},
            "before": self.before or None,
            "after": self.after or None,
            "diff": list(self.diff),
            "versions": [s.to_dict() for s in self.stories],
            "conversations": [p.to_dict() for p in self.pairs],
            "timeline": [h.to_dict() for h in self.timeline],
            "rates": [{**asdict(c), "at": iso(c.at)} for c in facts.cells],
            "calls": [_group(g) for g in facts.calls],
            "rendered": [r.to_dict() for r in self.rendered],
            "calls_outside_the_split": [_group(g) for g in facts.outside],
            "missing": [m.to_dict() for m in self.missing],
        }


def summary(found: Investigation) -> Iterator[str]:
    """A few sentences for somebody who has one minute."""
    facts, lead = found.facts, found.leading
    if lead is None:
        yield (
            f"Nothing shows a rise of bad events of {facts.prompt} that chance would not explain."
            if facts.cells
            else f"There are no counts of {facts.prompt} in this window, so no rise of bad events can be shown."
        )
    else:
        yield lead.title
        yield from lead.because
        if found.subject and found.subject is not lead:
            yield found.subject.title
    if story := next((s for s in found.stories if s.version == found.after), None):
        yield who(story, approvals_known=facts.releases_known)
    if found.missing:
        yield f"{len(found.missing)} thing(s) could not be learnt; they are listed under what is missing."


def no_conversations(found: Investigation) -> str:
    """That there are no examples although the invocation log holds calls; empty otherwise."""
    if found.pairs or not found.facts.calls or not found.after:
        return ""
    cause = found.subject or found.leading
    if cause and cause.contrast and not logged(metric := cause.contrast.metric):
        return f"The invocation log does not tell which calls had {noun_of(metric)}, so no conversation can show them."
    return (
        f"The invocation log holds calls, but of the records that were read none of version {found.after} shows what "
        "went wrong."
    )


def chance_words(chance: float) -> str:
    """A probability's upper bound as people read it; below one in a million the size says nothing more."""
    return "< 1e-6" if chance < 1e-6 else f"≤ {chance:.2g}"


def who(story: Story, *, approvals_known: bool) -> str:
    """Who published, edited and approved a version, in one sentence."""
    parts = [f"published by {story.published_by}" if story.published_by else "publisher unknown"]
    if others := [e for e in story.edited_by if e != story.published_by]:
        parts.append(f"edited by {', '.join(others)}")
    parts.append(approvals(story, known=approvals_known))
    if story.description:
        parts.append(f"described as “{one_line(story.description, 200)}”")
    return f"Version {story.version}: {'; '.join(parts)}."


def approvals(story: Story, *, known: bool) -> str:
    """Who approved; a release table that could not be read is not the same as no approval."""
    if story.approved_by:
        return f"approved by {', '.join(story.approved_by)}"
    return "no approval on record" if known else "approvals not known"


def _conversation(one: Invocation, variables: Mapping[str, str]) -> dict[str, Json]:
    where = {"at": iso(one.at), "version": one.version, "track": one.track, "caller": one.caller}
    said = {"sent": one.sent, "answer": one.answer, "stop_reason": one.stop_reason, "error": one.error or None}
    return {**where, "request_id": one.request_id, "variables": dict(variables), **said, "bad": sorted(one.bad)}


def _group(g: CallGroup) -> dict[str, Json]:
    named = {"version": g.version or None, "track": g.track or None, "caller": g.caller or None}
    return {**asdict(g), **named, "first": _time(g.first), "last": _time(g.last)}


def clock(at: float) -> str:
    """A time (UTC) to the second, as people read it."""
    return iso(at)[:19].replace("T", " ")


def _time(at: float) -> str | None:
    return iso(at) if at else None
