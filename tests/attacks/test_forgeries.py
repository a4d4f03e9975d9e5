"""Somebody who can write the tables or the report bucket changes what an auditor reads: each change is found.

The attacker succeeds when `history --verify` of the release and of its prompt and `record` all find nothing. `without`
takes away the comparison that finds it; the attacker has what a function's role has, and more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from promptlane.cli import verify
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.housekeeping import archive_key, archived
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import GENESIS, CopyComparison, Event, TimelineEntry
from promptlane.domain.review import proof
from promptlane.domain.review.proof import brief_key, policy_key
from promptlane.domain.review.review import Authors, Choice, ReviewDecision
from promptlane.lifecycle import proof as reading
from promptlane.lifecycle import review_record
from tests.support.attacks import anything, attack, patched, together
from tests.support.audited import FIRST, POLICY, PROMPT, SECOND, Audited
from tests.support.prompt import ARN
from tests.support.review import LEAD, LEGAL, QUALITY, key

KIND = "a forged record for auditors"
FALSE_LEAD = replace(LEAD, principals=("arn:aws:iam::111122223333:user/intern",))
Change = Callable[[Audited], object]

no_copies = patched(verify, "compare_copies", lambda *_, **__: CopyComparison(0, 0, 0, (), ()))
no_record = patched(proof, "record_findings", anything)
no_story = patched(proof, "story_findings", anything)
no_objects = patched(proof, "_objects", anything)
no_review = patched(proof._Review, "look", anything)
no_route = patched(reading, "route_findings", anything)


def unnoticed(desk: Audited) -> bool:
    holds = desk.record()["proof"]["holds"]
    return bool(holds) and not desk.refused(SECOND) and not desk.refused(PROMPT)


def forged(changes: Mapping[str, Callable[[Any], object]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in changes.items()])


# --- the release record ------------------------------------------------------------------------------------------


def _approval(**changes: Any) -> Change:
    return lambda desk: desk.forge_record(approval={**desk.releases.get(SECOND).approval, **changes})


def _verdict(**changes: Any) -> Change:
    return lambda desk: desk.forge_record(verdict={**desk.releases.get(SECOND).verdict, **changes})


def _record(**changes: Any) -> Change:
    return lambda desk: desk.forge_record(**changes)


@forged(
    {
        "who approved": _approval(by="cto@example.com"),
        "why it was approved": _approval(reason="The board wants it"),
        "what was approved": _approval(candidate="f" * 64),
        "no approval": _record(approval={}),
        "verdict": _verdict(verdict="pass"),
        "why tests let it through": _verdict(reason="all is well"),
        "which report": _verdict(report_key="releases/other/report.json"),
        "description": _record(description="Only a typo"),
        "candidate": _record(candidate=VersionRef(2, "f" * 64, f"{ARN}:2")),
        "ARN of the candidate": _record(candidate=VersionRef(2, "f" * 64, "arn:aws:bedrock:us-east-1:9:prompt/X:2")),
        "compared with": _record(stable=VersionRef(1, "f" * 64, f"{ARN}:1")),
        "policy": _record(policy_sha256=""),
        "requester": _record(requested_by="arn:aws:iam::111122223333:user/intern"),
        "start": _record(started_at=1.0),
        "outcome": _record(outcome=Outcome.REJECTED, reason="refused"),
        "end": _record(ended_at=2.0),
        "still in flight": _record(state="canary"),
        "rounds": _record(round=3),
        "paused by somebody": _record(paused={"by": "arn:aws:iam::1:user/x", "reason": "y", "at": 1.0}),
    }
)
@attack("the release record is changed", kind=KIND, without=together(no_record, no_objects, no_review, no_route))
def test_record(change: Change) -> bool:
    desk = Audited()
    change(desk)
    return unnoticed(desk)


# --- decisions, request and what was shown -----------------------------------------------------------------------


def _decisions(desk: Audited) -> dict[str, ReviewDecision]:
    return desk.reviews._decisions[SECOND, 1]


def _decision(**changes: Any) -> Change:
    return lambda desk: _decisions(desk).update({key(LEAD): replace(_decisions(desk)[key(LEAD)], **changes)})


def _deleted(desk: Audited) -> None:
    del _decisions(desk)[key(QUALITY)]


def _added(desk: Audited) -> None:
    """A third approval, counted on the request as the real one would be."""
    _decisions(desk)[key(LEGAL)] = replace(_decisions(desk)[key(LEAD)], reviewer=key(LEGAL), by=LEGAL.email, number=3)
    _request(decisions=3)(desk)


def _request(**changes: Any) -> Change:
    def change(desk: Audited) -> None:
        stored = desk.reviews._requests[SECOND]
        desk.reviews._requests[SECOND] = replace(stored, **changes)

    return change


def _outcome(**changes: Any) -> Change:
    def change(desk: Audited) -> None:
        outcome = {**(desk.reviews._requests[SECOND].outcome or {}), **changes}
        _request(outcome=outcome)(desk)

    return change


@forged(
    {
        "reason": _decision(reason="I was told to"),
        "choice": _decision(choice=Choice.REJECT),
        "time": _decision(at=5.0),
        "who": _decision(by="arn:aws:iam::111122223333:user/somebody"),
        "from where": _decision(address="198.51.100.1"),
        "content": _decision(candidate="f" * 64),
        "way": _decision(via="link"),
        "deleted": _deleted,
        "added": _added,
        "all deleted": lambda desk: desk.reviews._decisions.clear(),
    }
)
@attack("decisions of reviewers are changed", kind=KIND, without=no_review)
def test_decisions(change: Change) -> bool:
    desk = Audited()
    change(desk)
    return unnoticed(desk)


@forged(
    {
        "a lower quorum": _request(policy=replace(POLICY.review, quorum=1)),
        "other principals": _request(
            policy=replace(
                POLICY.review, reviewers=(replace(LEAD, principals=("arn:aws:iam::1:user/x",)), QUALITY, LEGAL)
            )
        ),
        "no authors": _request(authors=Authors()),
        "verdict": _request(verdict="pass"),
        "candidate": _request(candidate=VersionRef(2, "f" * 64, f"{ARN}:2")),
        "nothing to compare with": _request(stable=None),
        "fewer decisions": _request(decisions=1),
        "outcome": _outcome(decision="rejected"),
        "approvals in the outcome": _outcome(approvals=[]),
        "no outcome": _request(outcome=None),
        "of another prompt": _request(prompt="another"),
        "an earlier round": _request(round=0),
        "deleted": lambda desk: desk.reviews._requests.clear(),
    }
)
@attack("the request of a review is changed", kind=KIND, without=no_review)
def test_request(change: Change) -> bool:
    desk = Audited()
    change(desk)
    return unnoticed(desk)


def _put(key_of: Callable[[Audited], str], body: bytes | None) -> Change:
    def change(desk: Audited) -> None:
        name = key_of(desk)
        if body is None:
            del desk.objects.data[name]
        else:
            desk.objects.data[name] = body

    return change


def _reworded(desk: Audited) -> None:
    """The brief shows the same versions, and other words beside them."""
    name = brief_key(SECOND, 1)
    brief = json.loads(desk.objects.data[name])
    desk.objects.data[name] = json.dumps({**brief, "description": "Only a typo"}).encode()


def _other_content(desk: Audited) -> None:
    """Version 1 in the archive under the number of version 2, whole and with its own fingerprint."""
    other = replace(desk.published[0], version=2)
    desk.objects.data[archive_key(other.prompt_id, 2)] = archived(other)


@forged(
    {
        "other words": _reworded,
        "brief of another release": lambda desk: desk.objects.data.update(
            {brief_key(SECOND, 1): desk.objects.data[brief_key(FIRST, 1)]}
        ),
        "no brief": _put(lambda desk: brief_key(SECOND, 1), None),
        "report": _put(lambda desk: f"releases/{SECOND}/tests/1/report.json", b'{"verdict": "pass"}'),
        "report for people": _put(lambda desk: f"releases/{SECOND}/tests/1/report.html", b"<p>All passed</p>"),
        "report for machines": _put(lambda desk: f"releases/{SECOND}/tests/1/junit.xml", b"<testsuites/>"),
        "no report": _put(lambda desk: f"releases/{SECOND}/tests/1/report.html", None),
        "captured policy": _put(lambda desk: policy_key(desk.releases.get(SECOND).policy_sha256), b"{}"),
        "captured suite": _put(lambda desk: policy_key(desk.releases.get(SECOND).suite_sha256), b'{"tests": []}'),
        "archived version": _other_content,
        "archive that is none": _put(lambda desk: archive_key(desk.published[1].prompt_id, 2), b"[]"),
    }
)
@attack("an object that an auditor reads is replaced", kind=KIND, without=together(no_objects, no_review))
def test_objects(change: Change) -> bool:
    desk = Audited()
    change(desk)
    return unnoticed(desk)


# --- entries that nobody was to write: chained, with the head moved, and copied by `relay` ------------------------


def _entry(event: Event, own: str, *, by: str = "promptlane", **detail: Any) -> Change:
    return lambda desk: desk.append(event, own, detail, by=by)


def _viewed_long_ago(desk: Audited) -> None:
    desk.now = 5.0
    desk.append(Event.REVIEW_VIEWED, "review/1/viewed/x", {}, by=LEAD.email)


def _copied_from_another(desk: Audited) -> None:
    """The first release's approval, as it stands there, put into the second one's timeline."""
    (theirs,) = [e for e in desk.releases.timeline(FIRST) if e.event is Event.REVIEW_DECIDED]
    entries = desk.releases._timelines[SECOND]
    entries.append(theirs.chained(entries[-1].seq + 1, entries[-1].hash))
    desk.copies.put({**entries[-1].to_dict(), "release_id": SECOND})
    desk.copies.entries[SECOND][-1] = entries[-1]


@forged(
    {
        "a second end": _entry(Event.ENDED, "ended/2", outcome="rejected", reason=""),
        "a second beginning": _entry(Event.STARTED, "started/2", by="arn:aws:iam::1:user/x", prompt=PROMPT, version=2),
        "another admission": _entry(Event.ADMITTED, "admitted/2", version=2, fingerprint="f" * 64),
        "tests after the end": _entry(Event.TESTS_PLANNED, "tests/2/planned", round=2),
        "tests that nobody began": _entry(Event.TESTS_FINISHED, "tests/7/finished", round=7, verdict="pass"),
        "an advance after the end": _entry(Event.CANARY_ADVANCED, "advance/9", by="arn:aws:iam::1:user/x", reason="y"),
        "an id that no function gives": _entry(Event.REVIEW_REMINDED, "anything", reviewer="x"),
        "a person's name under what no person does": _entry(Event.CANARY_JUDGED, "judged/canary/1/9", by="eve"),
        "a round of another number": _entry(Event.REVIEW_DECIDED, "review/2/decided", round=1, decision="rejected"),
        "a view of long ago": _viewed_long_ago,
        "another release's entry": _copied_from_another,
    }
)
@attack(
    "an entry is appended with the head moved, and copied",
    kind=KIND,
    without=together(no_story, no_record, no_review, no_copies),
)
def test_appended(change: Change) -> bool:
    desk = Audited()
    change(desk)
    return unnoticed(desk)


class _InReview(Audited):
    """The second release waits for its reviewers; one of the two approvals that it needs is there."""

    def release(self, name: str, *, until: str = "ended") -> None:
        super().release(name, until="review" if name == SECOND else until)
        if name == SECOND:
            self.decide(SECOND, LEAD.principals[0])


def _approve(desk: Audited, *decisions: ReviewDecision) -> None:
    """Everything that an approval leaves, consistent in itself: record, request, decisions, entries, head, copies."""
    stored = desk.reviews._requests[SECOND]
    outcome = {
        "decision": "approved",
        "by": "x",
        "reason": "y",
        "at": desk.clock(),
        "round": 1,
        "candidate": stored.candidate.fingerprint,
        "stable": stored.stable_fingerprint,
        "approvals": [],
    }
    for decision in decisions:
        desk.reviews._decisions[SECOND, 1][decision.reviewer] = decision
        detail = {k: v for k, v in decision.to_dict().items() if k not in ("by", "at")}
        name = f"{SECOND}/review/1/decision/{decision.reviewer}"
        entry = TimelineEntry(name, SECOND, decision.at, Event.REVIEWER_DECIDED, decision.by, detail)
        desk.releases.append(entry)
    _request(outcome=outcome, decisions=len(desk.reviews._decisions[SECOND, 1]))(desk)
    desk.append(Event.REVIEW_DECIDED, "review/1/decided", outcome, by="x")
    desk.forge_record(approval=outcome)


def _vote(desk: Audited, who: str, by: str, number: int = 2) -> ReviewDecision:
    first = desk.reviews._decisions[SECOND, 1][key(LEAD)]
    return replace(first, reviewer=who, by=by, number=number, at=desk.clock())


@forged(
    {
        "without the approval that is missing": lambda desk: _approve(desk),
        "with one of somebody who is no reviewer": lambda desk: _approve(desk, _vote(desk, "0" * 16, "x@example.com")),
        "with one in a reviewer's name by another principal": lambda desk: _approve(
            desk, _vote(desk, key(QUALITY), "arn:aws:iam::111122223333:user/intern")
        ),
        "with one that counts twice": lambda desk: _approve(desk, _vote(desk, key(QUALITY), QUALITY.principals[0], 1)),
    }
)
@attack(
    "a review is approved behind the reviewers' backs, everywhere alike",
    kind=KIND,
    without=no_review,
)
def test_approval_made_up(change: Change) -> bool:
    desk = _InReview()
    change(desk)
    return unnoticed(desk)


@attack("traffic is given without an approval, and told", kind=KIND, without=together(no_story, no_record, no_route))
def test_traffic_without_approval() -> bool:
    desk = _InReview()
    desk.append(Event.CANARY_SHIFTED, "route/2", {"version": 2, "weight": 1_000, "stable": 1})
    route = desk.routes.get(PROMPT)
    assert route is not None
    shifted = replace(route, canary=desk.published[1].ref, weight=1_000, phase=Phase.CANARY, revision=2)
    desk.routes._routes[PROMPT] = replace(shifted, release_id=SECOND)
    return unnoticed(desk)


# --- the timeline as a whole, and releases as wholes -----------------------------------------------------------------


@attack("a whole timeline is written anew, chain and head included", kind=KIND, without=no_copies)
def test_rewritten_timeline() -> bool:
    desk = Audited()
    made: list[TimelineEntry] = []
    for entry in desk.releases.timeline(SECOND):
        refused = entry.event is Event.REVIEW_REQUESTED
        detail = {**entry.detail, "reach": {key(LEAD): "missing"}} if refused else entry.detail
        made.append(replace(entry, detail=detail).chained(entry.seq, made[-1].hash if made else GENESIS))
    desk.releases._timelines[SECOND] = made
    return unnoticed(desk)


@attack("the last entries are cut off, record and route put back", kind=KIND, without=together(no_copies, no_route))
def test_cut_off() -> bool:
    desk = Audited()
    del desk.releases._timelines[SECOND][-1]
    desk.forge_record(state="watch", outcome=None, reason="", ended_at=0.0)
    return unnoticed(desk)


def _gone(desk: Audited) -> bool:
    del desk.releases._releases[FIRST]
    del desk.releases._timelines[FIRST]
    desk.reviews._requests.pop(FIRST)
    return not desk.refused(PROMPT)


@attack(
    "a release is deleted with all that belongs to it",
    kind=KIND,
    without=together(patched(verify, "_lost", lambda *_, **__: []), no_route),
)
def test_deleted_release() -> bool:
    return _gone(Audited())


@attack("a release is put there that never was", kind=KIND, without=together(no_story, no_record))
def test_invented_release() -> bool:
    desk = Audited()
    stored = desk.releases.get(SECOND)
    invented = replace(stored, release_id=SECOND.replace("-2-1", "-3-1"), policy_sha256="", suite_sha256="", round=0)
    desk.releases._releases[invented.release_id] = Release.from_item(invented.to_item())
    return not desk.refused(PROMPT)


@attack("an entry is dated later than its copy was made", kind=KIND, without=no_copies)
def test_dated_ahead() -> bool:
    desk = Audited()
    day = desk.now + 86_400
    entry = TimelineEntry(f"{SECOND}/review/1/viewed/x", SECOND, day, Event.REVIEW_VIEWED, LEAD.email)
    desk.releases.append(entry)
    copied = desk.copies.timeline

    def dated(release_id: str) -> Any:
        return [replace(copy, at=min(copy.at, desk.now)) for copy in copied(release_id)]

    desk.copy()
    desk.copies.timeline = dated  # type: ignore[method-assign]
    return unnoticed(desk)


# --- the route -----------------------------------------------------------------------------------------------------


def _route(**changes: Any) -> Change:
    def change(desk: Audited) -> None:
        route = desk.routes._routes[PROMPT]
        desk.routes._routes[PROMPT] = replace(route, **changes)

    return change


def _pending(desk: Audited) -> None:
    planted = TimelineEntry(f"{SECOND}/route/99", SECOND, desk.clock(), Event.ROLLED_BACK, "eve", {"version": 2})
    _route(pending=(planted,))(desk)


def _pardoned(desk: Audited) -> None:
    desk.roll_back()
    desk.copy()
    _route(quarantined={})(desk)


@forged(
    {
        "stable that nobody promoted": _route(stable=VersionRef(1, "f" * 64, f"{ARN}:1")),
        "stable with another content": _route(stable=VersionRef(2, "f" * 64, f"{ARN}:2")),
        "a canary that nobody shifted": _route(canary=VersionRef(1, "f" * 64, f"{ARN}:1"), weight=500),
        "a weight": _route(weight=500),
        "an earlier revision": _route(revision=1),
        "an entry that waits to be moved": _pending,
        "a quarantine that nobody earned": _route(
            quarantined={"f" * 64: {"version": 1, "release_id": FIRST, "at": 1.0}}
        ),
        "a quarantine lifted": _pardoned,
        "a version to go back to that nobody approved": _route(previous=VersionRef(9, "f" * 64, f"{ARN}:9")),
    }
)
@attack("the route is put anew without a word in a timeline", kind=KIND, without=no_route)
def test_route(change: Change) -> bool:
    desk = Audited()
    change(desk)
    return not desk.refused(PROMPT)


# --- the document --------------------------------------------------------------------------------------------------


def _checked(change: Callable[[Any], object]) -> bool:
    """Whether a changed document, with a new sha256 over it, passes where there is no deployment to ask."""
    document = Audited().record()
    change(document)
    del document["sha256"]
    document["sha256"] = review_record._sha256(document)
    return not review_record.check_record(document)


@forged(
    {
        "who approved": lambda d: d["release"]["approval"].update(by="cto@example.com"),
        "a decision": lambda d: d["rounds"][0]["decisions"][0].update(reason="I was told to"),
        "what was shown, in the stored record too": lambda d: (
            d["rounds"][0]["shown"].update(description="x"),
            d["objects"].update({brief_key(SECOND, 1): json.dumps(d["rounds"][0]["shown"])}),
        ),
    }
)
@attack(
    "a document is changed after it was exported",
    kind=KIND,
    without=together(no_record, no_review, no_objects),
)
def test_document(change: Callable[[Any], object]) -> bool:
    return _checked(change)


def test_nothing_of_all_this_is_found_where_nothing_was_changed() -> None:
    """So that an attack does not fail because every verification fails."""
    assert unnoticed(Audited())
    desk = _InReview()
    assert unnoticed(desk)
    desk.decide(SECOND, QUALITY.principals[0])
    desk.copy()
    assert unnoticed(desk)
    rolled_back = Audited()
    rolled_back.roll_back()
    rolled_back.copy()
    assert unnoticed(rolled_back)
