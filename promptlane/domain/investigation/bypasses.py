"""Calls that no split decided on: of DRAFT, of versions that the route does not give, of models directly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from promptlane.domain.names import Outcome
from promptlane.domain.release.traffic import Giving, givings, track_of
from promptlane.domain.trail import CALL_EVENTS, RENDER_EVENTS, TrailEvent

from .findings import Cause, Rendered
from .sources import Gathered

_GRACE: Final = 60.0
"""Seconds after a change of the route in which calls of the version before are on their way still."""


def bypasses(facts: Gathered) -> Iterator[Cause]:
    """One cause for each kind of call past the split; empty where every call was decided on."""
    yield from _of_the_prompt(facts)
    yield from _logged(facts)
    yield from _direct(facts)


def rendered(facts: Gathered) -> Iterator[Rendered]:
    """Who rendered which version within the window, the newest version first and DRAFT before all."""
    groups: dict[tuple[int, str], list[float]] = {}
    for event in facts.trail:
        if event.error or not facts.window.holds(event.at):
            continue
        if event.name in RENDER_EVENTS and _names(event, facts.prompt_id):
            groups.setdefault((event.version, event.arn), []).append(event.at)
    for (version, caller), times in sorted(groups.items(), key=lambda g: (g[0][0] > 0, -g[0][0], -len(g[1]))):
        yield Rendered(version, caller, len(times), min(times), max(times))


def _names(event: TrailEvent, prompt_id: str) -> bool:
    return bool(prompt_id) and (f"prompt/{prompt_id}" in event.target or event.target == prompt_id)


def _of_the_prompt(facts: Gathered) -> Iterator[Cause]:
    given = givings(facts.entries, facts.window.until)
    groups: dict[tuple[str, str], list[TrailEvent]] = {}
    for event in facts.trail:
        if (
            event.name in (*CALL_EVENTS, *RENDER_EVENTS)
            and facts.window.holds(event.at)
            and _names(event, facts.prompt_id)
        ):
            what = _past_the_split(facts, event, given)
            if what:
                groups.setdefault((what, event.error), []).append(event)
    for (what, error), events in groups.items():
        # One call may appear as the call and as the rendering of its prompt: the larger number is of the same calls.
        renders = sum(e.name in RENDER_EVENTS for e in events)
        count = max(renders, len(events) - renders)
        callers, first = _callers(e.arn for e in events), min(e.at for e in events)
        if error:
            yield _in_vain(f"{count:,} call(s) of {what} failed with {error}.", callers, first)
        else:
            yield _bypass(f"{count:,} call(s) used {what}.", callers, first)


def _past_the_split(facts: Gathered, event: TrailEvent, given: Iterable[Giving]) -> str | None:
    """What is odd about the version of a call; None when nothing is."""
    version = event.version
    if not version:
        return "DRAFT"
    if _on_trial(facts, version, event.at):
        return None
    if not _had_traffic(facts, version, given):
        if any(r.version == version for r in facts.releases):
            return f"version {version}, which was released but never given traffic"
        return f"version {version}, which was never released"
    route = facts.route
    if route is not None and track_of(route, version) is None and event.at > route.phase_since + _GRACE:
        return f"version {version}, which gets no traffic any more"
    return None


def _on_trial(facts: Gathered, version: int, at: float) -> bool:
    """Whether a release of the version was open at that time: its tests call it, and reviewers may."""
    mine = [r for r in facts.releases if r.version == version]
    return any(r.started_at <= at and (not r.ended or at <= r.ended_at + _GRACE) for r in mine)


def _had_traffic(facts: Gathered, version: int, given: Iterable[Giving]) -> bool:
    counted = any(c.version == version and c.requests for c in facts.cells)
    named = facts.route is not None and version in {ref.version for ref in facts.route.named}
    served = any(g.version == version or g.before == version for g in given)
    ended_so = (Outcome.PROMOTED, Outcome.ROLLED_BACK)
    return counted or named or served or any(r.version == version and r.outcome in ended_so for r in facts.releases)


def _logged(facts: Gathered) -> Iterator[Cause]:
    """Calls in the invocation log whose record names no prompt."""
    groups = [g for g in facts.outside if g.calls]
    if groups:
        models = ", ".join(sorted({g.model for g in groups}))
        first = min((g.first for g in groups if g.first), default=facts.window.since)
        count = sum(g.calls for g in groups)
        title = f"{count:,} call(s) of {models} name no prompt in their metadata."
        yield _bypass(title, _callers(g.caller for g in groups), first)


def _direct(facts: Gathered) -> Iterator[Cause]:
    """Calls of models themselves that CloudTrail tells of and the invocation log does not."""
    told = {(_model(g.model), g.caller) for g in (*facts.calls, *facts.outside)}
    calls = (e for e in facts.trail if e.name in CALL_EVENTS and facts.window.holds(e.at) and not e.error)
    direct = (e for e in calls if e.target and "prompt/" not in e.target)
    events = [e for e in direct if (_model(e.target), e.arn) not in told]
    counted = Counter(_model(e.target) for e in events)
    for model, count in counted.most_common():
        mine = [e for e in events if _model(e.target) == model]
        yield _bypass(
            f"{count:,} call(s) of {model} went to the model directly.",
            _callers(e.arn for e in mine),
            min(e.at for e in mine),
            "CloudTrail tells of the calls only: for which prompt they were is not known, and tests that ran in this "
            "time are among them.",
        )


def _model(name: str) -> str:
    """The model's id, of an id or an ARN."""
    return name.rpartition("/")[2]


def _callers(arns: Iterable[str]) -> str:
    return ", ".join(sorted({arn for arn in arns if arn})) or "an unknown principal"


def _in_vain(title: str, callers: str, at: float) -> Cause:
    because = f"By {callers}. They got no answer; nobody's split decided on them, and no guard metric counts them."
    return Cause("bypass", title, (because,), at)


def _bypass(title: str, callers: str, at: float, *more: str) -> Cause:
    because = (
        f"By {callers}. Nobody's split decided on them, and no guard metric counts them: what users saw there is in "
        "the invocation log only.",
        *more,
    )
    return Cause("bypass", title, because, at)
