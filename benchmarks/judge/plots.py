"""Table and plots of docs/judge.md, drawn from the benchmark's result."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

RULES = ("equal", "harmful_vs_sprt", "worse_promoted", "good_releases")
BESIDE = ("hostile", "knows_track", "six_hours", "sprt_beside_fresh_sessions", "means")
LABELS = {
    "promptlane": "**Promptlane, judge and fuse**",
    "promptlane_judge_alone": "the judge alone",
    "promptlane_fuse_alone": "the fuse alone",
    "sprt_oracle": "Wald's SPRT, told both rates (bound)",
    "repeated_z_test": "z-test, p < .05, each minute",
    "z_test_once_at_60_minutes": "z-test, p < .05, once after an hour",
    "growthbook_sequential": "GrowthBook, sequential",
    "launchdarkly_style_sequential": "LaunchDarkly-style, sequential",
    "kayenta_mann_whitney": "Kayenta, Mann-Whitney",
    "argo_success_rate_95": "Argo Rollouts, success rate ≥ 95 %",
    "flagger_success_rate_99": "Flagger, success rate ≥ 99 %",
    "codedeploy_10pct_5min_alarm_2of2": "CodeDeploy 10 % 5 min, any error 2 of 2",
    "codedeploy_10pct_30min_alarm_1of1": "CodeDeploy 10 % 30 min, any error 1 of 1",
    "alarm_rate_above_5pct_3of5": "alarm, rate > 5 %, 3 of 5",
}


def write(result: dict[str, Any], docs: Path) -> None:
    """Replace what stands between the markers of docs/judge.md, and write docs/judge-rollbacks.svg; what no run has
    filled yet stays as it is."""
    page = docs / "judge.md"
    if "methods" in result:
        (docs / "judge-rollbacks.svg").write_text(_bars(result["methods"]))
        _replace(page, "bench-judge", _table(result))
    if "hostile" in result["rows"]:
        _replace(page, "bench-judge-beside", "\n".join(_beside(result)))
    if "means" in result["rows"]:
        _replace(page, "bench-judge-means", "\n".join(_means(result)))


def _replace(page: Path, name: str, text: str) -> None:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _table(result: dict[str, Any]) -> str:
    null, worse = result["scenarios"]["equal"], result["scenarios"]["worse_promoted"]
    harm = result["scenarios"]["harmful_vs_sprt"]
    lines = [
        f"Six hours of looks each minute, seed {result['seed']}: {len(null)} scenarios with an equal version "
        f"({result['equal_runs']:,} runs each, a quarter of them where users stay all day), {len(harm)} with a harmful "
        f"one and {len(worse)} with one at the margin or ten times worse ({result['runs']:,} runs each); Kayenta: 60 "
        f"runs each. A share of 2 % is known to {_half_width(result['equal_runs']):.1%} more or less, its mean over "
        f"scenarios to {_half_width(len(null) * result['equal_runs']):.1%}.",
        "",
        "| rule | false rollback, mean | worst scenario | median requests vs SPRT (reached) | worse promoted, worst |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, m in result["methods"].items():
        found = f"{m['median_reached']}/{m['harmful_scenarios']}"
        ratio = f"{m['median_requests_vs_sprt']:.2f} ({found})" if m["median_requests_vs_sprt"] else "–"
        promoted = "–" if m["false_promotion_max"] is None else f"{m['false_promotion_max']:.1%}"
        back = f"{m['false_rollback_mean']:.1%} | {m['false_rollback_max']:.1%}"
        lines.append(f"| {LABELS[name]} | {back} | {ratio} | {promoted} |")
    shown = ["promptlane", "repeated_z_test", "growthbook_sequential", "alarm_rate_above_5pct_3of5"]
    names = " | ".join(LABELS[s].strip("*") for s in shown)
    lines += ["", "False rollbacks of an equal version where traffic is not textbook:", ""]
    lines += [f"| scenario | {names} |", "|---" * (len(shown) + 1) + "|"]
    for name in null:
        if not name.startswith("equal"):
            lines.append(f"| {name} | " + " | ".join(f"{null[name][s]:.1%}" for s in shown) + " |")
    lines += ["", "Good releases through 5 → 25 → 50 % within a day (one required metric, margin 1 point):", ""]
    lines += [
        "| requests a minute | stable rate | promoted | median minutes | rolled back |",
        "|---:|---:|---:|---:|---:|",
    ]
    for row in result["scenarios"]["good_releases"]:
        minutes = "–" if row["median_minutes"] is None else f"{row['median_minutes']:.0f}"
        lines.append(
            f"| {row['rate']:,} | {row['p0']:.1%} | {row['promoted']:.1%} | {minutes} | {row['rolled_back']:.1%} |"
        )
    return "\n".join(lines)


def _half_width(runs: int, share: float = 0.02) -> float:
    """Of the 95 % interval of a share that was found in so many runs."""
    return 1.96 * math.sqrt(share * (1 - share) / runs)


def _beside(result: dict[str, Any]) -> list[str]:
    """What units, gaps and outages move, and how long finding ten points of harm and advancing take beside them."""
    rows = result["rows"]
    lines: list[str] = []
    for key, title in (
        ("hostile", "Who and what does not know its track, beside all others"),
        ("knows_track", "Who knows its track (a paced unit fails just so often that its group does not stand out)"),
    ):
        if key not in rows:
            continue
        lines += ["", f"{title} ({result['hostile_runs']:,} runs each; harm is ten points; minutes are medians):", ""]
        lines += [
            "| beside others | good rolled back | worse by the margin advanced | harm missed | minutes to find it "
            "| minutes to advance a good one |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for row in rows[key]:
            shares = " | ".join(f"{row[name]:.1%}" for name in ("false_rollback", "false_advance", "missed"))
            minutes = (row["median_minutes"], row["median_minutes_to_advance"])
            lines.append(f"| {row['scenario']} | {shares} | " + " | ".join(map(_minutes, minutes)) + " |")
    if "six_hours" in rows:
        lines += ["", "Harm is looked for during three hours; during six:", ""]
    lines += [
        f"- {row['scenario']}: {row['missed']:.1%} missed, found after {_minutes(row['median_minutes'])} minutes"
        for row in rows.get("six_hours", [])
    ]
    if "sprt_beside_fresh_sessions" in rows:
        lines += ["", "Fresh sessions that always fail raise both rates, so that all takes longer; for the SPRT:", ""]
    lines += [
        f"- {row['scenario']} of them: harm found after {_minutes(row['median_minutes'])} minutes, a good version "
        f"advanced after {_minutes(row['median_minutes_to_advance'])}"
        for row in rows.get("sprt_beside_fresh_sessions", [])
    ]
    return lines


def _means(result: dict[str, Any]) -> list[str]:
    """How often the judge errs on means, and how long it takes."""
    return [
        "",
        "Means, as a share of the cap (margin 20 % of stable's mean, weight 10 %; simulated for six hours, and "
        "three for the version that is 30 % dearer; minutes are medians):",
        "",
        "| answers | runs | equal rolled back | 20 % dearer advanced | 30 % dearer missed | minutes to find it "
        "| minutes to advance an equal one |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row['scenario']} | {row['runs']:,} | "
            + " | ".join(f"{row[name]:.1%}" for name in ("false_rollback", "false_advance", "missed"))
            + f" | {_minutes(row['median_minutes'])} | {_minutes(row['median_minutes_to_advance'])} |"
            for row in result["rows"]["means"]
        ),
    ]


def _minutes(median: float | None) -> str:
    return "–" if median is None else f"{median:.0f}"


def _bars(methods: dict[str, Any]) -> str:
    """Two bars a rule: worst false rollback, worst false promotion."""
    rows = [
        (LABELS[n].strip("*"), m["false_rollback_max"], m["false_promotion_max"])
        for n, m in methods.items()
        if m["false_promotion_max"] is not None
    ]
    height = 40 + 34 * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" font-family="sans-serif" font-size="12" '
        'role="img" aria-label="Worst false rollback and worst false promotion of each rule">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="300" y="18" fill="#b3261e">good version rolled back</text>'
        '<text x="480" y="18" fill="#1a5fb4">bad version promoted</text>',
    ]
    for i, (label, back, promoted) in enumerate(rows):
        y = 32 + 34 * i
        parts.append(f'<text x="290" y="{y + 18}" text-anchor="end">{label}</text>')
        for value, color, dy in ((back, "#b3261e", 0), (promoted, "#1a5fb4", 13)):
            parts.append(f'<rect x="300" y="{y + dy}" width="{max(400 * value, 1):.0f}" height="11" fill="{color}"/>')
            parts.append(f'<text x="{306 + 400 * value:.0f}" y="{y + dy + 10}" font-size="10">{value:.1%}</text>')
    x = 300 + 400 * 0.05
    parts.append(f'<line x1="{x}" x2="{x}" y1="26" y2="{height - 8}" stroke="#555" stroke-dasharray="3 3"/>')
    return "".join(parts) + "</svg>\n"
