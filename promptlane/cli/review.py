"""`record`, and what `status` says of a review: who is waited for, and what a review left for auditors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.release import Release
from promptlane.domain.review.review import reviewer_key
from promptlane.domain.review.rules import REACHED, out_of_reach, reach_in_words, tally
from promptlane.domain.text import one_line
from promptlane.lifecycle.review_record import check_record, review_record

from .deciding import in_flight
from .deployment import Deployment
from .session import Session
from .verify import TimelineBroken, check

if TYPE_CHECKING:
    from rich.console import Console

Json = Any


def record(session: Session, subject: str, out: Path | None, *, as_json: bool) -> None:
    """Write the whole record of a release's review, and the proof that it holds, as one JSON document."""
    deployment = session.deployment
    release = in_flight(deployment, subject)
    checked = check(deployment, release, now=session.clock())
    copies = checked.copies if deployment.audit_copies is not None else None
    document = review_record(checked.evidence, checked.proof, problems=checked.problems, copies=copies)
    if out is not None:
        try:
            out.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{out} cannot be written: {error.strerror}; choose another path with --out") from error
    problems, not_covered = document["proof"]["problems"], document["proof"]["not_covered"]

    def show(console: Console) -> None:
        from .terminal import bold

        text = bold(f"Release {{}}: {len(document['timeline'])} timeline entries; what they say ", release)
        text.append("does not hold" if problems else "holds", style="bold red" if problems else "green")
        console.print(text.append(f": {one_line('; '.join(problems), 4_000)}." if problems else "."))
        if not_covered:
            console.print(f"Not covered: {one_line('; '.join(not_covered), 2_000)}.")
        console.print(f"SHA-256 {document['sha256']}")
        console.print(f"Written to {out}." if out else "Write it to a file with --out FILE, or print it with --json.")

    session.emit(document, as_json=as_json, show=show)


def check_file(session: Session, path: Path, *, as_json: bool) -> None:
    """Check a document that `record` wrote earlier, without AWS; TimelineBroken names what does not hold."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is no JSON document that can be read ({error}); name what --out wrote") from None
    if problems := check_record(document):
        raise TimelineBroken(f"{path} does not hold: {'; '.join(problems)}")
    entries = len(document["timeline"])

    def show(console: Console) -> None:
        console.print(f"{path} is whole: {entries} entries, and everything in it agrees with them.")
        console.print(
            f"That a deployment told this, its audit bucket shows: the last entry is {document['timeline_head']}."
        )

    session.emit({"file": str(path), "holds": True, "entries": entries}, as_json=as_json, show=show)


def review_notes(deployment: Deployment, release: Release, now: float) -> list[str]:
    """What `status` says of a release in review: who is waited for, and whom email does not reach."""
    request = deployment.reviews.get(release.release_id) if release.state == "review" else None
    if request is None:
        return []
    state = tally(request, deployment.reviews.decisions(release.release_id, request.round), now)
    people = {reviewer_key(r.email): r.name for r in request.policy.reviewers}
    notes = [f"review: {len(state.approvals)} of {state.needed} approvals; {state.why}"]
    notes += [
        f"review: {people.get(key, key)} {reach_in_words(reach)}; see `promptlane reviewers list`"
        for key, reach in request.reach.items()
        if reach not in REACHED
    ]
    if warning := out_of_reach(request, state):
        notes.append(f"review: the quorum cannot be met by email now: {warning}")
    return notes
