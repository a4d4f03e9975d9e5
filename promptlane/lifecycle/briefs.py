"""What reviewers were shown, in the report bucket: `releases/<release id>/review/<round>.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from promptlane.domain.errors import NotFound
from promptlane.domain.ports import Objects
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import digest
from promptlane.domain.review.brief import Brief, VerdictShown, verdict_shown
from promptlane.domain.review.proof import brief_key


@dataclass(frozen=True)
class Briefs:
    """Stores briefs, and reads them and the test reports that they name."""

    objects: Objects

    def put(self, brief: Brief) -> None:
        self.objects.put(brief_key(brief.release_id, brief.round), canonical_json(brief.to_dict()).encode())

    def get(self, release_id: str, round: int) -> Brief:
        """The brief of a round; NotFound when there is none."""
        text = self.report(brief_key(release_id, round))
        if text is None:
            raise NotFound(f"release {release_id} has no record of round {round} of its review")
        return Brief.from_dict(json.loads(text))

    def sha256(self, release_id: str, round: int) -> str:
        """The digest of a round's brief as it is stored: what the timeline names it by. NotFound."""
        return digest(self.objects.get(brief_key(release_id, round)))

    def verdict(self, release: Release, round: int) -> VerdictShown:
        """What reviewers see of the tests of a round."""
        key = f"releases/{release.release_id}/tests/{round}/report"
        report = self.report(f"{key}.json")
        return verdict_shown(release.verdict, json.loads(report) if report else None, f"{key}.html")

    def report(self, key: str) -> str | None:
        """The text of a test report, None when it is not there."""
        try:
            return self.objects.get(key).decode() if key else None
        except NotFound:
            return None
