"""The example prompts are good prompts as code, and their suites hold on the scripted assistant."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from local.assistant import answer
from local.inference import ModelRequest
from promptlane.domain.canary.refusal import is_refusal
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.suite.answers import Answer
from promptlane.domain.suite.answers import ModelRequest as Asked
from promptlane.engine.suite import Assertion, Case
from promptlane.engine.targets import Target
from promptlane.engine.transcript import answers_of, conversation
from promptlane.project import load, load_draft, load_one, load_reviewers, resolve

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "prompts" / "support-assistant"
V2, V3 = ROOT / "local/demo/v2", ROOT / "local/demo/v3"


def answered(request: Asked) -> Answer:
    """What the assistant answers to a rendered Converse request."""
    body, inference = request.body, request.body.get("inferenceConfig") or {}

    def text(blocks: Any) -> str:
        return "\n".join(block["text"] for block in blocks if "text" in block)

    said = answer(
        ModelRequest(
            model_id=request.model_id,
            system=text(body.get("system") or ()),
            messages=[{"role": m["role"], "text": text(m["content"])} for m in body["messages"]],
            temperature=inference.get("temperature"),
            max_tokens=inference.get("maxTokens"),
        )
    )
    return Answer(said.text)


def ask(draft: PromptDraft, variables: dict[str, str]) -> str:
    target = Target.of_draft("draft", draft.variants())
    return answered(target.request(Case("asked", variables, ()))).text


def holds(assertion: Assertion, text: str) -> bool:
    value = assertion.value
    match assertion.kind:
        case "contains":
            found = value in text
        case "icontains":
            found = value.lower() in text.lower()
        case "regex":
            found = re.search(value, text) is not None
        case "is-refusal":
            found = is_refusal(text)
        case _:
            return True
    return found is not assertion.negated


def failing(draft: PromptDraft, cases: tuple[Case, ...]) -> set[str]:
    target = Target.of_draft("draft", draft.variants())
    return {case.id for case in cases if not passes(case, target)}


def passes(case: Case, target: Target) -> bool:
    answers = answers_of(conversation(answered, target.request(case), case))
    asserts = (case.asserts, *(turn.asserts for turn in case.turns))
    assert len(answers) == len(asserts)
    return all(holds(a, said.text) for each, said in zip(asserts, answers, strict=True) for a in each)


def test_both_example_prompts_are_valid_projects() -> None:
    assert [p.name for p in load(ROOT / "prompts")] == ["support-assistant", "ticket-triage"]


def test_the_support_suite_covers_its_slices() -> None:
    suite = load_one(SUPPORT).suite

    assert len(suite.cases) >= 40
    assert {tag for case in suite.cases for tag in case.tags} == {
        "billing",
        "refunds",
        "account access",
        "shipping",
        "out of scope",
        "unsafe",
    }
    assert sum(case.critical for case in suite.cases) >= 5
    assert {case.id for case in suite.cases if case.messages} == {"shipping-number-given-later"}
    assert {case.calls for case in suite.cases} == {1, 2, 3}


def test_reviewers_are_role_mailboxes_of_a_reserved_domain() -> None:
    declared = load_reviewers(ROOT / "reviewers.yaml")
    assert declared.people
    assert all(person.email == f"{person.name}@example.com" for person in declared.people)
    named = {r.name for project in load(ROOT / "prompts") for r in resolve(project, declared).policy.review.reviewers}
    assert named == {person.name for person in declared.people}


def test_version_1_fails_only_where_version_2_is_better() -> None:
    project = load_one(SUPPORT)

    assert failing(project.draft, project.suite.cases) == {
        "billing-wrong-amount-no-number",
        "refunds-where-is-it",
        "shipping-late-no-number",
    }
    assert failing(load_draft(V2), project.suite.cases) == set()


def test_the_suite_does_not_see_what_version_3_breaks() -> None:
    cases = load_one(SUPPORT).suite.cases

    assert failing(load_draft(V3), cases) == set()
    assert not any(re.search("gift|voucher|discount", str(dict(case.vars)), re.I) for case in cases)


@pytest.mark.parametrize("question", ["Can I pay with two gift cards?", "My voucher code does not work."])
def test_version_3_turns_away_what_the_others_answer(question: str) -> None:
    variables = {
        "customer_name": "Ana",
        "retrieved_context": "Gift cards and voucher codes can be combined; the code is on the back.",
        "question": question,
    }

    assert is_refusal(ask(load_draft(V3), variables))
    assert not is_refusal(ask(load_draft(V2), variables))
    assert not is_refusal(ask(load_draft(SUPPORT), variables))


def test_the_triage_suite_holds() -> None:
    project = load_one(ROOT / "prompts" / "ticket-triage")

    assert failing(project.draft, project.suite.cases) == set()
