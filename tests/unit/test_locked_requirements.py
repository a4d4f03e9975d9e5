"""What is installed is what was written down: each requirement at one version, each file of it by its hash."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLI = tuple(PROJECT["project"]["optional-dependencies"]["cli"])
INPUTS = {
    "requirements.txt": ("requirements.in",),
    "requirements/dev.txt": (
        "requirements.in",
        "requirements/dev.in",
        "requirements/layer.in",
        "requirements/engine.in",
        "requirements/receipts.in",
        "requirements/sdk.in",
    ),
    "requirements/layer.txt": ("requirements/layer.in",),
    "requirements/engine.txt": ("requirements/engine.in",),
    "requirements/receipts.txt": ("requirements/receipts.in",),
    "requirements/sdk.txt": ("requirements/sdk.in",),
    "requirements/bench.txt": ("requirements/bench.in",),
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked(name: str) -> set[tuple[str, str]]:
    """(package, version) of every requirement of an input; without a version where it leaves that open."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    return pins(line for line in lines if line and not line.startswith("-r "))


def pins(requirements: Iterable[str]) -> set[tuple[str, str]]:
    parts = [re.split(r"(==|>=)", one) for one in requirements]
    return {(normal(name), rest[1] if rest[:1] == ["=="] else "") for name, *rest in parts}


def locked(name: str) -> list[tuple[str, str, list[str]]]:
    """(package, version, hashes) of every requirement of a locked file, whose lines are nothing else."""
    text = re.sub(r"\\\n", " ", (ROOT / name).read_text())
    found = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        one = re.fullmatch(r"([\w.-]+)==(\S+)(?: ; [^-]+?)?((?:\s+--hash=\S+)*)", line)
        assert one, f"{name}: {line[:80]}"
        found.append((normal(one[1]), one[2], one[3].split()))
    return found


def test_every_locked_file_is_known_and_has_its_inputs() -> None:
    files = {p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("requirements*"), *ROOT.glob("requirements/*")]}
    assert files - {"requirements"} == {*INPUTS, *(name for names in INPUTS.values() for name in names)}


@pytest.mark.parametrize("name", INPUTS)
def test_a_locked_file_has_all_that_its_inputs_ask_for_at_that_version(name: str) -> None:
    wanted = set().union(*map(asked, INPUTS[name]))
    if name in ("requirements.txt", "requirements/dev.txt"):
        wanted |= pins(CLI) | pins(PROJECT["project"]["dependencies"])
    there = {(package, version) for package, version, _ in locked(name)}
    assert {pin for pin in wanted if pin[1]} <= there, "run `make lock`"
    assert {package for package, _ in wanted} <= {package for package, _ in there}, "run `make lock`"


@pytest.mark.parametrize("name", INPUTS)
def test_every_requirement_has_hashes(name: str) -> None:
    for package, version, hashes in locked(name):
        assert hashes, f"{package}=={version}"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), f"{package}=={version}"


@pytest.mark.parametrize("name", sorted({*INPUTS, *(name for names in INPUTS.values() for name in names)}))
def test_no_file_says_where_packages_come_from(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"(^|\s)(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", text)


def test_what_is_deployed_is_what_was_tested_with() -> None:
    versions = defaultdict(set)
    for package, version, _ in locked("requirements/dev.txt"):
        versions[package].add(version)
    for name in INPUTS.keys() - {"requirements/dev.txt", "requirements/bench.txt"}:
        for package, version, _ in locked(name):
            assert version in versions[package], f"{package} of {name}"


@pytest.mark.parametrize(
    "name", ["requirements/sdk.txt", "requirements/layer.txt", "requirements/engine.txt", "requirements/receipts.txt"]
)
def test_a_layer_is_the_same_whatever_python_builds_it(name: str) -> None:
    assert " ; " not in (ROOT / name).read_text()


def test_our_own_package_is_built_by_what_is_locked() -> None:
    assert pins(PROJECT["build-system"]["requires"]) <= {pin[:2] for pin in locked("requirements/dev.txt")}


def test_set_up_and_the_embedded_aws_install_nothing_without_its_hash() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = [line.partition("pip install ")[2] for line in makefile.splitlines() if "pip install" in line]
    assert installs == [
        "--quiet --require-hashes -r requirements/dev.txt",
        "--quiet --no-deps --no-build-isolation -e .",
    ]
    assert "pip" not in (ROOT / "local" / "lambda_runtime.py").read_text().replace("with_pip=False", "")
