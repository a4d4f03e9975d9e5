"""The guardrail of a version: written by its author, kept with the version, shown, refused where it can change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.release.content import canonical_variants
from promptlane.domain.release.diff import compare, layout
from promptlane.domain.release.guardrail import Guardrail, Named, of_variant, problem_of, written
from promptlane.domain.release.prompt import PromptDraft, PromptVersion, VersionRef, static_problems

ARN = "arn:aws:bedrock:eu-west-1:111122223333:guardrail/gr0000000001"
GUARD = Guardrail("gr0000000001", "3")
PLAIN = {"name": "support", "model": "m", "template": "Hi"}
DRAFT = PromptDraft("support", "m", template="Hi")
KEY = "promptlane:guardrail"

ids = st.from_regex(r"[a-z0-9]{1,64}", fullmatch=True) | st.from_regex(
    r"arn:aws(-us-gov)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]{1,64}", fullmatch=True
)
guardrails = st.builds(Guardrail, ids, st.integers(1, 99_999_999).map(str))


def version(*variants: Any) -> PromptVersion:
    return PromptVersion("P", "support", 1, "arn:aws:bedrock:eu-west-1:1:prompt/P:1", variants)


@given(guardrails)
def test_what_is_written_is_what_the_version_has_and_what_a_route_keeps(guard: Guardrail) -> None:
    draft = PromptDraft.from_dict({**PLAIN, "guardrail": {"id": guard.id, "version": int(guard.version)}})
    published = version(*json.loads(json.dumps(draft.variants())))

    assert draft.guardrail == published.guardrail == published.ref.guardrail == guard
    assert VersionRef.from_item(published.ref.to_item()).guardrail == guard
    assert problem_of(published.variant) == ""
    assert all(c.isascii() and (c.isalnum() or c in "._:/=+@-") for c in guard.entry["value"])


@given(guardrails, guardrails)
def test_another_guardrail_is_another_content_and_shows_as_such(one: Guardrail, other: Guardrail) -> None:
    without = DRAFT.variants()
    first, second = (replace(DRAFT, guardrail=guard).variants() for guard in (one, other))

    assert layout(first)["guardrail"] == [f"id: {one.id}", f"version: {one.version}"]
    assert [s.title for s in compare(without, first) if s.changed] == ["guardrail"]
    changed = [s.title for s in compare(first, second) if s.changed]
    assert changed == ([] if one == other else ["guardrail"])
    assert (canonical_variants(first) == canonical_variants(second)) == (one == other)


def test_what_older_code_reads_and_writes_stays_what_it_was() -> None:
    item = version(*DRAFT.variants()).ref.to_item()

    assert "guardrail" not in item
    assert VersionRef.from_item(item).guardrail is None
    assert "metadata" not in DRAFT.variants()[0]


def test_the_guardrail_replaces_the_drafts_former_one_and_keeps_the_labels_of_people() -> None:
    label = {"key": "team", "value": "x"}
    before = {"name": "Variant1", "metadata": [{"key": KEY, "value": "old:1"}, label]}

    (kept,) = replace(DRAFT, guardrail=GUARD).variants(like=before)

    assert kept["metadata"] == [label, {"key": KEY, "value": "gr0000000001:3"}]
    assert of_variant(kept) == GUARD


@pytest.mark.parametrize("number", [3, "3"])
@pytest.mark.parametrize("id", ["gr0000000001", ARN])
def test_id_and_version_are_taken_as_people_write_them(id: str, number: object) -> None:
    assert written({"id": id, "version": number}) == (Guardrail(id, "3"), "")
    assert written(None) == (None, "")


SHAPE = "must be {id: ..., version: ...}"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("gr1:1", SHAPE),
        ([], SHAPE),
        ({}, SHAPE),
        ({"id": "gr1"}, SHAPE),
        ({"id": "gr1", "version": 1, "trace": "enabled"}, SHAPE),
        ({"id": 123456789012, "version": 1}, "put an id that is nothing but digits in quotes"),
        ({"id": "gr1", "version": 1.0}, SHAPE),
        ({"name": "support", "version": 1}, SHAPE),
        ({"name": ""}, "has the name ''; write a-z"),
        ({"name": "../secrets"}, "has the name '../secrets'"),
        ({"name": "a" * 65}, "at most 64 characters"),
        ({"name": 7}, "has the name '7'"),
        ({"id": "gr1", "version": True}, SHAPE),
        ({"id": "gr1", "version": None}, SHAPE),
        ({"id": "gr1", "version": "DRAFT"}, "is DRAFT, which can change under a release; create a version"),
        ({"id": "gr1", "version": "draft"}, "has the version 'draft'"),
        ({"id": "gr1", "version": 0}, "has the version '0'"),
        ({"id": "gr1", "version": "01"}, "has the version '01'"),
        ({"id": "gr1", "version": "1\n"}, "has the version '1\\n'"),
        ({"id": "gr1", "version": "\u0661"}, "has the version"),
        ({"id": "", "version": 1}, "has the id ''"),
        ({"id": "My guardrail", "version": 1}, "write a guardrail's id (a-z, 0-9) or its ARN"),
        ({"id": "arn:aws:bedrock:eu-west-1:111122223333:prompt/AB", "version": 1}, "or its ARN"),
        ({"id": f"{ARN}\n", "version": 1}, "or its ARN"),
    ],
)
def test_what_is_no_guardrail_of_a_fixed_content_is_refused(data: object, says: str) -> None:
    found, problem = written(data)

    assert found is None
    assert says in problem


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["gr1:DRAFT"], "is DRAFT, which can change under a release"),
        (["gr1"], "has the id ''"),
        ([""], "has the id ''"),
        (["gr1:x"], "has the version 'x'"),
        (["named/support"], "calls the guardrail 'support' by name; `promptlane publish` looks it up"),
        (["gr1:1", "gr1:1"], f"its metadata has {KEY} 2 times; leave one"),
        ([None], "has the id ''"),
    ],
)
def test_admission_refuses_what_others_wrote_under_the_reserved_key(values: list[Any], says: str) -> None:
    odd = version({**DRAFT.variants()[0], "metadata": [{"key": KEY, "value": value} for value in values]})

    (problem,) = static_problems(odd)

    assert problem.startswith("the guardrail of version 1: ")
    assert says in problem
    assert odd.guardrail is odd.ref.guardrail is None
    assert KEY in "\n".join(layout(odd.variants)["name and type"])


def test_a_draft_that_calls_it_by_name_is_another_content_than_any_that_could_be_released() -> None:
    by_name = PromptDraft.from_dict({**PLAIN, "guardrail": {"name": "support"}})
    assert by_name.guardrail == Named("support")
    assert by_name.fingerprint not in {DRAFT.fingerprint, replace(DRAFT, guardrail=GUARD).fingerprint}
    assert of_variant(by_name.variants()[0]) is None


def test_a_version_with_a_guardrail_has_no_problem_by_it() -> None:
    assert static_problems(version(*replace(DRAFT, guardrail=GUARD).variants())) == []
