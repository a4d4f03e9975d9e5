"""A process: traffic by threads or tasks, while the main one forks as it is told, and ends when it is told.

    python -m tests.soak.worker <settings as JSON>

Commands come line by line on standard input: {"do": "fork", "exit": one of EXITS, "again": bool}, {"do": "stop"}.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import gc
import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from promptlane.domain.errors import Unavailable
from tests.soak.clocks import Clocks, real_monotonic, real_time
from tests.soak.notes import Notes

EXITS = ("exit", "sigterm", "handler", "os._exit", "multiprocessing")
"""How children end: as gunicorn's workers; so at SIGTERM; by a handler of SIGTERM that closes the client, whatever it
interrupts; at once, after closing; and as multiprocessing's."""
CHILD_REQUESTS = 6
LONGEST_CHILD = 60.0
TERM_AFTER = (1.0, 12.0)
"""Seconds: also longer than a route may be old, so that a child must have read it anew."""
MEMORY_EVERY = 5.0
TAIL = 20_000
"""Bytes of another process's receipts that are looked at."""


def main(settings: dict[str, Any]) -> None:
    folder, slot = Path(settings["folder"]), int(settings["slot"])
    clocks = Clocks(folder / f"{slot}.clocks")
    clocks.install()
    Process(settings, folder, slot, clocks).run()


class Process:
    """One process of the soak. `settings`: what run.py says, see there."""

    def __init__(self, settings: dict[str, Any], folder: Path, slot: int, clocks: Clocks) -> None:
        from promptlane.client import AsyncPromptClient, PromptClient
        from tests.soak.traffic import Traffic

        self.settings = settings
        self.folder = folder
        self.notes = Notes(folder, slot, clocks)
        keys = folder / "keys"
        self.client = PromptClient(receipt_kms_key=keys.read_text, **settings["client"])
        self.face = AsyncPromptClient(self.client)
        self.by_tasks = slot % 2 == 1
        self._tell_of_stale_routes()
        self.traffic = Traffic(
            self.client,
            self.notes,
            prompts=settings["prompts"],
            slot=slot,
            seed=settings["seed"],
            remote=Passed(folder, slot, settings["processes"]),
        )
        self.stopping = threading.Event()
        self.children: list[threading.Thread] = []

    def _tell_of_stale_routes(self) -> None:
        """Note what the client counts as StaleRoute, and when what it holds was truly read, whatever its clocks say."""
        told, reader = self.client._routes._on_stale, self.client._routes.reader
        read_at: dict[str, float] = {}
        read = reader.read

        def reading(prompts: Iterable[str], **how: Any) -> Any:
            began, names = real_time(), list(prompts)
            found = read(names, **how)
            read_at.update({name: began for name in names if isinstance(found.get(name), Mapping)})
            return found

        def on_stale(prompt: str, age: float) -> None:
            self.notes.write("stale", prompt=prompt, age=round(age, 2), since=read_at.get(prompt, real_time()))
            told(prompt, age)

        reader.read = reading  # type: ignore[method-assign]
        self.client._routes._on_stale = on_stale

    def run(self) -> None:
        pause = self.settings["at_once"] / self.settings["rate"]
        for prompt in self.settings["prompts"]:
            self._first_read(prompt)
        print("ready", flush=True)
        threads = [threading.Thread(target=self._memory, daemon=True)]
        if self.by_tasks:
            threads.append(threading.Thread(target=lambda: asyncio.run(self._tasks(pause))))
        else:
            at_once = range(self.settings["at_once"])
            threads += [threading.Thread(target=self._thread, args=(pause,)) for _ in at_once]
        for thread in threads:
            thread.start()
        for row in sys.stdin:
            command = json.loads(row)
            if command["do"] == "stop":
                break
            self._fork(command["exit"], again=command["again"])
        self.stopping.set()
        for thread in threads:
            thread.join()
        for thread in self.children:
            thread.join()
        time.sleep(self.settings["client"]["timeout"])  # calls that were cancelled come to their end
        self.client.close()
        self.notes.write("closed")

    def _first_read(self, prompt: str) -> None:
        """A process that starts while the table is away has nothing to go on with, and waits."""
        while True:
            try:
                self.client.route(prompt, "warm")
                return
            except Unavailable:
                time.sleep(0.2)

    def _thread(self, pause: float) -> None:
        while not self.stopping.wait(self.traffic.random.expovariate(1 / pause)):
            self.traffic.one()

    async def _tasks(self, pause: float) -> None:
        async def task() -> None:
            while not self.stopping.is_set():
                await asyncio.sleep(self.traffic.random.expovariate(1 / pause))
                await self.traffic.one_async(self.face)

        await asyncio.gather(*(task() for _ in range(self.settings["at_once"])))

    def _memory(self) -> None:
        """What the process holds: after a collection, with free memory given back, so that only what is kept counts."""
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        while not self.stopping.wait(MEMORY_EVERY):
            gc.collect()
            if libc is not None:
                libc.malloc_trim(0)
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            files = len(os.listdir("/proc/self/fd"))
            held = pages * os.sysconf("SC_PAGE_SIZE")
            self.notes.write("memory", bytes=held, threads=threading.active_count(), files=files)

    def _fork(self, exit_by: str, *, again: bool) -> None:
        if exit_by == "multiprocessing":
            child = multiprocessing.get_context("fork").Process(target=self._child, args=(exit_by, again))
            child.start()
            pid = child.pid
            assert pid is not None
        else:
            pid = os.fork()
            if pid == 0:
                self._child(exit_by, again)
        self.notes.write("forked", child=pid, exit=exit_by, again=again)
        self.children.append(threading.Thread(target=self._reap, args=(pid, exit_by)))
        self.children[-1].start()

    def _reap(self, pid: int, exit_by: str) -> None:
        """Wait for a child; one that does not end is ended, and noted as hung."""
        begun = real_monotonic()
        if exit_by in ("sigterm", "handler"):
            time.sleep(random.uniform(*TERM_AFTER))
            os.kill(pid, signal.SIGTERM)
        ended, status = 0, -1
        while not ended and real_monotonic() < begun + LONGEST_CHILD:
            time.sleep(0.05)
            with suppress(ChildProcessError):  # multiprocessing reaps its own when it starts another
                ended, status = os.waitpid(pid, os.WNOHANG)
                continue
            ended, status = pid, 0
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.notes.write("reaped", child=pid, exit=exit_by, status=status, hung=not ended)

    def _child(self, exit_by: str, again: bool) -> None:
        """What a child does with what it inherited, and how it ends; never comes back but to multiprocessing."""
        asked = threading.Event()
        self.children = []
        if exit_by == "sigterm":
            signal.signal(signal.SIGTERM, lambda *given: asked.set())
        if exit_by == "handler":
            signal.signal(signal.SIGTERM, lambda *given: self._closed_by_handler())
        if self.by_tasks:
            asyncio.run(self._some_tasks())
        for _ in range(CHILD_REQUESTS):
            self.traffic.one()
        while exit_by in ("sigterm", "handler") and not asked.wait(0.05):
            self.traffic.one(beside=exit_by == "sigterm")
        if again:
            self._fork("exit", again=False)
            for thread in self.children:
                thread.join()
        self._wait_for_cloudwatch()
        if exit_by == "os._exit":
            self.client.close()
        self.notes.write("closed")
        if exit_by == "os._exit":
            os._exit(0)
        if exit_by != "multiprocessing":
            sys.exit(0)

    def _wait_for_cloudwatch(self) -> None:
        """From here on it is there, as long as this process lives: else what is not sent yet would go with it."""
        lock = os.open(self.folder / "exits.lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_SH)

    def _closed_by_handler(self) -> None:
        self._wait_for_cloudwatch()
        self.client.close()
        self.notes.write("closed")
        sys.exit(0)

    async def _some_tasks(self) -> None:
        """Nothing is cancelled: its thread might not be at its end when the process is."""
        wishes = [self.traffic.wish() for _ in range(CHILD_REQUESTS)]
        await asyncio.gather(*(self.traffic.one_async(self.face, wish) for wish in wishes))


class Passed:
    """Receipts handed from each process to the next, through a file."""

    def __init__(self, folder: Path, slot: int, processes: int) -> None:
        self._mine = folder / f"{slot % processes}.receipts"
        self._theirs = folder / f"{(slot + 1) % processes}.receipts"

    def give(self, receipt: str, told: dict[str, Any]) -> None:
        with self._mine.open("a") as file:
            file.write(json.dumps([receipt, told]) + "\n")

    def take(self) -> tuple[str, dict[str, Any]] | None:
        """One of the last; it may have been taken before."""
        if not self._theirs.exists():
            return None
        with self._theirs.open("rb") as file:
            file.seek(max(0, self._theirs.stat().st_size - TAIL))
            rows = [row for row in file.read().split(b"\n")[1:-1] if row]
        if not rows:
            return None
        receipt, told = json.loads(random.choice(rows))
        return receipt, told


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
