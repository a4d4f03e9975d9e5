"""Each function gets the environment that its settings read, and nothing it does not."""

import ast
from pathlib import Path

import pytest

from tests.infra.synthesized import Synthesized

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
VERBS = sorted(p.parent.name for p in FUNCTIONS.glob("*/handler.py"))


def settings(verb: str) -> tuple[set[str], set[str]]:
    """(required, optional) variables of the handler's Settings."""
    tree = ast.parse((FUNCTIONS / verb / "handler.py").read_text())
    classes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "Settings"]
    fields = [n for c in classes for n in c.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    required = {f.target.id.upper() for f in fields if isinstance(f.target, ast.Name) and f.value is None}
    every = {f.target.id.upper() for f in fields if isinstance(f.target, ast.Name)}
    return required, every - required


@pytest.mark.parametrize("verb", VERBS)
def test_a_function_is_given_what_its_settings_read(synthesized: Synthesized, verb: str) -> None:
    required, optional = settings(verb)
    given = set(synthesized.function(verb)[2]["Environment"]["Variables"])
    if not required:
        pytest.skip(f"{verb} reads its environment elsewhere")
    assert required - given == set(), "missing"
    assert given - required - optional == set(), "given but not read"
    assert {name for name in optional if name == "RESOLUTION_SECONDS"} <= given


def test_every_folder_of_a_function_is_deployed(synthesized: Synthesized) -> None:
    assert synthesized.verbs() == VERBS
