"""The timeline: chained entries, what is wrong with a chain, its head, its record and its locked copies."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from promptlane.domain.release.timeline import (
    COPIED_WITHIN,
    GENESIS,
    SYSTEM,
    ChainHead,
    CopyComparison,
    Event,
    LockedCopy,
    TimelineEntry,
    chain_problems,
    compare_copies,
    entry_hash,
    from_iso,
    head_problems,
    iso,
)
from tests.support import generated
from tests.support.prompt import RELEASE

DAY = 86_400.0


def entry(number: int, at: float = 0.0, event: Event = Event.CANARY_JUDGED, **detail: Any) -> TimelineEntry:
    return TimelineEntry(f"e{number}", RELEASE, at or 1000.0 + number, event, "ada", detail, seq=number)


def chain(*entries: TimelineEntry) -> list[TimelineEntry]:
    chained: list[TimelineEntry] = []
    for number, one in enumerate(entries, 1):
        chained.append(one.chained(number, chained[-1].hash if chained else GENESIS))
    return chained


THREE = chain(entry(1), entry(2), entry(3))


def test_what_every_store_and_reader_of_a_chain_agrees_on() -> None:
    assert (GENESIS, SYSTEM, COPIED_WITHIN) == ("0" * 64, "promptlane", 900.0)


def test_an_entrys_hash_is_that_of_its_canonical_json() -> None:
    first = TimelineEntry("a", RELEASE, 1.5, Event.STARTED, "zoë", {"b": [1, None], "a": {"y": 1, "x": True}})

    written = (
        '{"at":"1970-01-01T00:00:01.500Z","by":"zoë","detail":{"a":{"x":true,"y":1},"b":[1,null]},'
        f'"event":"Release Started","id":"a","prev_hash":"{GENESIS}","release_id":"{RELEASE}","seq":1}}'
    )
    hashed = hashlib.sha256(written.encode()).hexdigest()
    assert first.chained(1, GENESIS) == replace(first, seq=1, prev_hash=GENESIS, hash=hashed)


@settings(max_examples=20)
@given(generated.entries, generated.numbers, generated.digests)
def test_a_chained_entry_keeps_what_it_says_and_its_hash_covers_all_of_it(
    one: TimelineEntry, seq: int, before: str
) -> None:
    chained = one.chained(seq, before)

    assert chained == replace(one, seq=seq, prev_hash=before, hash=entry_hash(chained))
    changes: dict[str, Any] = {
        "id": "other!!",
        "release_id": "other!!",
        "at": one.at + 1,
        "by": "other!!",
        "detail": {},
        "seq": seq + 1,
        "prev_hash": "other",
    }
    assert len({chained.hash, *(entry_hash(replace(chained, **{k: v})) for k, v in changes.items())}) == 8
    assert entry_hash(replace(chained, hash="")) == chained.hash


def test_a_chain_that_holds_has_no_problem() -> None:
    assert chain_problems(THREE) == []
    assert chain_problems([]) == []


def test_a_gap_in_a_chain_is_named_once_with_both_its_ends() -> None:
    four = chain(entry(1), entry(2), entry(3), entry(4))

    assert chain_problems([four[0], *four[2:]]) == [
        "entry 2 is missing: found number 3",
        "entry 3 does not follow the one before it",
    ]
    assert chain_problems(THREE[1:]) == [
        "entry 1 is missing: found number 2",
        "entry 2 does not follow the one before it",
    ]


def test_an_altered_entry_is_named_and_what_was_chained_to_it_still_follows() -> None:
    assert chain_problems([THREE[0], replace(THREE[1], by="eve"), THREE[2]]) == [
        "entry 2 was altered: its hash does not fit its content"
    ]


def test_a_head_that_names_the_last_entry_agrees() -> None:
    head = ChainHead(3, THREE[2].hash)

    assert head_problems(THREE, head, head) == []
    assert head_problems([], None, None) == []


def test_entries_cut_off_the_end_are_told_by_the_head() -> None:
    head = ChainHead(3, THREE[2].hash)

    assert head_problems(THREE[:2], head, head) == ["the timeline ends with entry 2, the head of its chain is entry 3"]
    assert head_problems([], head, head) == ["the timeline ends with entry 0, the head of its chain is entry 3"]


def test_another_entry_in_the_place_of_the_last_is_told_by_the_head() -> None:
    head = ChainHead(2, "another")

    assert head_problems(THREE[:2], head, head) == ["entry 2 is not the one that the head of the chain names"]
    assert head_problems(THREE[1:], ChainHead(1, "x"), ChainHead(3, THREE[2].hash)) == [], (
        "the gap is the chain's affair"
    )


def test_entries_beyond_the_head_are_told() -> None:
    head = ChainHead(2, THREE[1].hash)

    assert head_problems(THREE, head, head) == ["the timeline goes on to entry 3, the head of its chain is entry 2"]
    assert head_problems(THREE[:1], None, None) == ["the timeline goes on to entry 1, the head of its chain is entry 0"]


def test_what_is_appended_while_a_timeline_is_read_is_no_problem() -> None:
    assert head_problems(THREE, ChainHead(2, THREE[1].hash), ChainHead(3, THREE[2].hash)) == []
    assert head_problems(THREE[:2], ChainHead(2, THREE[1].hash), ChainHead(3, THREE[2].hash)) == []
    assert head_problems(THREE[:1], None, ChainHead(2, THREE[1].hash)) == []


def copies(entries: list[TimelineEntry], after: float = 1.0) -> list[LockedCopy]:
    return [LockedCopy(one, one.at + after) for one in entries]


def test_entries_with_their_copies_agree() -> None:
    assert compare_copies(THREE, copies(THREE), now=9e9) == CopyComparison(3, 0, 0, (), ())


@pytest.mark.parametrize(("after", "late"), [(900.0, False), (900.5, True), (-900.0, False)])
def test_a_copy_of_another_time_than_its_entry_is_dated_is_told_as_late(after: float, late: bool) -> None:
    told = tuple(f"entry {one.seq}, dated {iso(one.at)}, was copied at {iso(one.at + after)}" for one in THREE[:2])

    assert compare_copies(THREE[:2], copies(THREE[:2], after), now=9e9) == CopyComparison(
        2, 0, 0, (), told if late else ()
    )


def test_an_entry_whose_copy_was_made_before_it_says_it_was_written_is_a_problem() -> None:
    """The bucket's clock dates the copy, and nothing is copied before it is there."""
    assert compare_copies(THREE[:1], copies(THREE[:1], -900.5), now=9e9).problems == (
        "entry 1, dated 1970-01-01T00:16:41.000Z, was there at 1970-01-01T00:01:40.500Z already",
    )


@pytest.mark.parametrize(("age", "young"), [(900.0, True), (900.5, False), (-900.0, True), (-900.5, False)])
def test_an_entry_without_a_copy_is_a_problem_once_its_time_is_over(age: float, young: bool) -> None:
    found = compare_copies(THREE[:1], [], now=1001.0 + age)

    assert (found.not_copied_yet, len(found.problems)) == ((1, 0) if young else (0, 1))


def test_every_entry_that_waits_for_its_copy_is_counted() -> None:
    assert compare_copies(THREE, [], now=1002.0) == CopyComparison(0, 3, 0, (), ())


def test_an_entry_without_a_copy_is_named_with_its_date() -> None:
    (problem,) = compare_copies(THREE[:1], [], now=5000.0).problems

    assert problem.startswith("entry 1, dated 1970-01-01T00:16:41.000Z, has no locked copy: ")


def test_entries_older_than_copies_are_kept_need_none() -> None:
    found = compare_copies(THREE, [], now=1002.0 + DAY, kept_for=DAY)

    assert (found.no_longer_kept, len(found.problems)) == (1, 2), "exactly as old is kept still"
    assert compare_copies(THREE[:2], [], now=9e9, kept_for=DAY) == CopyComparison(0, 0, 2, (), ())
    assert compare_copies(THREE[:2], [], now=9e9, kept_for=math.inf).no_longer_kept == 0


def test_an_entry_is_no_older_than_any_before_it_whatever_it_claims() -> None:
    recent, backdated = chain(entry(1, 9e8), entry(2, 5.0))

    found = compare_copies([recent, backdated], [], now=9e8 + 10, kept_for=DAY)

    assert found == CopyComparison(0, 2, 0, (), ())


def test_copies_that_differ_or_stand_alone_or_do_not_hold_are_problems() -> None:
    forged = replace(THREE[1], by="eve").chained(2, THREE[0].hash)
    broken = replace(THREE[0], by="eve")
    others = chain(*(entry(n) for n in range(1, 6)))

    assert compare_copies([forged], copies([THREE[1]]), now=1002.0).problems == (
        "entry 2 is not the one that was copied when it was written",
    )
    assert compare_copies(THREE[:1], copies([others[4], broken, others[3]]), now=9e9) == CopyComparison(
        1,
        0,
        0,
        (
            "the locked copy of entry 1 does not fit its own hash",
            "entry 4 has a locked copy, and the table lacks it",
            "entry 5 has a locked copy, and the table lacks it",
        ),
        (),
    )


@pytest.mark.usefixtures("elsewhere")
def test_times_are_written_in_utc_with_milliseconds_wherever_the_machine_is() -> None:
    assert iso(1_780_000_000.25) == "2026-05-28T20:26:40.250Z"
    assert from_iso("2026-05-28T20:26:40.250Z") == 1_780_000_000.25
    assert from_iso("2026-05-28T20:26:40.250") == 1_780_000_000.25, "without an offset it is UTC"
    assert from_iso("2026-05-28T22:26:40.250+02:00") == 1_780_000_000.25


@given(generated.times)
def test_a_time_reads_back_to_the_millisecond(at: float) -> None:
    assert from_iso(iso(at)) == at
