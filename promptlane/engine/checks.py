"""Python assertions: code that is deployed with the stack, chosen by name from a suite, never taken from one.

A package `promptlane_checks` beside `prompts/` registers them:

    from promptlane.engine.checks import check

    @check("quotes-the-policy")
    def quotes_the_policy(output: str, variables: Mapping[str, str]) -> bool | float: ...
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Final

from promptlane.domain.errors import InvalidInput

Check = Callable[[str, Mapping[str, str]], bool | float]
PACKAGE: Final = "promptlane_checks"
_REGISTERED: Final[dict[str, Check]] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Register a check under the name that suites use. It returns whether the output is right, or a score of 0 to 1."""

    def register(function: Check) -> Check:
        if _REGISTERED.setdefault(name, function) is not function:
            raise InvalidInput(f"two checks are called {name!r}; names are unique")
        return function

    return register


def load() -> dict[str, Check]:
    """Every registered check, with those of the deployed package, if there is one."""
    try:
        importlib.import_module(PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise
    return dict(_REGISTERED)


def unknown(names: set[str]) -> list[str]:
    """What to say about checks that a suite names and nobody registered."""
    registered = load()
    known = ", ".join(sorted(registered)) or "none"
    return [
        f"python check {name!r} is not registered (registered: {known}); "
        f"add it to the package {PACKAGE} and deploy, suites themselves hold no code"
        for name in sorted(names - registered.keys())
    ]
