"""The report as one self-contained page: no script, nothing loaded, every text from outside escaped."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from promptlane.domain.release.diff import word_diff
from promptlane.domain.text import percent, visible

Json = Any
_MAX_WORDS: Final = 1_800
_LISTED: Final = 100
NOTHING: Final = '<span class="dim">(answered nothing)</span>'
_SAYS: Final = {"pass": "Pass", "fail": "Fail", "inconclusive": "Inconclusive"}
MARK: Final = {"pass": "✓", "fail": "✗", "inconclusive": "?"}

STYLE: Final = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#5b6470;--line:#d9dee4;--soft:#f5f7f9;--pass:#12703f;
--fail:#b3261e;--inconclusive:#8a5a00;--del:#ffdcd7;--add:#cdf3d8}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e6e9ec;--dim:#9aa4af;--line:#343b43;--soft:#1c2126;
--pass:#5fd08d;--fail:#ff8a80;--inconclusive:#f0b64d;--del:#5c2320;--add:#1d4a2c}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
main{max-width:70rem;margin:0 auto;padding:1.5rem 1rem 4rem}h1{font-size:1.35rem;margin:0 0 .25rem}
h2{font-size:1.1rem;margin:2.2rem 0 .6rem}.dim{color:var(--dim)}.small{font-size:.875rem}
.verdict{border:1px solid var(--line);border-left:.5rem solid var(--v);padding:1rem;margin:1rem 0;
background:var(--soft)}
.verdict strong{color:var(--v);font-size:1.5rem;display:block}.verdict p{margin:.4rem 0}
.pass{--v:var(--pass)}.fail{--v:var(--fail)}.inconclusive{--v:var(--inconclusive)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}.f{color:var(--v);font-weight:600;white-space:nowrap}
details{border:1px solid var(--line);margin:.6rem 0}summary{padding:.55rem .8rem;cursor:pointer;overflow-wrap:anywhere}
summary:focus-visible{outline:3px solid #3b82f6}details>div{padding:0 .8rem .8rem}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:.8rem}@media(max-width:640px){.pair{grid-template-columns:1fr}}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--soft);padding:.6rem;margin:.2rem 0;font:.85rem/1.5
ui-monospace,monospace}del{background:var(--del);text-decoration:none}ins{background:var(--add);text-decoration:none}
.tag{border:1px solid var(--line);border-radius:1rem;padding:0 .5rem;font-size:.8rem;white-space:nowrap}
.tag.critical{border-color:var(--fail);color:var(--fail)}svg{display:block;width:14rem;height:1.5rem}
ul{padding-left:1.2rem;margin:.4rem 0}li{overflow-wrap:anywhere}
"""


def escape(text: str) -> str:
    """Text from outside as HTML, with what is invisible in it spelled out."""
    return html.escape(visible(text))


def page(report: Mapping[str, Json]) -> bytes:
    """The whole page."""
    return "".join(_page(report)).encode()


def _page(r: Mapping[str, Json]) -> Iterator[str]:
    title = f"{r['prompt']}: {r['candidate']}" + (f" against {r['stable']}" if r["stable"] else ", first version")
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{escape(_SAYS[r['verdict']])}: {escape(title)}</title><style>{STYLE}</style></head><body><main>"
    yield from _verdict(r, title)
    yield from _cases(r, "newly failing", "Failing" if r["absolute"] else "Newly failing", opened=3)
    yield from _cases(r, "newly passing", "Newly passing")
    yield from _cases(r, "flaky", "Flaky: not the same in every run")
    yield from _slices(r)
    yield from _all_of_k(r)
    yield from _measures(r)
    yield from _limits(r)
    yield from _cases(r, "failing in both", "Failing in both, as before")
    yield from _missing(r)
    yield from _colophon(r)
    yield "</main></body></html>\n"


def _verdict(r: Mapping[str, Json], title: str) -> Iterator[str]:
    finding = r["verdict"]
    yield f"<header><h1>{escape(title)}</h1>"
    at = datetime.fromtimestamp(r["at"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    release = f"release {r['release_id']}, round {r['round']}, " if r["release_id"] else ""
    yield f'<p class="dim small">{escape(release)}{at}</p></header>'
    yield f'<section class="verdict {finding}"><strong>{MARK[finding]} {_SAYS[finding]}</strong>'
    for reason in r["reasons"][:6]:
        yield f"<p>{escape(reason)}</p>"
    if finding == "inconclusive":
        what = "it was put to the reviewers" if r["proceed"] else "it blocks the release"
        yield f'<p class="dim">Inconclusive is not a pass: by the policy, {what}.</p>'
    c = r["counts"]
    yield (
        f'<p class="dim small">{c["newly failing"]} newly failing, {c["newly passing"]} newly passing, '
        f"{c['flaky']} flaky, {c['failing in both']} failing in both, {c['missing']} missing, "
        f"{c['passing']} passing</p></section>"
    )


def _cases(r: Mapping[str, Json], change: str, heading: str, *, opened: int = 0) -> Iterator[str]:
    found = r["shown"].get(change, [])
    count = r["counts"][change]
    if not count:
        return
    yield f"<section><h2>{escape(heading)} ({count})</h2>"
    for i, detail in enumerate(found[:_LISTED]):
        yield from _case(r, detail, opened=i < opened)
    if count > len(found[:_LISTED]):
        yield f'<p class="dim">{count - len(found[:_LISTED])} more are in report.json.</p>'
    yield "</section>"


def _case(r: Mapping[str, Json], d: Mapping[str, Json], *, opened: bool) -> Iterator[str]:
    stable, candidate = d.get("stable"), d["candidate"]
    yield f"<details{' open' if opened else ''}><summary>{escape(d['description'] or d['case'])} "
    if d["critical"]:
        yield '<span class="tag critical">critical</span> '
    yield "".join(f'<span class="tag">{escape(t)}</span> ' for t in d["tags"])
    before = f"{_passes(stable)} → " if stable else ""
    least = f", at least {d['at_least']} must" if d.get("at_least") else ""
    passed = f"passed {before}{_passes(candidate)}{least}"
    called = f"{escape(d['case'])} · " if d["description"] else ""
    yield f'<span class="dim small">{called}{passed}</span></summary><div>'
    if candidate.get("failed"):
        yield "<ul>" + "".join(
            f"<li><b>{escape(f['type'])}</b>: {escape(f['reason'])}</li>" for f in candidate["failed"]
        )
        yield "</ul>"
    if d["vars"]:
        yield '<details><summary class="small">Input</summary><div>'
        yield "".join(f'<p class="small dim">{escape(k)}</p><pre>{escape(v)}</pre>' for k, v in d["vars"].items())
        yield "</div></details>"
    if d.get("messages"):
        yield '<details><summary class="small">Said before</summary><div>'
        yield "".join(
            f'<p class="small dim">{escape(m["role"])}</p><pre>{escape(m["text"])}</pre>' for m in d["messages"]
        )
        yield "</div></details>"
    if candidate.get("turns") or (stable or {}).get("turns"):
        yield from _turns(r, stable or {}, candidate)
    else:
        yield from _outputs(r, stable, (stable or {}).get("output"), candidate.get("output"))
    long = [n for n in ((stable or {}).get("output_chars") or 0, candidate.get("output_chars") or 0) if n > 4_000]
    if long:
        yield f'<p class="small dim">Cut: the output has {max(long):,} characters.</p>'
    yield "</div></details>"


def _turns(r: Mapping[str, Json], stable: Mapping[str, Json], candidate: Mapping[str, Json]) -> Iterator[str]:
    """A conversation turn by turn; where one side went on no further, the other stands alone."""
    old, new = stable.get("turns", []), candidate.get("turns", [])
    for i in range(max(len(old), len(new))):
        sides = [turns[i] if i < len(turns) else None for turns in (old, new)]
        asked = next(turn["asked"] for turn in sides if turn)
        yield f'<p class="small"><b>Turn {i + 1}</b></p>'
        if asked:
            yield f'<p class="small dim">user</p><pre>{escape(asked)}</pre>'
        if stable and not all(sides):
            went_on, turn = ("stable", sides[0]) if sides[0] else ("candidate", sides[1])
            other = "candidate" if sides[0] else "stable"
            yield f'<p class="small dim">{escape(r[went_on])} ({other}: not asked)</p>'
            yield f"<pre>{escape(turn['output'] if turn else '')}</pre>"
            continue
        texts = [turn["output"] if turn else None for turn in sides]
        yield from _outputs(r, stable or None, texts[0], texts[1])


def _outputs(r: Mapping[str, Json], stable: object, old: str | None, new: str | None) -> Iterator[str]:
    """What both sides answered, beside each other, or the candidate alone."""
    if stable and old is not None and new is not None:
        left, right = (
            m if said.strip() else NOTHING for m, said in zip(highlighted(old, new), (old, new), strict=True)
        )
        yield f'<div class="pair"><div><p class="small dim">{escape(r["stable"] or "")} (stable)</p><pre>{left}</pre>'
        yield f'</div><div><p class="small dim">{escape(r["candidate"])} (candidate)</p><pre>{right}</pre></div></div>'
    elif new is not None:
        yield f'<p class="small dim">{escape(r["candidate"])}</p><pre>{escape(new) if new.strip() else NOTHING}</pre>'


def _passes(side: Mapping[str, Json] | None) -> str:
    if not side or side.get("passes") is None:
        return "?"
    return f"{side['passes']}/{side['runs']}"


def highlighted(old: str, new: str) -> tuple[str, str]:
    """Both texts as HTML, with what was removed and what was added marked by words."""
    left, right = word_diff(old, new, most=_MAX_WORDS, alike=0.0)
    return _marked(left, "del"), _marked(right, "ins")


def _marked(spans: Sequence[tuple[str, bool]], element: str) -> str:
    return "".join(f"<{element}>{escape(text)}</{element}>" if changed else escape(text) for text, changed in spans)


def _slices(r: Mapping[str, Json]) -> Iterator[str]:
    yield '<section><h2>Slices</h2><div class="scroll"><table><thead><tr><th>slice</th><th>finding</th>'
    yield f'<th class="n">{"proved" if r["absolute"] else "difference"}</th><th>interval</th><th class="n">cases</th>'
    if not r["absolute"]:
        yield '<th class="n">stable</th>'
    yield '<th class="n">candidate</th></tr></thead><tbody>'
    rows = [r["overall"], *r["slices"]]
    widest = max([abs(c["interval"][end]) for c in rows if c["interval"] for end in ("lower", "upper")], default=1.0)
    for c in rows:
        yield from _slice(r, c, widest)
    yield "</tbody></table></div>"
    what = (
        "The bar is the interval of the pass rate; the mark is the rate that is required."
        if r["absolute"]
        else "The bar is the interval of the difference; the marks are no difference and the margin."
    )
    yield f'<p class="small dim">{what} Slices are corrected for their number.</p></section>'


def _slice(r: Mapping[str, Json], c: Mapping[str, Json], widest: float) -> Iterator[str]:
    note = " · must pass" if c["must_pass"] else ""
    finding = "too small to judge" if c["too_small"] and c["finding"] == "inconclusive" else c["finding"]
    yield f'<tr class="{c["finding"]}"><td>{escape(c["name"])}<span class="dim small">{note}</span></td>'
    yield f'<td class="f">{escape(finding)}</td>'
    interval = c["interval"]
    if interval is None:
        yield '<td class="n">-</td><td></td>'
    elif r["absolute"]:
        yield f'<td class="n">{percent(interval["lower"])}</td>'
        yield f"<td>{bar(interval, 0, 1, [r['rules']['min_pass_rate']])}</td>"
    else:
        yield f'<td class="n">{100 * interval["estimate"]:+.1f} pt</td>'
        yield f"<td>{bar(interval, -widest, widest, [0.0, -r['rules']['margin']])}</td>"
    missing = f'<span class="dim"> +{c["missing"]} missing</span>' if c["missing"] else ""
    yield f'<td class="n">{c["n"]}{missing}</td>'
    if not r["absolute"]:
        yield f'<td class="n">{percent(c["stable_rate"])}</td>'
    yield f'<td class="n">{percent(c["candidate_rate"])}</td></tr>'


def bar(interval: Mapping[str, float], low: float, high: float, marks: Sequence[float]) -> str:
    """An interval drawn on [low, high], with marks."""

    def x(value: float) -> float:
        return round(2 + 196 * (min(max(value, low), high) - low) / (high - low), 1)

    label = f"{100 * interval['lower']:.1f} to {100 * interval['upper']:.1f} points"
    lines = "".join(
        f'<line x1="{x(m)}" x2="{x(m)}" y1="1" y2="19" stroke="currentColor" stroke-opacity=".55"'
        f"{' stroke-dasharray=' + chr(34) + '2 2' + chr(34) if i else ''}/>"
        for i, m in enumerate(marks)
    )
    left, right = x(interval["lower"]), x(interval["upper"])
    return (
        f'<svg viewBox="0 0 200 20" role="img" aria-label="{label}"><title>{label}</title>{lines}'
        f'<line x1="{left}" x2="{right}" y1="10" y2="10" stroke="var(--v)" stroke-width="4"/>'
        f'<circle cx="{x(interval["estimate"])}" cy="10" r="4.5" fill="var(--v)"/></svg>'
    )


def _all_of_k(r: Mapping[str, Json]) -> Iterator[str]:
    """How reliably cases pass, where they ran more than once."""
    found = r.get("pass_k")
    if not found:
        return
    sides = [side for side in ("stable", "candidate") if side in found]
    yield '<section><h2>Passing every time</h2><div class="scroll"><table><thead><tr><th>runs that all pass</th>'
    yield "".join(f'<th class="n">{side}</th>' for side in sides) + "</tr></thead><tbody>"
    for k in range(1, found["k"] + 1):
        yield f"<tr><td>pass^{k}</td>" + "".join(f'<td class="n">{percent(found[s][k - 1])}</td>' for s in sides)
        yield "</tr>"
    yield "</tbody></table></div>"
    yield f'<p class="small dim">Over {found["cases"]} cases that ran more than once.</p></section>'


def _measures(r: Mapping[str, Json]) -> Iterator[str]:
    stable, candidate = r["sides"].get("stable", {}), r["sides"]["candidate"]
    cached = "paid_usd" in stable or "paid_usd" in candidate
    yield '<section><h2>Latency, tokens, cost</h2><div class="scroll"><table><thead><tr><th></th>'
    yield '<th class="n">stable</th><th class="n">candidate</th><th class="n">change</th></tr></thead><tbody>'
    for what, key, form in (
        ("latency, median", "latency_ms_p50", "{:,.0f} ms"),
        ("latency, 95th percentile", "latency_ms_p95", "{:,.0f} ms"),
        ("input tokens, mean", "input_tokens_mean", "{:,.1f}"),
        ("output tokens, mean", "output_tokens_mean", "{:,.1f}"),
        ("read from the prompt cache, mean", "cache_read_tokens_mean", "{:,.1f}"),
        ("written to the prompt cache, mean", "cache_write_tokens_mean", "{:,.1f}"),
        ("cost, as if nothing were cached" if cached else "cost of this run", "cost_usd", "{:.4f} USD"),
        ("paid for this run", "paid_usd", "{:.4f} USD"),
        ("answers used again", "reused", "{:,}"),
    ):
        if key not in stable and key not in candidate:
            continue
        old, new = stable.get(key), candidate.get(key)
        cells = [form.format(v) if v is not None else "-" for v in (old, new)]
        change = f"{100 * (new - old) / old:+.0f}%" if old and new is not None else ""
        yield f'<tr><td>{what}</td><td class="n">{cells[0]}</td><td class="n">{cells[1]}</td>'
        yield f'<td class="n">{change}</td></tr>'
    actual = "not known (no price)" if r["cost_usd"] is None else f"{r['cost_usd']:.4f} USD"
    yield f'</tbody></table></div><p class="small dim">The answers cost {actual}; with grading at most '
    yield f"{r['cost_estimated_usd']:.4f} USD were reckoned.</p></section>"


def _limits(r: Mapping[str, Json]) -> Iterator[str]:
    sentences = [*r["undetectable"], *r["notes"]]
    if sentences:
        yield "<section><h2>What could not be detected</h2><ul>"
        yield "".join(f"<li>{escape(s)}</li>" for s in sentences) + "</ul></section>"


def _missing(r: Mapping[str, Json]) -> Iterator[str]:
    missing = [c for c in r["cases"] if c["change"] == "missing"]
    if missing:
        yield f"<section><h2>Missing ({len(missing)})</h2><ul>"
        yield "".join(f"<li>{escape(c['case'])}: {escape(c.get('reason', ''))}</li>" for c in missing[:_LISTED])
        yield "</ul></section>"


def _colophon(r: Mapping[str, Json]) -> Iterator[str]:
    yield '<section><h2>What was compared</h2><div class="scroll"><table><tbody>'
    for side in ("candidate", "stable"):
        if r[side]:
            yield f"<tr><th>{side}</th><td>{escape(r[side])}</td><td>{escape(r[side + '_model'] or '')}</td>"
            yield f'<td class="small dim">{escape((r[side + "_fingerprint"] or "")[:16])}…</td></tr>'
    rules, plan = r["rules"], r["plan"]
    yield "</tbody></table></div>"
    yield (
        f'<p class="small dim">{plan["cases"]} cases, {plan["repeats"]} runs a side, interleaved. Margin '
        f"{100 * rules['margin']:g} points, one-sided error {percent(rules['alpha'])}. "
        "The case is the unit.</p></section>"
    )
