"""The evidence curve in text and as a plot, and the replay of looks."""

from __future__ import annotations

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.cli.judge import curve_lines, replayed
from promptlane.domain import metrics
from promptlane.domain.canary.blocks import Arm, Block, Chunk
from promptlane.domain.canary.curve import points, sparkline
from promptlane.domain.names import UNIT_GROUPS
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy, Reviewer, ReviewPolicy, Step
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.lifecycle.judge_step import replay
from promptlane.pages.evidence import evidence_plot, with_evidence
from tests.support.review import LEAD, RELEASE, UnderReview

T0 = 1_700_000_040.0
POLICY = Policy(
    review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)),
    canary=CanaryPolicy(steps=(Step(1000),), guard_metrics=(GuardPolicy(metrics.ERROR),), ladder=(1.0,)),
)
EVEN = tuple((20, 0) for _ in range(UNIT_GROUPS))
BLOCKS = tuple(Block(T0 + 60 * i, 60.0, 0.1, Arm(320, 0, EVEN), Arm(48, 0, ((3, 0),) * UNIT_GROUPS)) for i in range(30))
CHUNKS = [Chunk("canary", m, T0, T0 + 1800, BLOCKS) for m in ("Error", "Assigned")]


def looks() -> list[TimelineEntry]:
    """Two looks as the judge records them."""
    entries = []
    for seq, now in enumerate((T0 + 240.0, T0 + 2400.0), 1):
        detail = {
            "phase": "canary",
            "step": 0,
            "weight": 1000,
            "since": T0,
            "phase_since": T0,
            "watch_until": 0.0,
            "paused": "",
            "advanced": "",
            "now": now,
            "through": {"Error": T0 + 1800, "Assigned": T0 + 1800},
        }
        judged = replay(detail, CHUNKS, POLICY)
        detail = {**detail, **judged.to_dict()}
        entries.append(TimelineEntry(f"r/{seq}", "R-1-1", now, Event.CANARY_JUDGED, detail=detail, seq=seq))
    return entries


def test_a_curve_has_a_point_per_look_that_can_be_read() -> None:
    entries = looks()
    broken = replace(entries[0], detail={"judgement": "hold"})
    other = replace(entries[0], event=Event.CANARY_SHIFTED)
    found = points([broken, other, *entries])
    assert [p.at for p in found] == [T0 + 240, T0 + 2400]
    assert found[1].advance is not None
    assert found[1].advance > (found[0].advance or 0)


def test_status_shows_both_curves_and_the_last_sentence() -> None:
    harm, harmless, last = curve_lines(looks())
    assert harm.startswith("harm")
    assert "advances" in harmless
    assert "judge:" in last
    assert curve_lines([]) == []


def test_the_plot_is_well_formed_and_says_what_it_shows() -> None:
    svg = ET.fromstring(evidence_plot(points(looks())))
    assert "2 looks" in svg.attrib["aria-label"]
    assert len(svg.findall("{http://www.w3.org/2000/svg}polyline")) == 2
    assert evidence_plot([]) == ""


def test_a_reason_cannot_inject_markup_into_the_plot() -> None:
    [first, last] = points(looks())
    nasty = replace(last, reason='"><script>alert(1)</script>')
    svg = evidence_plot([first, nasty])
    ET.fromstring(svg)
    assert "<script" not in svg


def test_the_reports_page_ends_with_the_evidence_under_its_own_policy() -> None:
    world = UnderReview(ReviewPolicy((LEAD,)))
    world.ask()
    world.objects.data["report.html"] = (
        b"<!doctype html><html><style>svg{height:1.5rem}</style><body><main><h1>Report</h1></main></body></html>"
    )
    before = world.http("GET", world.token(LEAD), path="/report")
    assert "evidence" not in before["body"]
    for entry in looks():
        hostile = {**entry.detail, "reason": "</main><script>alert(1)</script>"}
        world.releases.append(replace(entry, release_id=RELEASE, detail=hostile))
    page = world.http("GET", world.token(LEAD), path="/report")
    assert page["statusCode"] == 200
    assert page["body"].endswith("</svg></section></main></body></html>")
    assert "&lt;script&gt;" in page["body"]
    assert "<script" not in page["body"]
    policy = page["headers"]["content-security-policy"]
    for style in re.findall(r"<style>(.*?)</style>", page["body"]):
        assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert "default-src 'none'" in policy
    assert policy.endswith("sandbox")
    assert with_evidence("no page at all", points(looks())).endswith("</svg></section>")


@given(st.lists(st.one_of(st.none(), st.floats(-1, 1)), max_size=100))
def test_a_sparkline_is_never_wider_than_asked(parts: list[float | None]) -> None:
    assert len(sparkline(parts, width=20)) == min(len(parts), 20)


def test_a_replay_finds_what_was_changed() -> None:
    assert all(look["same"] for look in replayed(looks(), CHUNKS, POLICY))
    forged = [replace(CHUNKS[0], blocks=BLOCKS[:10]), CHUNKS[1]]
    assert not all(look["same"] for look in replayed(looks(), forged, POLICY))


@pytest.mark.parametrize("cause", ["alarm"])
def test_looks_decided_by_an_alarm_are_listed_but_not_judged_again(cause: str) -> None:
    [entry, _] = looks()
    [look] = replayed([replace(entry, detail={**entry.detail, "cause": cause})], [], POLICY)
    assert "again" not in look
