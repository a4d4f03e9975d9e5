"""What CloudTrail tells of a prompt, from its event history and from our own trail's log files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from promptlane.domain.investigation.observed import Dark, trail_gaps
from promptlane.domain.investigation.sources import Gathered
from promptlane.domain.release.timeline import iso
from promptlane.domain.trail import (
    CALL_EVENTS,
    CONTROL_EVENTS,
    CREATE,
    OBSERVATION_EVENTS,
    RENDER_EVENTS,
    TRAIL_KEPT,
    TRAIL_LATE,
    TrailAnswer,
    TrailEvent,
    Window,
    is_creation_of,
)

from .sources import Asking, Sources

_MOST_CALLS: Final = 200
"""Of each kind of call: LookupEvents gives 100 events a second."""
_HISTORY: Final = "CloudTrail"
_FILES: Final = "CloudTrail log files"
_UNKNOWN: Final = {
    ("CreatePrompt", "UpdatePrompt"): "who edited the prompt, and when, is not fully known",
    ("CreatePromptVersion",): "who published is not fully known",
    ("DeletePrompt",): "whether something was deleted, and by whom, is not fully known",
    OBSERVATION_EVENTS: "whether logging was on, and a trail running, all the time is not fully known",
    CALL_EVENTS: "calls outside of the split may be missing",
    RENDER_EVENTS: "renderings past the client may be missing",
}


def trail_events(
    sources: Sources, facts: Gathered, changes: Window, models: Sequence[str], asking: Asking
) -> tuple[TrailEvent, ...]:
    """Calls and renderings of the window, changes of the prompt and of what is logged in `changes`; oldest first."""
    prompt_id, name, window, now = facts.prompt_id, facts.prompt, facts.window, facts.now
    recorded, known_since = _recorded(sources, prompt_id, window, asking)
    _say_what_time_hides(window, now, min(now - TRAIL_KEPT, known_since), asking)
    trail = sources.trail
    changed = asking.ask(
        _HISTORY,
        "who created, edited, published or deleted is not known",
        lambda: trail.events(prompt_id, name, names=CONTROL_EVENTS, window=changes),
    )
    # Whether something was off in the window may have been decided long before it.
    long_ago = Window(min(now - TRAIL_KEPT, window.since), window.until)
    observed = asking.ask(
        _HISTORY,
        "whether logging was on, and a trail running, all the time is not known",
        lambda: trail.events(prompt_id, name, names=OBSERVATION_EVENTS, window=long_ago),
    )
    called = asking.ask(
        _HISTORY,
        "calls outside of the split are not known from CloudTrail",
        lambda: trail.events(prompt_id, name, names=CALL_EVENTS, window=window, most=_MOST_CALLS, models=models),
    )
    kept = _archived(sources, prompt_id, window, models, asking)
    stood_still = trail_gaps(observed.events if observed else (), window)
    whole = _holds_every_call(kept) and not stood_still
    for answer in (changed, observed, called):
        if answer:
            _say_what_is_missing(answer, whole, asking)
    _say_whether_trails_log(sources, stood_still, asking)
    if kept and kept.files and called and not _rendered(kept) and _used(called, prompt_id, now - TRAIL_LATE):
        asking.lacks(
            _FILES,
            "they hold no rendering of this prompt, although calls of it are known",
            "renderings are not recorded: `promptlane:render_events` was off, or the trail stood still",
            "deploy the Audit stack with promptlane:render_events=true",
        )
    answers = [a for a in (changed, observed, called, kept) if a]
    told = list(chain((e for a in answers for e in a.events), recorded))
    return tuple(sorted(_once(iter(_own(sources, prompt_id, told, asking))), key=lambda e: e.at))


def _own(sources: Sources, prompt_id: str, told: list[TrailEvent], asking: Asking) -> list[TrailEvent]:
    """Without creations of other prompts that had the name."""
    if not prompt_id or not any(e.name == CREATE and prompt_id not in e.target for e in told):
        return told
    therefore = "a prompt that had the same name before may be taken for it"
    created = asking.ask("Bedrock", therefore, lambda: sources.prompts.created_at(prompt_id))
    return told if created is None else [e for e in told if is_creation_of(e, prompt_id, created)]


def _recorded(sources: Sources, prompt_id: str, window: Window, asking: Asking) -> tuple[tuple[TrailEvent, ...], float]:
    """Edits and publications that were recorded when they were told, and from when on none of them is missing."""
    edits = sources.edits
    if edits is None or not prompt_id:
        return (), math.inf
    therefore = "who edited and published, and when, is known as far as CloudTrail's history reaches"
    found = asking.ask(
        "release table", therefore, lambda: (edits.edits(prompt_id, 0, window.until), edits.watched(prompt_id))
    )
    if found is None:
        return (), math.inf
    recorded, watched = found
    return tuple(e.event for e in recorded), watched.since if watched else math.inf


def _archived(
    sources: Sources, prompt_id: str, window: Window, models: Sequence[str], asking: Asking
) -> TrailAnswer | None:
    """What the log files hold; None, and a gap that says so, where they cannot be read or there are none."""
    archive = sources.archive
    if archive is None:
        asking.lacks(
            _FILES,
            "renderings are not recorded: this deployment has no trail of its own",
            "who rendered which version is known only as far as the event history shows calls",
            "deploy the Audit stack with promptlane:render_events=true; it records from then on",
        )
        return None
    if not prompt_id:
        return None
    therefore = "renderings of versions, and calls beyond those of the event history, are not known"
    kept = asking.ask(_FILES, therefore, lambda: archive.events(prompt_id, window, models=models))
    if kept is None:
        return None
    if kept.truncated:
        asking.lacks(
            _FILES,
            f"there are more than were read; nothing is left out since {iso(kept.complete_since)}",
            "earlier renderings and calls are known as far as the event history shows calls",
            "choose a shorter time, or query the audit bucket (Athena)",
        )
    if kept.lost:
        asking.lacks(_FILES, f"{kept.lost:,} of {kept.files:,} could not be read", "their events are missing")
    if kept.unreadable:
        asking.lacks(_FILES, f"{kept.unreadable:,} record(s) could not be read", "they were left out")
    return kept


def _holds_every_call(kept: TrailAnswer | None) -> bool:
    """Whether the log files hold every call of the window: our trail may be for renderings alone."""
    return kept is not None and not kept.truncated and not kept.lost and any(e.name in CALL_EVENTS for e in kept.events)


def _say_what_time_hides(window: Window, now: float, known_since: float, asking: Asking) -> None:
    if window.since < known_since:
        asking.lacks(
            _HISTORY,
            "part of the time is older than 90 days",
            "who edited and published then is not known",
            "query the trail's log files in the audit bucket (Athena)",
        )
    if window.until > now - TRAIL_LATE:
        asking.lacks(
            _HISTORY,
            "events of the last 15 minutes may not have arrived",
            "the newest calls may be missing",
            "run this again later",
        )


def _say_what_is_missing(answer: TrailAnswer, whole: bool, asking: Asking) -> None:
    """Which events are missing and what follows; `whole`: the log files make up for calls that were cut off."""
    for names, therefore in _UNKNOWN.items():
        if failed := [n for n in answer.failed if n in names]:
            what = f"{', '.join(failed)} events could not be read: {answer.failure}"
            asking.lacks(_HISTORY, what, therefore, "run this again")
        if cut := [n for n in answer.truncated if n in names and not (whole and n in CALL_EVENTS)]:
            what = f"there were more {', '.join(cut)} events than were read (the newest)"
            asking.lacks(_HISTORY, what, therefore, "choose a shorter time")
    if answer.unreadable:
        asking.lacks(
            _HISTORY,
            f"{answer.unreadable:,} event(s) could not be read, or are masked and do not say what they are about",
            "they were left out; some may be about this prompt",
            "look at them in the CloudTrail console",
        )


def _say_whether_trails_log(sources: Sources, stood_still: Mapping[str, Sequence[Dark]], asking: Asking) -> None:
    logging = asking.ask(_HISTORY, "whether a trail is logging is not known", sources.trail.logging)
    if logging == []:
        asking.lacks(
            _HISTORY,
            "no trail is logging in this Region",
            "events come from the 90-day event history only, nothing is kept, and published versions are noticed "
            "by `reconcile` alone",
            "deploy the Audit stack, or start the account's trail",
        )
    for name, gaps in stood_still.items():
        for dark in gaps:
            asking.lacks(
                _HISTORY,
                f"trail {name} did not log {dark}",
                "what it alone records is missing for that time: renderings, and a copy beyond 90 days",
                "" if dark.until else "start it again",
            )


def _rendered(kept: TrailAnswer) -> bool:
    return any(e.name in RENDER_EVENTS for e in kept.events)


def _used(called: TrailAnswer, prompt_id: str, before: float) -> bool:
    """Whether a call of the prompt is known that is old enough for its rendering to have arrived."""
    return any(f"prompt/{prompt_id}" in e.target and e.at < before and not e.error for e in called.events)


def _once(events: Iterator[TrailEvent]) -> Iterator[TrailEvent]:
    """Every event once, though both the history and the files may hold it."""
    seen: set[str] = set()
    for event in events:
        if not event.event_id or event.event_id not in seen:
            seen.add(event.event_id)
            yield event
