"""What a judge model measures: facts against a reference, answers against a context, relevance, criteria in steps.

Each is a score from 0 to 1 with a reason. Where a share is measured, the sentences are parted and numbered here and the
judge only sorts their numbers, so that it can leave none out, and none counts twice. Definitions, in our own wording:

factuality             how the facts of the answer stand to those of a reference, in the classes of closed-book question
                       answering (OpenAI Evals, `fact`), and one more: an answer that states none of them is not right.
answer-relevance       mean cosine of the question and three questions that the answer would answer, 0 where it evades
                       (Es et al., Ragas, 2023, answer relevance).
context-faithfulness   share of the answer's sentences with a claim that the context bears out (there, faithfulness).
context-recall         share of the expected answer's sentences that the context bears out (there, context recall).
context-relevance      share of the context's sentences that help to answer the question (there, context relevance).
g-eval                 a score from 0 to 10 by steps that the judge first makes of the criterion (Liu et al., G-Eval,
                       2023), without the weighting by probabilities, which Converse does not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from promptlane.domain.errors import Unavailable
from promptlane.domain.suite.answers import CallRefused, Embedder, Judge

from . import rubric, scores
from .kinds import ASKED, CONTEXT, Ungradable
from .sentences import sentences
from .suite import Assertion, Case
from .transcript import shown, text_of

Json = Any
MAX_SENTENCES: Final = 100
"""Sentences that a judge sorts at once; longer texts are ungradable rather than half read."""
QUESTIONS: Final = 3
MOST_POINTS: Final = 10
RELATIONS: Final[Mapping[str, tuple[float, str]]] = {
    "agrees": (1.0, "it states the facts of the reference, and no others about its subject"),
    "more": (1.0, "it states all of them, and others that are not at odds with them"),
    "wording": (1.0, "it differs only in what does not matter to the facts: words, order, rounding"),
    "part": (0.5, "it states some of them and none wrongly"),
    "silent": (0.0, "it states none of them"),
    "contradicts": (0.0, "at least one fact is at odds with the reference"),
}
"""How an answer may stand to a reference: its score, and what that means."""


class Helpers(Protocol):
    """Whom a measure may ask, and what was found out once for a whole run."""

    @property
    def judge(self) -> Judge | None: ...
    @property
    def embedder(self) -> Embedder | None: ...
    @property
    def steps(self) -> dict[str, str]: ...


Measure = Callable[[Helpers, Assertion, Case, str], tuple[float, str]]
"""(score from 0 to 1, reason) of an answer's text. Raises Ungradable."""


def factuality(helpers: Helpers, a: Assertion, case: Case, answer: str) -> tuple[float, str]:
    if not answer.strip():
        return 0.0, "the output is empty"
    meant = "\n".join(f"- {name}: {what}" for name, (_, what) in RELATIONS.items())
    task = (
        "Compare the facts that the answer states with those that the reference states. The reference is right, "
        f"whatever you know yourself. How does the answer stand to it?\n{meant}\n"
        "If several fit, name the one that stands lowest in this list."
    )
    shape = {"relation": {"type": "string", "enum": list(RELATIONS)}}
    material = {"reference": str(a.value), "input": question_of(case), "answer": answer}
    found = _asked(helpers, task, material, shape, f'"relation": one of {", ".join(RELATIONS)}')
    score, meaning = RELATIONS[found["relation"]]
    return score, f"{found['relation']} ({meaning}): {found['reason']}"


def answer_relevance(helpers: Helpers, _: Assertion, case: Case, answer: str) -> tuple[float, str]:
    if not answer.strip():
        return 0.0, "the output is empty"
    if helpers.embedder is None:
        raise Ungradable("no embedding model is configured")
    task = (
        f"Write {QUESTIONS} different questions, in the answer's language, each of which the answer, taken by itself, "
        "answers in full. Say also whether the answer evades: it refuses, says that it does not know, or asks back "
        "instead of answering."
    )
    one: Json = {"type": "string", "minLength": 1, "maxLength": 500}
    shape = {
        "questions": {"type": "array", "items": one, "minItems": QUESTIONS, "maxItems": QUESTIONS},
        "evades": {"type": "boolean"},
    }
    form = f'"questions": list of {QUESTIONS} texts, "evades": true or false'
    found = _asked(helpers, task, {"answer": answer}, shape, form)
    if found["evades"]:
        return 0.0, f"the answer evades: {found['reason']}"
    try:
        wanted = helpers.embedder.embed(asked_of(case))
        near = [max(0.0, scores.cosine(wanted, helpers.embedder.embed(text))) for text in found["questions"]]
    except (CallRefused, Unavailable) as error:
        raise Ungradable(f"the embedding model could not be asked: {error}") from error
    return sum(near) / len(near), f"it would answer: {'; '.join(found['questions'])}"


def context_faithfulness(helpers: Helpers, _: Assertion, case: Case, answer: str) -> tuple[float, str]:
    if not answer.strip():
        return 0.0, "the output is empty"
    material = {"context": context_of(case), "input": asked_of(case)}
    return _share(helpers, "sentence of the answer", answer, "context", material)


def context_recall(helpers: Helpers, a: Assertion, case: Case, _: str) -> tuple[float, str]:
    return _share(helpers, "sentence of the expected answer", str(a.value), "context", {"context": context_of(case)})


def context_relevance(helpers: Helpers, _: Assertion, case: Case, __: str) -> tuple[float, str]:
    """Of the context alone: each of its sentences either helps or does not."""
    task = (
        "Below stand the numbered sentences of a context that was fetched to answer a question. Sort every number: "
        "`yes` where the sentence holds something that is needed to answer the question or answers a part of it, `no` "
        "where the answer would be the same without it."
    )
    parts = sentences(context_of(case))
    found = _sorted(helpers, task, {"question": asked_of(case)}, parts, ("yes", "no"))
    share = len(found["yes"]) / len(parts)
    return share, f"{len(found['yes'])} of {len(parts)} sentences help: {found['reason']}"


def g_eval(helpers: Helpers, a: Assertion, case: Case, answer: str) -> tuple[float, str]:
    found = [_by_steps(helpers, criterion, case, answer) for criterion in a.value]
    return sum(score for score, _ in found) / len(found), "; ".join(reason for _, reason in found)


def question_of(case: Case) -> str:
    """What a judge is shown as the input: the variables, and what was said before the answer."""
    given = [f"{name}:\n{value}" for name, value in case.vars.items() if not (case.chat == name and case.messages)]
    return "\n\n".join([*given, *([shown(case.messages)] if case.messages else [])])


def asked_of(case: Case) -> str:
    """The question of a case: what the user said last, where there are messages."""
    if case.messages and (said := text_of(case.messages[-1]["content"])).strip():
        return said
    for name in ASKED:
        if case.vars.get(name, "").strip():
            return case.vars[name]
    raise Ungradable(f"the question is empty; the variable {' or '.join(ASKED)} holds it")


def context_of(case: Case) -> str:
    """What was fetched to answer with."""
    if not case.vars.get(CONTEXT, "").strip():
        raise Ungradable(f"the variable {CONTEXT} is empty; it holds what was fetched to answer with")
    return case.vars[CONTEXT]


def _by_steps(helpers: Helpers, criterion: str, case: Case, answer: str) -> tuple[float, str]:
    steps = helpers.steps.get(criterion)
    if steps is None:
        task = (
            "Somebody will grade answers of an assistant by the criterion below. Write three to six short steps by "
            "which they are to do it: what to look at, in which order, and what costs points. Do not grade anything."
        )
        one: Json = {"type": "string", "minLength": 1}
        shape = {"steps": {"type": "array", "items": one, "minItems": 1, "maxItems": 10}}
        made = _asked(helpers, task, {"criterion": criterion}, shape, '"steps": list of texts')
        text = "\n".join(f"{number}. {step}" for number, step in enumerate(made["steps"], 1))
        steps = helpers.steps.setdefault(criterion, text)  # both versions, and all cases, are graded by the same
    task = (
        f"{criterion}\n\nSteps:\n{steps}\n\nFollow the steps. How well does the answer meet the criterion, from 0 "
        f"(not at all) to {MOST_POINTS} (in full)?"
    )
    points: Json = {"points": {"type": "integer", "minimum": 0, "maximum": MOST_POINTS}}
    material = {"input": question_of(case), "answer": answer}
    found = _asked(helpers, task, material, points, f'"points": whole number from 0 to {MOST_POINTS}')
    return found["points"] / MOST_POINTS, str(found["reason"])


def _share(helpers: Helpers, each: str, text: str, of: str, material: Mapping[str, str]) -> tuple[float, str]:
    """The share of a text's sentences with a claim that `of` bears out."""
    parts = sentences(text)
    if not parts:
        raise Ungradable("there is no sentence that could be checked")
    task = (
        f"Below stands every {each} with its number. Sort every number: `yes` where the {of} alone bears out all that "
        f"the sentence claims, stated there or following from it; `no` where the {of} says otherwise or does not say "
        "it, be it true or not; `claims_nothing` where it claims nothing about the world, as greetings, questions, "
        "offers and refusals."
    )
    found = _sorted(helpers, task, material, parts, ("yes", "no", "claims_nothing"))
    claims = len(found["yes"]) + len(found["no"])
    if not claims:
        raise Ungradable(f"no {each} claims anything that the {of} could bear out: {found['reason']}")
    first = next((parts[n - 1] for n in sorted(found["no"])), "")
    said = f"{len(found['yes'])} of {claims} claims are borne out" + (f", not: {first[:200]!r}" if first else "")
    return len(found["yes"]) / claims, f"{said}: {found['reason']}"


def _sorted(
    helpers: Helpers, task: str, material: Mapping[str, str], parts: Sequence[str], heaps: tuple[str, ...]
) -> Mapping[str, Json]:
    """The numbers of the parts, each on one heap. Asked once more where the judge left one out or took one twice."""
    if not parts or len(parts) > MAX_SENTENCES:
        raise Ungradable(f"{len(parts)} sentences are to be judged; 1 to {MAX_SENTENCES} can be")
    numbered = "\n".join(f"[{number}] {part}" for number, part in enumerate(parts, 1))
    numbers: Json = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": len(parts)}}
    form = ", ".join(f'"{heap}": list of numbers' for heap in heaps)
    for _ in range(2):
        found = _asked(helpers, task, {**material, "sentences": numbered}, dict.fromkeys(heaps, numbers), form)
        if sorted(int(n) for heap in heaps for n in found[heap]) == list(range(1, len(parts) + 1)):
            return found
    raise Ungradable("the judge model left out sentences, or sorted some of them twice")


def _asked(
    helpers: Helpers, task: str, material: Mapping[str, str], shape: Mapping[str, Json], form: str
) -> Mapping[str, Json]:
    """What the judge answers to a task about texts that it reads as data: a reason, and what `shape` describes."""
    if helpers.judge is None:
        raise Ungradable("no judge model is configured")
    mark = rubric.mark_of(*material.values())
    shown = "\n\n".join(f"The {name}:\n{rubric.fenced(name, mark, text)}" for name, text in material.items())
    schema = {
        "type": "object",
        "properties": {"reason": {"type": "string"}, **shape},
        "required": ["reason", *shape],
    }
    system = f'{rubric.SYSTEM}Answer with JSON only: {{"reason": text, {form}}}.'
    return rubric.ask(helpers.judge, system, f"Task:\n{task}\n\n{shown}", schema)


@dataclass(frozen=True, slots=True)
class Measured:
    """A row of `assertions.KINDS`, whose fields say what these say; `default` None: the threshold must be given."""

    name: str
    measure: Measure
    value: Literal["text", "texts", "nothing"]
    default: float | None
    calls: Callable[[Json], list[str]] | None = None
    of_answer: bool = True
    never_negated: str = ""
    unit: str = ""


_SAY: Final = "a low score says nothing of what the answer should be; write what it must say, or a `not-llm-rubric`"
_FETCHED: Final = "it measures what was fetched, not what was answered; write it without `not-`"
MEASURES: Final = (
    Measured("factuality", factuality, "text", 0.5),
    Measured(
        "answer-relevance",
        answer_relevance,
        "nothing",
        0.5,
        lambda _: ["judge", *["embedder"] * (1 + QUESTIONS)],
        never_negated=_SAY,
    ),
    Measured("context-faithfulness", context_faithfulness, "nothing", 0.8, never_negated=_SAY),
    Measured("context-recall", context_recall, "text", 0.8, of_answer=False, never_negated=_FETCHED),
    Measured(
        "context-relevance",
        context_relevance,
        "nothing",
        None,
        of_answer=False,
        never_negated=_FETCHED,
        unit="a share of the context's sentences",
    ),
    Measured("g-eval", g_eval, "texts", 0.7, calls=lambda value: ["judge"] * 2 * len(value)),
)
"""Every measure that a judge takes. A row more is all that one takes."""
