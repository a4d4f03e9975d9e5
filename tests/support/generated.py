"""Values of every record that is stored, with every field other than its default: what round trips are tried on."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from promptlane.domain.names import Outcome, Phase
from promptlane.domain.policy import Reviewer, ReviewPolicy
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.brief import Brief, CaseChange, VerdictShown
from promptlane.domain.review.review import Authors, Choice, ReviewDecision, ReviewRequest

words = st.text(min_size=1, max_size=6)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
numbers = st.integers(2, 99_999)
times = st.integers(1, 2**41).map(lambda milliseconds: milliseconds / 1000)
leaves = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e6, 1e6) | words
json_values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8
)
details = st.dictionaries(words, json_values, min_size=1, max_size=3)


def some(values: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=1, max_size=most).map(tuple)


refs = st.builds(VersionRef, version=numbers, fingerprint=digests, arn=words, variables=some(words), rounded=digests)
entries = st.builds(
    TimelineEntry,
    id=words,
    release_id=words,
    at=times,
    event=st.sampled_from(Event),
    by=words,
    detail=details,
    seq=numbers,
    prev_hash=digests,
    hash=digests,
)
routes = st.builds(
    Route,
    prompt=words,
    prompt_id=words,
    stable=refs,
    previous=refs,
    canary=refs,
    weight=numbers,
    holdback=numbers,
    salt=words,
    release_id=words,
    revision=numbers,
    phase=st.sampled_from([Phase.CANARY, Phase.WATCH]),
    phase_since=times,
    watch_until=times,
    shifts=some(st.tuples(times, numbers)),
    quarantined=st.dictionaries(digests, details, min_size=1, max_size=2),
    pending=some(entries, 2),
)
releases = st.builds(
    Release,
    release_id=words,
    prompt=words,
    started_at=times,
    requested_by=words,
    explicit=st.just(True),
    state=st.sampled_from(["admitted", "testing", "review", "canary", "watch", "ended"]),
    outcome=st.sampled_from(Outcome),
    reason=words,
    ended_at=times,
    description=words,
    candidate=refs,
    stable=refs,
    policy_sha256=digests,
    suite_sha256=digests,
    round=numbers,
    verdict=details,
    approval=details,
    step=numbers,
    paused=details,
    advance=details,
    request_id=words,
    revision=numbers,
)
authors = st.builds(Authors, principals=some(words), unattributed=some(words), complete=st.just(False))
decisions = st.builds(
    ReviewDecision,
    reviewer=words,
    choice=st.sampled_from(Choice),
    reason=words,
    at=times,
    by=words,
    via=words,
    address=words,
    candidate=digests,
    stable=digests,
    number=numbers,
)
policies = st.builds(
    ReviewPolicy,
    reviewers=st.just(
        (
            Reviewer("Ada", "ada@example.com", ("legal",), ("arn:aws:iam::111122223333:user/ada",)),
            Reviewer("Bo", "bo@example.com", ("support",), ("arn:aws:iam::111122223333:user/bo",)),
        )
    ),
    quorum=st.just(2),
    required_groups=st.sampled_from([("legal",), ("support", "legal")]),
    expires_after=st.integers(7_200, 80_000).map(float),
    remind_before=st.integers(60, 7_000).map(float),
    unattributed=st.sampled_from(["allow", "refuse"]),
    inconclusive=st.just("one_more_approval"),
)
requests = st.builds(
    ReviewRequest,
    release_id=words,
    round=numbers,
    prompt=words,
    candidate=refs,
    stable=refs,
    policy=policies,
    authors=authors,
    verdict=words,
    requested_at=times,
    expires_at=times,
    decisions=numbers,
    outcome=details,
    reach=st.dictionaries(words, words, min_size=1, max_size=3),
)
cases = st.builds(CaseChange, name=words, slice=words, why=words)
verdicts = st.builds(
    VerdictShown,
    verdict=words,
    reason=words,
    rows=some(st.tuples(words, words, words)),
    newly_failing=some(cases),
    left_out=numbers,
    inconclusive=some(words),
    blind=some(words),
    report_key=words,
)
shown_variants = st.lists(details, min_size=1, max_size=2)
briefs = st.builds(
    Brief,
    release_id=words,
    round=numbers,
    prompt=words,
    version=numbers,
    description=words,
    authors=some(words),
    requested_by=words,
    candidate_variants=shown_variants,
    stable_variants=shown_variants,
    stable_version=numbers,
    tests=verdicts,
    plan=some(st.tuples(words, words)),
)
