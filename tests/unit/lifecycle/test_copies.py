"""Which timeline entries get a locked copy late, and which never."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import InvalidInput
from promptlane.domain.names import Outcome
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import COPIED_WITHIN, Event, TimelineEntry
from promptlane.fakes import InMemoryReleases
from promptlane.lifecycle.copies import LOOKED_BACK, copy_missing
from tests.support.locked_copies import Copies
from tests.support.prompt import ID

NAME, AT = f"{ID}-1-1", 10_000_000.0


class Told:
    """A release with entries of such ages, oldest first, of which some have copies; now is `AT`."""

    def __init__(self, *ages: float, copied: tuple[int, ...] = (), **fields: Any) -> None:
        self.releases, self.copies = InMemoryReleases(), Copies()
        self.release = Release(NAME, "greeter", 0.0, "x", **fields)
        for number, age in enumerate(ages):
            self.releases.append(TimelineEntry(f"e{number}", NAME, AT - age, Event.CANARY_JUDGED))
        self.entries = self.releases.timeline(NAME)
        for entry in self.entries:
            if entry.seq in copied:
                self.copies.put(entry.to_dict())

    def copied(self) -> list[int]:
        kept = self.copies.kept(ID).get(NAME, set())
        numbers = copy_missing(self.copies, self.releases, self.release, now=AT)
        after = self.copies.kept(ID).get(NAME, set())
        assert after == {*kept, *numbers}
        return numbers


def test_what_lacks_a_copy_is_copied_as_it_is() -> None:
    told = Told(3000, 2000, 1000, copied=(2,))

    assert told.copied() == [1, 3]
    assert sorted(told.copies.entries[NAME], key=lambda e: e.seq) == told.entries


@pytest.mark.parametrize(
    ("age", "copied"),
    [(COPIED_WITHIN, []), (COPIED_WITHIN + 1, [1]), (LOOKED_BACK, [1]), (LOOKED_BACK + 1, [])],
)
def test_neither_what_the_relay_may_still_copy_nor_what_may_have_expired_is_copied(
    age: float, copied: list[int]
) -> None:
    assert Told(age).copied() == copied
    assert LOOKED_BACK == 30 * 86_400


@pytest.mark.parametrize(("ended_ago", "copied"), [(LOOKED_BACK, [1]), (LOOKED_BACK + 1, [])])
def test_of_a_release_that_ended_long_ago_nothing_is_copied(ended_ago: float, copied: list[int]) -> None:
    told = Told(2000, state="ended", outcome=Outcome.PROMOTED, ended_at=AT - ended_ago)

    assert told.copied() == copied


def test_a_release_in_flight_has_not_ended_long_ago() -> None:
    assert Told(2000, ended_at=0.0).copied() == [1]


def test_what_has_every_copy_is_not_even_read() -> None:
    told = Told(3000, 2000, copied=(1, 2))
    told.releases.timeline = None  # type: ignore[method-assign, assignment]

    assert told.copied() == []


def test_a_release_without_a_timeline_has_nothing_to_copy() -> None:
    assert Told().copied() == []


def test_only_what_was_really_copied_is_told() -> None:
    told = Told(3000, 2000)
    put = told.copies.put
    told.copies.put = lambda entry: entry["seq"] == 2 and put(entry)  # type: ignore[method-assign]

    assert told.copied() == [2]


def test_a_timeline_that_does_not_hold_is_told_and_not_copied() -> None:
    told = Told(3000, 2000, 1000)
    forged = [told.entries[0], replace(told.entries[1], by="somebody else"), told.entries[2]]
    told.releases.timeline = lambda release_id: [forged[1], forged[2]]  # type: ignore[method-assign]

    with pytest.raises(InvalidInput, match=rf"entry 1 is missing.*; .*altered.*history {NAME} --verify"):
        told.copied()
    assert told.copies.entries == {}
