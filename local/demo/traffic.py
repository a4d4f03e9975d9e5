"""Live traffic: simulated users of the support assistant, through the client that applications use.

`python -m local.demo.traffic --prompt P --users N --rate R --threads T --seed S` asks R questions a second until its
standard input is closed, and writes a line of JSON with its totals every second.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from random import Random

from local.demo.questions import NAMES, QUESTIONS
from promptlane.client import InvalidVariables, ModelCallFailed, PromptClient, RouteUnavailable


class Users:
    """Asks on behalf of `count` users; the same user always has the same name and comes back now and then."""

    def __init__(self, client: PromptClient, prompt: str, count: int) -> None:
        self._client, self._prompt, self._count = client, prompt, count
        self._lock = threading.Lock()
        self.total = self.failed = 0
        self.versions: Counter[str] = Counter()
        self.tracks: Counter[str] = Counter()
        self.last_error = ""

    def run(self, luck: Random, interval: float, stop: threading.Event) -> None:
        """Ask one question every `interval` seconds on average, and never more than one at a time."""
        due = time.monotonic() + luck.uniform(0, interval)
        while not stop.wait(max(0.0, due - time.monotonic())):
            self.ask(luck)
            # Behind schedule the rate gives way: the demo measures a release, not the laptop.
            due = max(due + interval, time.monotonic() - interval)

    def ask(self, luck: Random) -> None:
        user = luck.randrange(self._count)
        _, context, question = luck.choices(QUESTIONS, weights=[q[0] for q in QUESTIONS])[0]
        order = str(40_000 + user)
        variables = {
            "customer_name": NAMES[user % len(NAMES)],
            "retrieved_context": context.format(order=order),
            "question": question.format(order=order),
        }
        try:
            answer = self._client.converse(self._prompt, unit=f"user-{user}", variables=variables)
        except (ModelCallFailed, RouteUnavailable, InvalidVariables) as error:
            with self._lock:
                self.total += 1
                self.failed += 1
                self.last_error = f"{type(error).__name__}: {error}"[:300]
            return
        with self._lock:
            self.total += 1
            self.versions[str(answer.decision.version)] += 1
            self.tracks[str(answer.decision.track)] += 1

    def totals(self) -> dict[str, object]:
        with self._lock:
            return {
                "total": self.total,
                "failed": self.failed,
                "by_version": dict(self.versions),
                "by_track": dict(self.tracks),
                "last_error": self.last_error,
            }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.demo.traffic", description=__doc__)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--users", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--timeout", type=float, default=6.0)
    parser.add_argument("--slow-after", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    stop = threading.Event()
    with PromptClient(timeout=options.timeout, slow_after=options.slow_after, refresh=1.0) as client:
        users = Users(client, options.prompt, options.users)
        interval = options.threads / options.rate
        threads = [
            threading.Thread(target=users.run, args=(Random(options.seed * 1000 + i), interval, stop), daemon=True)
            for i in range(options.threads)
        ]
        threading.Thread(target=_until_closed, args=(stop,), daemon=True).start()
        for thread in threads:
            thread.start()
        while not stop.wait(1.0):
            client.flush()  # on its own it waits five seconds, to send fewer and fuller calls
            _say(users.totals())
        for thread in threads:
            thread.join(options.timeout + 2)
    _say(users.totals())
    return 0


def _until_closed(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def _say(totals: dict[str, object]) -> None:
    try:
        print(json.dumps(totals), flush=True)
    except BrokenPipeError:  # whoever listened is gone; so is the reason to go on
        raise SystemExit(0) from None


if __name__ == "__main__":
    sys.exit(main())
