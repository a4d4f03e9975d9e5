"""10,000 requests over 8 processes while one release walks to 100 %, another is rolled back, and the store is away for
eight seconds: all answered, each by a version that the route allowed at that moment, each counted once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from local.running import EmbeddedAws
from promptlane.domain.names import Phase
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import Route, salt_of
from tests.support.tables import make_table

PROCESSES, REQUESTS, REFRESH = 8, 1250, 1.0
BOUND = 1.1 * REFRESH + 1.5  # a refresh, its jitter, and the read itself on a busy machine
OUTAGE = 8.0
WORKER = """
import json, sys, time
from promptlane.client.emf import EmfSink
from promptlane.client.testing import FakeBedrock, client_over
number, requests, refresh, until, folder = int(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:5]), sys.argv[5]
fake = FakeBedrock("fine")
with open(f"{folder}/{number}.emf", "w") as emf, open(f"{folder}/{number}.log", "w") as log:
    client = client_over(bedrock=lambda limit: fake, route_table="routes", refresh=refresh, sink=EmfSink(stream=emf))
    client.route("p", "warm")
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.time()
    for i in range(requests):
        time.sleep(max(0.0, start + (until * i / requests) - time.time()))
        before = time.time()
        answer = client.converse("p", unit=f"user-{i % 400}", variables={})
        log.write(json.dumps([before, time.time(), answer.version, answer.track, answer.decision.revision]) + "\\n")
"""


class Line(threading.Thread):
    """A TCP line to the embedded AWS that can be cut: what the clients see of a store that is away."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._server.getsockname()[1]
        self._pairs: list[socket.socket] = []
        self.cut = False
        self.start()

    def run(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if self.cut:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._pairs += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            source.close()
            sink.close()

    def hang_up(self) -> None:
        self.cut = True
        for end in self._pairs:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                end.close()
        self._pairs.clear()

    def close(self) -> None:
        self.hang_up()
        self._server.close()


def ref(version: int) -> VersionRef:
    return VersionRef(version, f"{version:064x}", f"arn:aws:bedrock:us-east-1:111122223333:prompt/ABCDEFGHIJ:{version}")


def route(revision: int, stable: int, canary: int | None = None, weight: int = 0) -> Route:
    release = f"ABCDEFGHIJ-{canary or stable}-1"
    return Route(
        prompt="p",
        prompt_id="ABCDEFGHIJ",
        stable=ref(stable),
        canary=ref(canary) if canary else None,
        weight=weight,
        salt=salt_of(release),
        release_id=release,
        revision=revision,
        phase=Phase.CANARY if canary else Phase.STEADY,
    )


def test_every_request_is_answered_by_an_allowed_version_and_counted_once(
    embedded_aws: EmbeddedAws, account: str, tmp_path: Path
) -> None:
    dynamodb = embedded_aws.session(account).resource("dynamodb", endpoint_url=embedded_aws.url)
    make_table(dynamodb, "routes", "prompt")
    written: list[tuple[float, Route]] = []

    def put(new: Route) -> None:
        item: dict[str, Any] = {**new.to_item(), "phase_since": 0, "watch_until": 0}
        dynamodb.Table("routes").put_item(Item=item)
        written.append((time.time(), new))

    line = Line(int(embedded_aws.url.rpartition(":")[2]))
    env = {**os.environ, **embedded_aws.env(account), "PYTHONPATH": str(Path(__file__).parents[2])}
    env |= {name: f"http://127.0.0.1:{line.port}" for name in env if name.startswith("AWS_ENDPOINT_URL")}
    put(route(1, 1))
    length = 3 * 4.0 + OUTAGE + 6.0
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(i), str(REQUESTS), str(REFRESH), str(length), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        for i in range(PROCESSES)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        put(route(2, 1, canary=2, weight=500))
        time.sleep(4)
        put(route(3, 1, canary=2, weight=2500))
        time.sleep(4)
        put(route(4, 2))  # 100 %
        time.sleep(2)
        put(route(5, 2, canary=3, weight=2500))
        time.sleep(2)
        gone = time.time()
        line.hang_up()
        time.sleep(3)
        put(route(6, 2))  # rolled back while no client can see it
        time.sleep(OUTAGE - 3)
        line.cut = False
        back = time.time()
        assert [worker.wait(timeout=120) for worker in workers] == [0] * PROCESSES
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            for stream in (worker.stdin, worker.stdout):
                assert stream is not None
                stream.close()
        line.close()

    answers = [json.loads(row) for i in range(PROCESSES) for row in (tmp_path / f"{i}.log").read_text().splitlines()]
    assert len(answers) == PROCESSES * REQUESTS

    def allowed(before: float, after: float) -> set[tuple[int, str]]:
        """Versions by track of every route that was in force, or still might be held, at that moment."""
        oldest = before - BOUND
        if gone < before < back + BOUND:
            oldest = min(oldest, gone - BOUND)
        found: set[tuple[int, str]] = set()
        for (at, held), (until, _) in zip(written, [*written[1:], (float("inf"), held_last)], strict=True):
            if at <= after and until >= oldest:
                found.add((held.stable.version, "stable"))
                if held.canary is not None:
                    found.add((held.canary.version, "canary"))
        return found

    held_last = written[-1][1]
    wrong = [a for a in answers if (a[2], a[3]) not in allowed(a[0], a[1])]
    assert wrong == []
    seen = {(version, track) for _, _, version, track, _ in answers}
    assert seen == {(1, "stable"), (2, "canary"), (2, "stable"), (3, "canary")}
    assert max(a[4] for a in answers if gone + 1 < a[0] < back) == 5
    assert {a[4] for a in answers if a[0] > back + BOUND} == {6}

    lines = [json.loads(row) for i in range(PROCESSES) for row in (tmp_path / f"{i}.emf").read_text().splitlines()]
    for track in ("stable", "canary"):
        counted = [x for x in lines if x.get("Track") == track and "Latency" in x]
        assert len(counted) == sum(a[3] == track for a in answers)
        assert sum(x["Assigned"] for x in counted) == len(counted)
    assert any("StaleRoute" in x for x in lines)
