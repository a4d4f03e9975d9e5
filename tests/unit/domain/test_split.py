"""The split: sticky, monotone, uniform, independent between prompts and releases, and equal in two languages."""

from __future__ import annotations

import json
import math
import runpy
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain import names, split
from promptlane.domain.split import BUCKETS, GROUPS, below, bucket, group, keys, mix, number, track

ROOT = Path(__file__).parents[3]
VECTORS = ROOT / "docs" / "split-vectors.json"
UNITS = st.text(min_size=1, max_size=60)
SALTS = st.text(alphabet="0123456789abcdef", min_size=32, max_size=32)


def chi_square_z(counts: list[int], expected: list[float]) -> float:
    """How far counts are from what is expected, in standard deviations (Wilson-Hilferty, chi square's cube root)."""
    statistic: float = sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True))
    k = len(counts) - 1
    return (math.cbrt(statistic / k) - (1 - 2 / (9 * k))) / math.sqrt(2 / (9 * k))


def test_the_split_has_as_many_buckets_and_groups_as_the_contract_says() -> None:
    assert names.FULL == BUCKETS
    assert names.UNIT_GROUPS == GROUPS


@given(SALTS, UNITS, st.integers(0, BUCKETS))
def test_one_comparison_decides_as_the_bucket_does(salt: str, unit: str, weight: int) -> None:
    k1, k2 = keys(salt)
    found = mix((crc32(unit.encode()) * k1, k2))
    assert (found < below(weight)) == (bucket(salt, unit) < weight)


@given(st.integers(0, (1 << 92) - 1), st.integers(0, (1 << 60) - 1))
def test_the_interpreters_own_hash_is_used_only_where_it_is_the_published_one(a: int, b: int) -> None:
    assert mix((a, b)) == split._rounds((a, b))


@given(SALTS, UNITS, st.integers(0, BUCKETS), st.integers(0, BUCKETS))
def test_a_unit_in_canary_stays_there_at_every_larger_weight_and_through_promotion(
    salt: str, unit: str, a: int, b: int
) -> None:
    small, large = min(a, b), max(a, b)
    if track(salt, unit, phase="canary", weight=small) == "canary":
        assert track(salt, unit, phase="canary", weight=large) == "canary"
    if track(salt, unit, phase="watch", holdback=BUCKETS - large) == "stable":
        assert track(salt, unit, phase="watch", holdback=BUCKETS - large) == "stable"
        assert bucket(salt, unit) < large
    assert 0 <= bucket(salt, unit) < BUCKETS
    assert track(salt, unit, phase="steady", weight=large, holdback=large) == "stable"


def test_units_held_back_are_never_those_that_saw_the_canary_below_the_holdback() -> None:
    for i in range(2000):
        saw = track("s", f"u{i}", phase="canary", weight=9500) == "canary"
        held = track("s", f"u{i}", phase="watch", holdback=500) == "holdback"
        assert saw != held


@pytest.mark.parametrize("form", ["user-{:07d}", "{}", "{:032x}", "tenant-7/session/{}"])
def test_buckets_and_groups_are_uniform_and_independent_of_each_other(form: str) -> None:
    n, bins = 100_000, 100
    table = [[0] * GROUPS for _ in range(bins)]
    for i in range(n):
        unit = form.format(i)
        table[bucket("4f3c2b1a", unit) * bins // BUCKETS][int(group("4f3c2b1a", unit))] += 1
    flat = [count for row in table for count in row]
    assert abs(chi_square_z(flat, [n / len(flat)] * len(flat))) < 4.5


@pytest.mark.parametrize("form", ["user-{:07d}", "{}"])
def test_two_prompts_pick_their_canary_units_independently(form: str) -> None:
    n, share = 60_000, 500
    for first, second in [("prompt7", "prompt8"), ("00000000", "00000001"), ("ABCDEFGHIJ-2-1", "ABCDEFGHIJ-2-2")]:
        units = [form.format(i) for i in range(n)]
        pairs = [(bucket(first, unit), bucket(second, unit)) for unit in units]
        both = sum(a < share and b < share for a, b in pairs)
        expected = n * 0.05 * 0.05
        assert abs(both - expected) / math.sqrt(expected) < 4.5
        joint = [0] * 400
        for a, b in pairs:
            joint[a * 20 // BUCKETS * 20 + b * 20 // BUCKETS] += 1
        assert abs(chi_square_z(joint, [n / 400] * 400)) < 4.5


def test_the_published_vectors_are_what_this_code_computes() -> None:
    document = json.loads(VECTORS.read_text(encoding="utf-8"))
    assert len(document["vectors"]) >= 50
    for v in document["vectors"]:
        assert f"{number(v['salt'], v['unit']):016x}" == v["number"]
        assert bucket(v["salt"], v["unit"]) == v["bucket"]
        assert group(v["salt"], v["unit"]) == v["group"]
    for v in document["tracks"]:
        found = track(v["salt"], v["unit"], phase=v["phase"], weight=v["weight"], holdback=v["holdback"])
        assert found == v["track"]


def test_sizes_that_other_languages_know_stay_what_they_are() -> None:
    assert (BUCKETS, GROUPS, split.MAX_UNIT_BYTES) == (10_000, 16, 1_024)


def lanes_of(target: int) -> tuple[int, int]:
    """Two numbers below the modulus whose rounds end with `target` before the closing constant's special case."""
    word = 1 << 64
    back1, back2 = pow(split._P1, -1, word), pow(split._P2, -1, word)
    for first in range(1, 1_000):
        acc = (split._P5 + first * split._P2) % word
        acc = (acc << 31 | acc >> 33) % word * split._P1 % word
        mixed = (target - (2 ^ split._P5 ^ 3527539)) * back1 % word
        second = ((mixed >> 31 | mixed << 33) - acc) * back2 % word
        if second < split._MODULUS:
            return first, second
    raise AssertionError(f"no lanes give {target:x}")


@pytest.mark.parametrize(
    ("target", "signed"),
    [(0, 0), ((1 << 63) - 1, (1 << 63) - 1), (1 << 63, -(1 << 63)), ((1 << 64) - 2, -2), ((1 << 64) - 1, 1546275796)],
)
def test_the_rounds_end_in_a_signed_number_that_is_never_minus_one(target: int, signed: int) -> None:
    assert split._rounds(lanes_of(target)) == signed
    assert mix(lanes_of(target)) == signed


def test_an_interpreter_whose_hash_is_another_anywhere_computes_the_published_one_itself() -> None:
    for probe in split._PROBES:

        def other(value: Any, wrong: Any = probe) -> int:
            return hash(value) + int(value == wrong)

        loaded = runpy.run_path(split.__file__, init_globals={"hash": other})
        assert loaded["mix"] is loaded["_rounds"]
    ours = sys.implementation.name == "cpython" and sys.hash_info.width == 64
    assert (mix is hash) == ours


@given(SALTS, UNITS)
def test_a_bucket_begins_and_ends_where_one_comparison_says(salt: str, unit: str) -> None:
    k1, k2 = keys(salt)
    found, its = mix((crc32(unit.encode()) * k1, k2)), bucket(salt, unit)

    assert below(its) <= found < below(its + 1)
    assert k1 % 2 == 1
    assert max(k1, k2) < 1 << 60


def test_the_first_and_the_last_bucket_are_served_exactly_from_their_shares_on() -> None:
    first = next(unit for n in range(200_000) if bucket("s", unit := f"u{n}") == 0)
    last = next(unit for n in range(200_000) if bucket("s", unit := f"u{n}") == BUCKETS - 1)

    assert track("s", first, phase="canary") == track("s", last, phase="watch") == "stable"
    assert track("s", first, phase="canary", weight=1) == "canary"
    assert track("s", last, phase="watch", holdback=1) == "holdback"
    assert track("s", last, phase="canary", weight=BUCKETS - 1) == "stable"
    assert track("s", last, phase="canary", weight=BUCKETS) == "canary"
    assert track("s", first, phase="watch", holdback=BUCKETS - 1) == "stable"
    assert track("s", first, phase="watch", holdback=BUCKETS) == "holdback"


def test_each_half_holds_half_of_the_groups() -> None:
    assert [split.half(str(group)) for group in range(split.GROUPS)] == ["0"] * 8 + ["1"] * 8
