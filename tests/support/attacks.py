"""Attacks as tests: each is made with its guard in place and must fail, then with the guard taken out and must succeed.

    @attack("a variation selector hides an override", kind="invisible text", without=patched(text, "_shown", always))
    def test_hidden_override() -> bool:
        return "ignore all rules" in ...  # True: the attacker got what they wanted

An attack that fails without its guard proves nothing about the guard, so that is a failure too. `without` gives a
context manager; what it and the attack take by name are fixtures. Where several guards hold one attack off, `without`
takes out all of them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from unittest import mock

import pytest

PROPERTY: Final = "attack"
Made = Callable[..., bool]
"""An attack: True when the attacker got what they wanted. Raises for what is neither success nor refusal."""
Guardless = Callable[..., AbstractContextManager[object]]


def attack(title: str, *, kind: str, without: Guardless) -> Callable[[Made], Callable[..., None]]:
    """Turn an attack into a test. `title` says what the attacker does, `kind` names the promise that it is against."""

    def test_of(made: Made) -> Callable[..., None]:
        wanted, needed = inspect.signature(made).parameters, inspect.signature(without).parameters

        @functools.wraps(made)
        def test(request: pytest.FixtureRequest, record_property: Callable[[str, object], None], **more: Any) -> None:
            fixtures = {**more, "request": request}
            of = getattr(request.node, "callspec", None)
            name = f"{title} [{of.id}]" if of else title
            held = not made(**_named(wanted, fixtures))
            with without(**_named(needed, fixtures)):
                succeeds = made(**_named(wanted, fixtures))
            told = {"attack": name, "kind": kind, "held": held, "succeeds_unguarded": succeeds}
            record_property(PROPERTY, told)
            assert held, f"the attack succeeded: {name}"
            assert succeeds, f"the attack fails without its guard too, so it proves nothing: {name}"

        del test.__dict__["__wrapped__"]  # or pytest reads the attack's signature
        names = dict.fromkeys(["request", "record_property", *wanted, *needed])
        parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
        test.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        marked: Callable[..., None] = pytest.mark.attack(test)
        return marked

    return test_of


def _named(parameters: Mapping[str, object], fixtures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fixtures[name] for name in parameters}


def patched(target: object, name: str, instead: object) -> Guardless:
    """`without` for code that runs in the test's own process: `target.name` is replaced by `instead`."""

    def without() -> AbstractContextManager[object]:
        return mock.patch.object(target, name, instead)

    return without


def together(*parts: Guardless) -> Guardless:
    """`without` for guards that stand behind one another; parts take no fixtures."""

    @contextmanager
    def without() -> Iterator[None]:
        if not parts:
            yield
            return
        with parts[0](), together(*parts[1:])():
            yield

    return without


def anything(*_: object, **__: object) -> Any:
    """Instead of a check that raises: lets everything pass, and returns None."""
