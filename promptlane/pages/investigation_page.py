"""The report of an investigation as one self-contained HTML file: nothing is loaded, nothing runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from promptlane.domain.findings import Happening, Investigation, Pair, Story, summary
from promptlane.domain.inquiry import CallGroup
from promptlane.domain.invocation import Invocation
from promptlane.domain.text import shortened, visible
from promptlane.domain.timeline import iso

from .markup import Child, Html, document, tag
from .rates_plot import rates_plot
from .style import STYLE

_STYLE: Final = (
    STYLE + "\nsvg.plot{width:100%;height:auto}td.wrap{white-space:pre-wrap}table.results th{white-space:nowrap}"
    "\npre{white-space:pre-wrap;overflow-wrap:anywhere;font:.85rem/1.5 ui-monospace,Consolas,monospace;margin:0}"
)
_MOST_TEXT: Final = 3_000


def investigation_page(found: Investigation) -> str:
    """The whole page. Every text that people or models wrote is escaped, and what is invisible in it is spelled out."""
    facts = found.facts
    changes = [h for h in found.timeline if h.change]
    return document(
        f"Investigation of {facts.prompt}",
        _STYLE,
        tag(
            "main",
            tag("h1", f"What happened to {facts.prompt}"),
            tag("p", f"{iso(facts.window.since)} to {iso(facts.window.until)}, read {iso(facts.now)}", class_="soft"),
            tag(
                "section",
                tag("h2", "In short"),
                *(tag("p", visible(s), class_="lead" if k == 0 else None) for k, s in enumerate(summary(found))),
                tag("p", found.remedy.says),
                tag("pre", found.remedy.command) if found.remedy.command else None,
            ),
            _causes(found),
            _plots(found, changes),
            _pairs(found.pairs),
            _diff(found),
            _stories(found.stories),
            _timeline(found.timeline),
            _calls("Calls in the invocation log", facts.calls),
            _calls("Calls outside of the split", facts.outside),
            _missing(found),
        ),
    )


def _causes(found: Investigation) -> Html | None:
    if not found.causes:
        return None
    rows = []
    for cause in found.causes:
        chance = f"{cause.contrast.chance:.2g}" if cause.contrast else "not testable"
        rows.append([visible(cause.title), " ".join(map(visible, cause.because)), chance])
    head = ("Explanation", "Evidence", "Chance at most")
    return tag("section", tag("h2", "Likely causes, most likely first"), _table(head, rows))


def _plots(found: Investigation, changes: Sequence[Happening]) -> Html | None:
    facts = found.facts
    metrics = list(dict.fromkeys([
        *(c.contrast.metric for c in found.causes if c.contrast and c.shown),
        *(a.metric for c in found.causes for a in c.also),
    ])) or ["Refusal", "Error"]  # fmt: skip
    drawn = [(metric, rates_plot(facts.cells, metric=metric, window=facts.read, changes=changes)) for metric in metrics]
    shown = [join for metric, plot in drawn if plot for join in (tag("h3", metric), plot)]
    if not shown:
        return None
    marks = [tag("li", f"{iso(c.at)} {visible(c.what)}") for c in changes if facts.read.holds(c.at)][:12]
    return tag("section", tag("h2", "Bad events over time, by version"), *shown, tag("ol", *marks) if marks else None)


def _pairs(pairs: Sequence[Pair]) -> Html | None:
    if not pairs:
        return None
    rows = []
    for pair in pairs:
        bad = [f"Version {pair.bad.version}, {iso(pair.bad.at)} ({', '.join(sorted(pair.bad.bad))})"]
        rows.append([*bad, _asked(pair.bad, pair.bad_variables), _said(pair.bad)])
        if pair.good:
            title = f"Version {pair.good.version}, {iso(pair.good.at)} (answered)"
            rows.append([title, _asked(pair.good, pair.good_variables), _said(pair.good)])
    return tag("section", tag("h2", "Conversations"), _table(("", "Asked", "Answered"), rows))


def _asked(one: Invocation, variables: Mapping[str, str]) -> str:
    return _cut("\n".join(f"{k}: {v}" for k, v in variables.items()) or one.sent)


def _said(one: Invocation) -> str:
    return _cut(one.answer or one.error or "(no text)")


def _cut(text: str) -> str:
    return visible(shortened(text, _MOST_TEXT))


def _diff(found: Investigation) -> Html | None:
    if not found.diff:
        return None
    title = f"What changed between version {found.before} and version {found.after}"
    lines = [
        tag("div", line, class_={"+": "good", "-": "bad"}.get(line[:1], "soft")) for line in found.diff
    ]  # fmt: skip
    return tag("section", tag("h2", title), tag("pre", *lines))


def _stories(stories: Sequence[Story]) -> Html | None:
    if not stories:
        return None
    rows = [
        [
            str(s.version),
            _when(s.published_at) + (f" by {s.published_by}" if s.published_by else ""),
            ", ".join(s.edited_by) or "not known",
            ", ".join(s.approved_by) or "nobody on record",
            " ".join(
                f"{word} {iso(at)}"
                for word, at in (
                    ("served from", s.first_served),
                    ("promoted", s.promoted_at),
                    ("rolled back", s.rolled_back_at),
                )
                if at
            ),
            visible(s.description),
        ]
        for s in stories
    ]
    head = ("Version", "Published", "Edited by", "Approved by", "Traffic", "Said to be")
    return tag("section", tag("h2", "Versions"), _table(head, rows))


def _timeline(timeline: Sequence[Happening]) -> Html:
    rows = [[iso(h.at), h.source, visible(h.what), visible(h.by)] for h in timeline]
    body: Child = _table(("When (UTC)", "Source", "What", "Who"), rows) if rows else tag("p", "Nothing happened.")
    return tag("section", tag("h2", "Timeline"), body)


def _calls(title: str, groups: Sequence[CallGroup]) -> Html | None:
    if not groups:
        return None
    rows = [
        [g.version or "not said", g.track or "not said", visible(g.caller), g.model, g.operation, f"{g.calls:,}",
         f"{g.errors:,}", f"{g.input_tokens:,} / {g.output_tokens:,}"]
        for g in groups[:200]
    ]  # fmt: skip
    head = ("Version", "Track", "Caller", "Model", "Operation", "Calls", "Errors", "Tokens in / out")
    return tag("section", tag("h2", title), _table(head, rows))


def _missing(found: Investigation) -> Html | None:
    if not found.missing:
        return None
    rows = [[m.source, visible(m.what), m.therefore, m.remedy] for m in found.missing]
    return tag("section", tag("h2", "What is missing"), _table(("Source", "What", "Therefore", "Remedy"), rows))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", h, scope="col") for h in head))),
        tag("tbody", *(tag("tr", *(tag("td", cell, class_="wrap") for cell in row)) for row in rows)),
        class_="results",
    )


def _when(at: float) -> str:
    return iso(at) if at else "at a time not known"
