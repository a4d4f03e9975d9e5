"""A handler of signals that uses or closes the client comes to its end, whatever of the client it interrupted.

Many applications close at SIGTERM what they hold; Python runs the handler in the main thread, amid whatever that does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from promptlane.client import PromptClient
from promptlane.client.testing import FakeBedrock, StaticRoutes, client_over
from tests.support.client import FakeCloudWatch, Session

LONGEST = 10.0
LOCKS: dict[str, Callable[[PromptClient], Any]] = {
    "the routes": lambda client: client._routes._changed,
    "the metrics": lambda client: client._sink()._lock,  # type: ignore[attr-defined]
    "the sending of metrics": lambda client: client._sink()._sending,  # type: ignore[attr-defined]
    "the client": lambda client: client._lock,
    "the breaker": lambda client: client._breaker._lock,
    "the SDK's clients": lambda client: client._aws._lock,
}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_handler_that_interrupts_its_own_threads_use_of_a_lock_asks_and_closes(lock: str) -> None:
    routes, cloud = StaticRoutes(), FakeCloudWatch()
    routes.put("greeter", stable=1, canary=2, weight=10_000)
    bedrock = FakeBedrock("hi")
    client = client_over(routes, session=Session(cloudwatch=cloud, bedrock_runtime=bedrock), refresh=3600)
    client.converse("greeter", unit="u")
    answered: list[str] = []

    def handler() -> None:
        answered.append(client.converse("greeter", unit="u").text)
        client.close()

    def interrupted() -> None:
        with LOCKS[lock](client):
            handler()

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(LONGEST)
    assert not thread.is_alive(), "the handler waits for its own thread"
    assert answered == ["hi"]
    assert (
        sum(kept[1] for key, kept in cloud.data.items() if (key[0], key[1][1:]) == ("Latency", (("Version", "2"),)))
        == 2
    )
