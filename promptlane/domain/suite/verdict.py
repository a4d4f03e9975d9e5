"""The verdict of the regression tests: candidate against stable, paired, with the case as the unit.

A case i ran r times on each side and passed a_i (stable) and b_i (candidate) times; d_i = (b_i - a_i) / r.

Interval   Two pseudo-cases, +1 and -1, join the n cases (Bonett and Price's adjusted paired interval, generalised to
           repeats): m = sum(d) / (n + 2), S2 = (sum(d^2) + 2) / (n + 2) - m^2, bounds m -+ z sqrt(S2 / (n + 2)).
           Without them an interval over cases that all agree would have no width at all.
PASS       the lower bound lies above -margin, also when every missing case is counted as the worst it could be.
FAIL       not PASS, and the drop is significant by the sign-flip test (mid-p; McNemar's mid-p when r = 1).
else       INCONCLUSIVE, which is never a pass.

Slices are tested for FAIL with Holm's correction over their number; a slice that must pass needs a PASS of its own.
A critical case that newly fails decides alone, and none that fails is ever passed. A candidate of which fewer cases
pass than `at_least` fails, whatever stable does: between two versions that are both useless nothing is lost. What a
suite of this size can show at all is `detectable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite, lcm
from typing import Final

from promptlane.domain.errors import InvalidInput

from .statistics import (
    Interval,
    cases_for_rate,
    cases_needed,
    detectable,
    holm,
    paired_interval,
    perfect_lower,
    planned_variance,
    provable_margin,
    rate_interval,
    sign_flip_p,
)

NEWLY: Final = 0.5
"""A case newly fails (passes) when it lost (won) at least this share of its runs."""


class Finding(StrEnum):
    """What tests found."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Change(StrEnum):
    """What became of one case."""

    NEWLY_FAILING = "newly failing"
    NEWLY_PASSING = "newly passing"
    FLAKY = "flaky"
    FAILING = "failing in both"
    PASSING = "passing"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class CaseTally:
    """Passes of one case: `stable` and `candidate` of `runs` each; None where the side could not be run completely.

    In a first version's test there is no stable side: `stable` is None for every case. `behind`: runs that were made of
    one verdict, where a case passes as one.
    """

    case: str
    runs: int
    candidate: int | None
    stable: int | None = None
    tags: tuple[str, ...] = ()
    critical: bool = False
    reason: str = ""
    """Why a side is missing."""
    behind: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How to decide; fractions. The fields of release.yaml's `tests` that the verdict needs."""

    margin: float = 0.05
    alpha: float = 0.05
    power: float = 0.8
    min_pass_rate: float = 0.8
    must_pass: tuple[str, ...] = ()
    at_least: float = 0.5

    def __post_init__(self) -> None:
        for name in ("margin", "alpha", "power", "min_pass_rate"):
            value = getattr(self, name)
            if not (isfinite(value) and 0 < value < 1):
                raise InvalidInput(f"tests.{name} is {value!r}; it must lie between 0 and 1")
        if not 0 <= self.at_least <= 1:
            raise InvalidInput(f"tests.at_least is {self.at_least!r}; it is a share, from 0 to 1")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One set of cases, judged: the whole suite or one slice.

    `n` cases were complete, `missing` were not. Rates are means over complete cases. `detectable` is the smallest drop
    found with the asked power, after the run; `provable` the smallest margin that even a perfect run could prove.
    `p_value` is corrected for the number of slices where the comparison is a slice's.
    """

    name: str
    finding: Finding
    n: int
    missing: int
    runs: int
    stable_rate: float | None
    candidate_rate: float | None
    interval: Interval | None
    p_value: float | None
    detectable: float | None
    provable: float
    cases_needed: int
    must_pass: bool = False
    too_small: bool = False
    vetoes: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pass, fail or inconclusive, and why. `reasons` are sentences for people, the deciding ones first."""

    finding: Finding
    absolute: bool
    reasons: tuple[str, ...]
    overall: Comparison
    slices: tuple[Comparison, ...]
    changes: Mapping[str, Change]
    critical_failed: tuple[str, ...]
    critical_doubtful: tuple[str, ...]

    def cases(self, change: Change) -> list[str]:
        """The cases that changed so, in suite order."""
        return [case for case, what in self.changes.items() if what is change]

    @property
    def flaky(self) -> list[str]:
        return self.cases(Change.FLAKY)


def change_of(tally: CaseTally, *, absolute: bool = False) -> Change:
    """What became of one case. In a first version's test a case that never passed counts as newly failing."""
    if tally.candidate is None or (tally.stable is None and not absolute):
        return Change.MISSING
    won = tally.candidate / tally.runs
    if absolute:
        return {0.0: Change.NEWLY_FAILING, 1.0: Change.PASSING}.get(won, Change.FLAKY)
    lost = (tally.stable or 0) / tally.runs
    if lost - won >= NEWLY:
        return Change.NEWLY_FAILING
    if won - lost >= NEWLY:
        return Change.NEWLY_PASSING
    if 0 < won < 1 or 0 < lost < 1:
        return Change.FLAKY
    return Change.PASSING if won else Change.FAILING


def compare(
    tallies: Sequence[CaseTally], rules: Rules, name: str = "all cases", *, must_pass: bool = False
) -> Comparison:
    """Judge one set of cases, paired. Uncorrected; `decide` corrects the slices."""
    complete = [t for t in tallies if t.candidate is not None and t.stable is not None]
    missing = [t for t in tallies if t.candidate is None or t.stable is None]
    differences = [((t.candidate or 0) - (t.stable or 0)) / t.runs for t in complete]
    n, runs = len(complete), max((t.behind or t.runs for t in tallies), default=1)
    interval = paired_interval(differences, rules.alpha) if n else None
    p_value = sign_flip_p(_units(complete)) if n else None
    worst = paired_interval(differences + [_worst(t) for t in missing], rules.alpha)
    variance = _observed_variance(complete, differences)
    if n and worst.lower > -rules.margin:
        finding = Finding.PASS
    elif p_value is not None and p_value <= rules.alpha:
        finding = Finding.FAIL
    else:
        finding = Finding.INCONCLUSIVE
    return Comparison(
        name=name,
        finding=finding,
        n=n,
        missing=len(missing),
        runs=runs,
        stable_rate=_mean([(t.stable or 0) / t.runs for t in complete]),
        candidate_rate=_mean([(t.candidate or 0) / t.runs for t in complete]),
        interval=interval,
        p_value=p_value,
        detectable=detectable(n, variance, alpha=rules.alpha, power=rules.power),
        provable=provable_margin(n, rules.alpha),
        cases_needed=cases_needed(rules.margin, variance, alpha=rules.alpha, power=rules.power),
        must_pass=must_pass,
        too_small=provable_margin(n, rules.alpha) >= rules.margin,
    )


def assess(
    tallies: Sequence[CaseTally], rules: Rules, name: str = "all cases", *, must_pass: bool = False
) -> Comparison:
    """Judge one set of cases of a first version against `min_pass_rate`. A missing case counts as failed for PASS."""
    complete = [t for t in tallies if t.candidate is not None]
    missing = len(tallies) - len(complete)
    rates = [(t.candidate or 0) / t.runs for t in complete]
    n = len(complete)
    interval = rate_interval(rates, rules.alpha) if n else None
    finding = Finding.INCONCLUSIVE
    if n and rate_interval(rates + [0.0] * missing, rules.alpha).lower > rules.min_pass_rate:
        finding = Finding.PASS
    elif interval is not None and interval.upper < rules.min_pass_rate:
        finding = Finding.FAIL
    perfect = cases_for_rate(rules.min_pass_rate, rules.alpha)
    return Comparison(
        name=name,
        finding=finding,
        n=n,
        missing=missing,
        runs=max((t.behind or t.runs for t in tallies), default=1),
        stable_rate=None,
        candidate_rate=_mean(rates),
        interval=interval,
        p_value=None,
        detectable=None,
        provable=1 - perfect_lower(n, rules.alpha),
        cases_needed=perfect,
        must_pass=must_pass,
        too_small=n < perfect,
    )


def decide(tallies: Sequence[CaseTally], rules: Rules, *, absolute: bool = False) -> Verdict:
    """The verdict over a whole run. `absolute`: a first version, which has no stable to be compared with.

    Raises InvalidInput for an empty run, a case named twice, or more passes than runs.
    """
    _check(tallies, absolute=absolute)
    judge = assess if absolute else compare
    overall = judge(tallies, rules)
    slices = _slices(tallies, rules, absolute=absolute)
    changes = {t.case: change_of(t, absolute=absolute) for t in tallies}
    failed, doubtful = _critical(tallies, changes, absolute=absolute)
    against = _critical_reasons(failed, absolute=absolute)
    if not absolute and overall.candidate_rate is not None and overall.candidate_rate < rules.at_least:
        against.append(_too_few(overall, rules))
    if overall.finding is Finding.FAIL:
        against.append(_sentence(overall, rules, absolute=absolute))
    against += [_sentence(s, rules, absolute=absolute) for s in slices if s.vetoes]
    unclear = [_doubt(case, changes[case]) for case in doubtful]
    if overall.finding is Finding.INCONCLUSIVE:
        unclear.append(_sentence(overall, rules, absolute=absolute))
    unclear += [
        _sentence(s, rules, absolute=absolute)
        for s in slices
        if s.must_pass and s.finding is not Finding.PASS and not s.vetoes
    ]
    untold = [name for name in rules.must_pass if name not in {s.name for s in slices}]
    unclear += [f"Slice {name!r} must pass, but no case carries this tag." for name in untold]
    if against:
        finding = Finding.FAIL
    elif unclear:
        finding = Finding.INCONCLUSIVE
    else:
        finding = Finding.PASS
        unclear = [_sentence(overall, rules, absolute=absolute)]
    return Verdict(
        finding=finding,
        absolute=absolute,
        reasons=tuple(against + unclear),
        overall=overall,
        slices=tuple(slices),
        changes=changes,
        critical_failed=tuple(failed),
        critical_doubtful=tuple(doubtful),
    )


def _slices(tallies: Sequence[CaseTally], rules: Rules, *, absolute: bool) -> list[Comparison]:
    members: dict[str, list[CaseTally]] = {}
    for tally in tallies:
        for tag in dict.fromkeys(tally.tags):
            members.setdefault(tag, []).append(tally)
    judge = assess if absolute else compare
    raw = [judge(cases, rules, tag, must_pass=tag in rules.must_pass) for tag, cases in members.items()]
    if absolute:
        return [replace(c, vetoes=c.must_pass and c.finding is Finding.FAIL) for c in raw]
    adjusted = holm({c.name: c.p_value for c in raw if c.p_value is not None})
    result = []
    for comparison in raw:
        failed = comparison.finding is Finding.FAIL
        vetoes = failed and adjusted[comparison.name] <= rules.alpha
        finding = Finding.INCONCLUSIVE if failed and not vetoes else comparison.finding
        result.append(replace(comparison, p_value=adjusted.get(comparison.name), finding=finding, vetoes=vetoes))
    return result


def _critical(
    tallies: Sequence[CaseTally], changes: Mapping[str, Change], *, absolute: bool
) -> tuple[list[str], list[str]]:
    """Critical cases that newly fail, and others that did not pass: fewer runs than before, none, or missing."""
    failed: list[str] = []
    doubtful: list[str] = []
    for tally in tallies:
        if not tally.critical:
            continue
        if tally.candidate is None:
            doubtful.append(tally.case)
        elif changes[tally.case] is Change.NEWLY_FAILING or (absolute and tally.candidate < tally.runs):
            failed.append(tally.case)
        elif not tally.candidate or (
            tally.candidate < tally.runs and (tally.stable is None or tally.stable > tally.candidate)
        ):
            doubtful.append(tally.case)
    return failed, doubtful


def _doubt(case: str, change: Change) -> str:
    if change is Change.FAILING:
        return f"Critical case {case!r} fails, as it does in the stable version; people decide whether that may go on."
    return f"Critical case {case!r} could not be settled: it failed some of its runs, or could not be run."


def _too_few(overall: Comparison, rules: Rules) -> str:
    return (
        f"{overall.candidate_rate:.1%} of {overall.n} cases pass; tests.at_least asks for {rules.at_least:.0%}, "
        "whatever passed before. Mend the prompt or the suite."
    )


def _critical_reasons(failed: Sequence[str], *, absolute: bool) -> list[str]:
    if not failed:
        return []
    named = ", ".join(repr(c) for c in failed[:10]) + (f" and {len(failed) - 10} more" if len(failed) > 10 else "")
    noun = "Critical case" if len(failed) == 1 else f"{len(failed)} critical cases"
    return [f"{noun} {'failing' if absolute else 'newly failing'}: {named}."]


def _sentence(c: Comparison, rules: Rules, *, absolute: bool) -> str:
    where = "Over all cases" if c.name == "all cases" else f"In slice {c.name!r}"
    if c.interval is None or c.candidate_rate is None:
        return f"{where}: not one of {c.missing} cases could be run completely, so nothing is known."
    gaps = f" {c.missing} of {c.n + c.missing} cases are missing and count as failed." if c.missing else ""
    if absolute:
        text = (
            f"{where}: {c.candidate_rate:.1%} passed ({c.n} cases); at least {c.interval.lower:.1%} is proved, "
            f"{rules.min_pass_rate:.0%} is required."
        )
        if c.finding is Finding.INCONCLUSIVE and c.too_small:
            text += f" Even a perfect run needs {c.cases_needed} cases for that."
        return text + gaps
    text = (
        f"{where}: {c.stable_rate or 0:.1%} passed before, {c.candidate_rate:.1%} now, difference "
        f"{100 * c.interval.estimate:+.1f} points ({100 * c.interval.lower:+.1f} to {100 * c.interval.upper:+.1f}, "
        f"{c.n} cases, {c.runs} {'run' if c.runs == 1 else 'runs'} each)."
    )
    if c.finding is Finding.PASS:
        text += f" A drop of more than {100 * rules.margin:g} points is ruled out."
    elif c.finding is Finding.FAIL:
        text += f" The drop is significant (p = {c.p_value:.3g})."
    else:
        text += f" A drop of more than {100 * rules.margin:g} points is not ruled out."
        if c.too_small:
            least = f"{100 * c.provable:.1f} points"
            text += f" {c.n} cases are too few: even without a single difference they rule out no less than {least}."
        if c.cases_needed > c.n:
            text += f" About {c.cases_needed} cases would do ({c.cases_needed - c.n} more)."
    return text + gaps


def _check(tallies: Sequence[CaseTally], *, absolute: bool) -> None:
    if not tallies:
        raise InvalidInput("the run holds no case; a suite without cases can show nothing")
    seen: set[str] = set()
    for tally in tallies:
        if tally.case in seen:
            raise InvalidInput(f"case {tally.case!r} appears twice in the run; case ids must be unique")
        seen.add(tally.case)
        if tally.runs < 1 or any(p is not None and not 0 <= p <= tally.runs for p in (tally.stable, tally.candidate)):
            raise InvalidInput(f"case {tally.case!r}: passes must lie between 0 and its {tally.runs} runs")
        if absolute and tally.stable is not None:
            raise InvalidInput(
                f"case {tally.case!r} has a stable side, but a first version has no stable to compare with"
            )


def _units(complete: Sequence[CaseTally]) -> list[int]:
    """b_i - a_i on one scale: where cases ran a different number of times, in units of the common multiple."""
    scale = lcm(*{t.runs for t in complete}) if complete else 1
    return [((t.candidate or 0) - (t.stable or 0)) * (scale // t.runs) for t in complete]


def _worst(tally: CaseTally) -> float:
    """The least d_i that a case with a missing side could have had."""
    won = 0 if tally.candidate is None else tally.candidate
    lost = tally.runs if tally.stable is None else tally.stable
    return (won - lost) / tally.runs


def _observed_variance(complete: Sequence[CaseTally], differences: Sequence[float]) -> float:
    """Variance of d_i if the versions were equal, from the runs themselves (from the differences where r = 1)."""
    if not complete:
        return planned_variance(1)
    if any(t.runs < 2 for t in complete):
        return sum(d * d for d in differences) / len(differences)
    total = 0.0
    for t in complete:
        a, b = (t.stable or 0) / t.runs, (t.candidate or 0) / t.runs
        total += (a * (1 - a) + b * (1 - b)) / (t.runs - 1)
    return total / len(complete)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
