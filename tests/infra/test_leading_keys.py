"""Every function may write the items that its code writes, by the beginning of their partition key, and no others."""

from __future__ import annotations

import ast

import pytest

from promptlane.domain import keys
from promptlane.domain.keys import APPENDED, BLOCKS, OPEN_REVIEWS, PROMPT, REVIEW
from tests.support.aws_calls import OPERATIONS, ROOT, TRANSACTED, module
from tests.support.synthesized import ONLY_OF_TRIALS, Json, Synthesized, listed, text
from tests.support.written import (
    BEGINNINGS,
    CALLS,
    Write,
    adapters_of_the_release_table,
    calls_of,
    needed_keys,
    written_by,
)

VERBS = sorted({p.parent.name for p in (ROOT / "functions").glob("*/handler.py")} - ONLY_OF_TRIALS)
CHANGES = {"put_item", "update_item", "delete_item"}
WRITING = {action for name in CHANGES for action in OPERATIONS[name]}

# Derived because a method of that name is reachable, though never on what has the adapter's name: with why.
NEVER_CALLED: dict[str, set[tuple[str, str]]] = {
    "gateway": {("turns", "take")},  # of GetPrompt, in the client
}


def granted_keys(statements: list[Json]) -> set[Write]:
    """(action, beginning) of every permission to write the release table; a statement without guards fails."""
    found: set[Write] = set()
    for statement in statements:
        actions = WRITING & set(listed(statement["Action"]))
        if not actions or "Releases" not in text(statement["Resource"]):
            continue
        condition = statement["Condition"]
        assert set(condition) == {"ForAllValues:StringLike", "Null"}, statement
        assert condition["Null"] == {"dynamodb:LeadingKeys": "false"}
        for pattern in listed(condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]):
            begins = pattern.removesuffix("*")
            assert begins in BEGINNINGS, f"{pattern} is none of promptlane.domain.keys"
            assert pattern.endswith("*") == (begins not in keys.WHOLE), pattern
            found |= {(action, begins) for action in actions}
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_a_function_may_write_exactly_the_items_that_its_code_writes(synthesized: Synthesized, verb: str) -> None:
    granted = granted_keys(synthesized.grants(synthesized.role_of(verb)))
    needed = needed_keys(verb, never=NEVER_CALLED.get(verb, set()))
    assert needed - granted == set(), "the code writes it, the role forbids it"
    assert granted - needed == set(), "the role allows it, the code never writes it"


def test_every_adapter_of_the_release_table_is_known_with_every_method_that_writes() -> None:
    """So that the derivation above leaves out nothing: who adds one adds a call of it to tests/support/written.py."""
    assert adapters_of_the_release_table() == {name: made.__name__ for name, (made, _) in CALLS.items()}
    for name, (made, calls) in CALLS.items():
        place = module(made.__module__)
        assert place is not None
        body = place.definitions[made.__name__]
        assert isinstance(body, ast.ClassDef)
        public = {m.name: m for m in body.body if isinstance(m, ast.FunctionDef) and not m.name.startswith("_")}
        writing = {n for n, method in public.items() if _writes(method)}
        assert set(calls) == writing, name


def _writes(method: ast.FunctionDef) -> bool:
    called = {part.attr for part in ast.walk(method) if isinstance(part, ast.Attribute)}
    named = {part.id for part in ast.walk(method) if isinstance(part, ast.Name)}
    return bool(called & {*CHANGES, "transact_write_items", "write", "_write"}) or "put_once" in named


def test_the_derivation_finds_what_a_call_writes() -> None:
    appended: set[Write] = {("dynamodb:PutItem", begins) for begins in APPENDED}
    assert written_by("releases", "append") == appended
    assert written_by("releases", "start") == appended | {("dynamodb:PutItem", PROMPT)}
    assert written_by("releases", "unlock") == {("dynamodb:DeleteItem", PROMPT)}
    assert written_by("reviews", "open") == {
        ("dynamodb:PutItem", OPEN_REVIEWS),
        ("dynamodb:PutItem", keys.SECRET),
        ("dynamodb:PutItem", REVIEW),
        ("dynamodb:UpdateItem", REVIEW),
    }
    assert ("dynamodb:UpdateItem", REVIEW) in written_by("reviews", "record") >= appended
    assert needed_keys("judge") == appended | {("dynamodb:PutItem", BLOCKS), ("dynamodb:DeleteItem", keys.OWED)}
    assert needed_keys("relay") == set()
    assert needed_keys("housekeep") == {("dynamodb:PutItem", keys.CURSORS)}


def test_no_beginning_takes_in_another() -> None:
    for one in BEGINNINGS:
        assert not [other for other in BEGINNINGS - {one} if one not in keys.WHOLE and other.startswith(one)]


def test_no_role_may_change_or_delete_what_is_appended(synthesized: Synthesized) -> None:
    for verb in VERBS:
        granted = granted_keys(synthesized.grants(synthesized.role_of(verb)))
        assert {action for action, begins in granted if begins in (keys.TIMELINE, keys.CHAIN)} <= {"dynamodb:PutItem"}


def test_exceptions_are_still_needed() -> None:
    for verb, calls in NEVER_CALLED.items():
        assert calls <= calls_of(verb), f"{verb}: no longer derived, so no longer an exception"


def test_transactions_write_nothing_that_the_derivation_does_not_know() -> None:
    assert set(TRANSACTED.values()) == WRITING
