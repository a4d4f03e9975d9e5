"""How often a judge model says what people say: agreement over a labelled set, with intervals.

A labelled set holds one assertion and one answer a row, and whether the assertion holds of it. The figures are those of
one judge model, one embedding model and one set; they say nothing of another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final

from promptlane.domain.errors import InvalidInput, SuiteInvalid
from promptlane.domain.policy import TestPolicy
from promptlane.domain.suite.answers import Answer
from promptlane.domain.suite.statistics import Interval, wilson_interval

from .assertions import KINDS, Grade, Grader
from .dataset import DatasetInvalid, load_rows
from .kinds import Ungradable
from .parse import parse
from .plan import CHARS_PER_TOKEN, JUDGE_TOKENS
from .prices import cost, price_of
from .suite import Case

Json = Any
MAX_ROWS: Final = 5_000
_KEYS: Final = frozenset({"id", "type", "value", "threshold", "vars", "output", "holds"})
_BESIDE: Final[Json] = {"type": "contains", "value": "x"}
"""Since a suite's case needs an assertion of the answer; it is not graded."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One row: an answer to a case whose first assertion `holds` of it, or not."""

    case: Case
    answer: str
    holds: bool

    @property
    def kind(self) -> str:
        return self.case.asserts[0].type


@dataclass(frozen=True, slots=True)
class Share:
    """`of` rows, of which `count` are meant; the interval is Wilson's, two-sided at 95 %. None over no rows at all."""

    count: int
    of: int
    interval: Interval | None

    @classmethod
    def over(cls, counted: Sequence[bool]) -> Share:
        return cls(sum(counted), len(counted), wilson_interval(sum(counted), len(counted)) if counted else None)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over the rows of one kind. `missing` rows could not be graded, and count for nothing else.

    `true_positives`: rows that hold and pass, of those that hold. `false_positives`: rows that do not hold and pass, of
    those that do not.
    """

    kind: str
    rows: int
    missing: int
    agrees: Share
    true_positives: Share
    false_positives: Share

    def to_dict(self) -> dict[str, Json]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Graded:
    """What became of a row: a grade, or why there is none."""

    row: Labelled
    grade: Grade | None
    missing: str = ""


def read_labels(name: str, body: bytes) -> list[Labelled]:
    """The rows of a .jsonl, .json or .yaml file. Raises InvalidInput, which says where and what."""
    if name.lower().endswith(".csv"):
        raise InvalidInput(f"{name}: labelled rows hold variables; write them as .jsonl, .json or .yaml")
    try:
        rows = [_row(where, data) for where, data in load_rows(name, lambda _: body)]
    except DatasetInvalid as error:
        raise InvalidInput(str(error)) from None
    if not 1 <= len(rows) <= MAX_ROWS:
        raise InvalidInput(f"{name} holds {len(rows):,} labelled rows; 1 to {MAX_ROWS:,} are taken")
    return rows


def _row(where: str, data: Json) -> Labelled:
    told = isinstance(data, Mapping) and isinstance(data.get("holds"), bool) and isinstance(data.get("output"), str)
    if not told:
        raise InvalidInput(f"{where}: a row has `type`, `output` (text) and `holds` (true or false)")
    if strange := sorted(data.keys() - _KEYS):
        raise InvalidInput(f"{where}: unknown key {strange[0]!r}; known are {', '.join(sorted(_KEYS))}")
    asserted = {key: data[key] for key in ("type", "value", "threshold") if data.get(key) is not None}
    test = {key: data[key] for key in ("id", "vars") if key in data} | {"assert": [asserted, _BESIDE]}
    try:
        [case] = parse({"tests": [test]}).cases
    except SuiteInvalid as error:
        raise InvalidInput(f"{where}: {error}") from None
    except ValueError:
        raise InvalidInput(f"{where}: `vars` hold texts; a list would make several rows of it") from None
    kind = KINDS[case.asserts[0].kind]
    if not kind.asked(case.asserts[0].value) or kind.compares:
        raise InvalidInput(f"{where}: {kind.name} asks no model about one answer, so there is nothing to agree with")
    return Labelled(case, data["output"], data["holds"])


def name_of(rows: Iterable[Labelled]) -> str:
    """SHA-256 over the rows: figures are told with the set that they were measured on."""
    plain = [{**row.case.to_dict(), "output": row.answer, "holds": row.holds} for row in rows]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()


def most_usd(rows: Sequence[Labelled], policy: TestPolicy) -> float:
    """The most that grading them can cost. Raises InvalidInput where a price is unknown, or `max_cost_usd` is less."""
    total = 0.0
    for row in rows:
        text = row.answer + json.dumps(row.case.to_dict())
        tokens = 2 * len(text) / CHARS_PER_TOKEN
        for who in KINDS[row.case.asserts[0].kind].asked(row.case.asserts[0].value):
            model, extra = (policy.judge_model, JUDGE_TOKENS) if who == "judge" else (policy.embedding_model, 0)
            price = price_of(model, policy.prices)
            if price is None:
                raise InvalidInput(f"no price is known for model {model!r}; add it to tests.prices in release.yaml")
            total += cost(price, tokens + extra, extra) or 0.0
    if total > policy.max_cost_usd:
        raise InvalidInput(
            f"grading {len(rows):,} rows could cost {total:.2f} USD, more than tests.max_cost_usd = "
            f"{policy.max_cost_usd:g}; raise it, or take fewer rows"
        )
    return total


def graded(
    rows: Sequence[Labelled], grader: Grader, *, concurrency: int, done: Callable[[], None] = lambda: None
) -> Iterator[Graded]:
    """Each row graded, in their order."""

    def one(row: Labelled) -> Graded:
        try:
            return Graded(row, grader.assertion(row.case.asserts[0], row.case, Answer(row.answer)))
        except Ungradable as error:
            return Graded(row, None, str(error))
        finally:
            done()

    with ThreadPoolExecutor(concurrency) as pool:
        yield from pool.map(one, rows)


def agreements(found: Sequence[Graded]) -> list[Agreement]:
    """All rows together, then by kind."""
    kinds = list(dict.fromkeys(one.row.kind for one in found))
    return [_agreement("all", found), *(_agreement(k, [one for one in found if one.row.kind == k]) for k in kinds)]


def _agreement(kind: str, found: Sequence[Graded]) -> Agreement:
    told = [(one.row.holds, one.grade.passed) for one in found if one.grade is not None]
    return Agreement(
        kind,
        len(found),
        len(found) - len(told),
        Share.over([holds == passed for holds, passed in told]),
        Share.over([passed for holds, passed in told if holds]),
        Share.over([passed for holds, passed in told if not holds]),
    )
