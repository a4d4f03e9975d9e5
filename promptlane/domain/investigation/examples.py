"""Conversations that show the difference: one that went wrong beside the most similar one that went well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from promptlane.domain.release.prompt import template_texts

from .findings import ConversationPair, Investigation
from .invocation import Invocation, variables_in
from .sources import Gathered


def with_conversations(
    found: Investigation, bad: Sequence[Invocation], good: Sequence[Invocation], *, most: int = 3
) -> Investigation:
    """Add examples: bad ones of the version after, each beside the most similar good one of the version before."""
    cause = found.subject or found.leading
    contrast = cause.contrast if cause else None
    wrong = [i for i in bad if (contrast.metric in i.bad if contrast else i.bad)]
    right = [i for i in good if not i.bad and i.has_text and i.answer]
    new, old = _template(found.facts, found.after), _template(found.facts, found.before)
    asked = {id(i): variables_in(new, i.sent) for i in wrong}
    known = {id(i): variables_in(old, i.sent) for i in right}
    pairs: list[tuple[float, ConversationPair]] = []
    for one in wrong:
        words = _words(one, asked[id(one)])
        alike = [_alike(words, _words(other, known[id(other)])) for other in right]
        likeness = max(alike, default=0.0)
        twin = right[alike.index(likeness)] if alike else None
        pairs.append((likeness, ConversationPair(one, twin, asked[id(one)], known[id(twin)] if twin else {})))
    pairs.sort(key=lambda p: -p[0])
    return replace(found, pairs=tuple(pair for _, pair in _distinct(pairs))[:most])


def _distinct(pairs: Sequence[tuple[float, ConversationPair]]) -> Iterator[tuple[float, ConversationPair]]:
    seen = set()
    for likeness, pair in pairs:
        key = " ".join(pair.bad_variables.values()) or pair.bad.sent
        if key not in seen:
            seen.add(key)
            yield likeness, pair


def _template(facts: Gathered, version: int) -> str:
    """The text of a version that becomes the user's message: the template, or a chat's last message."""
    snapshot = facts.snapshots.get(version)
    texts = template_texts(snapshot.variant) if snapshot else []
    return texts[-1] if texts else ""


def _words(invocation: Invocation, variables: Mapping[str, str]) -> frozenset[str]:
    text = " ".join(variables.values()) or invocation.sent
    return frozenset(text[:20_000].casefold().split())


def _alike(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / max(1, len(left | right))
