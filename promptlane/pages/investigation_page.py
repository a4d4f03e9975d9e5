"""The report of an investigation as one self-contained HTML file: nothing is loaded, nothing runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from promptlane.domain.investigation.findings import (
    Happening,
    Investigation,
    Rendered,
    Story,
    clock,
    no_conversations,
    summary,
)
from promptlane.domain.investigation.invocation import Invocation
from promptlane.domain.investigation.sources import CallGroup
from promptlane.domain.metrics import GUARD_METRICS, noun_of
from promptlane.domain.text import shortened, visible

from .markup import Child, Html, document, tag
from .rates_plot import marked, rates_plot
from .style import STYLE

_STYLE: Final = (
    STYLE
    + """
svg.plot{width:100%;height:auto}td.wrap{white-space:pre-wrap}table.results th{white-space:nowrap}
table.results:not(.texts) td:first-child,table.versions td:nth-child(5),
table.timeline td:nth-child(2){white-space:pre}
div.wide{overflow-x:auto}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:.85rem/1.5 ui-monospace,Consolas,monospace;margin:0}
pre.command{font-size:1rem;font-weight:600;padding:.8rem 1rem;border:2px solid var(--link);border-radius:.5rem;
background:var(--bg);user-select:all;margin-top:.75rem;white-space:pre;overflow-x:auto}
@media (max-width:45rem){table.results thead{display:none}table.results,table.results tbody,table.results tr,
table.results td{display:block;width:100%}table.results tr{border-bottom:2px solid var(--line);padding:.4rem 0}
table.results td{border:0;padding:.1rem 0}table.results td:first-child{font-weight:600}
table.results:not(.texts) td:first-child,table.versions td:nth-child(5),
table.timeline td:nth-child(2){white-space:pre-wrap}
table.results td[data-label]:not(:first-child)::before{content:attr(data-label)": ";color:var(--soft)}
table.results td:empty{display:none}svg.plot{min-width:42rem}}
""".rstrip()
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
            tag(
                "p",
                f"{clock(facts.window.since)} to {clock(facts.window.until)} UTC, read {clock(facts.now)}",
                class_="soft",
            ),
            tag(
                "section",
                tag("h2", "In short"),
                *(tag("p", visible(s), class_="lead" if k == 0 else None) for k, s in enumerate(summary(found))),
            ),
            _remedy(found),
            _causes(found),
            _plots(found, changes),
            _pairs(found),
            _diff(found),
            _stories(found.stories, approvals_known=facts.releases_known),
            _timeline(found.timeline),
            _calls("Calls in the invocation log", facts.calls),
            _calls("Calls outside of the split", facts.outside),
            _rendered(found.rendered),
            _missing(found),
        ),
    )


def _remedy(found: Investigation) -> Html:
    command = tag("pre", found.remedy.command, class_="command") if found.remedy.command else None
    return tag("section", tag("h2", "To end it"), tag("p", visible(found.remedy.says)), command)


def _causes(found: Investigation) -> Html | None:
    rows = [[visible(c.title), "\n".join(map(visible, c.because)), c.certainty] for c in found.causes]
    return _tabled("Likely causes, most likely first", ("Explanation", "Evidence", "How sure"), rows, "texts")


def _plots(found: Investigation, changes: Sequence[Happening]) -> Html | None:
    facts = found.facts
    shown_by = [c.contrast for c in found.causes if c.contrast and c.shown]
    rises = dict.fromkeys(c.metric for c in (*shown_by, *(a for c in found.causes for a in c.also)))
    metrics = list(rises) or [m.name for m in GUARD_METRICS.values() if m.required]
    chosen = marked(changes, facts.read)
    plots = [
        (metric, rates_plot(facts.cells, metric=metric, window=facts.read, asked=facts.window, marks=chosen))
        for metric in metrics
    ]
    shown = [part for metric, plot in plots if plot for part in (tag("h3", _title(metric)), _wide(plot))]
    if not shown:
        return None
    marks = [tag("li", f"{clock(c.at)} {visible(c.what)}") for c in chosen]
    left_out = sum(facts.read.holds(c.at) for c in changes) - len(chosen)
    return tag(
        "section",
        tag("h2", "Bad events over time, by version"),
        *shown,
        tag("ol", *marks, class_="soft") if marks else None,
        tag("p", f"{left_out:,} more changes are in the timeline below.", class_="soft") if left_out else None,
    )


def _wide(plot: Html) -> Html:
    """A plot that a phone scrolls sideways rather than shrinks."""
    return tag("div", plot, class_="wide", tabindex="0", role="group", aria_label="Plot")


def _title(metric: str) -> str:
    word = noun_of(metric)
    return word[:1].upper() + word[1:]


def _pairs(found: Investigation) -> Html | None:
    if why := no_conversations(found):
        return tag("section", tag("h2", "Conversations"), tag("p", why))
    rows = []
    for pair in found.pairs:
        rows.append([_heading(pair.bad), _asked(pair.bad, pair.bad_variables), _said(pair.bad)])
        if pair.good:
            rows.append([_heading(pair.good), _asked(pair.good, pair.good_variables), _said(pair.good)])
    return _tabled("Conversations", ("", "Asked", "Answered"), rows)


def _heading(one: Invocation) -> str:
    what = ", ".join(noun_of(name) for name in sorted(one.bad)) or "went well"
    return f"Version {one.version} ({what})\n{clock(one.at)}"


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
    lines = [tag("div", line, class_={"+": "good", "-": "bad"}.get(line[:1], "soft")) for line in found.diff]
    return tag("section", tag("h2", title), tag("pre", *lines))


def _stories(stories: Sequence[Story], *, approvals_known: bool) -> Html | None:
    rows = [
        [
            str(s.version),
            _when(s.published_at) + (f"\nby {s.published_by}" if s.published_by else ""),
            "\n".join(s.edited_by) or "not known",
            ", ".join(s.approved_by) or ("nobody on record" if approvals_known else "not known"),
            "\n".join(f"{word} {clock(at)}" for word, at in s.traffic) or "none known",
            visible(s.description),
        ]
        for s in stories
    ]
    head = ("Version", "Published", "Edited by", "Approved by", "Traffic", "Said to be")
    return _tabled("Versions", head, rows, "versions")


def _timeline(timeline: Sequence[Happening]) -> Html:
    rows = [[clock(h.at), h.source, visible(h.what), visible(h.by)] for h in timeline]
    body: Child = (
        _table(("When (UTC)", "Source", "What", "Who"), rows, "timeline") if rows else tag("p", "Nothing happened.")
    )
    return tag("section", tag("h2", "Timeline"), body)


def _calls(title: str, groups: Sequence[CallGroup]) -> Html | None:
    rows = []
    for g in groups[:200]:
        named = [g.version or "not said", g.track or "not said", visible(g.caller), g.model, g.operation]
        rows.append([*named, f"{g.calls:,}", f"{g.errors:,}", f"{g.input_tokens:,} / {g.output_tokens:,}"])
    head = ("Version", "Track", "Caller", "Model", "Operation", "Calls", "Errors", "Tokens in / out")
    return _tabled(title, head, rows)


def _rendered(rendered: Sequence[Rendered]) -> Html | None:
    rows = [[r.name, visible(r.caller) or "not known", f"{r.calls:,}", clock(r.first), clock(r.last)] for r in rendered]
    head = ("Version", "Caller", "Renderings", "First (UTC)", "Last (UTC)")
    return _tabled("Who rendered which version", head, rows)


def _missing(found: Investigation) -> Html | None:
    rows = [[m.source, visible(m.what), m.therefore, m.remedy] for m in found.missing]
    return _tabled("What is missing", ("Source", "What", "Therefore", "Remedy"), rows)


def _tabled(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], name: str = "") -> Html | None:
    """A section of one table; none without rows."""
    return tag("section", tag("h2", title), _table(head, rows, name)) if rows else None


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], name: str = "") -> Html:
    """A table whose rows become cards on a phone, where each cell is named by its `data-label`."""
    body = [
        tag("tr", *(tag("td", cell, class_="wrap", data_label=h or None) for h, cell in zip(head, row, strict=True)))
        for row in rows
    ]
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", h, scope="col") for h in head))),
        tag("tbody", *body),
        class_=f"results {name}".rstrip(),
    )


def _when(at: float) -> str:
    return clock(at) if at else "at a time not known"
