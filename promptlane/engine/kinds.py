"""Names of assertion types: promptfoo's other ones for ours, those that we refuse, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from promptlane.domain.errors import PromptlaneError


class Ungradable(PromptlaneError):
    """An assertion could not be evaluated. The run counts as missing, never as passed or failed."""


ALIASES: Final[Mapping[str, str]] = {
    "guardrails": "not-guardrail-intervened",
    "similar:cosine": "similar",
    "is-valid-openai-tools-call": "is-valid-tool-call",
    "is-valid-function-call": "is-valid-tool-call",
    "is-valid-openai-function-call": "is-valid-tool-call",
    "model-graded-factuality": "factuality",
}
"""promptfoo's names for the same thing."""

_CODE: Final = "suites are data: code is never taken from them; register a check in promptlane_checks and use `python`"
_JUDGED: Final = "write it as an `llm-rubric` with the criterion in words"
REFUSED: Final[Mapping[str, str]] = {
    "javascript": _CODE,
    "ruby": _CODE,
    "webhook": "a case must not call out; compute it in a registered `python` check",
    "model-graded-closedqa": _JUDGED,
    "conversation-relevance": _JUDGED,
    "pi": _JUDGED,
    "agent-rubric": "a judge has no tools here; " + _JUDGED,
    "search-rubric": "a judge looks nothing up; put what is true into the criterion of an `llm-rubric`",
    "skill-used": "answers name no skills; use `is-valid-tool-call` with the tool names",
    "max-score": "use `select-best`, which compares candidate and stable",
    "human": "people decide in the review step",
    "classifier": "there is no classifier model on Bedrock; use `llm-rubric`",
    "moderation": "use a Bedrock guardrail with `guardrail-intervened`, or `llm-rubric`",
    "perplexity": "Converse returns no log probabilities",
    "perplexity-score": "Converse returns no log probabilities",
    "meteor": "use `rouge-n`, `bleu` or `similar`",
    "gleu": "use `bleu`",
    "similar:dot": "use `similar`, the cosine, which does not grow with the length of vectors",
    "similar:euclidean": "use `similar`, the cosine, which does not grow with the length of vectors",
    "f-score": "use a registered `python` check",
    "is-xml": "use `regex` or a registered `python` check",
    "contains-xml": "use `regex` or a registered `python` check",
    "is-html": "use `regex` or a registered `python` check",
    "contains-html": "use `regex` or a registered `python` check",
    "is-sql": "use a registered `python` check",
    "contains-sql": "use a registered `python` check",
    "word-count": "use `output-tokens` or a registered `python` check",
    "finish-reason": "truncated and refused answers are guard metrics of the canary; use `output-tokens`",
    "tool-call-f1": "use `is-valid-tool-call` with the tool names",
}
"""promptfoo's types that are not supported, with what to write instead."""


CONTEXT: Final = "context"
"""The variable that holds what was fetched to answer with."""
ASKED: Final = ("query", "question")
"""Variables that hold the question, promptfoo's name first."""
READS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "answer-relevance": (ASKED,),
    "context-faithfulness": ((CONTEXT,), ASKED),
    "context-recall": ((CONTEXT,),),
    "context-relevance": ((CONTEXT,), ASKED),
}
"""Variables that a type reads by itself: one name of each group must be given."""


def split_negation(name: str) -> tuple[str, bool]:
    """(type without `not-`, negated), with promptfoo's other names resolved; two negations are one affirmation."""
    negated = name.startswith("not-")
    bare = name[4:] if negated else name
    meant = ALIASES.get(bare, bare)
    if bare in ALIASES and meant.startswith("not-"):
        return meant[4:], not negated
    return meant, negated


def unknown_type(name: str, known: Iterable[str]) -> str:
    """What to tell somebody who wrote an assertion type that is not ours."""
    bare = name[4:] if name.startswith("not-") else name
    if bare.startswith("promptfoo:redteam:"):
        return f"promptfoo's assertion type {name!r} is not supported: red teaming is not part of a regression suite"
    if bare in REFUSED or bare.startswith(("trace-", "trajectory:")):
        return f"promptfoo's assertion type {name!r} is not supported: {REFUSED.get(bare, 'answers carry no trace')}"
    known = list(known)
    return (
        f"unknown assertion type {name!r}{did_you_mean(bare, known)}; known are {', '.join(known)}, each also with not-"
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when something close is known, else nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""
