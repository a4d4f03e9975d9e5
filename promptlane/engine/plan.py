"""Before a run: what it will do, what it can cost at most, and what it could show at all."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, Final

from promptlane.domain.errors import InvalidInput
from promptlane.domain.policy import TestPolicy
from promptlane.domain.suite.answers import CALL_SECONDS
from promptlane.domain.suite.statistics import cases_needed, detectable, planned_variance, provable_margin
from promptlane.domain.suite.verdict import CaseTally, Rules, assess

from .assertions import KINDS, asked_by
from .checks import unknown
from .guarded import unguarded
from .prices import cache_price_of, cost, price_of
from .suite import Assertion, Case, Suite, flat
from .targets import Target
from .transcript import asked_in

Json = Any
CHARS_PER_TOKEN: Final = 3.0
"""Fewer than usual (about four in English), so that the estimate is an upper bound for most languages."""
UNBOUNDED_TOKENS: Final = 4_096
"""The longest answer to be reckoned with where a version sets no maxTokens."""
JUDGE_TOKENS: Final = 800
"""What a judge may answer, and about what its instructions take."""
MOST_TOLD: Final = 5
"""Conversations that do not fit a version, told one by one."""
THREADS: Final = 8
"""Calls that one batch keeps in flight."""
BATCH_SECONDS: Final = 720.0
"""What a batch's calls may take together, of the fifteen minutes that its function has."""


class TestPlanRefused(InvalidInput):
    """The run would break the policy's limits, or cannot show anything. Nothing was run."""

    __test__ = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before it starts. `cost_usd`: the most it can cost. `detectable`, `provable`, `margin`: fractions.

    `threads` calls in flight in each of `parallel` batches of `batch_size` cases.
    """

    cases: int
    repeats: int
    sides: int
    calls: int
    judge_calls: int
    cost_usd: float
    margin: float
    detectable: float | None
    provable: float
    cases_needed: int
    batch_size: int
    threads: int
    parallel: int
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Json]:
        return {**asdict(self), "warnings": list(self.warnings)}

    @property
    def sentence(self) -> str:
        """The plan in one line, with what it cannot show."""
        turns = "" if self.calls == self.cases * self.sides * self.repeats else ", each with its turns and repeats"
        text = (
            f"{self.cases} cases x {self.sides} x {self.repeats}{turns} = {self.calls} calls, at most "
            f"{self.cost_usd:.4f} USD"
        )
        if self.detectable is not None:
            text += f"; finds drops from {100 * self.detectable:.1f} points"
        return text


def rules_of(policy: TestPolicy) -> Rules:
    """The part of the policy that the verdict needs."""
    return Rules(
        policy.margin, policy.alpha, policy.power, policy.min_pass_rate, tuple(policy.must_pass), policy.at_least
    )


def make_plan(
    suite: Suite, policy: TestPolicy, candidate: Target, stable: Target | None, *, warnings: Sequence[str] = ()
) -> Plan:
    """`warnings`: what else is to be told with it.

    Raises TestPlanRefused: unknown checks, models without a price, more cost than `max_cost_usd` allows, or assertions
    about a guardrail that the candidate has not.
    """
    targets = [candidate] + ([stable] if stable else [])
    refused = unknown(suite.checks) + candidate.unfit(suite.cases)[:MOST_TOLD]
    missing = stable.unfit(suite.cases) if stable else []
    if candidate.guardrail is None:
        refused += unguarded(suite.kinds)
    repeats = suite.repeats or policy.repeats
    asked = {n for case in suite.cases for n in asked_by(case.all_asserts)}
    helpers = {"judge": policy.judge_model, "embedder": policy.embedding_model}
    models = {t.model for t in targets} | {helpers[name] for name in asked}
    refused += [
        f"no price is known for model {model!r}, so tests.max_cost_usd cannot be kept; "
        f"add tests.prices: {{{model}: [<USD per million input tokens>, <output tokens>]}} to release.yaml"
        for model in sorted(models)
        if price_of(model, policy.prices) is None
    ]
    if refused:
        raise TestPlanRefused("; ".join(refused))
    most, judged = _cost(suite.cases, policy, targets, repeats)
    calls = sum(case.calls * case.runs(repeats) for case in suite.cases) * len(targets)
    if most > policy.max_cost_usd:
        raise TestPlanRefused(
            f"the run could cost {most:.2f} USD ({calls:,} calls), more than tests.max_cost_usd = "
            f"{policy.max_cost_usd:g}; raise it, use fewer cases or repeats, or set max_tokens in the prompt"
        )
    n, rules = len(suite.cases), rules_of(policy)
    size = _batch_size(suite.cases, policy, sides=len(targets), repeats=repeats)
    threads = max(1, min(THREADS, policy.max_concurrency, size * len(targets) * repeats))
    if stable is not None:
        variance = planned_variance(_counted(suite, repeats))
        found = detectable(n, variance, alpha=rules.alpha, power=rules.power)
        provable = provable_margin(n, rules.alpha)
        needed = cases_needed(rules.margin, variance, alpha=rules.alpha, power=rules.power)
    else:
        perfect = assess([CaseTally(str(i), 1, 1) for i in range(n)], rules)
        found, provable, needed = None, perfect.provable, perfect.cases_needed
    return Plan(
        cases=n,
        repeats=repeats,
        sides=len(targets),
        calls=calls,
        judge_calls=judged,
        cost_usd=most,
        margin=rules.margin,
        detectable=found,
        provable=provable,
        cases_needed=needed,
        batch_size=size,
        threads=threads,
        parallel=max(1, policy.max_concurrency // threads),
        warnings=(*size_warnings(suite, policy), *_missing_of_stable(missing), *warnings),
    )


def _missing_of_stable(problems: Sequence[str]) -> Iterator[str]:
    """What is told of conversations that only the candidate takes: a release may well be about that."""
    for problem in problems[:MOST_TOLD]:
        yield f"{problem}; until then the case fails there, or is missing"
    if len(problems) > MOST_TOLD:
        yield f"{len(problems) - MOST_TOLD} more conversations do not fit the stable version either"


def size_warnings(suite: Suite, policy: TestPolicy) -> list[str]:
    """Where this suite could not reach a verdict even if not one case differed, or seldom would."""
    rules, n = rules_of(policy), len(suite.cases)
    repeats = suite.repeats or policy.repeats
    least = cases_needed(rules.margin, 0.0, alpha=rules.alpha, power=rules.power)
    usual = cases_needed(rules.margin, planned_variance(_counted(suite, repeats)), alpha=rules.alpha, power=rules.power)
    margin = f"a margin of {100 * rules.margin:g} points"
    warnings = []
    if n < least:
        warnings.append(
            f"{n} cases can never prove {margin}, not even without one difference: the verdict will always be "
            f"inconclusive; write at least {least} cases (about {usual} where answers vary), or widen tests.margin"
        )
    elif n < usual:
        warnings.append(
            f"{n} cases prove {margin} only when hardly any case differs; about {usual} would do where answers vary "
            f"(pass rate 90%, {repeats} {'repeat' if repeats == 1 else 'repeats'})"
        )
    sizes = Counter(tag for case in suite.cases for tag in case.tags)
    for name in policy.must_pass:
        if name not in sizes:
            warnings.append(f"slice {name!r} must pass, but no case carries this tag; the verdict will never be a pass")
        elif sizes[name] < least:
            warnings.append(
                f"slice {name!r} must pass, but its {sizes[name]} cases can never prove {margin}; "
                f"write at least {least}, or mark its cases critical instead"
            )
    return warnings


def _cost(cases: Sequence[Case], policy: TestPolicy, targets: Sequence[Target], usual: int) -> tuple[float, int]:
    """(the most that all calls can cost in USD, number of judge calls)."""
    total, judged = 0.0, 0
    for case in cases:
        repeats = case.runs(usual)
        given = sum(map(len, case.vars.values()))
        for target in targets:
            answer = target.max_tokens or UNBOUNDED_TOKENS
            prompt = float(target.prompt_chars(case))
            calls: list[tuple[str, float, float]] = []
            for i, asserts in enumerate((case.asserts, *(turn.asserts for turn in case.turns))):
                if i:  # what was said before is sent again
                    prompt += len(asked_in(case.turns[i - 1], case)) + answer * CHARS_PER_TOKEN
                calls.append((target.model, prompt / CHARS_PER_TOKEN, float(answer)))
                for who, expected in _helpers(asserts):
                    if who == "judge":  # reads every variable, what is expected, and the answer, also by its sentences
                        # What is compared is all that both have said so far.
                        shown = (max(prompt, given) + expected) / CHARS_PER_TOKEN + 2 * answer * (i + 1) + JUDGE_TOKENS
                        calls.append((policy.judge_model, shown, JUDGE_TOKENS))
                        judged += repeats
                    else:
                        calls.append((policy.embedding_model, 2.0 * answer, 0.0))
            total += repeats * sum(cost(_dearest(model, policy, target), *used) or 0.0 for model, *used in calls)
    return total, judged


def _counted(suite: Suite, repeats: int) -> int:
    """Runs of a case that the verdict counts apart: one that passes as a whole gives one."""
    return min((1 if case.at_least else case.runs(repeats) for case in suite.cases), default=1)


def calls_of(case: Case, *, sides: int, repeats: int) -> int:
    """Calls that one case makes: of the versions, turn by turn, and of whoever grades their answers."""
    return sides * case.runs(repeats) * (case.calls + len(asked_by(case.all_asserts)))


def _batch_size(cases: Sequence[Case], policy: TestPolicy, *, sides: int, repeats: int) -> int:
    """Cases of a batch: as many as the policy says, but none whose calls could outlive its function.

    That is reckoned with the time-out of each call, for any neighbours that a batch may hold. One case at least.
    """
    most = max(1, min(THREADS, policy.max_concurrency)) * BATCH_SECONDS / CALL_SECONDS
    upto = list(accumulate((calls_of(case, sides=sides, repeats=repeats) for case in cases), initial=0))

    def fits(size: int) -> bool:
        return all(upto[min(i + size, len(cases))] - upto[i] <= most for i in range(len(cases)))

    sizes = range(1, min(policy.batch_size, max(1, len(cases))) + 1)
    smaller = bisect_left(sizes, True, key=lambda size: not fits(size))  # the more cases, the longer
    return policy.batch_size if smaller == len(sizes) else max(1, smaller)


def _helpers(asserts: Sequence[Assertion]) -> list[tuple[str, int]]:
    """Whom these assertions ask, with the characters of what each expects."""
    return [(who, len(str(a.value or ""))) for a in flat(asserts) for who in KINDS[a.kind].asked(a.value)]


def _dearest(model: str, policy: TestPolicy, target: Target) -> tuple[float, float] | None:
    """The price of a model for the most that a call can cost: of a cached version, all input may be written anew."""
    price, cached = price_of(model, policy.prices), cache_price_of(model, policy.prices)
    if price is None or cached is None or model != target.model or not target.is_cached:
        return price
    return max(price[0], cached[1]), price[1]
