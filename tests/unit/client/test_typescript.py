"""The TypeScript client agrees with Python's: the conformance files are current, and its own tests pass."""

from __future__ import annotations

import json
import random
import subprocess

import pytest

from promptlane.domain.split import bucket, group
from tests.conformance import shared, vectors
from tests.conformance.python import ANSWERS, FOLDER, cases, split_cases, split_of
from tests.support import typescript

REMEDY = "python -m tests.conformance --write, and make the TypeScript client agree"


def test_what_the_typescript_client_takes_over_is_what_python_has() -> None:
    assert shared.SHARED.read_text(encoding="utf-8") == shared.text(), REMEDY


@pytest.mark.parametrize("kind", sorted(ANSWERS))
def test_the_python_client_gives_the_published_answers(kind: str) -> None:
    published = cases(kind)
    assert len(published) > 20
    for case in published:
        assert ANSWERS[kind](case["given"]) == case["answer"], f"{case['name']}: {REMEDY}"
    if kind in vectors.ASKED:
        asked = json.loads(json.dumps(vectors.ASKED[kind][1]()))
        assert {case["name"]: case["given"] for case in published} == asked, REMEDY


def test_the_split_gives_the_published_answers() -> None:
    for case in split_cases():
        assert split_of(case["given"]) == case["answer"]


def test_both_split_random_units_alike() -> None:
    draw = random.Random(4)
    units = ["".join(chr(draw.randrange(32, 0x2FFF)) for _ in range(draw.randrange(1, 40))) for _ in range(800)]
    pairs = [[f"{draw.getrandbits(128):032x}", unit] for unit in [*units, "🙂" * 40, "x" * 1024, " ", "a\0b"]]
    theirs = typescript.run("split-pairs.mjs", given=json.dumps(pairs))
    assert theirs == [[bucket(salt, unit), group(salt, unit)] for salt, unit in pairs]


def test_the_typescript_clients_own_tests_pass() -> None:
    typescript.build()
    tests = sorted(str(path) for path in (typescript.CLIENT / "test").glob("*.test.mjs"))
    done = subprocess.run(["node", "--test", *tests], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-6000:]


def test_what_it_is_built_with_is_pinned_by_hash_and_by_no_hosts_name() -> None:
    lock = json.loads((typescript.CLIENT / "package-lock.json").read_text(encoding="utf-8"))
    packages = [package for path, package in lock["packages"].items() if path]
    assert len(packages) > 20
    assert all("integrity" in package and "resolved" not in package for package in packages)


def test_every_file_of_the_folder_is_asked() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(ANSWERS)
