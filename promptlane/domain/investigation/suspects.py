"""Every explanation that the facts suggest, the best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from promptlane.domain.metrics import ERROR, noun_of
from promptlane.domain.release.traffic import Giving, beginning, givings
from promptlane.domain.text import percent
from promptlane.domain.trail import TrailEvent

from .bypasses import bypasses
from .causes import (
    FREEDOM,
    Contrast,
    best_moment,
    contrast,
    rise,
    rise_within_versions,
    side_by_side,
    totals,
    version_contrast,
)
from .findings import Cause, chance_words, clock
from .sources import Cell, Gathered

_EARLY: Final = 0.1
"""Share of the counted time in which a version that was served all the while has had requests."""


def ranked(facts: Gathered) -> list[Cause]:
    """Explanations in the order of `_rank`; empty when there is nothing to explain it by."""
    return sorted([*_by_counts(facts), *bypasses(facts)], key=_rank)


def _rank(cause: Cause) -> tuple[float, ...]:
    """Shown causes by how unlikely chance is; then what no count could test; then what the counts do not support."""
    if cause.contrast is None:
        return True, False, -cause.at
    # A version that explains the rise as well as an unnamed something is the better explanation.
    handicap = FREEDOM if cause.kind == "outside" else 0.0
    return not cause.shown, True, -cause.contrast.ratio + handicap, -cause.at


def _by_counts(facts: Gathered) -> Iterator[Cause]:
    cells = [c for c in facts.cells if c.requests]
    metrics = sorted({c.metric for c in cells})
    served = sorted({c.version for c in cells})
    tried = len(metrics) * (len(served) + 1)
    given = givings(facts.entries, facts.window.until)
    versions: list[Cause] = []
    for version in served:
        if _all_the_while(facts, cells, version, given):
            continue  # whatever it is like, it is not what changed
        found = [version_contrast(cells, version, metric=m, tried=tried) for m in metrics]
        if best := _best(found):
            began = beginning(version, given, facts.read.since)
            versions.append(_version_cause(cells, began, version, best, found))
    yield from versions
    blamed = sorted(((c, cause) for cause in versions for c in _shown(cause)), key=lambda pair: pair[0].ratio)
    blame: dict[str, Cause] = {}
    for strong, cause in reversed(blamed):
        blame.setdefault(strong.metric, cause)  # the best explanation of each metric, the best of all first
    deletions = [
        _deletion(cells, event, tried)
        for event in facts.trail
        if event.name == "DeletePrompt" and not event.error and facts.window.holds(event.at)
    ]
    yield from deletions
    if cells:
        yield from _outside(cells, metrics, blame, [d.at for d in deletions if d.shown], tried)


def _all_the_while(facts: Gathered, cells: Sequence[Cell], version: int, given: Sequence[Giving]) -> bool:
    """Whether a version had requests from the beginning on, and nothing gave it more traffic since."""
    first, last = min(c.at for c in cells), max(c.at for c in cells)
    early = min(c.at for c in cells if c.version == version) <= first + _EARLY * (last - first)
    return early and not any(g.version == version and g.at >= facts.read.since for g in given)


def _best(found: Sequence[Contrast | None]) -> Contrast | None:
    return max((c for c in found if c), key=lambda c: (c.convincing, c.ratio), default=None)


def _also(found: Sequence[Contrast | None], best: Contrast) -> tuple[Contrast, ...]:
    return tuple(c for c in found if c and c is not best and c.convincing)


def _shown(cause: Cause) -> list[Contrast]:
    return [c for c in (cause.contrast, *cause.also) if c and c.convincing]


def _version_cause(
    cells: Sequence[Cell], began: Giving | None, version: int, best: Contrast, found: Sequence[Contrast | None]
) -> Cause:
    word = noun_of(best.metric)
    since = f" (served {'again ' if began.restored else ''}since {clock(began.at)} UTC)" if began else ""
    when = " in the same periods" if best.basis == "shared" else ""
    title = (
        f"Version {version} has {percent(best.exposed_rate)} {word}; the other versions had "
        f"{percent(best.other_rate)}{when}{since}."
    )
    because = tuple(_evidence(cells, version, best))
    return Cause("version", title, because, began.at if began else 0.0, version, best, _also(found, best))


def _evidence(cells: Sequence[Cell], version: int, best: Contrast) -> Iterator[str]:
    counts = f"{_of(best.exposed)} requests against {_of(best.others)}"
    explains = f"chance explains that with a probability {chance_words(best.chance)}."
    if best.basis == "shared":
        mine = [c for c in cells if c.metric == best.metric]
        pair = totals(c for c in mine if c.version == version)
        rest = totals(c for c in mine if c.version != version)
        yield f"Served side by side, in the same periods: {counts}; {explains}"
        yield f"In all of the time that was read: {_of(pair)} against {_of(rest)}."
        return
    yield f"{counts}; {explains}"
    if shared := sum(s.exposed[0] for s in side_by_side(cells, version, best.metric)):
        yield (
            f"{shared:,} requests of it were served in the same periods as another version; they alone show no "
            "difference, so a change outside of Promptlane at the same time cannot be told apart."
        )
    else:
        yield (
            "No period had requests of this version and of another one, so a change outside of Promptlane at the same "
            "time cannot be told apart."
        )
    if best.rivalled:
        yield "A rise of everything over time explains these counts as well: it is not shown that the version did it."


def _of(pair: tuple[int, float]) -> str:
    """Bad ones of all; of a mean the values' sum, as if it were whole caps."""
    return f"{pair[1]:,} of {pair[0]:,}"


def _outside(
    cells: Sequence[Cell], metrics: Sequence[str], blame: dict[str, Cause], deleted: Sequence[float], tried: int
) -> Iterator[Cause]:
    """The best moment; of metrics for which a version is blamed, only what changed within the same versions counts.

    Errors that rise in the period of a deletion that they show (`deleted`, its times) are no second explanation.
    """
    period = max(c.seconds for c in cells)
    risen = {m: (rise_within_versions if m in blame else rise)(cells, m, tried=tried) for m in metrics}
    found = {
        m: r
        for m, r in risen.items()
        if r and not (m == ERROR.name and any(abs(r[0] - at) <= period for at in deleted))
    }
    best = _best([c for _, c in found.values()])
    if best is not None and (best.convincing or not blame):
        at = found[best.metric][0]
        yield _outside_cause(cells, at, best, [c for _, c in found.values()])
    elif blame:
        metric, version = next((m, c.version) for m, c in blame.items())
        at, _ = best_moment(cells, metric)
        if less := contrast(cells, lambda c: c.at >= at, metric=metric, tried=tried):
            yield _lesser(at, replace(less, rivalled=True), version)


def _outside_cause(cells: Sequence[Cell], at: float, best: Contrast, found: Sequence[Contrast]) -> Cause:
    word = noun_of(best.metric)
    whose = "the same versions" if best.basis == "shared" else "all versions together"
    title = (
        f"Something outside of the prompt: {word} of {whose} went from {percent(best.other_rate)} to "
        f"{percent(best.exposed_rate)} at {clock(at)} UTC."
    )
    versions = sorted({c.version for c in cells if c.at >= at})
    because = (
        f"{_of(best.exposed)} requests after it against {_of(best.others)} before; chance explains that with a "
        f"probability {chance_words(best.chance)}.",
        f"After that moment version{'s' if len(versions) > 1 else ''} {', '.join(map(str, versions))} got requests. "
        "Look at the model's provider, at what the application sends, and at who sends it.",
    )
    return Cause("outside", title, because, at, 0, best, _also(found, best))


def _lesser(at: float, found: Contrast, version: int) -> Cause:
    word = noun_of(found.metric)
    title = (
        f"Something outside of the prompt explains the same rise less well: {word} of all versions together went from "
        f"{percent(found.other_rate)} to {percent(found.exposed_rate)} at {clock(at)} UTC."
    )
    because = (f"Version {version} explains that rise: within the same version, nothing rose at any one moment.",)
    return Cause("outside", title, because, at, 0, found)


def _deletion(cells: Sequence[Cell], event: TrailEvent, tried: int) -> Cause:
    """Compares whole periods after it; the one that it falls in is of both, and counts only while there is no other."""
    gone = f"version {event.version}" if event.version else "the prompt"

    def hit(cell: Cell) -> bool:
        return cell.at + cell.seconds > event.at and event.version in (0, cell.version)

    whole = [c for c in cells if not c.at < event.at < c.at + c.seconds]
    found = contrast(whole if any(map(hit, whole)) else cells, hit, metric=ERROR.name, tried=tried)
    because = (f"DeletePrompt by {event.arn or 'an unknown principal'}; calls of what is gone fail.",)
    title = f"{gone.capitalize()} was deleted at {clock(event.at)} UTC."
    return Cause("deleted", title, because, event.at, event.version, found)
