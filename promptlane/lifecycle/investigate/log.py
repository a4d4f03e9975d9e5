"""What the invocation log tells of a prompt: who called which version, and conversations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from promptlane.domain.investigation.examples import with_conversations
from promptlane.domain.investigation.findings import Investigation
from promptlane.domain.investigation.observed import logging_changes, logging_gaps
from promptlane.domain.investigation.queries import MOST_ROWS
from promptlane.domain.investigation.sources import Gathered, LoggingState, Sampled
from promptlane.domain.metrics import logged, noun_of
from promptlane.domain.release.timeline import iso

from .sources import Asking, Sources

_LOG: Final = "invocation log"
_BLIND: Final = (
    "what was sent and answered cannot be known, and calls past the split only as far as CloudTrail names the prompt "
    "or its model"
)

Conclude = Callable[[Gathered], Investigation]


def with_log(sources: Sources, facts: Gathered, models: list[str], asking: Asking, conclude: Conclude) -> Investigation:
    """Conclude from the facts and the log's counts, and show conversations of what was concluded."""
    state = asking.ask(_LOG, _BLIND, sources.log.state)
    if state is not None:
        _say_when_it_was_off(state, facts, asking)
    if state is None or not _usable(state, asking):
        return conclude(facts)
    calls = asking.ask(
        _LOG, "calls by version and caller are not known", lambda: sources.log.calls(facts.prompt, facts.window)
    )
    outside = asking.ask(
        _LOG,
        "calls that name no prompt are not known",
        lambda: sources.log.outside(models, facts.prompt_id, facts.window),
    )
    for groups in (calls, outside):
        if groups and len(groups) >= MOST_ROWS:
            asking.lacks(
                _LOG,
                f"it has more than {MOST_ROWS:,} kinds of calls (version, caller, model)",
                "those with the fewest calls were left out",
                "choose a shorter time",
            )
    if calls == []:
        asking.lacks(
            _LOG,
            "it holds no call of this prompt in this time",
            "conversations cannot be shown",
            "was logging on then? did callers use the client library?",
        )
    if outside:
        asking.lacks(
            _LOG,
            f"{sum(g.calls for g in outside):,} record(s) have no requestMetadata of the client",
            "to which prompt, version and release they belong is not known",
            "call models through promptlane.client or the gateway",
        )
    found = conclude(replace(facts, calls=tuple(calls or ()), outside=tuple(outside or ())))
    if calls == [] or not found.after:
        return found
    return _with_examples(sources, found, asking)


def _usable(state: LoggingState, asking: Asking) -> bool:
    if not state.group and state.on:
        asking.lacks(
            _LOG,
            f"calls are logged to s3://{state.bucket} only, by somebody else's configuration",
            _BLIND,
            "query the bucket (Athena), or add a log group to that configuration",
        )
    elif not state.text:
        asking.lacks(
            _LOG,
            "texts are not logged (textDataDeliveryEnabled is false)",
            "what was sent and answered cannot be shown",
            "switch text delivery on",
        )
    return bool(state.group)


def _say_when_it_was_off(state: LoggingState, facts: Gathered, asking: Asking) -> None:
    """Whether it is off now, and when it was off or may have been within the window."""
    gaps = logging_gaps(facts.trail, facts.window)
    if not state.on:
        since = next((f", {dark}" for dark in gaps if not dark.until), "")
        asking.lacks(
            _LOG,
            f"model invocation logging is off{since}",
            f"of that time, {_BLIND}" if since and state.group else _BLIND,
            "deploy the Audit stack with promptlane:invocation_logging=on; it logs from then on, never backwards",
        )
    for dark in gaps:
        if dark.until or state.on:
            again = "" if dark.until else "; it is on again, since when is not known"
            asking.lacks(_LOG, f"model invocation logging was off {dark}{again}", f"of that time, {_BLIND}")
    for event in logging_changes(facts.trail, facts.window):
        asking.lacks(
            _LOG,
            f"model invocation logging was set up or changed at {iso(event.at)} by {event.arn or 'somebody unknown'}",
            "whether earlier calls of this time were logged, and where to, is not known",
        )


def _with_examples(sources: Sources, found: Investigation, asking: Asking) -> Investigation:
    """Bad answers of the version after, good ones of the version before; from the read window, which begins earlier."""
    facts = found.facts

    def sample(version: int, *, suspicious: bool = False) -> Sampled:
        sampled = asking.ask(
            _LOG,
            f"conversations of version {version} cannot be shown",
            lambda: sources.log.sample(facts.prompt, version, facts.read, suspicious=suspicious),
        )
        return sampled or Sampled(())

    after, before = sample(found.after), sample(found.before) if found.before else Sampled(())
    metric = _metric(found)
    if logged(metric) and after.invocations and not _shows(after, metric):
        after = _looked_closer(after, sample(found.after, suspicious=True), found.after, metric, asking)
    for version, sampled in ((found.after, after), (found.before, before)):
        if sampled.unreadable:
            asking.lacks(
                _LOG,
                f"{sampled.unreadable} record(s) of version {version} are cut short",
                "they were left out of the examples",
            )
        if sampled.offloaded_lost:
            asking.lacks(
                _LOG,
                f"{sampled.offloaded_lost} large bodies of version {version} could not be read from S3",
                "those conversations have no text",
                "ask for read access to the bucket",
            )
    again = replace(found, missing=tuple(dict.fromkeys([*found.missing, *asking.missing])))
    return with_conversations(again, after.invocations, before.invocations)


def _metric(found: Investigation) -> str:
    """What the shown cause is about; empty without one."""
    cause = found.subject or found.leading
    return cause.contrast.metric if cause and cause.contrast else ""


def _shows(sampled: Sampled, metric: str) -> bool:
    return any(metric in i.bad for i in sampled.invocations)


def _looked_closer(newest: Sampled, suspicious: Sampled, version: int, metric: str, asking: Asking) -> Sampled:
    """The suspicious records where they show the metric; bad answers may be too rare for the newest to hold one."""
    if _shows(suspicious, metric):
        return suspicious
    read = len({i.request_id for i in (*newest.invocations, *suspicious.invocations)})
    asking.lacks(
        _LOG,
        f"none among the newest {read:,} records of version {version} shows {noun_of(metric)}",
        "no conversation can show what went wrong",
        "choose a shorter time, around the rise",
    )
    return newest
