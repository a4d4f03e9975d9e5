"""The report of a run as data: everything that the page, the email, the review and CI systems are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from promptlane.domain.policy import TestPolicy
from promptlane.domain.suite.verdict import CaseTally, Change, Comparison, Finding, Verdict, decide
from promptlane.domain.text import percent

from .plan import Plan, rules_of
from .records import Collector, Record
from .targets import Target

Json = Any


@dataclass(frozen=True, slots=True)
class Heading:
    """What was tested. `stable` is None for a first version."""

    prompt: str
    at: float
    candidate: str
    candidate_fingerprint: str
    candidate_model: str
    stable: str | None = None
    stable_fingerprint: str | None = None
    stable_model: str | None = None
    release_id: str = ""
    round: int = 0

    @classmethod
    def of(cls, prompt: str, at: float, candidate: Target, stable: Target | None, **release: Any) -> Heading:
        """The heading of a comparison of these; `release`: its release_id and round."""
        if stable is not None:
            release |= {"stable": stable.label, "stable_fingerprint": stable.fingerprint, "stable_model": stable.model}
        return cls(prompt, at, candidate.label, candidate.fingerprint, candidate.model, **release)


def build(
    heading: Heading, plan: Plan, policy: TestPolicy, collected: Collector, *, notes: Sequence[str] = ()
) -> dict[str, Json]:
    """Decide, and put everything together. `proceed`: whether the release may go on to review."""
    verdict = decide(collected.tallies, rules_of(policy), absolute=collected.absolute)
    proceed = verdict.finding is Finding.PASS or (
        verdict.finding is Finding.INCONCLUSIVE and policy.inconclusive == "review"
    )
    sides = {name: side.to_dict() for name, side in collected.sides.items()}
    costs = [s.get("paid_usd", s["cost_usd"]) for s in sides.values()]
    report: dict[str, Json] = {
        "schema": 1,
        **asdict(heading),
        "verdict": str(verdict.finding),
        "proceed": proceed,
        "reason": " ".join(verdict.reasons[:3]),
        "reasons": list(verdict.reasons),
        "inconclusive_policy": policy.inconclusive,
        "absolute": verdict.absolute,
        "rules": asdict(rules_of(policy)),
        "plan": plan.to_dict(),
        "overall": _comparison(verdict.overall),
        "slices": [_comparison(s) for s in verdict.slices],
        "counts": {str(change): len(verdict.cases(change)) for change in Change},
        "critical_failed": list(verdict.critical_failed),
        "critical_doubtful": list(verdict.critical_doubtful),
        "shown": {
            str(c): sorted(shown, key=lambda d: not d["critical"]) for c, shown in collected.shown.items() if shown
        },
        "flaky": verdict.flaky,
        "pass_k": collected.all_of_k(),
        "cases": [_case(t, verdict, collected) | _behind(t, collected) for t in collected.tallies],
        "sides": sides,
        "cost_usd": None if any(c is None for c in costs) else sum(costs),
        "cost_estimated_usd": plan.cost_usd,
        "undetectable": undetectable(verdict, plan),
        "notes": [*notes, *plan.warnings],
    }
    return report | _for_reviewers(report)


def undetectable(verdict: Verdict, plan: Plan) -> list[str]:
    """What this run could not have shown, in sentences."""
    sentences = []
    overall = verdict.overall
    if not verdict.absolute and overall.detectable is not None:
        least = 100 * max(overall.detectable, overall.provable)
        runs = "run" if overall.runs == 1 else "runs"
        sentences.append(
            f"Over all cases, a drop of less than {least:.1f} points would probably have gone unnoticed "
            f"({overall.n} cases, {overall.runs} {runs} each)."
        )
    small = [s.name for s in verdict.slices if s.too_small and s.finding is Finding.INCONCLUSIVE]
    if small:
        sentences.append(
            f"Too small to judge by themselves: {', '.join(small)}. Such a slice only shows when it breaks badly."
        )
    if overall.missing:
        sentences.append(f"{overall.missing} cases are missing: what they would have shown is not known.")
    return sentences


def _comparison(c: Comparison) -> Record:
    return {**asdict(c), "finding": str(c.finding)}


def _case(tally: CaseTally, verdict: Verdict, collected: Collector) -> Record:
    case: Record = {
        "case": tally.case,
        "change": str(verdict.changes[tally.case]),
        "runs": tally.runs,
        "candidate": tally.candidate,
        "latency_ms": round(collected.latency_ms[tally.case], 1),
    }
    if not verdict.absolute:
        case["stable"] = tally.stable
    if tally.critical:
        case["critical"] = True
    if verdict.changes[tally.case] is Change.MISSING:
        case["reason"] = tally.reason
    return case


def _behind(tally: CaseTally, collected: Collector) -> Record:
    """What lies behind the verdict of a case that passes as one: runs, and passes of each side."""
    if tally.behind is None:
        return {}
    passed = {side: found[tally.case][0] for side, found in collected.passes.items() if tally.case in found}
    return {"behind": {"runs": tally.behind, **passed}}


def _for_reviewers(report: Mapping[str, Json]) -> dict[str, Json]:
    """What email and review page take from the report: rows of (what, stable, candidate), and the broken cases."""
    failing = [
        {
            "name": d["description"] or d["case"],
            "slice": ", ".join(d["tags"]) + (" (critical)" if d["critical"] else ""),
            "why": "; ".join(f"{f['type']}: {f['reason']}" for f in d["candidate"].get("failed", [])),
        }
        for d in report["shown"].get(str(Change.NEWLY_FAILING), [])
    ]
    return {
        "rows": _rows(report),
        "newly_failing": failing,
        "inconclusive": report["reasons"] if report["verdict"] == Finding.INCONCLUSIVE else [],
    }


def _rows(report: Mapping[str, Json]) -> list[tuple[str, str, str]]:
    rows = [
        ("all cases passed", percent(report["overall"]["stable_rate"]), percent(report["overall"]["candidate_rate"]))
    ]
    rows += [
        (f"slice {s['name']}", percent(s["stable_rate"]), percent(s["candidate_rate"])) for s in report["slices"][:20]
    ]
    if (found := report["pass_k"]) is not None:
        shares = [percent(found[side][-1]) if side in found else "-" for side in ("stable", "candidate")]
        rows.append((f"cases that pass in all of {found['k']} runs", shares[0], shares[1]))
    stable, candidate = report["sides"].get("stable", {}), report["sides"]["candidate"]
    for what, key, form in (
        ("latency, median", "latency_ms_p50", "{:.0f} ms"),
        ("latency, 95th percentile", "latency_ms_p95", "{:.0f} ms"),
        ("output tokens, mean", "output_tokens_mean", "{:.0f}"),
    ):
        both = [form.format(side[key]) if side.get(key) is not None else "-" for side in (stable, candidate)]
        rows.append((what, both[0], both[1]))
    return rows
