"""What importing the client costs and promises."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import promptlane.client
from promptlane.client.settings import Settings

ROOT = Path(__file__).parents[3]


def run(code: str) -> str:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_the_client_loads_nothing_heavy() -> None:
    loaded = set(run("import promptlane.client; print(*sys.modules)").split())
    heavy = {"boto3", "botocore", "asyncio", "threading", "re", "typing", "dataclasses", "enum", "logging", "json"}
    assert not loaded & {*heavy, "pydantic", "aws_lambda_powertools", "opentelemetry", "urllib", "ssl"}
    bare = set(run("print(*sys.modules)").split())
    assert len(loaded - bare) < 32


def test_a_client_decides_without_boto3() -> None:
    code = (
        "from promptlane.client.testing import *; r = StaticRoutes(); r.put('p', stable=1);"
        "print(fake_client(r).route('p', 'u').version, 'boto3' in sys.modules)"
    )
    assert run(code).split() == ["1", "False"]


def test_the_public_names_are_what_they_say() -> None:
    for name in promptlane.client.__all__:
        assert getattr(promptlane.client, name).__name__ == name
    assert (ROOT / "promptlane" / "py.typed").exists()
    with pytest.raises(AttributeError, match=r"module 'promptlane.client' has no attribute 'Nothing'"):
        promptlane.client.Nothing  # noqa: B018


def test_what_hands_settings_on_knows_each_with_its_type() -> None:
    hints = inspect.get_annotations(promptlane.client.PromptClient.__init__)
    del hints["return"]
    assert {name: hint.__forward_arg__ for name, hint in Settings.__annotations__.items()} == hints


@pytest.mark.parametrize("name", ["converse", "converse_stream", "feedback"])
def test_the_methods_of_asyncio_are_named_and_described(name: str) -> None:
    method, awaited = getattr(promptlane.client.PromptClient, name), getattr(promptlane.client.AsyncPromptClient, name)
    assert (awaited.__name__, awaited.__doc__) == (name, method.__doc__)
    assert inspect.iscoroutinefunction(awaited) is (name != "converse_stream"), "a stream is entered, or awaited"
    assert inspect.signature(awaited) == inspect.signature(method)


def test_the_typed_face_holds_for_users() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent"]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("typed_use.py"))], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout
