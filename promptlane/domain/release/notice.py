"""What people are told of a release: which entries of a timeline, and in which words.

Telling is owed with the entry itself: whoever appends one of these entries owes its notice in the same write (see
`promptlane.lifecycle.telling`). So whatever fails in between, a notice is sent at least once. Its id is that of the
entry, so that one which came twice is seen as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptlane.domain.names import Outcome
from promptlane.domain.text import percent, traffic

from .timeline import Event, TimelineEntry, iso

Json = Any


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to everybody who subscribed to the deployment's notices. The same `id` means the same news."""

    id: str
    subject: str
    body: str


def is_told(entry: TimelineEntry) -> bool:
    """Whether people are told of this entry.

    Of whatever ends, moves or takes back a version: the first share of traffic, the promotion, the rollback, the end.
    Shares in between are in the timeline and on the event bus. Not told is an end that other news has told already: of
    what was rolled back; and a promotion whose end comes with it, since it is not watched.
    """
    if entry.event is Event.ENDED:
        return entry.detail.get("outcome") != Outcome.ROLLED_BACK
    if entry.event is Event.PROMOTED:
        return bool(entry.detail.get("watch_until"))
    if entry.event is Event.CANARY_SHIFTED:
        return bool(entry.detail.get("begins"))
    return entry.event in _WORDS


def notice_of(entry: TimelineEntry, *, prompt: str, version: int) -> Notice:
    """The notice of an entry for which one is owed. `version`: that of the release.

    An entry that lacks what its words need is told as it stands: that something happened never goes untold.
    """
    try:
        subject, lines = _WORDS[entry.event](entry, prompt, version)
    except (AttributeError, KeyError, TypeError, ValueError):
        what = [f"{key}: {value}" for key, value in entry.detail.items()]
        subject, lines = f"{prompt}: version {version}: {entry.event}", [f"{entry.event}, by {entry.by}.", "", *what]
    body = [*lines, "", f"What happened:  promptlane history {entry.release_id}", f"Notice:         {entry.id}", ""]
    return Notice(entry.id, f"[Promptlane] {subject}", "\n".join(body))


Words = tuple[str, list[str]]


def _began(entry: TimelineEntry, prompt: str, version: int) -> Words:
    detail = entry.detail
    share = traffic(int(detail["weight"]))
    return f"{prompt}: version {version} goes to {share} of users", [
        f"Prompt {prompt}: version {version} is in canary, and {share} of users get it.",
        f"Version {detail['stable']} serves the others.",
        "",
        f"How it goes:    promptlane status {prompt}",
        f"To take it back: promptlane rollback {prompt} --reason ...",
    ]


def _promoted(entry: TimelineEntry, prompt: str, version: int) -> Words:
    detail = entry.detail
    return f"{prompt}: version {version} goes to all users", [
        f"Prompt {prompt}: version {version} was promoted, and all users get it"
        + (" but for those who are held back to compare." if detail.get("previous") is not None else "."),
        f"It is watched until {iso(float(detail['watch_until']))}; version {detail.get('previous')} is at hand.",
        "",
        f"To take it back: promptlane rollback {prompt} --reason ...",
    ]


def _rolled_back(entry: TimelineEntry, prompt: str, version: int) -> Words:
    detail = entry.detail
    bad = detail.get("version", version)
    lines = [
        f"Prompt {prompt}: version {bad} was rolled back.",
        f"Version {detail['restored']} serves everybody.",
        "",
        f"Why:      {detail['reason']}",
        f"Cause:    {detail['cause']} ({entry.by})",
        f"Release:  {entry.release_id}",
        f"Phase:    {detail['phase']}",
    ]
    evidence = detail.get("evidence")
    if isinstance(evidence, Mapping):
        lines += ["", "Evidence:", *[f"  {line}" for line in _evidence(evidence)]]
    lines += ["", "Its content is quarantined: it gets no traffic again without a new, explicit, reviewed release."]
    return f"{prompt}: version {bad} rolled back", lines


def _evidence(evidence: Mapping[str, Json]) -> Iterator[str]:
    """An alarm's or a judgement's evidence in words; as it is where it is neither."""
    try:
        if "alarm" in evidence:
            yield from [f"alarm {evidence['alarm']}", f"in ALARM since {iso(float(evidence['changed_at']))}"]
            return
        rows = [
            f"{name}: {_rate(m, 'trial')} against {_rate(m, 'control')}; evidence of harm {m['harm']:.3g}"
            for name, m in evidence["metrics"].items()
        ]
        yield from [f"harm {evidence['harm']:.3g}, decides at {evidence['harm_needed']:.3g}", *rows, *evidence["notes"]]
    except (AttributeError, KeyError, TypeError, ValueError):
        yield from [f"{key}: {value}" for key, value in evidence.items()]


def _rate(metric: Mapping[str, Json], arm: str) -> str:
    n, bad = metric[arm]
    if "cap" in metric:
        return f"{bad / n * metric['cap']:.3g} {metric['unit']} on average of {n:,} answers" if n else "no answer"
    return f"{bad:,} of {n:,} ({percent(bad / n)})" if n else "no request"


def _impossible(entry: TimelineEntry, prompt: str, version: int) -> Words:
    return f"{prompt}: rollback impossible", [
        f"A rollback of {prompt} was asked for, and there is nothing to go back to.",
        "",
        str(entry.detail["reason"]),
        "",
        f"Name a version that was promoted before (`promptlane history {prompt}` lists them):",
        f"  promptlane rollback {prompt} --to VERSION --reason ...",
        "or publish one that is known to be good and release it.",
    ]


def _restored(entry: TimelineEntry, prompt: str, version: int) -> Words:
    detail = entry.detail
    canary = f", version {detail['canary']} {traffic(int(detail['weight']))} of users" if detail["canary"] else ""
    return f"{prompt}: its route was restored", [
        f"The route of {prompt} has revision {detail['revision']}, and {detail['written']} was written before: its",
        "table was restored, or somebody put an older item there.",
        "",
        f"Users get version {detail['stable']} now{canary}. What was promoted in between is undone; what was rolled",
        "back gets no traffic and stays barred from new releases.",
        *_of_restored(entry, prompt),
        "",
        f"What they get:  promptlane status {prompt}",
    ]


def _of_restored(entry: TimelineEntry, prompt: str) -> list[str]:
    stable = entry.detail["stable"]
    if entry.detail.get("still_bad"):
        return [
            "",
            f"BUT version {stable} itself was rolled back in between, and no other version is known. Publish one that",
            f"is known to be good and release it, or name one: promptlane rollback {prompt} --to VERSION --reason ...",
        ]
    gone = " and ".join(map(str, entry.detail.get("taken_back", ())))
    return ["", f"Taken off the restored route: version {gone}, rolled back since."] if gone else []


def _asked(entry: TimelineEntry, prompt: str, version: int) -> Words:
    return f"{prompt}: version {version} needs your decision", [
        str(entry.detail["reason"]),
        "",
        "Decide with one of",
        f"  promptlane advance {entry.release_id} --reason ...",
        f"  promptlane rollback {prompt} --reason ...",
    ]


def _ended(entry: TimelineEntry, prompt: str, version: int) -> Words:
    outcome = str(entry.detail["outcome"])
    return f"{prompt}: version {version} {outcome}", [
        f"Release {entry.release_id} of prompt {prompt}, version {version}: {outcome}.",
        "",
        str(entry.detail.get("reason") or "It went its whole way."),
    ]


_WORDS: Final[Mapping[Event, Callable[[TimelineEntry, str, int], Words]]] = {
    Event.CANARY_SHIFTED: _began,
    Event.PROMOTED: _promoted,
    Event.ROLLED_BACK: _rolled_back,
    Event.ROLLBACK_IMPOSSIBLE: _impossible,
    Event.ROUTE_RESTORED: _restored,
    Event.DECISION_NEEDED: _asked,
    Event.ENDED: _ended,
}
