"""The order of the code is counted rightly: a table that misses what breaks a rule would be worse than none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.house import __main__ as house
from tests.house.imports import Import, circles, imports, modules
from tests.house.report import Row, rows

RULES = """
[[tool.importlinter.contracts]]
name = "Order"
containers = ["promptlane.domain"]
layers = ["investigation", "canary | review", "release"]
"""
FINE = {
    "pyproject.toml": RULES,
    "promptlane/__init__.py": "",
    "promptlane/domain/__init__.py": "",
    "promptlane/domain/release/route.py": "ROUTE = 1\n",
    "promptlane/domain/canary/judge.py": "from promptlane.domain.release.route import ROUTE\n",
    "functions/shift/handler.py": "from promptlane.domain.canary import judge\n",
}


def tree(root: Path, **changed: str) -> Path:
    """A small house; `changed` by names with `__` for a slash."""
    files = {**FINE, **{name.replace("__", "/") + ".py": text for name, text in changed.items()}}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def found(root: Path) -> dict[str, Row]:
    """The rows by their first words."""
    return {row.what: row for row in rows(root, ("promptlane", "functions"), beside=("tests",))}


def one(root: Path, start: str) -> Row:
    (row,) = [row for what, row in found(root).items() if what.startswith(start)]
    return row


def test_a_house_in_order_breaks_no_rule_and_every_import_is_seen(tmp_path: Path) -> None:
    root = tree(tmp_path)
    assert not [row for row in found(root).values() if row.broken]
    assert imports(modules(root, ("promptlane", "functions"))) == {
        Import("promptlane.domain.canary.judge", "promptlane.domain.release.route", "at import"),
        Import("functions.shift.handler", "promptlane.domain.canary.judge", "at import"),
    }


@pytest.mark.parametrize(
    ("statement", "imported", "when"),
    [
        ("import promptlane.b", "promptlane.b", "at import"),
        ("import promptlane.b as b", "promptlane.b", "at import"),
        ("from promptlane import b", "promptlane.b", "at import"),
        ("from promptlane.b import B", "promptlane.b", "at import"),
        ("from . import b", "promptlane.b", "at import"),
        ("from .b import B", "promptlane.b", "at import"),
        ("from .inner.c import C", "promptlane.inner.c", "at import"),
        ("from promptlane.inner import C", "promptlane.inner", "at import"),
        ("try:\n    from .b import B\nexcept ImportError:\n    B = None", "promptlane.b", "at import"),
        ("class A:\n    from .b import B", "promptlane.b", "at import"),
        ("def f():\n    from .b import B", "promptlane.b", "later"),
        ("async def f():\n    import promptlane.b", "promptlane.b", "later"),
        ("class A:\n    def f(self):\n        from .b import B", "promptlane.b", "later"),
        ("if TYPE_CHECKING:\n    from .b import B", "promptlane.b", "for types"),
        ("if typing.TYPE_CHECKING:\n    from .b import B", "promptlane.b", "for types"),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from .b import B", "promptlane.b", "at import"),
    ],
)
def test_an_import_is_of_a_module_and_happens_at_import_later_or_never(
    tmp_path: Path, statement: str, imported: str, when: str
) -> None:
    for name in ("b", "inner/__init__", "inner/c"):
        (tmp_path / "promptlane" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "promptlane" / f"{name}.py").write_text("")
    (tmp_path / "promptlane" / "a.py").write_text(f"import os, json\n{statement}\n")
    (seen,) = imports(modules(tmp_path, ("promptlane",)))
    assert (seen.importer, seen.imported, seen.when) == ("promptlane.a", imported, when)


def test_a_module_of_a_package_is_named_from_within_its_own_package(tmp_path: Path) -> None:
    (tmp_path / "promptlane" / "inner").mkdir(parents=True)
    (tmp_path / "promptlane" / "b.py").write_text("")
    (tmp_path / "promptlane" / "inner" / "__init__.py").write_text("from .c import C\nfrom ..b import B\n")
    (tmp_path / "promptlane" / "inner" / "c.py").write_text("C = 1\n")
    assert imports(modules(tmp_path, ("promptlane",))) == {
        Import("promptlane.inner", "promptlane.inner.c", "at import"),
        Import("promptlane.inner", "promptlane.b", "at import"),
    }


def test_modules_that_reach_each_other_are_one_circle_and_those_on_the_way_are_not_in_it() -> None:
    ways = [("entry", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("b", "leaf"), ("x", "y"), ("y", "x")]
    every = [Import(one, other, "at import") for one, other in ways]
    assert circles(every, "at import") == [("a", "b", "c"), ("x", "y")]
    assert circles(every, "later") == []


@pytest.mark.parametrize(
    ("back", "broken"),
    [
        ("from promptlane.domain.canary.judge import J\n", [1, 1]),
        ("def f():\n    from promptlane.domain.canary.judge import J\n", [0, 1]),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from promptlane.domain.canary import judge\n",
            [0, 0],
        ),
    ],
)
def test_a_circle_is_broken_however_late_it_closes_but_not_for_types(
    tmp_path: Path, back: str, broken: list[int]
) -> None:
    root = tree(tmp_path, promptlane__domain__release__route=back)
    kinds = ("circles of imports", "circles, imports in functions included", "circles, imports for types included")
    at_import, at_run_time, with_types = (found(root)[kind] for kind in kinds)
    assert [at_import.count, at_run_time.count] == broken
    assert [at_import.broken, at_run_time.broken, with_types.broken] == [*map(bool, broken), False]
    assert with_types.details == ("promptlane.domain.canary.judge promptlane.domain.release.route",)


@pytest.mark.parametrize("importer", ["release/route", "review/desk"])
def test_an_import_against_the_order_of_subjects_is_broken_between_neighbours_too(
    tmp_path: Path, importer: str
) -> None:
    name = f"promptlane__domain__{importer.replace('/', '__')}"
    root = tree(tmp_path, **{name: "from promptlane.domain.canary.judge import J\n"})
    back = one(root, "of these, against their order")
    assert (back.count, back.broken, back.details) == (1, True, (f"{importer.split('/')[0]} → canary",))


def test_subjects_are_listed_from_the_top_with_how_often_they_import(tmp_path: Path) -> None:
    causes = "from promptlane.domain.canary import judge\nfrom promptlane.domain.release import route\n"
    row = one(tree(tmp_path, promptlane__domain__investigation__causes=causes), "subjects of the domain")
    assert (row.count, row.details) == (3, ("investigation → canary 1, release 1", "canary → release 1"))


@pytest.mark.parametrize(("lines", "count"), [(450, 0), (451, 1)])
def test_a_file_has_so_many_lines_and_no_more(tmp_path: Path, lines: int, count: int) -> None:
    row = one(tree(tmp_path, promptlane__long="X = 1\n" * lines), "files of more than 450")
    assert (row.count, row.broken, row.details[0]) == (count, bool(count), f"{lines:6}  promptlane/long.py")


@pytest.mark.parametrize(("skips", "broken"), [(10, False), (11, True)])
def test_the_formatter_is_kept_off_so_often_and_no_more(tmp_path: Path, skips: int, broken: bool) -> None:
    half = skips // 2
    root = tree(
        tmp_path,
        promptlane__domain__a="X = 1  # fmt: skip\n" * half,
        functions__b="# fmt: off\n" * (skips - half),
        tests__c="X = 1  # fmt: skip\n" * 99,
    )
    row = one(root, "lines that keep the formatter off")
    assert (row.count, row.broken) == (skips, broken)
    assert set(row.details) == {f"{half:6}  promptlane/domain", f"{skips - half:6}  functions"}
    assert (one(root, "the same in tests").count, one(root, "the same in tests").broken) == (99, False)


def test_functions_with_more_than_eight_parameters_are_counted_without_self(tmp_path: Path) -> None:
    nine = "def nine(a, b, c, d, e, f, g, *, h, i): ...\n"
    eight = "class A:\n    def eight(self, a, b, c, d, e, f, g, *rest, h): ...\n"
    row = one(tree(tmp_path, promptlane__a=nine + eight), "functions with more than 8")
    assert (row.count, row.broken, row.details) == (1, False, ("     9  promptlane/a.py nine",))


def test_files_are_counted_by_folder_and_lines_by_top_level_folder(tmp_path: Path) -> None:
    root = tree(tmp_path, tests__c="X = 1\n" * 7)
    assert one(root, "files;").details == (
        "     1  functions/shift",
        "     1  promptlane/domain/canary",
        "     1  promptlane/domain/release",
    )
    assert found(root)["lines"].details == ("     7  tests", "     2  promptlane", "     1  functions")


def test_what_is_broken_is_said_in_red_on_a_terminal_alone_and_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fine, broken = Row("files", 3, None, ("     3  promptlane",)), Row("circles", 1, 0, ("a b",))
    assert house.table([fine, broken], coloured=True).splitlines()[3] == (
        f"\033[31m{'circles':<48}{1:>7}{0:>9}  broken\033[0m"
    )
    monkeypatch.setattr(house, "rows", lambda root: [fine, broken])
    assert house.main() == 1
    assert "\033" not in (said := capsys.readouterr().out)
    assert said.splitlines()[1:] == [
        f"{'files':<48}{3:>7}",
        "         3  promptlane",
        f"{'circles':<48}{1:>7}{0:>9}  broken",
        "    a b",
    ]
    monkeypatch.setattr(house, "rows", lambda root: [fine])
    assert house.main() == 0


def test_the_linter_shows_broken_rules_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fine, broken = Row("files", 3, None), Row("circles", 1, 0, ("a b",))
    monkeypatch.setattr(sys, "argv", ["house", "--broken"])
    monkeypatch.setattr(house, "rows", lambda root: [fine, broken])
    assert house.main() == 1
    assert capsys.readouterr().out.splitlines()[1:] == [f"{'circles':<48}{1:>7}{0:>9}  broken", "    a b"]
    monkeypatch.setattr(house, "rows", lambda root: [fine])
    assert (house.main(), capsys.readouterr().out) == (0, "")
