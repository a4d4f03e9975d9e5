"""Fingerprints bind what changes an answer, and nothing else; the static checks name what is wrong."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import DraftInvalid
from promptlane.domain.release.content import fingerprint
from promptlane.domain.release.prompt import PromptDraft, PromptVersion, static_problems
from tests.support.prompt import ARN, ID

DRAFT = PromptDraft(
    name="support",
    model="amazon.nova-lite-v1:0",
    template="Help {{customer}} with {{question}}",
    variables=("customer", "question"),
    inference={"temperature": 0.2, "max_tokens": 400},
)


MANY = tuple(f"v{i}" for i in range(21))
VERSION_ARN = f"{ARN}:1"


def version(variants: Any) -> PromptVersion:
    return PromptVersion(ID, "support", 1, VERSION_ARN, variants)


def test_what_does_not_change_an_answer_does_not_change_the_fingerprint() -> None:
    before = DRAFT.variants()
    after = copy.deepcopy(before)
    after[0]["metadata"] = [{"key": "team", "value": "support"}]
    after[0]["templateConfiguration"]["text"]["inputVariables"].reverse()
    after[0]["inferenceConfiguration"]["text"]["temperature"] = Decimal("0.20")
    after[0]["inferenceConfiguration"]["text"]["maxTokens"] = 400.0
    after[0]["additionalModelRequestFields"] = {}
    assert fingerprint(after) == fingerprint(before)
    # Bedrock keeps temperatures as 32-bit floats: 0.2 comes back as 0.20000000298023224.
    after[0]["inferenceConfiguration"]["text"]["temperature"] = 0.20000000298023224
    assert fingerprint(after) == fingerprint(before)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(modelId="amazon.nova-pro-v1:0"),
        lambda v: v["templateConfiguration"]["text"].update(text="Help {{customer}} with {{question}}!"),
        lambda v: v["inferenceConfiguration"]["text"].update(temperature=0.3),
        lambda v: v["inferenceConfiguration"]["text"].update(maxTokens=401),
        lambda v: v.update(additionalModelRequestFields={"top_k": 5}),
    ],
)
def test_what_changes_an_answer_changes_the_fingerprint(change: Any) -> None:
    variants = DRAFT.variants()
    change(variants[0])
    assert fingerprint(variants) != DRAFT.fingerprint


@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=5), st.randoms()
)
def test_key_order_never_matters(fields: dict[str, Any], random: Any) -> None:
    keys = list(fields)
    random.shuffle(keys)
    assert fingerprint([fields]) == fingerprint([{k: fields[k] for k in keys}])


def test_a_good_version_has_no_problem() -> None:
    assert static_problems(version(DRAFT.variants()), allowed_models=["amazon.nova-lite-v1:0"]) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"template": "Help {{customer}} with {{question}} and {{order}}"}, "uses {{order}} but does not declare"),
        ({"template": "Help {{customer}}"}, "declares {{question}} but its template never uses"),
        ({"template": "   ", "variables": ()}, "template is empty"),
        ({"template": "x" * 200_001, "variables": ()}, "200,001 characters"),
        ({"model": "other.model"}, "not among the policy's models.allowed"),
        ({"template": " ".join("{{" + v + "}}" for v in MANY), "variables": MANY}, "21 variables"),
    ],
)
def test_static_checks_name_the_input_and_the_remedy(change: dict[str, Any], says: str) -> None:
    fields = {"name": "support", "model": DRAFT.model, "template": DRAFT.template, "variables": DRAFT.variables}
    problems = static_problems(version(PromptDraft(**{**fields, **change}).variants()), allowed_models=[DRAFT.model])
    assert any(says in p for p in problems), problems


def test_a_version_without_variants_is_refused() -> None:
    assert "no variant" in static_problems(version([]))[0]


def test_chat_drafts_become_bedrock_variants() -> None:
    draft = PromptDraft.from_dict(
        {
            "name": "triage",
            "model": "m",
            "system": "Return JSON",
            "variables": ["ticket"],
            "messages": [{"role": "user", "text": "{{ticket}}"}],
            "tools": [{"toolSpec": {"name": "open_case", "inputSchema": {"json": {}}}}],
            "tool_choice": "open_case",
        }
    )
    (variant,) = draft.variants()
    chat = variant["templateConfiguration"]["chat"]
    assert chat["system"] == [{"text": "Return JSON"}]
    assert chat["toolConfiguration"]["toolChoice"] == {"tool": {"name": "open_case"}}
    assert version([variant]).used_variables == {"ticket"}


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ("text", ""),
        ({}, "name"),
        ({"name": "a__b", "model": "m", "template": "x"}, "name"),
        ({"name": "a", "model": "m"}, "template"),
        ({"name": "a", "model": "m", "template": "x", "system": "y"}, "template"),
        ({"name": "a", "model": "m", "messages": [{"role": "user"}]}, "messages[0]"),
        ({"name": "a", "model": "m", "template": "x", "variables": ["v", "v"]}, "variables"),
        ({"name": "a", "model": "m", "template": "x", "inference": {"heat": 1}}, "inference.heat"),
        ({"name": "a", "model": "m", "template": "x", "tools": [{}]}, "tools"),
        ({"name": "a", "model": "m", "template": "x", "colour": 1}, "colour"),
        ({"name": "a", "model": "m", "template": "x", "description": "d" * 201}, "description"),
    ],
)
def test_a_bad_prompt_yaml_is_refused_with_its_path(data: Any, path: str) -> None:
    with pytest.raises(DraftInvalid) as caught:
        PromptDraft.from_dict(data)
    assert path in [p for p, _ in caught.value.problems]
