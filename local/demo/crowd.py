"""The processes that send live traffic, and the sum of what they counted."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
Json = Any


class Crowd:
    """Simulated users in `processes` processes. `start()`, then `totals()` at any time, then `stop()`."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        prompt: str,
        users: int,
        rate: float,
        processes: int = 2,
        threads: int = 8,
        timeout: float = 6.0,
        slow_after: float = 3.0,
    ) -> None:
        self._environment = dict(environment)
        self._command = [sys.executable, "-m", "local.demo.traffic", "--prompt", prompt]
        self._command += ["--users", str(users), "--rate", str(rate / processes), "--threads", str(threads)]
        self._command += ["--timeout", str(timeout), "--slow-after", str(slow_after)]
        self._processes: list[subprocess.Popen[str]] = []
        self._count = processes
        self._latest: dict[int, dict[str, Json]] = {}
        self._readers: list[threading.Thread] = []
        self._past: deque[tuple[float, int]] = deque(maxlen=20)

    def start(self) -> None:
        for number in range(self._count):
            process = subprocess.Popen(
                [*self._command, "--seed", str(number + 1)],
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._processes.append(process)
            reader = threading.Thread(target=self._read, args=(number, process), daemon=True)
            reader.start()
            self._readers.append(reader)

    def _read(self, number: int, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._latest[number] = json.loads(line)

    def totals(self) -> dict[str, Json]:
        """{"total", "failed", "by_version", "by_track", "last_error"} over all processes."""
        versions: Counter[str] = Counter()
        tracks: Counter[str] = Counter()
        for counted in list(self._latest.values()):
            versions.update(counted["by_version"])
            tracks.update(counted["by_track"])
        latest = list(self._latest.values())
        return {
            "total": sum(c["total"] for c in latest),
            "failed": sum(c["failed"] for c in latest),
            "by_version": dict(sorted(versions.items())),
            "by_track": dict(sorted(tracks.items())),
            "last_error": next((c["last_error"] for c in latest if c["last_error"]), ""),
        }

    def rate(self) -> float:
        """Questions a second over the last few calls of this."""
        self._past.append((time.monotonic(), self.totals()["total"]))
        (first, before), (last, now) = self._past[0], self._past[-1]
        return (now - before) / (last - first) if last > first else 0.0

    @property
    def running(self) -> bool:
        return bool(self._processes) and all(p.poll() is None for p in self._processes)

    def stop(self) -> None:
        """Let everybody finish the question they are at, then collect the last totals."""
        for process in self._processes:
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for reader in self._readers:
            reader.join(5)
        for process in self._processes:
            if process.stdout is not None:
                process.stdout.close()
