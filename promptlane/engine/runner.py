"""Runs cases against both versions: interleaved, retried, bounded, streaming.

Both sides of a case's repeat stand next to each other in the queue, the candidate first in every other pair, so that a
slow or bad minute of the service meets both alike. Throttling and transient errors are waited out and never graded;
what cannot be run in the end is missing. Cases are taken from an iterator and given back as they finish, and no more
are under way than the workers need, so memory does not grow with the suite.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar

from promptlane.domain.errors import Unavailable
from promptlane.domain.suite.answers import (
    Answer,
    CallRefused,
    Embedder,
    Judge,
    Model,
    ModelNotEnabled,
    ModelRequest,
)
from promptlane.domain.usage import Usage

from . import faults
from .assertions import KINDS, CaseGrade, Grader
from .checks import Check
from .kinds import Ungradable
from .prices import Prices, cost, paid, price_of
from .suite import Case, flat
from .targets import Target
from .transcript import conversation

Json = Any
T = TypeVar("T")
CANDIDATE: Final = "candidate"
STABLE: Final = "stable"
GRADING_SECONDS: Final = 30.0
"""After the last call: what is not graded by then is missing, so that slow patterns cannot end a batch."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Waiting after throttling and transient errors: full jitter below base * 2^n seconds, at most `longest`."""

    attempts: int = 8
    base: float = 0.5
    longest: float = 20.0

    def wait(self, attempt: int, dice: Callable[[], float]) -> float:
        return dice() * min(self.longest, self.base * 2.0**attempt)


@dataclass(frozen=True, slots=True)
class Run:
    """One answer of one side to one case, graded; or missing, with the reason.

    Of a conversation `answer` is the first, with those after it in `later`, also where a call among them failed.
    """

    answer: Answer | None = None
    grade: CaseGrade | None = None
    missing: str = ""
    reused: bool = False

    @property
    def passed(self) -> bool | None:
        return None if self.grade is None else self.grade.passed


@dataclass(frozen=True, slots=True)
class CaseRun:
    """All runs of one case. `stable` is None in a first version's test."""

    case: Case
    candidate: tuple[Run, ...]
    stable: tuple[Run, ...] | None


class AnswerStore(Protocol):
    """Answers of versions, kept for the next comparison, which grades them anew."""

    def get(self, target: Target, case: Case) -> list[Answer]:
        """Fresh answers of this version to this case, by repeat; empty where there are none."""

    def put(self, target: Target, case: Case, answers: list[Answer]) -> None:
        """Keep the answers of all repeats."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a run needs: both versions, the models, and how hard to try.

    `deadline`: no call is started after this time of `clock` (monotonic seconds), and nothing is graded long after it;
    what is left is missing.
    """

    candidate: Target
    stable: Target | None
    model: Model
    repeats: int = 1
    concurrency: int = 8
    judge: Judge | None = None
    embedder: Embedder | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    prices: Prices = field(default_factory=dict)
    store: AnswerStore | None = None
    retry: Retry = Retry()
    deadline: float | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    dice: Callable[[], float] = random.random


def run_cases(cases: Iterable[Case], bench: Bench) -> Iterator[CaseRun]:
    """Every case's runs, in the order in which cases finish."""
    return _Runner(bench).run(cases)


class _Pending:
    """One case under way."""

    __slots__ = ("case", "earlier", "left", "lock", "preferences", "runs")

    def __init__(self, case: Case, sides: tuple[str, ...], repeats: int) -> None:
        self.case = case
        self.runs: dict[str, list[Run]] = {side: [Run()] * repeats for side in sides}
        self.preferences: list[dict[str, tuple[int, str]]] = [{} for _ in range(repeats)]
        self.earlier: list[Answer] | None = None
        self.left = 0
        self.lock = threading.Lock()


_Task = tuple[_Pending, str, int]


class _Runner:
    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.targets = {CANDIDATE: bench.candidate} | ({STABLE: bench.stable} if bench.stable else {})
        self.sides = tuple(self.targets)
        self.price = {side: price_of(t.model, bench.prices) for side, t in self.targets.items()}
        self.tools = {side: t.tools for side, t in self.targets.items()}
        self.judge, self.embedder = patient(bench)
        self.dead: dict[str, str] = {}
        self.steps: dict[str, str] = {}
        self.tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[_Pending | BaseException] = queue.SimpleQueue()
        self.stopping = threading.Event()

    def run(self, cases: Iterable[Case]) -> Iterator[CaseRun]:
        workers = [
            threading.Thread(target=self.work, name=f"case-{i}", daemon=True) for i in range(self.bench.concurrency)
        ]
        for worker in workers:
            worker.start()
        try:
            yield from self.feed(cases)
        finally:
            self.stopping.set()
            for _ in workers:
                self.tasks.put(None)
            for worker in workers:
                worker.join()

    def feed(self, cases: Iterable[Case]) -> Iterator[CaseRun]:
        window = 2 * self.bench.concurrency
        under_way = 0
        for number, case in enumerate(cases):
            under_way += 1
            self.enqueue(case, number)
            while under_way >= window:
                yield self.next_done()
                under_way -= 1
        while under_way:
            yield self.next_done()
            under_way -= 1

    def next_done(self) -> CaseRun:
        found = self.done.get()
        if isinstance(found, BaseException):
            raise found
        stable = tuple(found.runs[STABLE]) if STABLE in found.runs else None
        return CaseRun(found.case, tuple(found.runs[CANDIDATE]), stable)

    def enqueue(self, case: Case, number: int) -> None:
        repeats = case.runs(self.bench.repeats)
        pending = _Pending(case, self.sides, repeats)
        tasks: list[_Task] = []
        for repeat in range(repeats):
            order = self.sides if (number + repeat) % 2 == 0 else self.sides[::-1]
            tasks += [(pending, side, repeat) for side in order]
        pending.left = len(tasks)
        for task in tasks:
            self.tasks.put(task)

    def work(self) -> None:
        while (task := self.tasks.get()) is not None and not self.stopping.is_set():
            pending, side, repeat = task
            try:
                pending.runs[side][repeat] = self.one(pending, side, repeat)
                with pending.lock:
                    pending.left -= 1
                    last = pending.left == 0
                if last:
                    self.finish(pending)
                    self.done.put(pending)
            except BaseException as error:  # noqa: BLE001 - a defect must reach the caller, not end in a thread
                self.done.put(error)

    def one(self, pending: _Pending, side: str, repeat: int) -> Run:
        """Get one answer: kept, or asked for."""
        case, target = pending.case, self.targets[side]
        earlier = self.earlier(pending, target) if side == STABLE else []
        if repeat < len(earlier):
            return Run(answer=self.priced(earlier[repeat], side), reused=True)
        if side in self.dead:
            return Run(missing=self.dead[side])
        try:
            answer = self.priced(conversation(self.ask, target.request(case), case), side)
            return Run(answer=answer, missing=answer.broken)
        except ModelNotEnabled as error:
            self.dead[side] = str(error)
            return Run(missing=str(error))
        except (CallRefused, Unavailable) as error:
            return Run(missing=str(error))
        except Exception as error:  # noqa: BLE001 - of one call's answer, or of one case's text: the others go on
            return Run(missing=faults.unread(error))

    def ask(self, request: ModelRequest) -> Answer:
        return patiently(self.bench, lambda: self.bench.model.answer(request))

    def earlier(self, pending: _Pending, target: Target) -> list[Answer]:
        """Answers kept from before. Latency is compared only between answers of the same hour, so never reused."""
        if self.bench.store is None or any(KINDS[a.kind].fresh for a in flat(pending.case.all_asserts)):
            return []
        with pending.lock:
            if pending.earlier is None:
                pending.earlier = self.bench.store.get(target, pending.case)
            return pending.earlier

    def priced(self, answer: Answer, side: str) -> Answer:
        """The answer with what it cost, and without what only its conversation needed."""
        real = None
        if answer.cache_read_tokens or answer.cache_write_tokens:
            cached = (answer.cache_read_tokens, answer.cache_write_tokens)
            used = Usage(answer.input_tokens, answer.output_tokens, *cached)
            real = paid(self.targets[side].model, self.bench.prices, used)
        return replace(
            answer,
            cost_usd=cost(self.price[side], answer.input_tokens, answer.output_tokens),
            paid_usd=real,
            later=tuple(self.priced(one, side) for one in answer.later) if answer.later else (),
            content=(),
        )

    def finish(self, pending: _Pending) -> None:
        """Grade all runs of a case, then keep what may serve again."""
        whole = {side: all(r.answer is not None and not r.missing for r in pending.runs[side]) for side in self.sides}
        for side in self.sides:
            for repeat, run in enumerate(pending.runs[side]):
                if run.answer is not None and not run.missing:
                    pending.runs[side][repeat] = self.graded(pending, side, repeat, run)
        store = self.bench.store
        if store is None:
            return
        for side, target in self.targets.items():
            runs = pending.runs[side]
            if whole[side] and not all(r.reused for r in runs):
                store.put(target, pending.case, [r.answer for r in runs if r.answer])

    def late(self) -> bool:
        """Whether nothing more is graded."""
        deadline = self.bench.deadline
        return deadline is not None and self.bench.clock() > deadline + GRADING_SECONDS

    def graded(self, pending: _Pending, side: str, repeat: int, run: Run) -> Run:
        assert run.answer is not None
        rival = None
        if len(self.sides) == 2:
            rival = pending.runs[STABLE if side == CANDIDATE else CANDIDATE][repeat].answer
        grader = Grader(
            tools=self.tools[side],
            judge=self.judge,
            embedder=self.embedder,
            checks=self.bench.checks,
            other=rival,
            is_candidate=side == CANDIDATE,
            preferences=pending.preferences[repeat],
            late=self.late,
            steps=self.steps,
        )
        try:
            return replace(run, grade=grader.case(pending.case, run.answer))
        except Ungradable as error:
            return replace(run, missing=str(error))


def patient(bench: Bench) -> tuple[Judge | None, Embedder | None]:
    """Judge and embedder of a bench, which wait out what passes."""
    judge = _PatientJudge(bench, bench.judge) if bench.judge else None
    return judge, _PatientEmbedder(bench, bench.embedder) if bench.embedder else None


def patiently(bench: Bench, call: Callable[[], T]) -> T:
    """What `call` returns, tried again after throttling and transient errors. Raises Unavailable in the end."""
    reason = ""
    for attempt in range(bench.retry.attempts):
        if bench.deadline is not None and bench.clock() >= bench.deadline:
            raise Unavailable(
                f"the time was up after: {reason}" if reason else "the time was up before it was its turn"
            )
        try:
            return call()
        except Unavailable as error:
            reason = str(error)
        if attempt + 1 < bench.retry.attempts:
            bench.sleep(bench.retry.wait(attempt, bench.dice))
    raise Unavailable(f"gave up after {bench.retry.attempts} attempts: {reason}")


@dataclass(frozen=True, slots=True)
class _PatientJudge:
    bench: Bench
    inner: Judge

    def ask(self, system: str, user: str, schema: Mapping[str, Json]) -> Json:
        return patiently(self.bench, lambda: self.inner.ask(system, user, schema))


@dataclass(slots=True)
class _PatientEmbedder:
    """Patient, and with a memory of the last texts: a case's reference text comes up for every run."""

    bench: Bench
    inner: Embedder
    known: dict[str, Sequence[float]] = field(default_factory=dict)

    def embed(self, text: str) -> Sequence[float]:
        found = self.known.get(text)
        if found is None:
            found = patiently(self.bench, lambda: self.inner.embed(text))
            if len(self.known) >= 200:
                self.known.clear()
            self.known[text] = found
        return found
