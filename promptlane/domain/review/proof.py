"""Whatever an auditor reads of a release, beside the timeline that is chained and copied.

`prove` is a function of what was read, so it says the same of a deployment and of a document that was exported from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from promptlane.domain.errors import InvalidInput, PromptlaneError
from promptlane.domain.incoming import version_number
from promptlane.domain.policy import Policy, ReviewPolicy
from promptlane.domain.release.compared import record_findings
from promptlane.domain.release.content import is_content_of
from promptlane.domain.release.findings import TABLE, Finding, Findings, copy_of, versions_of
from promptlane.domain.release.housekeeping import archive_key, from_archive
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.replay import story_findings
from promptlane.domain.release.timeline import Event, TimelineEntry, chain_problems, digest, iso

from .brief import Brief
from .review import Authors, ReviewDecision, ReviewRequest, acts_as, policy_item, reviewer_key
from .rules import Standing, tally

Json = Any
SETTLES_WITHIN: Final = 900.0
"""Seconds within which an outcome must be told: whoever closed the review tells it next, or `remind` does."""


def policy_key(sha256: str) -> str:
    """Where a captured policy or suite lies in the report bucket."""
    return f"config/{sha256}.json"


def brief_key(release_id: str, round: int) -> str:
    """Where the brief of a round lies in the report bucket."""
    return f"releases/{release_id}/review/{round}.json"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was read of a release, all of one moment. `now`: epoch seconds.

    `decisions`: by round. `objects`: of the report bucket, by key, those that are small; None for one that is missing.
    `digests`: of every object that was read; one that is not here was not read.
    """

    release: Release
    entries: Sequence[TimelineEntry]
    request: ReviewRequest | None
    decisions: Mapping[int, Sequence[ReviewDecision]]
    objects: Mapping[str, bytes | None]
    digests: Mapping[str, str | None]
    now: float


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What came of it. `digests`: of every object that a timeline or a release names, as it was read."""

    problems: tuple[Finding, ...]
    uncovered: tuple[str, ...]
    compared: int
    digests: Mapping[str, str | None]

    def to_dict(self) -> dict[str, Json]:
        return {
            "holds": not self.problems,
            "problems": [str(problem) for problem in self.problems],
            "not_covered": list(self.uncovered),
            "compared": self.compared,
            "sha256": dict(self.digests),
        }


def rounds_of(entries: Sequence[TimelineEntry], request: ReviewRequest | None) -> range:
    """Every round of review that is known of, and the next, of which nothing may be stored."""
    told = (int(e.detail.get("round", 0)) for e in entries if e.event is Event.REVIEW_REQUESTED)
    return range(1, max([0, *told, request.round if request else 0]) + 2)


def small_objects(release: Release, entries: Sequence[TimelineEntry]) -> list[str]:
    """Keys of what is read whole: the captured policy, the archived version and the briefs."""
    policy = [policy_key(release.policy_sha256)] if release.policy_sha256 else []
    policy.append(archive_key(release.prompt_id, release.version))
    rounds = [int(e.detail["round"]) for e in entries if e.event is Event.REVIEW_REQUESTED and "round" in e.detail]
    return [*policy, *(brief_key(release.release_id, number) for number in rounds)]


def named_digests(release: Release, entries: Sequence[TimelineEntry]) -> dict[str, str]:
    """The digest of every object that the timeline or its release names, by key."""
    found = {policy_key(sha): sha for sha in (release.policy_sha256, release.suite_sha256) if sha}
    for entry in entries:
        if entry.event is Event.REVIEW_REQUESTED and "brief_sha256" in entry.detail:
            found[brief_key(release.release_id, int(entry.detail["round"]))] = str(entry.detail["brief_sha256"])
        if entry.event is Event.TESTS_FINISHED:
            found |= {str(key): str(sha) for key, sha in dict(entry.detail.get("sha256") or {}).items()}
    return found


def prove(evidence: Evidence) -> Proof:
    """Compare all of it."""
    found = Findings()
    release, entries = evidence.release, evidence.entries
    for problem in chain_problems(entries):
        found.add("timeline", problem, f"locked copies timeline/{release.release_id}/*.json")
    story_findings(release.release_id, entries, found)
    record_findings(release, entries, found)
    _objects(evidence, found)
    _Review(evidence, found).look()
    named = named_digests(release, entries)
    return Proof(
        problems=tuple(found.problems),
        uncovered=tuple(dict.fromkeys(found.uncovered)),
        compared=found.compared,
        digests={key: sha for key, sha in evidence.digests.items() if key in named or sha is not None},
    )


def _objects(evidence: Evidence, found: Findings) -> None:
    """Objects against the digests that name them."""
    for key, sha256 in named_digests(evidence.release, evidence.entries).items():
        if key not in evidence.digests:
            found.uncovered.append(f"{key}: not read here; it has SHA-256 {sha256}")
            continue
        there = evidence.digests[key]
        says = f"it has SHA-256 {there}, not {sha256}" if there else "it is missing"
        found.agree(there == sha256, key, says, versions_of(key, sha256))
    _archived(evidence, found)
    for entry in evidence.entries:
        number = entry.detail.get("round")
        if entry.event is Event.REVIEW_REQUESTED and "brief_sha256" not in entry.detail:
            found.uncovered.append(f"what reviewers were shown in round {number} (written before briefs had digests)")
        if entry.event is Event.TESTS_FINISHED and "sha256" not in entry.detail:
            found.uncovered.append(f"the test report of round {number} (written before reports had digests)")


def _archived(evidence: Evidence, found: Findings) -> None:
    """The archived version, which `housekeep` puts there within a day, is the content that was admitted."""
    release = evidence.release
    key = archive_key(release.prompt_id, release.version)
    body = evidence.objects.get(key)
    admitted = next((e for e in evidence.entries if e.event is Event.ADMITTED), None)
    if body is None or admitted is None:
        return
    try:
        version = from_archive(body, key)
    except InvalidInput as error:
        found.add(key, str(error), versions_of(key))
        return
    named = (version.prompt_id, version.version) == (release.prompt_id, release.version)
    same = named and is_content_of(str(admitted.detail.get("fingerprint")), version.variants)
    found.agree(same, key, "it holds another content than was admitted", versions_of(key))


class _Review:
    """Request, decisions and outcomes of a release, beside what its timeline says of them."""

    def __init__(self, evidence: Evidence, found: Findings) -> None:
        self._evidence, self._found = evidence, found
        self._entries, self._request = evidence.entries, evidence.request
        self._policy = _policy(evidence)

    def look(self) -> None:
        asked = {int(e.detail.get("round", 0)): e for e in self._of(Event.REVIEW_REQUESTED)}
        for number in rounds_of(self._entries, self._request):
            self._decisions(number, asked.get(number))
            self._outcome(number, asked.get(number))
        for number, entry in asked.items():
            self._brief(number, entry)
        if self._request is not None:
            self._asked(self._request, asked)
        elif asked:
            last = asked[max(asked)]
            self._found.add("review request", f"it is missing, and round {max(asked)} was asked for", copy_of(last))

    def _of(self, event: Event, number: int | None = None) -> list[TimelineEntry]:
        return [e for e in self._entries if e.event is event and (number is None or _round(e) == number)]

    # --- the request ---------------------------------------------------------------------------------------------

    def _asked(self, request: ReviewRequest, asked: Mapping[int, TimelineEntry]) -> None:
        found, item = self._found, "review request"
        release = self._evidence.release
        ours = (release.release_id, release.prompt)
        found.agree((request.release_id, request.prompt) == ours, item, f"it is of {request.release_id}", TABLE)
        latest = max(asked, default=0)
        if not found.agree(request.round >= latest, item, f"it is of round {request.round}, round {latest} was asked"):
            return
        told = len(self._of(Event.REVIEWER_DECIDED, request.round))
        says = f"it counts {request.decisions} decisions, the timeline {told}"
        found.agree(request.decisions == told, item, says, TABLE)
        if self._policy is not None:
            differs = "its policy is not the one that the release captured"
            captured = policy_key(release.policy_sha256)
            found.agree(policy_item(request.policy) == policy_item(self._policy), item, differs, captured)
        entry = asked.get(request.round)
        if entry is None:
            found.uncovered.append(f"review request: round {request.round} was never told to be asked for")
            return
        self._as_told(request, entry)

    def _as_told(self, request: ReviewRequest, entry: TimelineEntry) -> None:
        policy, detail = request.policy, entry.detail
        for name, value in {
            "candidate": request.candidate.to_item(),
            "stable": request.stable.to_item() if request.stable else None,
            "verdict": request.verdict,
            "reviewers": [r.email for r in policy.reviewers],
            "quorum": policy.quorum,
            "required_groups": list(policy.required_groups),
        }.items():
            if name in detail:
                differs = f"it has {name} {value!r}, the timeline {detail[name]!r}"
                self._found.agree(value == detail[name], "review request", differs, copy_of(entry))
        missing = set(self._authors_told(request, entry)) - set(request.authors.principals)
        says = f"the timeline names authors that it lacks: {', '.join(sorted(missing))}"
        self._found.agree(not missing, "review request", says, copy_of(entry))

    def _authors_told(self, request: ReviewRequest, asked: TimelineEntry) -> list[str]:
        """Who the timeline says wrote it. What was found as the review was being closed is not in its request."""
        decided = max((e.seq for e in self._of(Event.REVIEWER_DECIDED, request.round)), default=0)
        found = self._of(Event.AUTHORS_FOUND, request.round)
        noted = [e for e in found if request.outcome is None or e.seq < decided]
        return [*_authors(asked).principals, *(arn for e in noted for arn in Authors.from_dict(e.detail).principals)]

    # --- decisions -----------------------------------------------------------------------------------------------

    def _decisions(self, number: int, asked: TimelineEntry | None) -> None:
        told = {str(e.detail.get("reviewer")): e for e in self._of(Event.REVIEWER_DECIDED, number)}
        there: dict[str, ReviewDecision] = {}
        for decision in self._evidence.decisions.get(number, ()):
            name = f"decision of {decision.by} in round {number}"
            if not self._found.agree(decision.reviewer not in there, name, "it is there twice", TABLE):
                continue
            there[decision.reviewer] = decision
            entry = told.get(decision.reviewer)
            if entry is None:
                self._found.add(name, "no entry of the timeline tells it; somebody put it there")
                continue
            for field, (stored, said) in _differences(decision, entry).items():
                self._found.add(name, f"it has {field} {stored!r}, the timeline {said!r}", copy_of(entry))
            self._found.compared += 1
        for reviewer, entry in told.items():
            name = f"decision of {entry.by} in round {number}"
            held = self._found.agree(
                reviewer in there, name, "the timeline tells it, the table lacks it", copy_of(entry)
            )
            if held:
                self._voted(entry, name)
        if told and asked is None:
            self._found.add(
                f"round {number} of the review", "decisions are told, and nothing says that it was asked for"
            )
        numbers = [e.detail.get("number") for e in told.values()]
        expected = list(range(1, len(told) + 1))
        says = f"its decisions have the numbers {numbers}"
        self._found.agree(numbers == expected or not all(numbers), f"round {number} of the review", says)

    def _voted(self, entry: TimelineEntry, name: str) -> None:
        """A decision comes from the reviewer whom it counts for: by their address, or as a principal of theirs."""
        if self._policy is None:
            return
        wanted = str(entry.detail.get("reviewer"))
        reviewer = next((r for r in self._policy.reviewers if reviewer_key(r.email) == wanted), None)
        if reviewer is None:
            self._found.add(name, "the captured policy has no such reviewer", copy_of(entry))
            return
        link = entry.detail.get("via") == "link"
        own = entry.by == reviewer.email if link else any(acts_as(p, entry.by) for p in reviewer.principals)
        self._found.agree(
            own, name, f"it counts for {reviewer.name}, who does not decide as {entry.by}", copy_of(entry)
        )

    # --- what came of it -----------------------------------------------------------------------------------------

    def _outcome(self, number: int, asked: TimelineEntry | None) -> None:
        name = f"outcome of round {number} of the review"
        decided = self._of(Event.REVIEW_DECIDED, number)
        request = self._request if self._request and self._request.round == number else None
        if request is not None and request.outcome is not None:
            said = dict(decided[-1].detail) if decided else None
            young = self._evidence.now - float(request.outcome.get("at") or 0) <= SETTLES_WITHIN
            where = copy_of(decided[-1]) if decided else TABLE
            differs = "the request has another than the timeline" if decided else "the timeline does not tell it"
            self._found.agree(dict(request.outcome) == said or (said is None and young), name, differs, where)
        elif request is not None and decided:
            self._found.add(name, "the timeline tells one, the request has none", copy_of(decided[-1]))
        for entry in decided:
            if entry.detail.get("decision") == "approved":
                self._adds_up(number, entry, asked, name)

    def _adds_up(self, number: int, entry: TimelineEntry, asked: TimelineEntry | None, name: str) -> None:
        """The decisions that were told before it are what the captured policy asks for."""
        if asked is None:
            self._found.add(name, "it approves what nothing says was asked for", copy_of(entry))
            return
        if self._policy is None or self._request is None:
            self._found.uncovered.append(f"{name}: whether the approvals were enough (request or policy is missing)")
            return
        decisions = [_decision(e) for e in self._of(Event.REVIEWER_DECIDED, number) if e.seq < entry.seq]
        state = tally(self._rebuilt(number, asked), decisions, entry.at)
        says = f"it approves, and its approvals are not enough: {state.why}"
        if self._found.agree(state.standing is Standing.APPROVED, name, says, copy_of(asked)):
            bound = (entry.detail.get("candidate"), entry.detail.get("stable"))
            shown = tuple(ref and ref.get("fingerprint") for ref in (asked.detail["candidate"], asked.detail["stable"]))
            self._found.agree(bound == shown, name, "it binds another content than was under review", copy_of(asked))

    def _rebuilt(self, number: int, asked: TimelineEntry) -> ReviewRequest:
        """The request of a round as its entry tells it, under the captured policy. Authors that became known later are
        in the stored request, which is the latest round's."""
        assert self._request is not None
        assert self._policy is not None
        detail, stored = asked.detail, self._request
        # Of an earlier round nobody can say any more which doubts were left.
        authors = replace(_authors(asked), unattributed=(), complete=True)
        if stored.round == number:
            everybody = tuple(dict.fromkeys([*stored.authors.principals, *authors.principals]))
            authors = replace(stored.authors, principals=everybody)
        return replace(
            stored,
            round=number,
            candidate=VersionRef.from_item(detail["candidate"]),
            stable=VersionRef.from_item(detail["stable"]) if detail.get("stable") else None,
            policy=self._policy,
            authors=authors,
            verdict=str(detail.get("verdict", stored.verdict)),
            expires_at=max(stored.expires_at, float(detail.get("expires_at", 0.0))),
        )

    def _brief(self, number: int, entry: TimelineEntry) -> None:
        """What was shown is of the two versions that were under review, also where no digest names it."""
        key = brief_key(self._evidence.release.release_id, number)
        if key not in self._evidence.objects:
            return
        body = self._evidence.objects[key]
        if body is None:
            if "brief_sha256" not in entry.detail:
                self._found.add(key, "it is missing", versions_of(key))
            return
        candidate, stable = (
            side and side.get("fingerprint") for side in map(entry.detail.get, ("candidate", "stable"))
        )
        where = versions_of(key, str(entry.detail.get("brief_sha256", "")))
        try:
            shown = Brief.from_dict(json.loads(body)).shows(str(candidate), stable)
        except (ValueError, KeyError, TypeError, AttributeError, InvalidInput) as error:
            self._found.add(key, f"it is no record of a review ({error})", where)
            return
        self._found.agree(shown, key, "it shows other versions than were under review", where)


def _round(entry: TimelineEntry) -> int:
    """The round of review that an entry is of, by its id."""
    parts = entry.id.removeprefix(f"{entry.release_id}/").split("/")
    return int(parts[1]) if len(parts) > 1 and parts[0] == "review" and version_number(parts[1]) else 0


def _authors(entry: TimelineEntry) -> Authors:
    return Authors.from_dict(entry.detail.get("authors") or {})


def _policy(evidence: Evidence) -> ReviewPolicy | None:
    """The review section of the captured policy; None where it is not what its name says, which `_objects` tells."""
    sha256 = evidence.release.policy_sha256
    body = evidence.objects.get(policy_key(sha256))
    if body is None or digest(body) != sha256:
        return None
    try:
        return Policy.from_dict(json.loads(body)).review
    except (ValueError, PromptlaneError):
        return None


def _decision(entry: TimelineEntry) -> ReviewDecision:
    return ReviewDecision.from_dict({**entry.detail, "by": entry.by, "at": entry.at})


def _differences(decision: ReviewDecision, entry: TimelineEntry) -> dict[str, tuple[Json, Json]]:
    stored = {**decision.to_dict(), "at": iso(decision.at)}
    said = {**entry.detail, "by": entry.by, "at": iso(entry.at)}
    return {name: (value, said[name]) for name, value in stored.items() if name in said and said[name] != value}
