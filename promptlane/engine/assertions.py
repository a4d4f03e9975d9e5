"""Whether an answer is right: every assertion kind, and how a case's assertions add up.

Texts are compared as they are; JSON Schema, edit distance, ROUGE and BLEU are libraries' work. What cannot be
evaluated, and what proves nothing once its variables are filled in, raises Ungradable, also under `not-`: the negation
of nothing is not a pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from rapidfuzz.distance import Levenshtein

from promptlane.domain.canary.refusal import is_refusal
from promptlane.domain.errors import Unavailable
from promptlane.domain.metrics import GUARDRAIL_STOP
from promptlane.domain.suite.answers import Answer, CallRefused, Embedder, Judge

from . import faults, judged, rubric, sandbox, scores, templates
from .checks import Check
from .grades import CaseGrade as CaseGrade
from .grades import Grade as Grade
from .json_in_answers import Patience, complaint_of, value_of
from .judged import question_of
from .kinds import Ungradable
from .listed import listed
from .patterns import foreign
from .suite import Assertion, Case, flat
from .transcript import OPENING, answers_of, before, halted, so_far

Json = Any
_MAX_EMBEDDED: Final = 20_000
_SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class Grader:
    """What grading may use. `tools`: input schemas by tool name of the version that answered.

    `other`: the answer of the version it is compared with, and whether this one is the candidate; None where there is
    none.
    """

    tools: Mapping[str, Json] = field(default_factory=dict)
    judge: Judge | None = None
    embedder: Embedder | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    other: Answer | None = None
    is_candidate: bool = True
    preferences: dict[str, tuple[int, str]] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    """By which a judge grades a criterion, made once for all that share this."""
    late: Callable[[], bool] = lambda: False
    """Whether the time for grading is over."""
    turn: int = 0
    exchanges: tuple[str, str, str] | None = None
    """Of a later turn, for comparing: what both were given at first, and what was said since, here and by the other."""

    def case(self, case: Case, answer: Answer) -> CaseGrade:
        """Grade the answers of one run. Raises Ungradable."""
        answers = answers_of(answer)
        graded = [pair for i in range(len(answers)) for pair in self._turn(case, i, answers)]
        grades = tuple(grade for _, grade in graded)
        unasked = case.turns[len(answers) - 1 :]
        if unasked:
            why = halted(unasked[0], answers[-1])
            grades += (Grade("conversation", passed=False, score=0.0, reason=why, turn=OPENING + len(answers)),)
        if not grades:
            raise Ungradable("select-best compares with the stable version, and there is no answer of it")
        total = sum(a.weight for a, _ in graded) + sum(a.weight for turn in unasked for a in turn.asserts)
        score = float(sum(a.weight * grade.score for a, grade in graded) / total)
        passed = all(g.passed for g in grades) if case.threshold is None else score >= case.threshold - 1e-9
        return CaseGrade(passed and not unasked, score, grades)

    def _turn(self, case: Case, i: int, answers: Sequence[Answer]) -> list[tuple[Assertion, Grade]]:
        """The assertions of one turn that can be evaluated, with their grades."""
        grader, asserts = self, case.asserts
        if case.turns:
            others = answers_of(self.other) if self.other is not None else ()
            other = others[i] if i < len(others) else None
            grader = replace(self, other=other, turn=OPENING + i)
            if i and other is not None:
                first = question_of(replace(case, messages=before(case, ())))
                mine, theirs = so_far(case, answers[: i + 1]), so_far(case, others[: i + 1])
                grader = replace(grader, exchanges=(first, mine, theirs))
            asserts = case.turns[i - 1].asserts if i else asserts
        if case.messages or case.turns:
            case = replace(case, messages=before(case, answers[:i]))
        comparable = [a for a in asserts if grader.other is not None or not KINDS[a.kind].compares]
        return [(a, grader.assertion(a, case, answers[i])) for a in comparable]

    def assertion(self, assertion: Assertion, case: Case, answer: Answer) -> Grade:
        """Grade one assertion, negated if it says so."""
        if self.late():
            raise Ungradable("the time was up before it was graded")
        try:
            asked = filled(assertion, case)
            passed, score, reason = KINDS[asked.kind].evaluate(self, asked, case, answer)
        except Ungradable:
            raise
        except Exception as error:  # whatever an odd answer or value makes of a library: this run is missing, no other
            raise faults.unevaluated(assertion, error) from error
        if assertion.negated:
            passed, score = not passed, 1 - score
            reason = reason or f"{_named(asked)} holds"
        return Grade(assertion.type, passed, score, "" if passed else reason, assertion.metric, self.turn)


Evaluate = Callable[[Grader, Assertion, Case, Answer], tuple[bool, float, str]]


def filled(assertion: Assertion, case: Case) -> Assertion:
    """The assertion with `{{variables}}` in its value filled in. Ungradable when it then proves nothing."""
    kind = KINDS[assertion.kind]
    try:
        value = templates.filled(assertion.value, case.vars)
        if kind.value == "listed" and isinstance(value, str):
            value = listed(value)
    except ValueError as error:
        raise Ungradable(f"the value of {assertion.type} {error}") from None
    empty = sorted(n for n in templates.references(assertion.value) if not case.vars.get(n, n).strip())
    if proves_nothing(kind, value) or (empty and kind.value == "pattern" and _matches_nothing(value)):
        names = ", ".join(f"{{{{{name}}}}}" for name in empty)
        raise Ungradable(f"{kind.name} proves nothing in this case: {names} fills in to nothing")
    return replace(assertion, value=value)


def _matches_nothing(pattern: str) -> bool:
    """Whether a pattern finds itself in no text at all, and so in every answer."""
    try:
        return sandbox.search(pattern, "")
    except Ungradable:
        return False  # it will be said why


def proves_nothing(kind: Kind, value: Json) -> bool:
    """Whether any answer would do: a text of nothing but space, alone or among others, or no text at all."""
    if kind.value in ("text", "pattern") or (kind.value == "any" and isinstance(value, str)):
        return not str(value).strip()
    if kind.value in ("texts", "listed", "names") and value is not None:
        return not value or not all(str(one).strip() for one in value)
    return False


def _weighted(assertions: Any, grades: tuple[Grade, ...]) -> float:
    total = sum(a.weight for a in assertions)
    return float(sum(a.weight * g.score for a, g in zip(assertions, grades, strict=True)) / total)


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _named(assertion: Assertion) -> str:
    return assertion.kind if assertion.value is None else f"{assertion.kind} {_shown(assertion.value)}"


def _plainly(holds: bool, reason: str) -> tuple[bool, float, str]:
    return holds, 1.0 if holds else 0.0, "" if holds else reason


def _equals(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    if isinstance(a.value, str):
        return _plainly(answer.text.strip() == a.value.strip(), f"the output is not {_shown(a.value)}")
    try:
        holds = _same(value_of(answer.text), a.value)
    except ValueError:
        holds = False
    return _plainly(holds, f"the output is not the JSON value {_shown(a.value)}")


def _same(a: Json, b: Json) -> bool:
    """Equality of JSON: 1 and 1.0 are one number, and true is none."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _contains(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    return _plainly(a.value in answer.text, f"the output does not contain {_shown(a.value)}")


def _icontains(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    holds = a.value.casefold() in answer.text.casefold()
    return _plainly(holds, f"the output does not contain {_shown(a.value)} in any case")


def _listed(fold: bool, every: bool) -> Evaluate:
    def evaluate(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
        text = answer.text.casefold() if fold else answer.text
        absent = [v for v in a.value if (v.casefold() if fold else v) not in text]
        if every:
            return _plainly(not absent, f"the output does not contain {_shown(absent)}")
        return _plainly(len(absent) < len(a.value), f"the output contains none of {_shown(a.value)}")

    return evaluate


def _starts_with(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    return _plainly(answer.text.startswith(a.value), f"the output does not start with {_shown(a.value)}")


def _regex(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    try:
        if meant_otherwise := next(foreign(a.value), ""):
            raise Ungradable(f"means something else than it seems: {meant_otherwise}")
        holds = sandbox.search(a.value, answer.text)
    except Ungradable as error:
        raise Ungradable(f"regular expression {_shown(a.value)} {error}") from None
    return _plainly(holds, f"the output does not match {_shown(a.value)}")


def _is_json(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    try:
        value = value_of(answer.text)
    except ValueError as error:
        return _plainly(False, f"the output is not JSON: {error}")
    complaint = Patience().misfit(value, a.value)
    return _plainly(not complaint, f"the JSON does not fit the schema: {complaint}")


def _contains_json(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    complaint = complaint_of(answer.text, a.value)
    return _plainly(not complaint, complaint)


def _is_refusal(_: Grader, __: Assertion, ___: Case, answer: Answer) -> tuple[bool, float, str]:
    return _plainly(is_refusal(answer.text) or not answer.text.strip(), "the output is not a refusal")


def _similar(grader: Grader, a: Assertion, _: Case, answer: Answer) -> tuple[bool, float, str]:
    if grader.embedder is None:
        raise Ungradable("no embedding model is configured")
    if not answer.text.strip():
        return _plainly(False, "the output is empty")
    try:
        mine = grader.embedder.embed(answer.text[:_MAX_EMBEDDED])
        best = max(scores.cosine(mine, grader.embedder.embed(text)) for text in a.value)
    except (CallRefused, Unavailable) as error:
        raise Ungradable(f"the embedding model could not be asked: {error}") from error
    return _reaches(best, a, "similarity")


def _levenshtein(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    most = int(_threshold(a))
    if any_answer_is_near(a.value, most):
        raise Ungradable(f"levenshtein: {_shown(a.value)} is {len(a.value)} edits from no text, and {most} are allowed")
    distance = Levenshtein.distance(answer.text, a.value, score_cutoff=most)
    return _plainly(distance <= most, f"edit distance is more than {most}")


def any_answer_is_near(text: str, most: float) -> bool:
    """Whether so many edits make a text of nothing, and so of any other word of its length."""
    return len(text) <= most


def _rouge(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    return _reaches(scores.rouge_1(answer.text, a.value), a, "ROUGE-1 F")


def _bleu(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    return _reaches(scores.bleu(answer.text, a.value), a, "BLEU")


def _reaches(score: float, a: Assertion, what: str) -> tuple[bool, float, str]:
    """A measure against the threshold, of which sums of fractions fall just short."""
    least = _threshold(a)
    holds = score >= least - 1e-9
    return holds, min(1.0, max(0.0, score)), f"{what} is {score:.3f}, {'not ' if holds else ''}below {least:g}"


def _threshold(a: Assertion) -> float:
    return a.threshold if a.threshold is not None else float(KINDS[a.kind].default or 0)


def _latency(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    holds = answer.latency_ms <= _threshold(a)
    return _plainly(holds, f"the answer took {answer.latency_ms:.0f} ms, more than {_threshold(a):g} ms")


def _cost(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    if answer.cost_usd is None:
        raise Ungradable("no price is known for the model; add it to tests.prices in release.yaml")
    holds = answer.cost_usd <= _threshold(a)
    return _plainly(holds, f"the answer cost {answer.cost_usd:.6f} USD, more than {_threshold(a):g} USD")


def _output_tokens(_: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    holds = answer.output_tokens <= _threshold(a)
    return _plainly(holds, f"{answer.output_tokens} output tokens, more than {_threshold(a):g}")


def _tool_call(grader: Grader, a: Assertion, __: Case, answer: Answer) -> tuple[bool, float, str]:
    if not answer.tool_calls:
        return _plainly(False, "no tool was called")
    patience = Patience()
    for call in answer.tool_calls:
        if call.name not in grader.tools:
            return _plainly(False, f"tool {call.name!r} is not among the version's tools")
        complaint = patience.misfit(call.input, grader.tools[call.name])
        if complaint:
            return _plainly(False, f"the input of tool {call.name!r} does not fit its schema: {complaint}")
    absent = set(a.value or ()) - {call.name for call in answer.tool_calls}
    return _plainly(not absent, f"tool {', '.join(sorted(absent))} was not called")


def _guardrail(_: Grader, __: Assertion, ___: Case, answer: Answer) -> tuple[bool, float, str]:
    return _plainly(answer.stop_reason == GUARDRAIL_STOP, "no guardrail intervened")


def _llm_rubric(grader: Grader, a: Assertion, case: Case, answer: Answer) -> tuple[bool, float, str]:
    if grader.judge is None:
        raise Ungradable("no judge model is configured")
    passed, score, reason = rubric.grade(grader.judge, str(a.value), question_of(case), answer.text)
    if a.threshold is not None:
        passed = passed and score >= a.threshold
    return passed, score, reason


def _python(grader: Grader, a: Assertion, case: Case, answer: Answer) -> tuple[bool, float, str]:
    check = grader.checks.get(str(a.value))
    if check is None:
        raise Ungradable(f"python check {a.value!r} is not registered")
    try:
        found = check(answer.text, case.vars)
    except Exception as error:  # whatever a deployed check raises: the run is missing, the others go on
        raise Ungradable(f"python check {a.value!r} failed: {type(error).__name__}: {error}") from error
    if isinstance(found, bool):
        return _plainly(found, f"python check {a.value!r} says no")
    if isinstance(found, int | float) and 0 <= found <= 1:
        return found >= 0.5, float(found), f"python check {a.value!r} scores {found:.2f}"
    raise Ungradable(f"python check {a.value!r} returned {found!r}; it must return a bool or a score from 0 to 1")


def _select(grader: Grader, a: Assertion, case: Case, answer: Answer) -> tuple[bool, float, str]:
    if grader.other is None:
        raise Ungradable("select-best compares with the stable version, and there is no answer of it")
    if grader.judge is None:
        raise Ungradable("no judge model is configured")
    known = f"{grader.turn}:{a.digest}" if grader.turn else a.digest
    if known not in grader.preferences:
        question, own, theirs = grader.exchanges or (question_of(case), answer.text, grader.other.text)
        texts = (own, theirs) if grader.is_candidate else (theirs, own)
        grader.preferences[known] = rubric.prefer(grader.judge, str(a.value), question, *texts)
    preference, reason = grader.preferences[known]
    mine = preference if grader.is_candidate else -preference
    return mine >= 0, (mine + 1) / 2, f"the other version's answer is {'not ' if mine >= 0 else ''}better: {reason}"


def _set(grader: Grader, a: Assertion, case: Case, answer: Answer) -> tuple[bool, float, str]:
    grades = tuple(grader.assertion(child, case, answer) for child in a.children)
    score = _weighted(a.children, grades)
    failed = "; ".join(f"{g.type}: {g.reason}" for g in grades if not g.passed)
    if a.threshold is None:
        return all(g.passed for g in grades), score, failed
    return score >= a.threshold - 1e-9, score, f"score {score:.2f} of {a.threshold:g}; {failed}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One assertion type, and how it is evaluated: (passed, score from 0 to 1, reason). Raises Ungradable.

    `value`: what `value` must hold: `schema` and `names` are optional, `pattern` is a regular expression, `listed` may
    be written with commas, and an `ignored` one is promptfoo's and says nothing. `threshold`: whether it is `refused`,
    `optional` (with `default`) or `required`; `most` is its largest sensible value, and zero is refused where it would
    always pass. `asks`: the model that grading it calls; `calls`, where there are more: each call that a value makes.
    `of_answer`: whether it reads the answer at all. `never_negated`: what to write where `not-` would say nothing.
    `compares`: the answer with the other version's. `fresh`: only answers of the same hour can be compared, so none is
    used again. `guarded`: it says something only of a version that has a guardrail.
    """

    name: str
    evaluate: Evaluate
    value: Literal["text", "texts", "listed", "pattern", "any", "schema", "names", "nothing", "ignored"]
    threshold: Literal["refused", "optional", "required"] = "refused"
    default: float | None = None
    most: float | None = None
    zero_allowed: bool = False
    asks: Literal["", "judge", "embedder"] = ""
    calls: Callable[[Json], list[str]] | None = None
    of_answer: bool = True
    never_negated: str = ""
    compares: bool = False
    fresh: bool = False
    guarded: bool = False
    unit: str = ""

    def asked(self, value: Json) -> list[str]:
        """Whom grading one answer asks, once for each call."""
        return self.calls(value) if self.calls else [self.asks] if self.asks else []


def _kind_of(row: judged.Measured) -> Kind:
    """A measure that a judge takes, against the threshold."""

    def evaluate(grader: Grader, a: Assertion, case: Case, answer: Answer) -> tuple[bool, float, str]:
        score, why = row.measure(grader, a, case, answer.text)
        passed, score, reason = _reaches(score, a, row.name)
        return passed, score, f"{reason}: {why}"

    facts = {name: getattr(row, name) for name in ("calls", "of_answer", "never_negated", "unit")}
    threshold: Literal["optional", "required"] = "required" if row.default is None else "optional"
    return Kind(row.name, evaluate, row.value, threshold, row.default, 1.0, asks="judge", **facts)


KINDS: Final = {
    k.name: k
    for k in (
        Kind("equals", _equals, "any"),
        Kind("contains", _contains, "text"),
        Kind("icontains", _icontains, "text"),
        Kind("contains-any", _listed(fold=False, every=False), "listed"),
        Kind("contains-all", _listed(fold=False, every=True), "listed"),
        Kind("icontains-any", _listed(fold=True, every=False), "listed"),
        Kind("icontains-all", _listed(fold=True, every=True), "listed"),
        Kind("starts-with", _starts_with, "text"),
        Kind("regex", _regex, "pattern"),
        Kind("is-json", _is_json, "schema"),
        Kind("contains-json", _contains_json, "schema"),
        Kind("is-refusal", _is_refusal, "nothing"),
        Kind("similar", _similar, "texts", "optional", 0.75, 1.0, asks="embedder"),
        Kind("levenshtein", _levenshtein, "text", "optional", 5, zero_allowed=True, unit="edits"),
        Kind("rouge-n", _rouge, "text", "optional", 0.75, 1.0),
        Kind("bleu", _bleu, "texts", "optional", 0.5, 1.0),
        Kind("latency", _latency, "ignored", "required", fresh=True, unit="milliseconds"),
        Kind("cost", _cost, "ignored", "required", unit="USD"),
        Kind("output-tokens", _output_tokens, "nothing", "required", unit="tokens"),
        Kind("is-valid-tool-call", _tool_call, "names"),
        Kind("guardrail-intervened", _guardrail, "ignored", guarded=True),
        Kind("llm-rubric", _llm_rubric, "text", "optional", None, 1.0, asks="judge"),
        *map(_kind_of, judged.MEASURES),
        Kind("select-best", _select, "text", asks="judge", compares=True),
        Kind("python", _python, "text"),
        Kind("assert-set", _set, "nothing", "optional", None, 1.0),
    )
}
"""Every assertion type by name. A row more is all that one takes."""


def asked_by(assertions: Iterable[Assertion]) -> list[str]:
    """Whom these assertions ask, once for each call: judge or embedder."""
    return [asked for a in flat(assertions) for asked in KINDS[a.kind].asked(a.value)]
