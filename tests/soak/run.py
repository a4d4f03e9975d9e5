"""`make soak`: starts, disturbs, ends and judges a run. Writes `.local/soak.json`."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.running import EmbeddedAws
from promptlane.aws.plain import to_store
from tests.soak import notes
from tests.soak.bedrock import ScriptedBedrock
from tests.soak.clocks import Clocks
from tests.soak.expected import COMPARED, Cell
from tests.soak.front import Front, Weather
from tests.soak.history import History
from tests.soak.judge import Evidence, Verdict, judge, trail
from tests.soak.worker import EXITS
from tests.soak.writer import RouteWriter
from tests.support.tables import make_table

WRITTEN: Final = Path(".local/soak.json")
PROCESSES: Final = 8
PROMPTS: Final = ("greeter", "support", "summary", "intake")
REFRESH: Final = 1.0
BOUND: Final = 5 * REFRESH + 0.3 + 2.0
"""Seconds for which a route that was changed may still decide: docs/application.md, and two for a busy machine."""
TIMEOUT: Final = 8.0
RATE: Final = 30.0
"""Requests a second, of all processes together."""
AT_ONCE: Final = 4
STEP_EVERY: Final = 2.5
MOST_LEAKED_MB: Final = 5.0
MOST_LEAKED_FILES: Final = 8
LEAST_REQUESTS: Final = 10_000
FROZEN: Final = (1.5, 7.5)
AWAY: Final = (2.5, 4.0)
WALL_OFF: Final = (1800.0, -3600.0, -2 * 86_400.0, 3 * 3600.0, 5 * 86_400.0, -30 * 86_400.0, -1.7e9)
ROTATE_EVERY: Final = 55.0
NEWCOMER: Final = 4.0
"""Seconds that a process lives which starts with a new receipt key."""


@dataclass(frozen=True)
class Settings:
    minutes: float
    seed: int
    processes: int = PROCESSES
    rate: float = RATE
    without: frozenset[str] = frozenset()


class Soak:
    """One run. Disturbances of all processes come one after the other, those of one process beside them."""

    def __init__(self, settings: Settings, aws: EmbeddedAws, folder: Path) -> None:
        self.settings = settings
        self.aws = aws
        self.folder = folder
        self.draw = random.Random(f"disturb {settings.seed}")
        self.bedrock = ScriptedBedrock()
        self.store = Front(aws.url)
        self.metrics = Front(aws.url)
        self.over = threading.Event()
        self.done: Counter[str] = Counter()
        self.outages: list[tuple[float, float]] = []
        self.weathers: list[tuple[float, float, str]] = []
        self.disturbed: list[tuple[int, float, float]] = []
        table = self._tables()
        self.writer = RouteWriter(
            lambda item: table.put_item(Item=to_store(item)),
            lambda prompt: table.delete_item(Key={"prompt": prompt}),
            settings.seed,
        )
        self.bedrock.harmful = self.writer.harmful
        for prompt in PROMPTS:
            self.writer.add(prompt)
        self.keys: list[str] = []
        self.rotated: list[float] = []
        self._new_key()
        self.clocks = [Clocks(folder / f"{slot}.clocks") for slot in range(settings.processes)]
        self.workers = [self._worker(slot) for slot in range(settings.processes)]
        self.newcomers: list[subprocess.Popen[str]] = []

    def _tables(self) -> Any:
        dynamodb = self.aws.session().resource("dynamodb", endpoint_url=self.aws.url)
        make_table(dynamodb, "routes", "prompt", index="prompt_id")
        make_table(dynamodb, "feedback", "receipt")
        return dynamodb.Table("routes")

    def _worker(self, slot: int) -> subprocess.Popen[str]:
        told = {
            "folder": str(self.folder),
            "slot": slot,
            "seed": self.settings.seed,
            "processes": self.settings.processes,
            "prompts": PROMPTS,
            "rate": self.settings.rate / self.settings.processes,
            "at_once": AT_ONCE,
            "client": {
                "route_table": "routes",
                "feedback_table": "feedback",
                "refresh": REFRESH,
                "timeout": TIMEOUT,
                "shield_reserve": 3.0,
                "breaker_cooldown": 4.0,
                "resolution": 10,
            },
        }
        endpoints: dict[str, Front | ScriptedBedrock] = {
            "DYNAMODB": self.store,
            "KMS": self.store,
            "CLOUDWATCH": self.metrics,
            "BEDROCK_RUNTIME": self.bedrock,
        }
        urls = {f"AWS_ENDPOINT_URL_{name}": server.url for name, server in endpoints.items()}
        with (self.folder / f"{slot}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.soak.worker", json.dumps(told)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **self.aws.env(), **urls},
                start_new_session=True,
            )

    def run(self) -> None:
        for worker in self.workers:
            assert worker.stdout is not None
            if worker.stdout.readline() != "ready\n":
                raise RuntimeError(f"a process did not start; see {self.folder}/*.log")
        threads = [
            threading.Thread(target=self._repeat, args=(kinds,))
            for kinds in (
                [self.store_away, self.restore, self.remake, self.store_slow],
                [self.metrics_away, self.metrics_deaf],
                [self.freeze, self.freeze_clocks_too],
                [self.wall_jumps, self.monotonic_jumps],
                [self.fork, self.fork_again],
            )
        ]
        threads += [threading.Thread(target=self._release), threading.Thread(target=self._rotate)]
        for thread in threads:
            thread.start()
        self.over.wait(self.settings.minutes * 60)
        self.over.set()
        for thread in threads:
            thread.join()

    def end(self) -> list[str]:
        """End the processes as they end by themselves; what went wrong with that."""
        wrong = []
        for worker in self.workers:
            self._tell(worker, do="stop")
        for slot, worker in enumerate([*self.workers, *self.newcomers]):
            try:
                if code := worker.wait(90):
                    wrong.append(f"process {slot} ended with {code}; see {self.folder}/{slot}.log")
            except subprocess.TimeoutExpired:
                wrong.append(f"process {slot} did not end")
        return wrong

    def close(self) -> None:
        for worker in [*self.workers, *self.newcomers]:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                assert pipe is not None
                pipe.close()
        for server in (self.bedrock, self.store, self.metrics):
            server.close()

    def _tell(self, worker: subprocess.Popen[str], **command: Any) -> None:
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(command) + "\n")
        worker.stdin.flush()

    def _repeat(self, kinds: list[Callable[[], None]]) -> None:
        """Each kind twice a minute, in an order of its own each time."""
        pause = 60.0 / len(kinds) / 2
        draw = random.Random(f"{kinds[0].__name__} {self.settings.seed}")
        while not self.over.is_set():
            for kind in draw.sample(kinds, len(kinds)):
                if kind.__name__ in self.settings.without:
                    self.over.wait(pause)
                    continue
                begun = time.monotonic()
                if self.over.wait(draw.uniform(0.1, 0.3) * pause):
                    return
                kind()
                self.done[kind.__name__] += 1
                self.over.wait(max(0.0, begun + pause - time.monotonic()))

    def _release(self) -> None:
        """Releases go their way, whatever else happens."""
        draw = random.Random(f"release {self.settings.seed}")
        while not self.over.wait(STEP_EVERY / len(PROMPTS) * draw.uniform(0.5, 1.5)):
            self.writer.step(draw.choice(PROMPTS))
            self.done["release steps"] += 1

    def store_away(self) -> None:
        """The route table, the feedback table and KMS do not answer, or cut every line."""
        with self._weather(self.store, self.draw.choice(["refusing", "silent"])):
            self.over.wait(self.draw.uniform(*AWAY))

    def store_slow(self) -> None:
        with self._weather(self.store, "slow"):
            self.over.wait(self.draw.uniform(*AWAY))

    @contextmanager
    def _weather(self, front: Front, weather: Weather) -> Iterator[None]:
        begun = time.time()
        front.weather = weather
        try:
            yield
        finally:
            front.weather = "fair"
            of = "the route table" if front is self.store else "CloudWatch"
            self.weathers.append((begun, time.time(), f"{of} {weather}"))
            if front is self.store and weather != "slow":
                self.outages.append((begun, time.time()))

    def restore(self) -> None:
        emptied = self.draw.random() < 0.3
        prompt = self.draw.choice(PROMPTS)
        self.writer.restore(prompt, emptied=emptied, wait=self.over.wait, mend=self.draw.uniform(2.0, 4.0))

    def remake(self) -> None:
        self.writer.remake(
            self.draw.choice(PROMPTS),
            gone=self.bedrock.gone.add,
            wait=self.over.wait,
            after=self.draw.uniform(0.5, 2.0),
        )

    def _rotate(self) -> None:
        """Another KMS key, and a process that starts with it; the others learn of it by its receipts."""
        pause = 5.0
        while "rotate_key" not in self.settings.without and not self.over.wait(pause):
            pause = ROTATE_EVERY - NEWCOMER
            self._new_key()
            newcomer = self._worker(self.settings.processes + len(self.rotated))
            self.over.wait(NEWCOMER)
            self._tell(newcomer, do="stop")
            self.newcomers.append(newcomer)
            self.done["rotate_key"] += 1

    def _new_key(self) -> None:
        """It seals; those before still open what they sealed: a process may learn of several at once."""
        self.keys.append(self.aws.client("kms").create_key()["KeyMetadata"]["KeyId"])
        new = self.folder / "keys.new"
        new.write_text(" ".join(self.keys[-4:]))
        new.rename(self.folder / "keys")
        self.rotated.append(time.time())

    def metrics_away(self) -> None:
        """CloudWatch takes nothing for a while; no process ends meanwhile, since what it holds would go with it."""
        with self._nobody_ends(), self._weather(self.metrics, "throttling"):
            self.over.wait(self.draw.uniform(*AWAY))

    def metrics_deaf(self) -> None:
        """CloudWatch takes what it gets, and its answers are lost."""
        with self._nobody_ends(), self._weather(self.metrics, self.draw.choice(["deaf", "failing"])):
            self.over.wait(self.draw.uniform(*AWAY))

    @contextmanager
    def _nobody_ends(self) -> Iterator[None]:
        with (self.folder / "exits.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def freeze(self) -> None:
        """A process and its children stand still; their clocks go on."""
        self._freeze(clocks_too=False)

    def freeze_clocks_too(self) -> None:
        """As a suspended machine: the monotonic clock stood still, the wall clock did not."""
        self._freeze(clocks_too=True)

    def _freeze(self, *, clocks_too: bool) -> None:
        slot = self.draw.randrange(len(self.workers))
        begun = time.time()
        os.killpg(self.workers[slot].pid, signal.SIGSTOP)
        self.over.wait(self.draw.uniform(*FROZEN))
        if clocks_too:
            self.clocks[slot].move(monotonic=begun - time.time())
        os.killpg(self.workers[slot].pid, signal.SIGCONT)
        self.disturbed.append((slot, begun, time.time()))

    def wall_jumps(self) -> None:
        """The wall clock jumps, and is set right again."""
        slot = self.draw.randrange(len(self.workers))
        self.clocks[slot].set_wall(self.draw.choice(WALL_OFF))
        self.over.wait(self.draw.uniform(1.0, 4.0))
        self.clocks[slot].set_wall(0.0)

    def monotonic_jumps(self) -> None:
        """The monotonic clock runs on by half a minute: every request under way has overrun its time."""
        slot = self.draw.randrange(len(self.workers))
        began = time.time()
        self.clocks[slot].move(monotonic=30.0)
        self.disturbed.append((slot, began - 0.05, time.time() + 0.05))

    def fork(self) -> None:
        self._tell(self.draw.choice(self.workers), do="fork", exit=self.draw.choice(EXITS), again=False)

    def fork_again(self) -> None:
        self._tell(self.draw.choice(self.workers), do="fork", exit=self.draw.choice(EXITS), again=True)

    def evidence(self) -> Evidence:
        lines = list(notes.read(self.folder))
        history = History(
            self.writer.written,
            bound=BOUND,
            outages=self.outages,
            unsettled=self.writer.unsettled,
            stale=[line for line in lines if line["k"] == "stale"],
        )
        return Evidence(
            lines,
            self.bedrock.calls,
            history,
            counted(self.aws),
            disturbed=self.disturbed,
            weathers=self.weathers,
            rotated=self.rotated,
            timeout=TIMEOUT,
        )


def counted(aws: EmbeddedAws) -> dict[Cell, float]:
    """What CloudWatch has, by version and by track."""
    cloudwatch = aws.client("cloudwatch")
    found: Counter[Cell] = Counter()
    queries: list[tuple[Cell, dict[str, Any]]] = []
    for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace="Promptlane"):
        for metric in page["Metrics"]:
            of = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
            if set(of) not in ({"Prompt", "Version"}, {"Prompt", "Track"}):
                continue
            for kind, stat in (("n", "SampleCount"), ("sum", "Sum")):
                if (metric["MetricName"], kind) in COMPARED:
                    cell = Cell(of["Prompt"], of.get("Version") or of["Track"], metric["MetricName"], kind)  # type: ignore[arg-type]
                    query = {"Metric": metric, "Period": 86_400, "Stat": stat}
                    queries.append((cell, {"Id": f"q{len(queries)}", "MetricStat": query}))
    now = time.time()
    for start in range(0, len(queries), 500):
        part = queries[start : start + 500]
        reply = cloudwatch.get_metric_data(
            MetricDataQueries=[query for _, query in part], StartTime=now - 16 * 86_400, EndTime=now + 2 * 86_400
        )
        cells = {query["Id"]: cell for cell, query in part}
        for result in reply["MetricDataResults"]:
            found[cells[result["Id"]]] += sum(result["Values"])
    return {cell: value for cell, value in found.items() if value}


def report(verdict: Verdict, soak: Soak, wrong: list[str]) -> dict[str, Any]:
    kinds = ("receipts", "children", "odd")
    return {
        "requests": verdict.requests,
        "unanswered": verdict.number("unanswered"),
        "wrong_version": verdict.number("wrong_version"),
        "miscounted": verdict.number("miscounted"),
        "leaked_mb": verdict.leaked_mb,
        **{kind: verdict.number(kind) for kind in kinds},
        "processes_that_failed": wrong,
        "seed": soak.settings.seed,
        "minutes": soak.settings.minutes,
        "disturbances": dict(sorted(soak.done.items())),
        **verdict.beneath,
        "asked_of_aws": {**soak.store.asked, **soak.metrics.asked},
        "bound_seconds": BOUND,
    }


def failed(found: dict[str, Any], settings: Settings) -> list[str]:
    """The aims that a run missed."""
    aims = [
        name for name in ("unanswered", "wrong_version", "miscounted", "receipts", "children", "odd") if found[name]
    ]
    aims += ["processes"] * bool(found["processes_that_failed"])
    aims += ["leaked_mb"] * (found["leaked_mb"] > MOST_LEAKED_MB)
    aims += ["leaked_files"] * (found["leaked_files"] > MOST_LEAKED_FILES)
    aims += ["requests"] * (found["requests"] < LEAST_REQUESTS * min(1.0, settings.minutes / 10))
    rare = [name for name, times in found["disturbances"].items() if times < int(settings.minutes)]
    return aims + [f"{name} too rarely" for name in rare]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second, of all processes together")
    parser.add_argument(
        "--without", default="", help="disturbances to leave out, parted by commas: to find a fault's own"
    )
    parser.add_argument("--keep", action="store_true", help="keep what the processes noted, and say where")
    given = parser.parse_args()
    settings = Settings(given.minutes, given.seed, given.processes, given.rate, frozenset(given.without.split(",")))
    folder = Path(tempfile.mkdtemp(prefix="promptlane-soak-"))
    with EmbeddedAws() as aws:
        soak = Soak(settings, aws, folder)
        try:
            soak.run()
            wrong = soak.end()
            evidence = soak.evidence()
        finally:
            soak.close()
    verdict = judge(evidence)
    found = report(verdict, soak, wrong)
    missed = failed(found, settings)
    WRITTEN.parent.mkdir(exist_ok=True)
    WRITTEN.write_text(json.dumps({**found, "missed": missed}, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    for problem in verdict.problems[:10]:
        print(f"WRONG {problem.kind} {problem.id}: {problem.what}")
    first = next((problem for problem in verdict.problems if problem.id), None)
    if first:
        print(f"\nThe first, {first.id} ({first.kind}):", *trail(evidence, first.id), sep="\n  ")
    if missed or given.keep:
        print(f"notes: {folder}")
    print(f"missed: {', '.join(missed) or 'nothing'}; {WRITTEN}")
    return bool(missed)
