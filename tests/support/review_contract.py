"""What every `ReviewStore` promises. One suite for the in-memory store and for DynamoDB."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from promptlane.domain.errors import AlreadyExists, Conflict
from promptlane.domain.policy import Reviewer, ReviewPolicy
from promptlane.domain.ports import ReleaseStore
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.timeline import Event, TimelineEntry, chain_problems
from promptlane.domain.review.code import Seal
from promptlane.domain.review.ports import ReviewStore
from promptlane.domain.review.review import Authors, Choice, ReviewDecision, ReviewRequest
from tests.support.review import AUTHOR, LEAD, LEGAL, QUALITY, RELEASE, key

REQUEST = ReviewRequest(
    release_id=RELEASE,
    round=1,
    prompt="support-assistant",
    candidate=VersionRef(2, "c" * 64, "arn:2"),
    stable=VersionRef(1, "5" * 64, "arn:1"),
    policy=ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2, required_groups=("legal",)),
    authors=Authors((AUTHOR,), ("a doubt",), complete=False),
    verdict="pass",
    requested_at=1_780_000_000.25,
    expires_at=1_780_086_400.25,
    reach={key(LEAD): "confirmed"},
)
OUTCOME = {
    "decision": "approved",
    "by": "a",
    "reason": "b",
    "at": 1.5,
    "round": 1,
    "candidate": "c",
    "stable": None,
    "approvals": [{"reviewer": "x", "at": 2.5}],
}


def decision(who: str, choice: Choice = Choice.APPROVE, at: float = 1_780_000_001.5) -> ReviewDecision:
    return ReviewDecision(
        who, choice, "because\nof <this>", at, "support-lead@example.com", "link", "203.0.113.7", "c" * 64, "5" * 64
    )


def entry(who: Reviewer) -> TimelineEntry:
    return TimelineEntry(key(who), RELEASE, 1_780_000_001.5, Event.REVIEWER_DECIDED)


class ReviewStoreContract:
    """Subclass with the fixtures `store` and `releases`, which has the timelines."""

    def test_a_request_reads_back_as_it_was_written(self, store: ReviewStore) -> None:
        assert store.get(RELEASE) is None
        assert store.open(REQUEST, "token-1") == REQUEST
        assert store.get(RELEASE) == REQUEST
        first = replace(REQUEST, release_id="PROMPTID12-1-1", stable=None, reach={})
        assert store.open(first, "token-1") == first
        assert store.get("PROMPTID12-1-1") == first
        assert store.open_reviews() == ["PROMPTID12-1-1", RELEASE]

    def test_the_same_round_again_changes_token_and_expiry_and_nothing_else(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        store.record(REQUEST, decision(key(LEAD)))
        again = replace(REQUEST, expires_at=9.5, verdict="other")
        expected = replace(REQUEST, expires_at=9.5, decisions=1)
        assert store.open(again, "token-2") == expected
        assert store.get(RELEASE) == expected
        assert store.task_token(RELEASE, 1) == "token-2"

    def test_the_same_round_again_after_its_end_changes_the_token_only(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        store.close(REQUEST, OUTCOME)
        expected = replace(REQUEST, outcome=OUTCOME)
        assert store.open(replace(REQUEST, expires_at=9.5), "token-2") == expected
        assert store.get(RELEASE) == expected
        assert store.task_token(RELEASE, 1) == "token-2"

    def test_a_later_round_replaces_an_earlier_one_and_never_the_other_way(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        store.record(REQUEST, decision(key(LEAD)))
        later = replace(REQUEST, round=2)
        assert store.open(later, "token-1") == later
        assert store.decisions(RELEASE, 2) == []
        assert len(store.decisions(RELEASE, 1)) == 1
        with pytest.raises(Conflict):
            store.open(REQUEST, "token-1")
        assert store.get(RELEASE) == later

    def test_decisions_are_numbered_in_the_order_of_their_recording(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        store.record(REQUEST, decision(key(LEGAL), at=5.0))
        counted = store.get(RELEASE)
        assert counted is not None
        store.record(counted, decision(key(LEAD), Choice.REJECT, at=4.0))
        assert store.decisions(RELEASE, 1) == [
            replace(decision(key(LEGAL), at=5.0), number=1),
            replace(decision(key(LEAD), Choice.REJECT, at=4.0), number=2),
        ]

    def test_a_reviewer_decides_once(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        store.record(REQUEST, decision(key(LEAD)))
        now = store.get(RELEASE)
        assert now is not None
        with pytest.raises(AlreadyExists):
            store.record(now, decision(key(LEAD), Choice.REJECT))
        assert store.get(RELEASE) == now
        assert [d.choice for d in store.decisions(RELEASE, 1)] == [Choice.APPROVE]

    def test_a_decision_on_what_was_read_too_long_ago_is_not_recorded(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        store.record(REQUEST, decision(key(LEAD)))
        with pytest.raises(Conflict):
            store.record(REQUEST, decision(key(QUALITY)))
        assert len(store.decisions(RELEASE, 1)) == 1

    def test_a_decision_is_on_the_timeline_or_nowhere(self, store: ReviewStore, releases: ReleaseStore) -> None:
        store.open(REQUEST, "token-1")
        store.record(REQUEST, decision(key(LEAD)), entry(LEAD))
        with pytest.raises(Conflict):
            store.record(REQUEST, decision(key(QUALITY)), entry(QUALITY))
        now = store.get(RELEASE)
        assert now is not None
        with pytest.raises(AlreadyExists):
            store.record(now, decision(key(LEAD)), replace(entry(LEAD), id="again"))
        assert [e.id for e in releases.timeline(RELEASE)] == [key(LEAD)]

    def test_decisions_and_other_entries_at_one_instant_make_one_chain(
        self, store: ReviewStore, releases: ReleaseStore
    ) -> None:
        store.open(REQUEST, "token-1")
        barrier = threading.Barrier(4)

        def note(n: int) -> None:
            barrier.wait()
            for k in range(4):
                releases.append(replace(entry(LEAD), id=f"note-{n}-{k}"))

        threads = [threading.Thread(target=note, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        barrier.wait()
        store.record(REQUEST, decision(key(LEGAL)), entry(LEGAL))
        for thread in threads:
            thread.join()

        entries = releases.timeline(RELEASE)
        assert (len(entries), chain_problems(entries)) == (13, [])
        assert key(LEGAL) in {e.id for e in entries}

    def test_an_outcome_is_written_once_and_only_over_the_decisions_it_rests_on(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        store.record(REQUEST, decision(key(LEAD)))
        with pytest.raises(Conflict):
            store.close(REQUEST, OUTCOME)
        now = store.get(RELEASE)
        assert now is not None
        store.close(now, OUTCOME)
        closed = store.get(RELEASE)
        assert closed == replace(now, outcome=OUTCOME)
        for refused in (lambda: store.close(now, OUTCOME), lambda: store.record(now, decision(key(QUALITY)))):
            with pytest.raises(Conflict):
                refused()

    def test_of_many_at_one_instant_each_is_recorded_once_and_all_are_counted(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        reviewers = [f"{n:016x}" for n in range(6)]
        barrier = threading.Barrier(len(reviewers))

        def decide(who: str) -> None:
            barrier.wait()
            while True:
                now = store.get(RELEASE)
                assert now is not None
                try:
                    store.record(now, decision(who))
                except Conflict:
                    continue
                return

        threads = [threading.Thread(target=decide, args=(who,)) for who in reviewers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        recorded = store.decisions(RELEASE, 1)
        assert sorted(d.reviewer for d in recorded) == reviewers
        assert [d.number for d in recorded] == [1, 2, 3, 4, 5, 6]
        now = store.get(RELEASE)
        assert now is not None
        assert now.decisions == 6

    def test_notes_are_taken_until_the_round_is_over(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        store.note(REQUEST, authors=Authors((AUTHOR,)), reach={key(QUALITY): "pending"})
        noted = replace(REQUEST, authors=Authors((AUTHOR,)), reach={key(QUALITY): "pending"})
        assert store.get(RELEASE) == noted
        store.note(replace(REQUEST, round=2), reach={})
        assert store.get(RELEASE) == noted
        store.close(noted, OUTCOME)
        store.note(noted, reach={})
        assert store.get(RELEASE) == replace(noted, outcome=OUTCOME)

    def test_each_round_has_a_token_and_each_reviewer_a_seal_that_is_stored_once(self, store: ReviewStore) -> None:
        assert store.task_token(RELEASE, 1) == ""
        assert store.sealed(RELEASE, 1, "a") is None
        store.open(REQUEST, "token-1")
        assert (store.task_token(RELEASE, 1), store.task_token(RELEASE, 2)) == ("token-1", "")
        seal, other = Seal("0a", "0b"), Seal("1a", "1b")
        assert store.seal(RELEASE, 1, "a", seal) == seal
        assert store.seal(RELEASE, 1, "a", other) == store.sealed(RELEASE, 1, "a") == seal
        assert store.seal(RELEASE, 1, "b", other) == store.sealed(RELEASE, 1, "b") == other
        assert store.sealed(RELEASE, 2, "a") is None
        store.conceal(RELEASE)
        store.conceal("PROMPTID12-9-1")
        assert (store.get(RELEASE), store.task_token(RELEASE, 1)) == (REQUEST, "token-1")

    def test_marks_are_put_once(self, store: ReviewStore) -> None:
        assert store.mark(RELEASE, "view#1#a", 1.5)
        assert not store.mark(RELEASE, "view#1#a", 2.5)
        assert store.mark(RELEASE, "mailed#1#a", 1.5)
        assert store.marked(RELEASE, "view#1#") == {"view#1#a"}
        assert store.marked(RELEASE, "view#2#") == set()

    def test_attempts_are_counted_by_name_up_to_a_bound(self, store: ReviewStore) -> None:
        assert [store.attempt(RELEASE, "a", 3) for _ in range(5)] == [1, 2, 3, 0, 0]
        assert store.attempt(RELEASE, "a", 4) == 4
        assert store.attempt(RELEASE, "b", 3) == 1

    def test_a_review_is_listed_until_it_is_taken_off(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        assert store.open_reviews() == [RELEASE]
        store.unlist(RELEASE)
        store.unlist(RELEASE)
        assert store.open_reviews() == []

    def test_nothing_noted_changes_nothing(self, store: ReviewStore) -> None:
        store.open(REQUEST, "token-1")
        store.note(REQUEST)
        store.note(replace(REQUEST, release_id="PROMPTID12-9-1"), reach={})
        assert store.get(RELEASE) == REQUEST
        assert store.get("PROMPTID12-9-1") is None

    def test_a_decision_whose_entry_is_there_already_is_not_recorded(
        self, store: ReviewStore, releases: ReleaseStore
    ) -> None:
        store.open(REQUEST, "token-1")
        releases.append(entry(LEAD))
        with pytest.raises(AlreadyExists):
            store.record(REQUEST, decision(key(LEAD)), entry(LEAD))
        assert store.decisions(RELEASE, 1) == []
        assert store.get(RELEASE) == REQUEST

    def test_a_review_that_was_never_asked_for_takes_and_closes_nothing(self, store: ReviewStore) -> None:
        with pytest.raises(Conflict):
            store.record(REQUEST, decision(key(LEAD)))
        with pytest.raises(Conflict):
            store.close(REQUEST, OUTCOME)
        assert store.get(RELEASE) is None
        assert store.decisions(RELEASE, 1) == []
        assert store.open_reviews() == []
