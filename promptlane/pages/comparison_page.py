"""Several versions or models side by side, as one self-contained page: rates, latency, cost, and each case that failed.

As the report's page: no script, nothing loaded, every text from outside escaped. Narrow screens show a card a side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from promptlane.domain.text import percent

from .test_report import MARK, NOTHING, STYLE, bar, escape

Json = Any
LISTED: Final = 100
"""Cases that are shown with their answers; all are in comparison.json."""
_NAMED: Final = 12
_OPENED: Final = 3

_STYLE: Final = (
    STYLE
    + """
main{max-width:84rem}tr.pass,tr.fail,tr.inconclusive,tr.first{--v:var(--fg)}
.sides td:first-child{overflow-wrap:anywhere;min-width:13rem}
.sides thead th{white-space:normal;vertical-align:bottom}.sides .f{color:var(--c)}
.f.pass{--c:var(--pass)}.f.fail{--c:var(--fail)}.f.inconclusive{--c:var(--inconclusive)}.none{--c:var(--dim)}
.best{font-weight:700}.sides svg{width:9rem}td .dim{white-space:nowrap}
.answers{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr))}
.answers>div{min-width:0}.matrix td,.matrix th{text-align:center}
.matrix td:first-child,.matrix th:first-child{text-align:left;position:sticky;left:0;background:var(--bg);
overflow-wrap:anywhere;min-width:9rem}
.ok{color:var(--pass);font-weight:700}.no{color:var(--fail);font-weight:700}.part{color:var(--inconclusive);
font-weight:700}
@media(max-width:760px){.sides thead{position:absolute;clip-path:inset(50%)}.sides,.sides tbody,.sides tr,
.sides td{display:block}.sides tr{border:1px solid var(--line);margin:.8rem 0;padding:.3rem .7rem}
.sides td{border:0;padding:.2rem 0;text-align:left;display:flex;gap:1rem;justify-content:space-between;
align-items:center}.sides td:empty{display:none}
.sides td:first-child{display:block;padding-bottom:.4rem}.sides td[data-name]::before{content:attr(data-name);
color:var(--dim)}}
"""
)
_MEASURES: Final = (
    ("latency, median", "latency_ms_p50", "{:,.0f} ms"),
    ("95th percentile", "latency_ms_p95", "{:,.0f} ms"),
    ("output tokens", "output_tokens_mean", "{:,.0f}"),
    ("USD per 1,000", "usd_per_1000_answers", "{:,.3f}"),
)
_LEAST_IS_BEST: Final = ("latency_ms_p50", "latency_ms_p95", "usd_per_1000_answers")


def comparison_page(document: Mapping[str, Json], matrix: Sequence[Mapping[str, Json]]) -> bytes:
    """The whole page. `matrix`: every case with what became of it on each side, in the order of the sides."""
    return "".join(_page(document, matrix)).encode()


def _page(d: Mapping[str, Json], matrix: Sequence[Mapping[str, Json]]) -> Iterator[str]:
    title = f"{d['prompt']}: {len(d['sides'])} sides compared"
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
    at = datetime.fromtimestamp(d["at"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    runs = f", {d['repeats']} runs each" if d["repeats"] > 1 else ""
    yield f'<header><h1>{escape(title)}</h1><p class="dim small">{at} · {d["cases"]:,} cases{runs}</p></header>'
    yield from _sides(d)
    yield from _verdicts(d)
    yield from _failing(d, matrix)
    if d["notes"]:
        yield "<section><h2>Notes</h2><ul>" + "".join(f"<li>{escape(n)}</li>" for n in d["notes"]) + "</ul></section>"
    yield "</main></body></html>\n"


def _sides(d: Mapping[str, Json]) -> Iterator[str]:
    sides = d["sides"]
    yield '<section><h2>Quality, latency, cost</h2><table class="sides"><thead><tr><th>side</th>'
    yield '<th class="n">passed</th><th class="n">against 1</th><th></th><th>finding</th>'
    yield "".join(f'<th class="n">{name}</th>' for name, _, _ in _MEASURES) + "</tr></thead><tbody>"
    gaps = [side["difference"] for side in sides if side["difference"]]
    widest = max([abs(gap[end]) for gap in gaps for end in ("lower", "upper")], default=1.0) or 1.0
    best = {key: min((s[key] for s in sides if s[key] is not None), default=None) for key in _LEAST_IS_BEST}
    for i, side in enumerate(sides, 1):
        yield from _side(i, side, widest, best)
    yield "</tbody></table>"
    yield (
        '<p class="small dim">The bar is the interval of the difference to side 1; the marks are no difference and the '
        "margin. Bold: the fastest and the cheapest. Answers cost as if nothing were cached.</p></section>"
    )


def _side(i: int, side: Mapping[str, Json], widest: float, best: Mapping[str, float | None]) -> Iterator[str]:
    finding = side["verdict"] if side["complete"] else None
    link = f'<a href="{escape(side["report"])}">{escape(side["label"])}</a>'
    yield f'<tr class="{finding or "first"}"><td><b>{i}</b> {link}'
    missing = f" · {side['missing']} missing" if side["missing"] else ""
    model = f"{side['model']} · " if side["model"] not in side["label"] else ""
    yield f'<br><span class="dim small">{escape(model)}{side["complete"]} cases{missing}</span></td>'
    yield f'<td class="n" data-name="passed">{percent(side["pass_rate"])}</td>'
    gap = side["difference"]
    if gap:
        yield f'<td class="n" data-name="against 1">{100 * gap["estimate"]:+.1f} pt</td>'
        yield f'<td data-name="interval">{bar(gap, -widest, widest, [0.0, -side["margin"]])}</td>'
    else:
        yield '<td class="n" data-name="against 1">-</td><td></td>'
    if finding:
        yield f'<td class="f {finding}" data-name="finding">{MARK[finding]} {finding}</td>'
    else:
        yield f'<td class="f none" data-name="finding">{"first" if side["complete"] else "could not run"}</td>'
    for name, key, form in _MEASURES:
        value = side[key]
        shown = "-" if value is None else form.format(value)
        mark = " best" if value is not None and value == best.get(key) else ""
        yield f'<td class="n{mark}" data-name="{name}">{shown}</td>'
    yield "</tr>"


def _verdicts(d: Mapping[str, Json]) -> Iterator[str]:
    """What was found of each side against the first, and why one could not run."""
    told = [(i, side) for i, side in enumerate(d["sides"], 1) if side["verdict"] or side["could_not_run"]]
    yield "<section><h2>Against side 1</h2>"
    for i, side in told:
        finding = side["verdict"] if side["complete"] else None
        yield f'<div class="verdict {finding or "inconclusive"}"><p><b>{i} {escape(side["label"])}</b></p>'
        yield "".join(f"<p>Missing because of {escape(cause)}</p>" for cause in side["could_not_run"])
        if finding:
            yield f"<p>{escape(side['reasons'][0])}</p>"
        for what in ("newly_failing", "newly_passing"):
            if names := side[what]:
                rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
                yield f'<p class="small"><span class="dim">{what.replace("_", " ")} ({len(names)}):</span> '
                yield f"{escape(', '.join(names[:_NAMED]))}{rest}</p>"
        yield "</div>"
    yield "</section>"


def _failing(d: Mapping[str, Json], matrix: Sequence[Mapping[str, Json]]) -> Iterator[str]:
    """Each case that does not pass everywhere: a table of all sides, then what each side answered.

    A side that could run none says nothing of any case."""
    ran = [i for i, side in enumerate(d["sides"]) if side["complete"]]
    found = [case for case in matrix if not all(case["sides"][i]["passed"] for i in ran)]
    yield f"<section><h2>Cases that do not pass everywhere ({len(found)})</h2>"
    if not found:
        yield "<p>Every case passed on every side that could be run.</p></section>"
        return
    shown = sorted(found, key=lambda case: not case["critical"])[:LISTED]
    yield '<div class="scroll"><table class="matrix"><thead><tr><th>case</th>'
    heads = (f'<th title="{escape(side["label"])}">{i}</th>' for i, side in enumerate(d["sides"], 1))
    yield "".join(heads) + "</tr></thead><tbody>"
    for case in shown:
        yield f"<tr><td>{escape(case['case'])}{_tags(case)}</td>" + "".join(map(_cell, case["sides"])) + "</tr>"
    yield "</tbody></table></div>"
    if len(found) > len(shown):
        yield f'<p class="dim">{len(found) - len(shown)} more are in comparison.json.</p>'
    yield "</section><section><h2>What was answered</h2>"
    for i, case in enumerate(shown):
        yield from _case(d, case, opened=i < _OPENED)
    yield "</section>"


def _tags(case: Mapping[str, Json]) -> str:
    return ' <span class="tag critical">critical</span>' if case["critical"] else ""


def _cell(side: Mapping[str, Json]) -> str:
    if side["passed"] is None:
        return '<td class="dim" title="missing">?</td>'
    if side["passed"]:
        return '<td class="ok" title="passed">✓</td>'
    if side["passes"]:
        return f'<td class="part" title="passed in some runs">{side["passes"]}/{side["runs"]}</td>'
    return '<td class="no" title="failed">✗</td>'


def _case(d: Mapping[str, Json], case: Mapping[str, Json], *, opened: bool) -> Iterator[str]:
    yield f"<details{' open' if opened else ''}><summary>{escape(case['description'] or case['case'])}{_tags(case)} "
    yield f'<span class="dim small">{escape(case["case"]) if case["description"] else ""}</span></summary><div>'
    if case["vars"]:
        yield '<details><summary class="small">Input</summary><div>'
        yield "".join(f'<p class="small dim">{escape(k)}</p><pre>{escape(v)}</pre>' for k, v in case["vars"].items())
        yield "</div></details>"
    yield '<div class="answers">'
    for i, (side, found) in enumerate(zip(d["sides"], case["sides"], strict=True), 1):
        passed = "missing" if found["passes"] is None else f"passed {found['passes']}/{found['runs']}"
        yield f'<div><p class="small"><b>{i}</b> {escape(side["label"])} <span class="dim">· {passed}</span></p>'
        if found["failed"]:
            yield '<ul class="small">'
            yield "".join(f"<li><b>{escape(f['type'])}</b>: {escape(f['reason'])}</li>" for f in found["failed"])
            yield "</ul>"
        if found["passed"] is None:
            yield f'<p class="small dim">{escape(found["reason"])}</p>'
        else:
            yield f"<pre>{escape(found['output']) if found['output'].strip() else NOTHING}</pre>"
        yield "</div>"
    yield "</div></div></details>"
