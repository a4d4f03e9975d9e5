"""Servers that fork, as they do it: each request is counted once, by the process that answered it, and every one ends.

One program forks a server for each way; the servers' CloudWatch writes what it takes to a file of the way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LONGEST = 60.0

COMMON = """
import multiprocessing, os, signal, sys, threading, time
from promptlane.client import processes
from promptlane.client.testing import FakeBedrock, StaticRoutes, client_over

class Session:
    def client(self, service, *, config):
        return {"cloudwatch": Cloud(), "bedrock-runtime": bedrock}[service]

class Cloud:
    def put_metric_data(self, *, Namespace, MetricData):
        time.sleep(slow)
        lines = []
        for datum in MetricData:
            dimensions = {one["Name"]: one["Value"] for one in datum["Dimensions"]}
            if datum["MetricName"] == "Assigned" and set(dimensions) == {"Prompt", "Version"}:
                lines.append(f"{os.getpid()} {int(sum(datum['Counts']))}")
        with open(path, "a") as file:
            file.write("".join(line + chr(10) for line in lines))
    def close(self):
        pass

slow, path, client = 0.0, "", None
routes = StaticRoutes()
routes.put("greeter", stable=1)
bedrock = FakeBedrock("hi")

def serve(count):
    for i in range(count):
        client.converse("greeter", unit=f"u{i}")

def fork(child):
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit(0)
    return pid

def wait(*pids):
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0

def server(way, program):
    global path, client
    path = sys.argv[1] + "/" + way
    client = client_over(routes, session=Session(), refresh=0.02)
    exec(program, globals())

def main(ways):
    servers = []
    for way, program in ways.items():
        servers.append(fork(lambda: server(way, program)))
        if not processes._loaded:
            processes.load()  # the first one finds nothing loaded, and its threads import while it forks
    for way, pid in zip(ways, servers):
        assert os.waitpid(pid, 0)[1] == 0, way
"""

WAYS: dict[str, tuple[str, list[int]]] = {
    "forks while other threads serve": (
        """
stop = threading.Event()
counts = []
def busy():
    n = 0
    while not stop.is_set():
        serve(1)
        n += 1
    counts.append(n)
threads = [threading.Thread(target=busy) for _ in range(3)]
[thread.start() for thread in threads]
wait(*[fork(lambda: (stop.set(), serve(2))) for _ in range(6)])
stop.set()
[thread.join() for thread in threads]
open(path + ".served", "w").write(str(sum(counts)))
""",
        [2, 2, 2, 2, 2, 2],
    ),
    "a preloaded server whose workers end by sys.exit": (
        """
serve(5)
wait(*[fork(lambda: serve(3)) for _ in range(4)])
""",
        [5, 3, 3, 3, 3],
    ),
    "a worker that is told to end, as gunicorn does": (
        """
def worker():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(3)
    while True:
        time.sleep(0.01)
serve(2)
pid = fork(worker)
time.sleep(0.5)
os.kill(pid, signal.SIGTERM)
wait(pid)
""",
        [2, 3],
    ),
    "a fork of a fork": (
        """
def child():
    serve(3)
    wait(fork(lambda: serve(4)))
serve(2)
wait(fork(child))
""",
        [2, 3, 4],
    ),
    "a flush under way at the fork": (
        """
serve(5)
slow = 1.0
threading.Thread(target=client.flush, daemon=True).start()
time.sleep(0.2)
def child():
    global slow
    slow = 0.0
    serve(3)
wait(fork(child))
""",
        [5, 3],
    ),
    "a closed client that a child goes on with": (
        """
serve(2)
client.close()
wait(fork(lambda: serve(3)))
""",
        [2, 3],
    ),
    "workers of multiprocessing, forked": (
        """
serve(2)
multiprocessing.set_start_method("fork")
workers = [multiprocessing.Process(target=serve, args=(3,)) for _ in range(2)]
[worker.start() for worker in workers]
[worker.join() for worker in workers]
assert [worker.exitcode for worker in workers] == [0, 0]
""",
        [2, 3, 3],
    ),
    "a pool of multiprocessing that is closed": (
        """
from concurrent.futures import ProcessPoolExecutor
serve(1)
with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
    list(pool.map(serve, [2, 2]))
""",
        [1, 4],
    ),
    "a worker of Celery's pool, which is told and leaves by os._exit": (
        """
class Signal:
    receivers = []
    def connect(self, receiver, weak=True):
        self.receivers.append(receiver)

class signals:
    worker_process_shutdown = Signal()

sys.modules["celery.signals"] = signals
def child():
    serve(3)
    for receiver in Signal.receivers:
        receiver(signal=Signal, sender=None, pid=os.getpid(), exitcode=0)
    os._exit(0)
serve(2)
wait(fork(child))
""",
        [2, 3],
    ),
    "a server that forks without telling Python, as uWSGI may": (
        """
import ctypes
serve(2)
pid = ctypes.PyDLL(None).fork()
if pid == 0:
    time.sleep(0.1)
    serve(3)
    client.close()
    os._exit(0)
wait(pid)
""",
        [2, 3],
    ),
    "an exit hook that asks once more, after the client's own": (
        """
def child():
    import atexit
    global client
    atexit.register(lambda: serve(2))
    client = client_over(routes, session=Session())
    serve(3)
serve(1)
wait(fork(child))
""",
        [1, 5],
    ),
    "a child that leaves by os._exit has sent what it flushed": (
        """
def child():
    serve(3)
    client.flush()
    os._exit(0)
serve(2)
wait(fork(child))
""",
        [2, 3],
    ),
}


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_each_request_is_counted_once_by_its_process_and_every_process_ends(tmp_path: Path) -> None:
    ways = {way: program for way, (program, _) in WAYS.items()}
    run(f"{COMMON}\nmain({ways!r})\n", str(tmp_path))
    for way, (_, wanted) in WAYS.items():
        counted: Counter[str] = Counter()
        for line in (tmp_path / way).read_text().splitlines():
            process, count = line.split()
            counted[process] += int(count)
        served = tmp_path / f"{way}.served"
        assert sorted(counted.values()) == sorted([*wanted, *([int(served.read_text())] if served.exists() else [])]), (
            way
        )


SPAWNED = """
import multiprocessing, pickle, sys
from promptlane.client.testing import StaticRoutes, fake_client

if __name__ == "__main__":
    client = fake_client(StaticRoutes())
    try:
        pickle.dumps(client)
    except TypeError as error:
        print(error)
"""


def test_a_client_is_not_sent_to_a_process_that_is_spawned_and_says_what_to_do() -> None:
    assert run(SPAWNED).strip() == "a PromptClient stays in its process: make one in the other, by the same settings"


IMPORTING = """
import os, sys, threading, time
import importlib.abc, importlib.machinery
from promptlane.client.testing import FakeBedrock, StaticRoutes, fake_client

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "promptlane.client.answer" and not begun.is_set():
            begun.set()
            time.sleep(0.5)
        return None

begun = threading.Event()
sys.meta_path.insert(0, Slow())
for name in [n for n in sys.modules if n == "promptlane.client.answer"]:
    del sys.modules[name]
routes = StaticRoutes()
routes.put("greeter", stable=1)
client = fake_client(routes, FakeBedrock("hi"), refresh=3600)
thread = threading.Thread(target=lambda: client.converse("greeter", unit="u"))
thread.start()
begun.wait()
pid = os.fork()
if pid == 0:
    import signal
    signal.alarm(20)
    assert client.converse("greeter", unit="u").text == "hi"
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""
LINES = """
import os, sys, threading
from promptlane.client.emf import EmfSink
from promptlane.client.metrics import stale_route

sink = EmfSink()
stop = threading.Event()
def busy():
    while not stop.is_set():
        sink.emit(stale_route("greeter", 1.0, now=1e9 + counted.pop()))
counted = list(range(10 ** 6))
thread = threading.Thread(target=busy)
thread.start()
for _ in range(60):
    pid = os.fork()
    if pid == 0:
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
stop.set()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_waits_for_a_module_that_another_thread_imports() -> None:
    assert run(IMPORTING).strip() == "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_no_child_writes_a_line_of_its_parents_again() -> None:
    stamps: list[Any] = [json.loads(line)["_aws"]["Timestamp"] for line in run(LINES).splitlines()]
    assert len(stamps) == len(set(stamps))
