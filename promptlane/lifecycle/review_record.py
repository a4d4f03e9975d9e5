"""The whole review of a release as one document for an auditor: what was shown, who decided what, and the timeline."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from promptlane.domain.errors import NotFound
from promptlane.domain.ports import ReleaseStore
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.timeline import chain_problems
from promptlane.domain.review.ports import ReviewStore
from promptlane.domain.review.review import ReviewRequest

from .briefs import Briefs

Json = Any


def review_record(
    release_id: str, *, releases: ReleaseStore, reviews: ReviewStore, briefs: Briefs | None = None
) -> dict[str, Json]:
    """Plain JSON values: release, rounds of review (what was shown, decisions, outcome), timeline, and its proof.

    `timeline_head` is the hash of the last timeline entry, which covers all entries before it; `timeline_problems` is
    empty when the chain holds; `sha256` covers the canonical JSON of everything else here.
    """
    release, timeline = releases.get(release_id), releases.timeline(release_id)
    request = reviews.get(release_id)
    document: dict[str, Json] = {
        "schema": 1,
        "release": release.to_item(),
        "rounds": list(_rounds(request, reviews, briefs)) if request else [],
        "timeline": [entry.to_dict() for entry in timeline],
        "timeline_head": timeline[-1].hash if timeline else "",
        "timeline_problems": chain_problems(timeline),
    }
    return document | {"sha256": hashlib.sha256(canonical_json(document).encode()).hexdigest()}


def _rounds(request: ReviewRequest, reviews: ReviewStore, briefs: Briefs | None) -> Iterator[Json]:
    """The rounds of which something is known; only of the latest one, what was asked."""
    for number in range(1, request.round + 1):
        decisions = reviews.decisions(request.release_id, number)
        shown = _shown(briefs, request.release_id, number)
        asked = None
        if number == request.round:
            asked = request.to_item()
        if asked or shown or decisions:
            yield {"round": number, "request": asked, "shown": shown, "decisions": [d.to_dict() for d in decisions]}


def _shown(briefs: Briefs | None, release_id: str, round: int) -> Json:
    if briefs is None:
        return None
    try:
        return briefs.get(release_id, round).to_dict()
    except NotFound:
        return None
