"""The embedded Bedrock's prompt cache: what stands before a cache point is written once, and read for five minutes."""

from __future__ import annotations

from typing import Any

from local.gaps import prompt_cache

POINT = {"cachePoint": {"type": "default"}}
RULES, MANUAL = "rule " * 1_600, "page " * 800


def asked(question: str, *, rules: str = RULES, manual: str = MANUAL) -> dict[str, Any]:
    return {
        "system": [{"text": rules}, POINT],
        "messages": [{"role": "user", "content": [{"text": manual}, POINT, {"text": question}]}],
    }


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_call_writes_and_the_next_reads_as_far_as_it_is_the_same() -> None:
    clock = Clock()

    def usage(scope: str = "a", **text: str) -> tuple[int, int, int]:
        found = prompt_cache.usage(f"{scope}/first", asked("x" * 400, **text), 3_200, clock=clock)
        return found["inputTokens"], found["cacheReadInputTokens"], found["cacheWriteInputTokens"]

    fresh, read, written = usage()
    assert (read, fresh + written) == (0, 3_200)
    assert 3_000 <= written <= 3_100
    assert usage() == (fresh, written, 0)
    assert usage(manual="other " * 800)[1] == 2_000, "the system is the same, the manual is not"
    assert usage(rules="other " * 1_600)[1] == 0
    assert usage(scope="another account")[1] == 0


def test_what_was_read_is_kept_on_and_what_was_not_is_forgotten() -> None:
    clock = Clock()

    def read() -> int:
        return prompt_cache.usage("a/second", asked("x"), 3_200, clock=clock)["cacheReadInputTokens"]

    assert read() == 0
    for _ in range(3):
        clock.now += 299
        assert read() > 0
    clock.now += 301
    assert read() == 0


def test_short_beginnings_and_prompts_without_a_cache_point_are_sent_as_they_are() -> None:
    plain = {"messages": [{"role": "user", "content": [{"text": RULES}]}]}
    assert prompt_cache.usage("a/third", plain, 2_000) == {"inputTokens": 2_000}
    short = asked("x", rules="Be kind", manual="Short")
    for _ in range(2):
        assert prompt_cache.usage("a/third", short, 900) == {
            "inputTokens": 900,
            "cacheReadInputTokens": 0,
            "cacheWriteInputTokens": 0,
        }
