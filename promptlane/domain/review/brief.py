"""What a reviewer is shown: gathered once when the review is asked for, stored, and the same for everybody.

The page is made from this record and not from a second read of Bedrock, so that what was shown, what was approved and
what an auditor reads later is one thing; its two fingerprints are those of the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from promptlane.domain.errors import InvalidInput
from promptlane.domain.policy import Policy
from promptlane.domain.release.content import canonical_variants, is_content_of, vouches
from promptlane.domain.release.prompt import PromptVersion
from promptlane.domain.text import in_words, traffic

Json = Any
MAX_CASES: Final = 200


@dataclass(frozen=True, slots=True)
class CaseChange:
    """A case that passed with stable and fails with the candidate. `why` is the failed assertion in words."""

    name: str
    slice: str
    why: str


@dataclass(frozen=True, slots=True)
class VerdictShown:
    """The test report in brief. `rows` are (what, stable, candidate) in words; `left_out` counts unlisted cases."""

    verdict: str = ""
    reason: str = ""
    rows: tuple[tuple[str, str, str], ...] = ()
    newly_failing: tuple[CaseChange, ...] = ()
    left_out: int = 0
    inconclusive: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()
    """What these tests could not have shown, in sentences."""
    report_key: str = ""


@dataclass(frozen=True, slots=True)
class Brief:
    """Everything that is shown of one round of review."""

    release_id: str
    round: int
    prompt: str
    version: int
    description: str
    authors: tuple[str, ...]
    requested_by: str
    candidate_variants: Sequence[Json]
    stable_variants: Sequence[Json] = ()
    stable_version: int | None = None
    tests: VerdictShown = field(default_factory=VerdictShown)
    plan: tuple[tuple[str, str], ...] = ()

    def shows(self, candidate: str, stable: str | None) -> bool:
        """Whether what is shown is exactly what these fingerprints are of; of stable, as exactly as it was stored."""
        if (stable is None) != (self.stable_version is None):
            return False
        return vouches(candidate, self.candidate_variants) and (
            stable is None or is_content_of(stable, self.stable_variants)
        )

    def to_dict(self) -> dict[str, Json]:
        tests = self.tests
        return {
            "schema": 1,
            **asdict(self),
            "authors": list(self.authors),
            "candidate_variants": list(self.candidate_variants),
            "stable_variants": list(self.stable_variants),
            "tests": {
                **asdict(tests),
                "rows": [list(row) for row in tests.rows],
                "newly_failing": [asdict(case) for case in tests.newly_failing],
                "inconclusive": list(tests.inconclusive),
                "blind": list(tests.blind),
            },
            "plan": [list(row) for row in self.plan],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> Brief:
        if data.get("schema") != 1:
            raise InvalidInput(f"the review's record has schema {data.get('schema')!r}; this code knows 1")
        tests = data["tests"]
        return cls(
            release_id=data["release_id"],
            round=int(data["round"]),
            prompt=data["prompt"],
            version=int(data["version"]),
            description=data["description"],
            authors=tuple(data["authors"]),
            requested_by=data["requested_by"],
            candidate_variants=data["candidate_variants"],
            stable_variants=data["stable_variants"],
            stable_version=data["stable_version"],
            tests=VerdictShown(
                verdict=tests["verdict"],
                reason=tests["reason"],
                rows=tuple((str(a), str(b), str(c)) for a, b, c in tests["rows"]),
                newly_failing=tuple(CaseChange(c["name"], c["slice"], c["why"]) for c in tests["newly_failing"]),
                left_out=int(tests["left_out"]),
                inconclusive=tuple(tests["inconclusive"]),
                blind=tuple(tests["blind"]),
                report_key=tests["report_key"],
            ),
            plan=tuple((str(a), str(b)) for a, b in data["plan"]),
        )


def make_brief(
    *,
    release_id: str,
    round: int,
    candidate: PromptVersion,
    stable: PromptVersion | None,
    authors: Sequence[str],
    requested_by: str,
    tests: VerdictShown,
    policy: Policy,
) -> Brief:
    """Gather a brief from what the release pinned."""
    return Brief(
        release_id=release_id,
        round=round,
        prompt=candidate.name,
        version=candidate.version,
        description=candidate.description,
        authors=tuple(authors),
        requested_by=requested_by,
        candidate_variants=canonical_variants(candidate.variants),
        stable_variants=canonical_variants(stable.variants) if stable else (),
        stable_version=stable.version if stable else None,
        tests=tests,
        plan=plan_in_words(policy, first=stable is None),
    )


def plan_in_words(policy: Policy, *, first: bool) -> tuple[tuple[str, str], ...]:
    """(what, how) of everything that happens once a version is approved."""
    if first:
        return (("100%", "at once: it is the prompt's first version, so there is nothing to compare it with"),)
    rows = [
        (traffic(step.weight), f"for at least {in_words(step.min_bake)}, at most {in_words(step.max_time)}")
        for step in policy.canary.steps
    ]
    holdback = f"; {traffic(policy.watch.holdback)} stay on the old version" if policy.watch.holdback else ""
    rows.append(("100%", f"watched for {in_words(policy.watch.duration)}{holdback}"))
    return tuple(rows)


def bounded_cases(cases: Sequence[CaseChange]) -> tuple[tuple[CaseChange, ...], int]:
    """The first cases with texts cut to what fits a page, and how many were left out."""
    kept = [CaseChange(c.name[:300], c.slice[:100], c.why[:800]) for c in cases[:MAX_CASES]]
    return tuple(kept), max(0, len(cases) - MAX_CASES)


def verdict_shown(verdict: Mapping[str, Json], report: Mapping[str, Json] | None, report_key: str) -> VerdictShown:
    """The test step's verdict as a reviewer needs it. `verdict` is the release record's, `report` the stored report."""
    report = report or {}
    cases, left_out = bounded_cases(
        [
            CaseChange(str(c.get("name") or c.get("id") or ""), str(c.get("slice") or ""), str(c.get("why") or ""))
            for c in report.get("newly_failing") or ()
        ]
    )
    return VerdictShown(
        verdict=str(verdict.get("verdict") or ""),
        reason=str(verdict.get("reason") or "")[:2000],
        rows=tuple((str(a)[:200], str(b)[:200], str(c)[:200]) for a, b, c in (report.get("rows") or ())[:50]),
        newly_failing=cases,
        left_out=left_out,
        inconclusive=tuple(str(text)[:500] for text in (report.get("inconclusive") or ())[:50]),
        blind=tuple(str(text)[:500] for text in (report.get("undetectable") or ())[:20]),
        report_key=report_key if report else "",
    )
