"""`history --verify`: what was altered, left out, taken away or put there, and what no copy can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.cli.deployment import Deployment
from promptlane.domain.names import Outcome
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.timeline import (
    COPIED_WITHIN,
    ChainHead,
    Event,
    LockedCopy,
    TimelineEntry,
    compare_copies,
    head_problems,
)
from tests.support.audited import FIRST, SECOND, Audited
from tests.support.cli_desk import Desk
from tests.support.locked_copies import Copies, chain, locked
from tests.support.prompt import ARN, ID

NAME = "greeter"


def test_an_entry_that_was_copied_at_another_time_than_it_is_dated_is_named() -> None:
    """The bucket's clock dates the copy: whoever forges an entry chooses the entry's date alone."""
    entries = chain(3)
    day = 86_400.0

    found = compare_copies(entries, [LockedCopy(e, e.at + (e.seq - 2) * day) for e in entries], now=2 * day)

    assert found.agree == 3
    assert found.problems == ("entry 1, dated 1970-01-01T00:00:00.000Z, was there at 1969-12-31T00:00:00.000Z already",)
    assert found.late == ("entry 3, dated 1970-01-01T00:00:02.000Z, was copied at 1970-01-02T00:00:02.000Z",)


def test_a_copy_that_lags_is_fine_and_one_that_knows_more_is_not() -> None:
    entries = chain(4)

    same, lagging = (compare_copies(entries, locked(some), now=10.0) for some in (entries, entries[:2]))
    assert (same.agree, same.problems) == (4, ())
    assert (lagging.agree, lagging.not_copied_yet, lagging.problems) == (2, 2, ())
    assert compare_copies(entries[:2], locked(entries), now=10.0).problems == (
        "entry 3 has a locked copy, and the table lacks it",
        "entry 4 has a locked copy, and the table lacks it",
    )


@pytest.mark.parametrize("now", [3 + COPIED_WITHIN + 1, -COPIED_WITHIN - 1])
def test_an_entry_without_a_copy_is_a_problem_when_it_should_have_one(now: float) -> None:
    """Also when its date lies ahead: whoever forges an entry chooses its date."""
    entries = chain(4)

    found = compare_copies(entries, locked(entries[:3]), now=now)

    assert (found.agree, found.not_copied_yet) == (3, 0)
    assert "entry 4, dated 1970-01-01T00:00:03.000Z, has no locked copy" in found.problems[0]


def test_copies_that_expired_are_not_missed_and_no_entry_is_made_old_by_its_date_alone() -> None:
    entries = chain(4)
    assert compare_copies(entries, [], now=1e6, kept_for=9e5).no_longer_kept == 4
    recent = TimelineEntry("e4", entries[0].release_id, 1e6, Event.CANARY_JUDGED).chained(5, entries[-1].hash)
    backdated = TimelineEntry("e5", entries[0].release_id, 0.0, Event.CANARY_JUDGED).chained(6, recent.hash)

    found = compare_copies([*entries, recent, backdated], locked([recent]), now=1e6 + COPIED_WITHIN + 1, kept_for=9e5)

    assert (found.agree, found.no_longer_kept) == (1, 4)
    assert "entry 6" in found.problems[0]


def test_the_head_of_the_chain_tells_what_was_cut_off_or_added() -> None:
    entries = chain(4)
    two, four = ChainHead(2, entries[1].hash), ChainHead(4, entries[3].hash)

    assert (
        head_problems([], None, None) == head_problems(entries, two, four) == head_problems(entries, four, four) == []
    )
    assert "ends with entry 2" in head_problems(entries[:2], four, four)[0]
    assert "goes on to entry 4" in head_problems(entries, two, two)[0]
    assert "goes on to entry 4" in head_problems(entries, None, None)[0]
    assert "entry 2 is not the one" in head_problems(entries, ChainHead(2, "0" * 64), four)[0]


def test_a_chain_that_was_forged_as_a_whole_shows_in_the_copy() -> None:
    """Whoever can write the table can compute new hashes; the locked copy still has the old ones."""
    entries = chain(3)
    forged: list[TimelineEntry] = []
    for entry in entries:
        by = "somebody else" if entry.seq == 2 else entry.by
        forged.append(replace(entry, by=by).chained(entry.seq, forged[-1].hash if forged else entry.prev_hash))

    assert compare_copies(forged, locked(entries), now=3.0).problems == (
        "entry 2 is not the one that was copied when it was written",
        "entry 3 is not the one that was copied when it was written",
    )


class AuditedDesk(Desk):
    """A desk with one release in flight and an audit bucket."""

    def __init__(self) -> None:
        super().__init__()
        self.publish()
        self.name = self.start(1).release_id
        self.copies = Copies({self.name: self.releases.timeline(self.name)})

    def connect(self) -> Deployment:
        deployment = super().connect()
        deployment.__dict__["audit_copies"] = self.copies
        return deployment

    def refused(self, subject: str) -> str:
        error = self.json("history", subject, "--verify", exit_code=1)["error"]
        assert error["type"] == "TimelineBroken"
        return str(error["message"])


def test_history_verifies_against_the_locked_copy() -> None:
    desk = AuditedDesk()
    document = desk.json("history", desk.name, "--verify")
    assert document["verified"] is True
    assert document["locked_copy"] == {"agree": 1, "not_copied_yet": 0, "no_longer_kept": 0, "late": []}
    assert "1 agree with their locked copy" in desk.type("history", desk.name, "--verify").stdout

    entry = desk.copies.entries[desk.name][0]
    desk.copies.entries[desk.name] = [replace(entry, by="another").chained(1, entry.prev_hash)]
    assert "entry 1 is not the one that was copied" in desk.refused(desk.name)


@pytest.fixture(scope="module")
def audited() -> Audited:
    return Audited()


@pytest.mark.parametrize("subject", [FIRST, SECOND, "greeter"])
def test_what_the_real_steps_leave_holds(audited: Audited, subject: str) -> None:
    assert audited.refused(subject) == ""
    document = audited.json("history", subject, "--verify")
    assert (document["verified"], document["not_covered"]) == (True, [])
    assert document["compared"] > 40
    assert "comparisons)" in audited.type("history", subject, "--verify").stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"requested_by": "arn:aws:iam::1:user/nobody"}, "the record has by 'arn:aws:iam::1:user/nobody'"),
        ({"started_at": 1.0}, "the record has at '1970-01-01T00:00:01.000Z'"),
        ({"prompt": "another"}, "the record has prompt 'another', the entry Release Started has 'greeter'"),
        ({"explicit": True}, "the record has explicit True, the entry Release Started has False"),
        ({"outcome": Outcome.REJECTED}, "the record has outcome 'rejected', the entry Release Ended has 'promoted'"),
        ({"reason": "all is well"}, "the record has reason 'all is well'"),
        ({"ended_at": 1.0}, "the record has at '1970-01-01T00:00:01.000Z'"),
        ({"state": "canary"}, "the timeline has ended, the record is still in state canary"),
        ({"policy_sha256": "f" * 64}, "the record has policy 'ff"),
        ({"suite_sha256": "f" * 64}, "the record has suite 'ff"),
        ({"description": "harmless"}, "the record has description 'harmless', the entry Admitted has ''"),
        ({"candidate": VersionRef(2, "f" * 64, f"{ARN}:2")}, "the record has fingerprint 'ff"),
        ({"candidate": None}, "the record has fingerprint None"),
        ({"stable": VersionRef(1, "f" * 64, f"{ARN}:1")}, "the record has stable_fingerprint 'ff"),
        ({"stable": None}, "the record has stable None"),
        ({"round": 2}, "the record has round 2, the entry Tests Planned has 1"),
        ({"verdict": {}}, "the record has verdict None"),
        ({"approval": {}}, "the record has approval {}, the entry Review Decided has"),
        ({"paused": {"by": "arn:x", "reason": "y", "at": 1.0}}, "the record has paused {'by': 'arn:x'"),
        ({"advance": {"by": "arn:x", "reason": "y", "at": 1.0}}, "the record has advance {'by': 'arn:x'"),
    ],
    ids=str,
)
def test_a_record_that_tells_another_story_than_its_timeline_is_found(changes: dict[str, Any], said: str) -> None:
    """The record is neither chained nor copied: whoever can write the table can change it alone."""
    desk = Audited()
    desk.forge_record(**changes)

    for subject in (SECOND, "greeter"):
        problem = desk.refused(subject)
        assert said in problem
        assert f"release {SECOND}: release record: " in problem
    assert "locked copy timeline/" in problem or "point-in-time recovery" in problem


def test_a_record_that_ended_without_a_word_in_its_timeline_is_found() -> None:
    desk = AuditedDesk()
    ended = replace(desk.releases.get(desk.name), state="ended", outcome=Outcome.PROMOTED)
    desk.releases.update(ended)

    assert "the record has ended (promoted), the timeline does not say so" in desk.refused("greeter")


def test_what_moves_on_while_it_is_verified_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = AuditedDesk()
    read, left = desk.releases.timeline, [2]

    def moving(release_id: str) -> list[TimelineEntry]:
        entries = read(release_id)
        if left[0]:
            left[0] -= 1
            viewed = TimelineEntry(f"{desk.name}/review/1/viewed/{left}", desk.name, desk.now, Event.REVIEW_VIEWED)
            desk.releases.append(viewed)
        return entries

    monkeypatch.setattr(desk.releases, "timeline", moving)
    assert desk.json("history", desk.name, "--verify")["locked_copy"]["not_copied_yet"] == 2
    left[0] = 99
    assert desk.json("history", desk.name, "--verify", exit_code=1)["error"]["type"] == "Unavailable"


def test_nothing_reads_as_verified_that_no_locked_copy_was_compared_with() -> None:
    desk = AuditedDesk()
    desk.copies.entries.clear()
    for subject in (desk.name, "greeter"):
        assert desk.json("history", subject, "--verify")["verified"] is False
        assert "Not verified: no entry has a locked copy" in desk.type("history", subject, "--verify").stdout

    desk.now += COPIED_WITHIN + 1

    for subject in (desk.name, "greeter"):
        assert "has no locked copy" in desk.refused(subject)


def test_without_an_audit_bucket_it_is_said_that_hashes_alone_were_checked() -> None:
    desk = Desk()
    desk.publish()
    name = desk.start(1).release_id

    document = desk.json("history", name, "--verify")

    assert (document["verified"], document["locked_copy"]) == (False, None)
    assert "there is no audit bucket" in desk.type("history", name, "--verify").stdout


def test_a_release_that_was_taken_out_of_the_table_is_missed() -> None:
    desk = AuditedDesk()
    gone = f"{ID}-2-1"
    desk.copies.put(TimelineEntry(f"{gone}/started", gone, desk.now, Event.STARTED).chained(1, "0" * 64).to_dict())

    assert f"release {gone}: the audit bucket has 1 entries of it" in desk.refused("greeter")
    assert f"the table has no release {gone}" in desk.refused(gone)
    assert desk.json("history", f"{ID}-3-1", "--verify", exit_code=1)["error"]["type"] == "NotFound"


def test_entries_cut_off_the_end_are_missed_even_if_they_were_never_copied() -> None:
    desk = AuditedDesk()
    desk.releases.append(TimelineEntry(f"{desk.name}/admitted", desk.name, desk.now, Event.ADMITTED))
    cut = desk.releases.timeline(desk.name)[:1]
    desk.releases.timeline = lambda release_id: list(cut)  # type: ignore[method-assign]

    assert "the timeline ends with entry 1, the head of its chain is entry 2" in desk.refused(desk.name)


def test_copies_older_than_the_bucket_keeps_them_are_counted_apart() -> None:
    desk = AuditedDesk()
    desk.copies.entries.clear()
    desk.now += 2 * 86_400
    deployment = desk.connect()
    deployment.resources = {**deployment.resources, "audit_retention_days": "1"}
    desk.connect = lambda: deployment  # type: ignore[method-assign]

    document = desk.json("history", "greeter", "--verify")

    assert (document["verified"], document["locked_copy"]["no_longer_kept"]) == (False, 1)
