"""Every explanation that the facts suggest, the best first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .causes import CONVINCING, Contrast, best_moment, contrast, side_by_side
from .findings import WORDS, Cause, Story, percent
from .inquiry import CALL_EVENTS, Cell, Gathered, TrailEvent
from .timeline import iso


def ranked(facts: Gathered, stories: Sequence[Story]) -> list[Cause]:
    """Explanations in the order of `_rank`; empty when there is nothing to explain it by."""
    causes = [*_by_counts(facts, stories), *_bypasses(facts)]
    return sorted(causes, key=_rank)


def _rank(cause: Cause) -> tuple[int, float, float]:
    """Shown causes by how unlikely chance is; then what no count could test; then what the counts do not support."""
    if cause.contrast is None:
        return 1, 0.0, -cause.at
    return (0 if cause.shown else 2), -cause.contrast.ratio + _freedom(cause), -cause.at


def _freedom(cause: Cause) -> float:
    """A version that explains the rise as well as an unnamed something is the better explanation."""
    return 3.0 if cause.kind == "outside" else 0.0


def _by_counts(facts: Gathered, stories: Sequence[Story]) -> Iterator[Cause]:
    cells = facts.cells
    metrics = sorted({c.metric for c in cells})
    served = sorted({c.version for c in cells if c.requests})
    tried = max(1, len(metrics) * (len(served) + 1))
    by_version = {s.version: s for s in stories}
    for version in served:
        story = by_version.get(version)
        if story and 0 < story.first_served < facts.read.since:
            continue  # served all the while: whatever it is like, it is not what changed
        found = [contrast(cells, _version_is(version), metric=m, tried=tried) for m in metrics]
        if best := _best(found):
            yield _version_cause(facts, story, version, best, found)
    moments = {m: best_moment(cells, m) for m in metrics}
    found = [
        contrast(cells, _begins_at(at), metric=m, tried=tried * count) for m, (at, count) in moments.items() if count
    ]
    if best := _best(found):
        yield _outside_cause(cells, moments[best.metric][0], best, found)
    for event in facts.trail:
        if event.name == "DeletePrompt" and not event.error and facts.window.holds(event.at):
            yield _deletion(cells, event, tried)


def _version_is(version: int) -> Callable[[Cell], bool]:
    return lambda cell: cell.version == version


def _begins_at(at: float) -> Callable[[Cell], bool]:
    return lambda cell: cell.at >= at


def _best(found: Sequence[Contrast | None]) -> Contrast | None:
    return max((c for c in found if c), key=lambda c: c.ratio, default=None)


def _also(found: Sequence[Contrast | None], best: Contrast) -> tuple[Contrast, ...]:
    return tuple(c for c in found if c and c is not best and c.chance < CONVINCING)


def _version_cause(
    facts: Gathered, story: Story | None, version: int, best: Contrast, found: Sequence[Contrast | None]
) -> Cause:
    began = story.first_served if story else 0.0
    word = WORDS.get(best.metric, best.metric)
    title = (
        f"Version {version} has {percent(best.exposed_rate)} {word}; the other versions had "
        f"{percent(best.other_rate)}{f' (served since {iso(began)})' if began else ''}."
    )
    because = [
        f"{best.exposed[1]:,} of {best.exposed[0]:,} requests against {best.others[1]:,} of {best.others[0]:,}; "
        f"chance explains that with a probability of at most {best.chance:.2g}."
    ]
    mine, rest = side_by_side(facts.cells, version, best.metric)
    if mine[0] and rest[0]:
        because.append(
            f"Served side by side, in the same periods: {percent(mine[1] / mine[0])} ({mine[1]:,} of {mine[0]:,}) "
            f"against {percent(rest[1] / rest[0])} ({rest[1]:,} of {rest[0]:,})."
        )
    else:
        because.append(
            "No period had requests of this version and of another one, so a change outside of Promptlane at the "
            "same time cannot be told apart."
        )
    return Cause("version", title, tuple(because), began, version, best, _also(found, best))


def _outside_cause(cells: Sequence[Cell], at: float, best: Contrast, found: Sequence[Contrast | None]) -> Cause:
    word = WORDS.get(best.metric, best.metric)
    title = (
        f"Something outside of the prompt: {word} of all versions together went from {percent(best.other_rate)} to "
        f"{percent(best.exposed_rate)} at {iso(at)}."
    )
    versions = sorted({c.version for c in cells if c.at >= at and c.requests})
    because = (
        f"After that moment version{'s' if len(versions) > 1 else ''} {', '.join(map(str, versions))} got requests. "
        "Look at the model's provider, at what the application sends, and at who sends it.",
    )
    return Cause("outside", title, because, at, 0, best, _also(found, best))


def _deletion(cells: Sequence[Cell], event: TrailEvent, tried: int) -> Cause:
    gone = f"version {event.version}" if event.version else "the prompt"
    found = contrast(
        cells,
        lambda c: c.at + c.seconds > event.at and event.version in (0, c.version),
        metric="Error",
        tried=tried,
    )
    because = (f"DeletePrompt by {event.arn or 'an unknown principal'}; calls of what is gone fail.",)
    return Cause(
        "deleted", f"{gone.capitalize()} was deleted at {iso(event.at)}.", because, event.at, event.version, found
    )


def _bypasses(facts: Gathered) -> Iterator[Cause]:
    """Calls that no split decided on: DRAFT, versions that the route never named, models called directly."""
    known = {c.version for c in facts.cells} | {r.version for r in facts.releases}
    groups: dict[str, list[tuple[float, str]]] = {}
    for event in facts.trail:
        if event.name not in CALL_EVENTS or not facts.window.holds(event.at) or not facts.prompt_id:
            continue
        if f"prompt/{facts.prompt_id}" not in event.target:
            continue
        if not event.version:
            groups.setdefault("DRAFT", []).append((event.at, event.arn))
        elif event.version not in known:
            groups.setdefault(f"version {event.version}, which was never released", []).append((event.at, event.arn))
    for what, calls in groups.items():
        callers = ", ".join(sorted({arn for _, arn in calls if arn})) or "an unknown principal"
        yield _bypass(f"{len(calls)} call(s) used {what}.", callers, min(at for at, _ in calls))
    direct = [g for g in facts.outside if g.calls]
    if direct:
        callers = ", ".join(sorted({g.caller for g in direct if g.caller})) or "unknown principals"
        models = ", ".join(sorted({g.model for g in direct}))
        first = min((g.first for g in direct if g.first), default=facts.window.since)
        yield _bypass(
            f"{sum(g.calls for g in direct):,} call(s) of {models} name no prompt in their metadata.", callers, first
        )


def _bypass(title: str, callers: str, at: float) -> Cause:
    because = (
        f"By {callers}. Nobody's split decided on them, and no guard metric counts them: what users saw there is in "
        "the invocation log only.",
    )
    return Cause("bypass", title, because, at)
