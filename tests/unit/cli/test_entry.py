"""The console script where the package was installed without the command line's packages."""

import builtins
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

import pytest

from promptlane import cli


@pytest.mark.parametrize("lacking", ["typer", "rich.console", "yaml"])
def test_a_missing_package_is_named_with_the_remedy(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        if name == "app" and level == 1:
            raise ModuleNotFoundError(f"No module named {lacking!r}", name=lacking)
        return real(name, globals, locals, fromlist, level)

    monkeypatch.delitem(sys.modules, "promptlane.cli.app", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert lacking in str(left.value)
    assert "promptlane[cli]" in str(left.value)


def test_a_defect_of_our_own_is_none_of_the_installations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "promptlane.cli.app", None)
    with pytest.raises(ModuleNotFoundError):
        cli.main()
