"""Changes of numbers that pass as none, and content that passes for what was approved or escapes its quarantine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.errors import AdmissionRefused, PromptlaneError
from promptlane.domain.release import content, prompt
from promptlane.domain.release.content import canonical_variants, fingerprint, is_content_of, rounded_fingerprint
from promptlane.domain.release.diff import compare, unified
from promptlane.domain.release.prompt import PromptDraft, PromptVersion, VersionRef, static_problems
from promptlane.domain.release.route import Route
from promptlane.domain.review import brief as brief_module
from promptlane.domain.review.brief import Brief
from promptlane.lifecycle import shift as shift_module
from promptlane.lifecycle.admit import Admission
from promptlane.lifecycle.shift import Traffic
from tests.support.attacks import attack, patched, together
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import TRAFFIC, Stage

KIND = "unchanged when it changed"
Json = Any


def fields(number: Json) -> list[dict[str, Json]]:
    return [{"modelId": "m", "additionalModelRequestFields": {"budget": number}}]


def tool(number: Json) -> list[dict[str, Json]]:
    spec = {"name": "refund", "inputSchema": {"json": {"properties": {"amount": {"maximum": number}}}}}
    return [{"templateConfiguration": {"chat": {"toolConfiguration": {"tools": [{"toolSpec": spec}]}}}}]


def warmth(number: Json) -> list[dict[str, Json]]:
    return [{"modelId": "m", "inferenceConfiguration": {"text": {"maxTokens": number}}}]


rounding = together(patched(content, "_exact", lambda value, depth=0: content._rounded(value)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (fields(123456789012), fields(123456999999)),
        (fields(0.50000001), fields(0.50000002)),
        (fields([1, {"deep": 7654321}]), fields([1, {"deep": 7654322}])),
        (fields(2**53), fields(2**53 + 1)),
        (tool(1_000_000), tool(1_000_004)),
        (warmth(4_000_001), warmth(4_000_002)),
    ],
    ids=["ids", "fractions", "nested", "beyond 53 bits", "a tool's limit", "tokens"],
)
@attack("a number is changed behind its sixth digit", kind=KIND, without=rounding)
def test_beyond_the_sixth_digit(before: Json, after: Json) -> bool:
    return fingerprint(before) == fingerprint(after)


@attack("the diff of a tool's limit shows nothing", kind=KIND, without=rounding)
def test_an_empty_diff() -> bool:
    return not list(unified(compare(tool(1_000_000), tool(1_000_004))))


def draft(limit: Json) -> PromptDraft:
    return PromptDraft(PROMPT, "m", ("q",), template="Answer {{q}}", additional_fields={"budget": limit})


def approved_before(stage: Stage, *, shown: Json, served: Json) -> None:
    """A release that was admitted and approved when numbers were rounded, of a version that holds another number."""
    stage.approved(2)
    stage.prompts.alter(ID, 2, draft(served))
    old = VersionRef(2, rounded_fingerprint(draft(shown).variants()), stage.ref(2).arn)
    release = stage.releases.get(RELEASE)
    stage.releases.update(replace(release, candidate=old, approval={**release.approval, "candidate": old.fingerprint}))


@attack(
    "an approval of the rounded number gives traffic to the number that nobody saw",
    kind=KIND,
    without=patched(shift_module, "vouches", is_content_of),
)
def test_an_approval_from_before() -> bool:
    stage = Stage()
    approved_before(stage, shown=1_000_000, served=1_000_004)
    traffic = Traffic(**stage.ports(*TRAFFIC))
    try:
        return traffic.shift(RELEASE, 0).result == "done"
    except PromptlaneError:
        return False


@attack(
    "a review page shows the rounded number beside a fingerprint that others share",
    kind=KIND,
    without=patched(brief_module, "vouches", is_content_of),
)
def test_a_page_of_a_rounded_number() -> bool:
    shown = Brief(RELEASE, 1, PROMPT, 2, "", (), "", canonical_variants(tool(1_000_004)))
    return shown.shows(rounded_fingerprint(tool(1_000_000)), None)


def quarantined(limit: Json, *, before: bool, **more: Json) -> Stage:
    """Version 2 was rolled back; its content comes again as version 5, with this number, and whatever else is said."""
    stage = Stage()
    bad = PromptVersion(ID, PROMPT, 2, f"{stage.ref(2).arn}", draft(1_000_000).variants()).ref
    key, kept = (bad.rounded, {}) if before else (bad.fingerprint, {"rounded": bad.rounded})
    stage.serve(1, quarantined={key: {"version": 2, "release_id": f"{ID}-2-1", "at": 1.0, **kept}})
    stage.prompts.publish(replace(draft(limit), **more), prompt_id=ID)
    return stage


def admitted(stage: Stage) -> bool:
    stage.release(5, candidate=None)
    names = (
        *("prompts", "enrolments", "identities", "tags", "routes", "releases"),
        *("directory", "quarantine", "contents", "clock"),
    )
    try:
        Admission(**stage.ports(*names), check_suite=lambda suite, variables: ([], SuiteFacts(1)), floor=Floor()).admit(
            f"{ID}-5-1"
        )
    except AdmissionRefused:
        return False
    return True


def exactly(route: Route, ref: VersionRef, older: Json) -> Json:
    return route.quarantined.get(ref.fingerprint)


@pytest.mark.parametrize("limit", [1_000_000, 1_000_000.0, 1_000_001], ids=["same", "as a float", "seventh digit"])
@attack(
    "content that was quarantined before numbers were exact comes again",
    kind="quarantine",
    without=patched(Route, "barred", exactly),
)
def test_quarantined_before(limit: Json) -> bool:
    return admitted(quarantined(limit, before=True))


@attack(
    "quarantined content comes again with a harmless seventh digit",
    kind="quarantine",
    without=patched(Route, "barred", exactly),
)
def test_a_harmless_seventh_digit() -> bool:
    return admitted(quarantined(1_000_001, before=False))


@attack(
    "quarantined content comes again with an empty list",
    kind="quarantine",
    without=patched(content, "_canonical_variant", content._written_variant),
)
def test_an_empty_list() -> bool:
    return admitted(quarantined(1_000_000, before=False, inference={"stop_sequences": []}))


@attack(
    "a part of a version that the SDK cannot read is neither shown nor hashed",
    kind=KIND,
    without=patched(prompt, "_unreadable", lambda value: iter(())),
)
def test_unreadable_parts() -> bool:
    (variant,) = draft(1).variants()
    variant["genAiResource"] = {"SDK_UNKNOWN_MEMBER": {"name": "remoteAgent"}}
    return static_problems(PromptVersion(ID, PROMPT, 2, "arn:2", [variant])) == []
