"""Many reads at once: in order, bounded, and the first error of them is told."""

from __future__ import annotations

import threading
import time

import pytest

from promptlane.cli.parallel import AT_ONCE, in_parallel
from promptlane.domain.errors import NotFound
from promptlane.domain.release.prompt import PromptDraft
from promptlane.fakes import FakePrompts
from promptlane.lifecycle.listed_prompts import ListedPrompts


def test_as_many_as_may_are_read_at_the_same_time_and_no_more() -> None:
    together, running, most = threading.Barrier(AT_ONCE, timeout=5), [0], [0]
    lock = threading.Lock()

    def read(number: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        together.wait()
        with lock:
            running[0] -= 1
        return number

    assert in_parallel(read, range(3 * AT_ONCE)) == list(range(3 * AT_ONCE))
    assert most[0] == AT_ONCE


def test_what_is_read_stands_in_the_order_in_which_it_was_asked_for() -> None:
    def read(number: int) -> int:
        time.sleep(0.02 if number % 2 == 0 else 0.0)
        return number

    assert in_parallel(read, range(20)) == list(range(20))


def test_the_first_in_order_that_fails_is_told() -> None:
    late = threading.Event()

    def read(name: str) -> str:
        if name == "first":
            late.wait(5)
            raise NotFound(name)
        late.set()
        raise NotFound(name)

    with pytest.raises(NotFound, match="first"):
        in_parallel(read, ["first", "second"])


def test_prompts_are_listed_once_by_all_threads_together() -> None:
    prompts, lists = FakePrompts(), list[int]()
    prompts.publish(PromptDraft("support", "m", ("q",), template="{{q}}"), prompt_id="PROMPT0001")
    listed = prompts.listed

    def slowly() -> list[object]:
        lists.append(1)
        time.sleep(0.05)
        return list(listed())

    prompts.listed = slowly  # type: ignore[method-assign,assignment]
    once = ListedPrompts(prompts)

    assert in_parallel(once.find, ["support"] * 20) == [("PROMPT0001", "support")] * 20
    assert lists == [1]
