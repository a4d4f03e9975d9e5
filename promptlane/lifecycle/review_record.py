"""The whole review of a release as one document: what was shown, who decided what, the timeline, and the proof."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import LockedCopy, TimelineEntry, digest, from_iso, iso
from promptlane.domain.review.proof import Evidence, Proof, brief_key, prove
from promptlane.domain.review.review import ReviewDecision, ReviewRequest

Json = Any
SCHEMA: Final = 2


def review_record(
    evidence: Evidence, proof: Proof, *, problems: Sequence[str], copies: Sequence[LockedCopy] | None
) -> dict[str, Json]:
    """Plain JSON values: release, rounds of review (what was shown, decisions, outcome), timeline, and its proof.

    `problems`: everything that does not hold, with what the chain's head and the locked copies say; `copies`: None
    without an audit bucket. `objects` holds the captured policy and the briefs, character by character; `proof` the
    SHA-256 of each object that was read, so that `check_record` can compare again what is in the document, and an
    auditor the reports with `sha256sum`. `timeline_head` is the hash of the last entry, which covers all before it;
    `sha256` covers the canonical JSON of everything else here.
    """
    entries = evidence.entries
    document: dict[str, Json] = {
        "schema": SCHEMA,
        "read_at": iso(evidence.now),
        "release": evidence.release.to_item(),
        "rounds": list(_rounds(evidence)),
        "timeline": [entry.to_dict() for entry in entries],
        "timeline_head": entries[-1].hash if entries else "",
        "objects": {key: None if body is None else _text(body) for key, body in evidence.objects.items()},
        "locked_copies": copies if copies is None else [_copy(copy) for copy in copies],
        "proof": {**proof.to_dict(), "holds": not problems, "problems": list(problems)},
    }
    return document | {"sha256": _sha256(document)}


def check_record(document: Mapping[str, Json]) -> list[str]:
    """What does not hold in a document that was written earlier; needs nothing but the document.

    It proves that the document is whole and tells one story, not that the deployment told it: compare
    `timeline_head` and `locked_copies` with the audit bucket for that. InvalidInput for what is no such document.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise InvalidInput(
            f"this is no record that this version of `promptlane record` wrote (schema {SCHEMA}); write it again"
        )
    rest = {name: value for name, value in document.items() if name != "sha256"}
    problems = [] if _sha256(rest) == document.get("sha256") else ["the document was changed: its sha256 does not fit"]
    try:
        evidence = _evidence(document)
        problems += map(str, prove(evidence).problems)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"the document cannot be read ({error!r}); write it again") from None
    problems += [
        f"round {one['round']}: what it says was shown is not the stored record of it"
        for one in document["rounds"]
        if one["shown"] != _shown(evidence.objects.get(brief_key(evidence.release.release_id, int(one["round"]))))
    ]
    last = evidence.entries[-1].hash if evidence.entries else ""
    if document.get("timeline_head") != last:
        problems.append("timeline_head is not the hash of the last entry")
    by_number = {entry.seq: entry.hash for entry in evidence.entries}
    problems += [
        f"entry {copy['seq']} is not the one that was copied when it was written"
        for copy in document.get("locked_copies") or ()
        if by_number.get(int(copy["seq"])) != copy["hash"]
    ]
    return problems + [f"as it was written: {one}" for one in document["proof"]["problems"] if one not in problems]


def _rounds(evidence: Evidence) -> Iterator[Json]:
    """The rounds of which something is known; only of the latest one, what was asked."""
    request = evidence.request
    for number, decisions in evidence.decisions.items():
        body = evidence.objects.get(brief_key(evidence.release.release_id, number))
        asked = request.to_item() if request is not None and request.round == number else None
        if asked or body or decisions:
            told = [decision.to_dict() for decision in decisions]
            yield {"round": number, "request": asked, "shown": _shown(body), "decisions": told}


def _shown(body: bytes | None) -> Json:
    """What reviewers were shown, as it is stored; None where it is lost or no JSON."""
    try:
        return None if body is None else json.loads(body)
    except ValueError:
        return None


def _copy(copy: LockedCopy) -> Json:
    return {"seq": copy.entry.seq, "hash": copy.entry.hash, "at": iso(copy.at)}


def _text(body: bytes) -> str:
    return body.decode("utf-8", "surrogateescape").encode("utf-8", "backslashreplace").decode()


def _sha256(value: Json) -> str:
    return digest(canonical_json(value).encode())


def _evidence(document: Mapping[str, Json]) -> Evidence:
    rounds = {int(one["round"]): one for one in document["rounds"]}
    asked = next((one["request"] for one in rounds.values() if one["request"]), None)
    objects = {key: None if text is None else str(text).encode() for key, text in document["objects"].items()}
    read = {key: None if body is None else digest(body) for key, body in objects.items()}
    return Evidence(
        release=Release.from_item(document["release"]),
        entries=tuple(TimelineEntry.from_dict(entry) for entry in document["timeline"]),
        request=ReviewRequest.from_item(asked) if asked else None,
        decisions={number: [ReviewDecision.from_dict(d) for d in one["decisions"]] for number, one in rounds.items()},
        objects=objects,
        digests={**document["proof"]["sha256"], **read},
        now=from_iso(str(document["read_at"])),
    )
