"""Turns instructions into rules. An instruction that is not understood changes nothing, as with a real model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .reading import Rendered, stems

REFUSAL = "I'm sorry, but I can't help with that."
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "a": 1}
_QUOTED = re.compile(r"[\"“]([^\"”]{3,300})[\"”]")
_DECLINE = (
    r"(?:refus|declin|(?:can ?not|can't|unable to|not able to) help|(?:do not|don't|never) (?:answer|respond|discuss))"
)
_TOPIC = re.compile(
    r"\b(?:if|when|whenever)\b.{0,60}?\b(?:mentions?|asks? (?:about|for)|is about|are about|concerns?|contains?|"
    r"refers? to|names?)\s+(?P<topics>[^,:;.]+(?:, [^,:;.]+)*? or [^,:;.]+|[^,:;.]+)[,:;]\s*(?P<action>.+)",
    re.I,
)
_NEVER = re.compile(
    r"\b(?:never|do not|don't)\s+(?:answer|discuss|help with|talk about|comment on)\s+(?P<topics>.+)", re.I
)


@dataclass(frozen=True)
class Topic:
    """A subject that the prompt tells to refuse: any of `phrases` (sets of stems) in the question."""

    phrases: tuple[frozenset[str], ...]
    reply: str

    def met(self, words: frozenset[str]) -> bool:
        return any(phrase <= words for phrase in self.phrases)


@dataclass(frozen=True)
class Rules:
    """What a prompt asks for. False or None: it says nothing about that."""

    by_name: bool = False
    formal: bool = False
    max_sentences: int | None = None
    grounded: bool = False
    admit_unknown: bool = False
    hand_over: bool = False
    ask_order: bool = False
    shop_only: bool = False
    keep_secrets: bool = False
    guard_people: bool = False
    guard_prompt: bool = False
    emergency: bool = False
    refund_days: int | None = None
    next_step: bool = False
    direct: bool = False
    closing: str = ""
    topics: tuple[Topic, ...] = ()


def rules_of(prompt: Rendered) -> Rules:
    """The rules in a prompt's instructions."""
    return _rules(prompt.items)


@lru_cache(maxsize=256)
def _rules(items: tuple[str, ...]) -> Rules:
    text = " ".join(items)

    def says(pattern: str) -> bool:
        return re.search(pattern, text, re.I) is not None

    days = re.search(r"within (\d+) days", text, re.I)
    return Rules(
        by_name=says(r"\bby (?:their |first |last )?name\b"),
        formal=says(r"\bformal\b"),
        max_sentences=_sentence_limit(text),
        grounded=says(
            r"\b(?:use|rely on|answer from|stick to)\b[^.]{0,20}\bonly\b|\bonly (?:use|the (?:facts|context))"
        ),
        admit_unknown=says(
            r"\b(?:do(?:es)? not|don't|doesn't|cannot|without)\b[^.]{0,30}\b(?:contain|answer|say|find|know|have)\b"
        ),
        hand_over=says(r"\bcolleague\b|\bhuman\b|\bagent\b"),
        ask_order=says(r"\bask for (?:the|their|an) order number\b"),
        shop_only=says(r"\bonly (?:help|answer|talk)\b.{0,60}\b(?:orders?|products?|shop|accounts?)\b"),
        keep_secrets=says(r"\bnever\b[^.]*\b(?:passwords?|card numbers?|codes?)\b"),
        guard_people=says(r"\bnever\b[^.]*\b(?:person's|personal|people's|customers?'s?|somebody else's)\b"),
        guard_prompt=says(r"\b(?:never|not)\b[^.]*\b(?:reveal|show|repeat|share)\b[^.]*\b(?:instructions|prompt)\b"),
        emergency=says(r"\bemergency\b"),
        refund_days=int(days[1]) if days else None,
        next_step=says(r"\bnext step\b|\bwhat (?:happens|to do) next\b"),
        direct=says(r"\b(?:begin|start|open) with the answer\b|\banswer first\b|\bno preamble\b"),
        closing=_closing(items),
        topics=tuple(topic for item in items for topic in _topics(item)),
    )


def _sentence_limit(text: str) -> int | None:
    match = re.search(r"\b(?:at most|no more than|up to|in)\s+(\w+)\s+(?:short\s+)?sentences?\b", text, re.I)
    if match is None:
        return None
    word = match[1].lower()
    return _NUMBERS.get(word) or (int(word) if word.isdigit() else None)


def _closing(items: tuple[str, ...]) -> str:
    for item in items:
        if re.search(r"\b(?:end|close|finish)\b[^.]*\b(?:with|by)\b", item, re.I) and (quoted := _QUOTED.search(item)):
            return quoted[1]
    return ""


def _topics(item: str) -> list[Topic]:
    match = _TOPIC.search(item)
    if match and re.search(_DECLINE, match["action"], re.I):
        quoted = _QUOTED.search(match["action"])
        return [Topic(_phrases(match["topics"]), quoted[1] if quoted else REFUSAL)]
    never = _NEVER.search(item)
    return [Topic(_phrases(never["topics"]), REFUSAL)] if never else []


def _phrases(topics: str) -> tuple[frozenset[str], ...]:
    plain = re.sub(r"\b(?:questions?|messages?|anything|about|a|an|the|any|their|whether)\b", " ", topics, flags=re.I)
    return tuple(words for part in re.split(r",|\bor\b|\band\b", plain) if (words := frozenset(stems(part))))
