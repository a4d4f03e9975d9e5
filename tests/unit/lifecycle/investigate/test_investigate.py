"""`investigate`: from what the sources say to a ranked cause, and from what they do not say to a gap."""

from __future__ import annotations

import html.parser
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from promptlane.cli.investigate import show
from promptlane.cli.times import moment
from promptlane.domain.errors import InvalidInput, NotFound
from promptlane.domain.investigation.findings import no_conversations
from promptlane.domain.investigation.investigation import conclude
from promptlane.domain.investigation.sources import AlarmChange, CallGroup, Cell, LoggingState, Sampled
from promptlane.domain.release.prompt import PromptVersion
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.trail import TrailEvent, Window
from promptlane.fakes import InMemoryReleases, InMemoryRoutes
from promptlane.lifecycle.investigate.run import investigate
from promptlane.pages.investigation_page import investigation_page
from tests.support.cli_desk import Desk
from tests.support.investigation_case import (
    ASKED,
    AUTHOR,
    EDITOR,
    NAME,
    NOW,
    SORRY,
    T0,
    Case,
    counts,
    entry,
    found_by,
    gaps,
    record,
    two_pm,
    version_four,
)
from tests.support.prompt import ID


@pytest.fixture
def case() -> Case:
    return two_pm()


def test_the_version_that_refuses_leads_with_its_numbers_and_people(case: Case) -> None:
    found = found_by(case)

    lead = found.leading
    assert lead is not None
    assert (lead.kind, lead.version, found.before, found.after) == ("version", 3, 2, 3)
    assert lead.contrast is not None
    assert (lead.contrast.metric, round(lead.contrast.exposed_rate, 2)) == ("Refusal", 0.2)
    assert lead.contrast.chance < 1e-6
    story = next(s for s in found.stories if s.version == 3)
    assert (story.published_by, story.edited_by, story.approved_by) == (
        AUTHOR,
        (EDITOR,),
        ("support-lead@example.com",),
    )
    assert (story.first_served, story.promoted_at) == (T0, T0 + 600)
    assert any("Decline what is not about orders" in line for line in found.diff)


def test_examples_pair_a_refusal_with_the_like_question_that_was_answered(case: Case) -> None:
    pairs = found_by(case).pairs

    assert len(pairs) == 3
    assert {p.bad_variables["question"] for p in pairs} == set(ASKED)
    for pair in pairs:
        assert pair.good is not None
        assert pair.good_variables["question"] == pair.bad_variables["question"] + " Please."
        assert (pair.bad.answer, pair.good.answer) == (SORRY, "Here is how.")


def test_a_rise_of_all_versions_alike_is_blamed_on_something_outside(case: Case) -> None:
    """Stable and holdback both get worse at the same moment, while both are served."""
    onset = T0 + 2400
    case.cells = counts({2: (0.02, T0 - 3600, onset), 3: (0.02, T0 - 3600, onset)})
    case.cells += counts({2: (0.3, onset, T0 + 6600), 3: (0.3, onset, T0 + 6600)})

    lead = found_by(case).leading

    assert lead is not None
    assert lead.kind == "outside"
    assert abs(lead.at - onset) <= 120


def test_without_a_rise_nothing_is_blamed(case: Case) -> None:
    case.cells = counts({2: (0.05, T0 - 7000, T0 + 1200), 3: (0.05, T0, T0 + 6900)})

    found = found_by(case)

    assert found.leading is None
    assert found.remedy.command == ""
    assert "Nothing shows a rise" in found.to_dict()["summary"][0]


def test_a_version_that_was_always_worse_is_not_what_changed(case: Case) -> None:
    case.cells = counts({2: (0.3, T0 - 7000, T0 + 1200), 3: (0.02, T0, T0 + 6900)})

    found = found_by(case)

    assert found.leading is None


def test_calls_of_draft_and_of_models_directly_are_told(case: Case) -> None:
    mallory = "arn:aws:iam::111122223333:user/mallory"
    arn = f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}"
    case.trail += [
        TrailEvent("Converse", T0 + 50, mallory, "IAMUser", arn),
        TrailEvent("Converse", T0 + 60, mallory, "IAMUser", f"{arn}:9", 9),
        TrailEvent("Converse", T0 + 60, "app", "AssumedRole", f"{arn}:3", 3),
    ]
    case.outside = [CallGroup("", "", mallory, "amazon.nova-lite-v1:0", "Converse", 17, first=T0 + 5)]

    bypasses = [c for c in found_by(case).causes if c.kind == "bypass"]

    titles = " ".join(c.title for c in bypasses)
    assert "1 call(s) used DRAFT" in titles
    assert "version 9, which was never released" in titles
    assert "17 call(s) of amazon.nova-lite-v1:0 name no prompt" in titles
    assert all(mallory in c.because[0] for c in bypasses)
    assert "17 record(s) have no requestMetadata" in gaps(found_by(case))


def test_a_deletion_leads_when_errors_follow_it(case: Case) -> None:
    case.trail.append(TrailEvent("DeletePrompt", T0 + 3000, EDITOR, "IAMUser", ID, 3))
    case.cells = [
        replace(c, bad=c.requests) if c.metric == "Error" and c.version == 3 and c.at >= T0 + 3000 else c
        for c in counts({2: (0.02, T0 - 7000, T0 + 1200), 3: (0.02, T0, T0 + 6900)})
    ]

    found = found_by(case)

    assert found.causes[0].kind == "deleted"
    assert found.causes[0].shown
    assert EDITOR in found.causes[0].because[0]


def test_the_timeline_joins_all_sources_in_order(case: Case) -> None:
    case.alarms = [AlarmChange("promptlane/x/stable/Refusal", T0 + 700, "OK", "ALARM", "Threshold Crossed")]

    timeline = found_by(case).timeline

    assert [h.at for h in timeline] == sorted(h.at for h in timeline)
    assert {"cloudtrail", "release", "alarm"} == {h.source for h in timeline}
    changes = [h.what for h in timeline if h.change]
    assert any(w.startswith("CreatePromptVersion of version 3") for w in changes)
    assert any(w.startswith("Canary Shifted: version 3; 10% of traffic") for w in changes)


@pytest.mark.parametrize(
    "source", ["Bedrock", "routes", "releases", "CloudTrail", "alarms", "metrics", "invocation log"]
)
def test_a_source_that_is_down_leaves_a_gap_and_the_rest_is_told(case: Case, source: str) -> None:
    case.down = {source}

    found = found_by(case)

    assert f"{source}: {source} does not answer" in gaps(found)
    assert found.timeline
    assert json.dumps(found.to_dict())


def test_all_sources_but_one_down_is_still_an_answer(case: Case) -> None:
    case.down = {"Bedrock", "releases", "CloudTrail", "alarms", "metrics", "invocation log"}

    found = found_by(case)

    assert found.leading is None
    assert len({m.source for m in found.missing}) >= 6


def test_an_answer_of_an_unknown_form_is_a_gap_too(case: Case) -> None:
    case.cells = None  # type: ignore[assignment]

    found = investigate(replace(case.sources(), alarms=_Odd()), NAME, T0 - 4000, NOW)

    assert "metrics: its answer is of an unknown form (TypeError" in gaps(found)
    assert "alarms: its answer is of an unknown form (KeyError" in gaps(found)
    assert found.timeline


def test_logging_off_says_what_cannot_be_known(case: Case) -> None:
    case.logging = LoggingState(False)

    found = found_by(case)

    assert "model invocation logging is off" in gaps(found)
    assert "what was sent and answered" in gaps(found)
    assert found.leading is not None
    assert found.pairs == ()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (LoggingState(True, "", bucket="theirs"), "s3://theirs only, by somebody else's"),
        (LoggingState(True, "group", text=False), "texts are not logged"),
    ],
)
def test_a_configuration_of_somebody_else(case: Case, state: LoggingState, said: str) -> None:
    case.logging = state

    assert said in gaps(found_by(case))


def test_a_log_group_without_events(case: Case) -> None:
    case.calls, case.records = [], {}

    assert "holds no call of this prompt" in gaps(found_by(case))


def test_truncated_and_lost_records_are_counted(case: Case) -> None:
    case.lost = Sampled((), unreadable=4, offloaded_lost=2)

    said = gaps(found_by(case))

    assert "4 record(s) of version 3 are cut short" in said
    assert "2 large bodies of version 3 could not be read" in said


def test_no_trail_and_a_long_list_are_said(case: Case) -> None:
    case.trails, case.truncated = [], ("Converse",)

    said = gaps(found_by(case))

    assert "no trail is logging" in said
    assert "more Converse events than were read" in said


def test_clocks_that_differ_are_noticed(case: Case) -> None:
    case.calls = [replace(case.calls[0], first=T0 - 45)]

    assert "up to 45 s before the route gave it any" in gaps(found_by(case))


def test_a_future_range_is_an_empty_answer(case: Case) -> None:
    found = found_by(case, NOW + 3600, NOW + 7200)

    assert "in the future" in gaps(found)
    assert found.timeline == ()


def test_a_range_that_ends_in_the_future_ends_now(case: Case) -> None:
    found = found_by(case, T0 - 4000, NOW + 3600)

    assert found.facts.window.until == NOW
    assert found.leading is not None


def test_an_unknown_prompt_names_the_remedy(case: Case) -> None:
    with pytest.raises(NotFound, match="promptlane status"):
        investigate(case.sources(), "no-such-prompt", T0, NOW)


def test_a_prompt_that_bedrock_lost_is_still_investigated(case: Case) -> None:
    case.prompts = type(case.prompts)()

    found = found_by(case)

    assert "has no prompt 'support-assistant' (any more)" in gaps(found)
    assert found.leading is not None
    assert found.leading.version == 3


def test_ten_thousand_events_give_one_answer(case: Case) -> None:
    case.trail += [TrailEvent("UpdatePrompt", T0 + k / 10, EDITOR, "IAMUser", ID) for k in range(10_000)]

    found = found_by(case)

    assert len(found.timeline) >= 10_000
    assert found.leading is not None


class _Odd:
    """Alarm history in a form that nobody knows."""

    def changes(self, prompt: str, window: Window) -> list[AlarmChange]:
        raise KeyError("Timestamp")


class _Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def test_the_report_is_one_file_that_loads_and_runs_nothing(case: Case) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\u202e"
    case.records[3] = [record(3, T0 + 900, hostile, SORRY + hostile)]
    case.trail.append(TrailEvent("UpdatePrompt", T0 + 10, f"arn:aws:iam::1:user/{hostile}", "IAMUser", ID))
    page = investigation_page(found_by(case))
    reader = _Reader()
    reader.feed(page)

    assert "script" not in reader.tags
    assert "img" not in reader.tags
    assert not [a for a in reader.attributes if a[0].startswith("on")]
    assert all(str(v).startswith(("data:", "#")) for k, v in reader.attributes if k in ("src", "href"))
    assert "\u202e" not in page
    assert "⟦U+202E⟧" in page
    assert "polyline" in reader.tags
    assert "version 3" in page


def test_the_plot_breaks_where_nothing_is_known_and_marks_the_changes(case: Case) -> None:
    case.cells = [c for c in case.cells if not T0 + 2000 < c.at < T0 + 3000]
    page = investigation_page(found_by(case))

    assert page.count("<polyline") >= 3
    assert "<title>1. " in page


def test_the_command_prints_writes_and_says_where(case: Case, tmp_path: Path) -> None:
    desk = Desk()
    desk.now = NOW
    deployment = desk.connect()
    deployment.__dict__["sources"] = case.sources()
    desk.connect = lambda: deployment  # type: ignore[method-assign]
    report = tmp_path / "report.html"

    shown = desk.type("investigate", NAME, "--since", "3h", "--html", str(report))

    assert shown.exit_code == 0, shown.output
    assert f"promptlane rollback {NAME}" in shown.stdout
    assert "Version 3 has 20% refusals" in shown.stdout
    assert report.read_text().startswith("<!doctype html>")
    document = desk.json("investigate", NAME, "--since", "3h")
    assert document["causes"][0]["version"] == 3
    assert document["remedy"]["command"].startswith("promptlane rollback")
    assert len(document["conversations"]) == 3


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_asked(case: Case, tmp_path: Path) -> None:
    desk = Desk()
    kept = tmp_path / "report.html"
    kept.write_text("an earlier one")

    said = desk.json("investigate", NAME, "--html", str(tmp_path / "nowhere" / "report.html"), exit_code=1)
    assert "cannot be written" in said["error"]["message"]
    deployment = desk.connect()
    deployment.__dict__["sources"] = case.sources()
    desk.connect = lambda: deployment  # type: ignore[method-assign]
    desk.json("investigate", "nobody", "--html", str(kept), exit_code=1)
    desk.json("investigate", "nobody", "--html", str(tmp_path / "new.html"), exit_code=1)
    assert kept.read_text() == "an earlier one"
    assert not (tmp_path / "new.html").exists()


def test_a_range_the_wrong_way_round_is_refused(case: Case) -> None:
    desk = Desk()
    deployment = desk.connect()
    deployment.__dict__["sources"] = case.sources()
    desk.connect = lambda: deployment  # type: ignore[method-assign]

    assert "swap" in desk.json("investigate", NAME, "--since", "1h", "--until", "2h", exit_code=1)["error"]["message"]


def test_times_as_people_type_them() -> None:
    now = 1_760_000_400.0  # 2025-10-09T09:00:00Z
    assert moment("2h", now) == now - 7200
    assert moment("90m ago", now) == now - 5400
    assert moment("08:30", now) == now - 1800
    assert moment("14:00", now) == now - 19 * 3600
    assert moment("2025-10-09T08:00", now) == now - 3600
    assert moment("2025-10-09T10:00+02:00", now) == now - 3600
    for wrong in ("yesterday-ish", "25:00", "2h30", ""):
        with pytest.raises(InvalidInput, match="is not a time"):
            moment(wrong, now)
    for ancient in ("200000w", "99999999999w", "0001-01-01", "1969-12-31T23:59"):
        with pytest.raises(InvalidInput, match="is before 1970"):
            moment(ancient, now)


def rolled_back_to_two(case: Case, at: float, bad: float) -> None:
    """Version 3 was fine; a rollback put version 2 back, and `bad` of its requests are refused since."""
    case.releases.append(entry(3, "route/3", at, Event.ROLLED_BACK, version=3, restored=2, phase="watch"))
    route = case.routes.get(NAME)
    assert route is not None
    case.routes = InMemoryRoutes()
    case.routes.put(
        replace(route, stable=case.prompts.version(ID, 2).ref, previous=None, phase_since=at), expected=None
    )
    case.cells = counts({2: (0.02, T0 - 7000, T0 + 1200), 3: (0.02, T0, at)}) + counts({2: (bad, at, T0 + 6900)})


def test_an_old_version_that_a_rollback_put_back_is_what_changed(case: Case) -> None:
    """Not "something outside": the version first served long before the time that was read."""
    rolled_back_to_two(case, T0 + 3000, 0.0)
    case.cells = counts({3: (0.02, T0 - 7000, T0 + 3000)}) + counts({2: (0.3, T0 + 3000, T0 + 6900)})

    found = found_by(case)

    lead = found.leading
    assert lead is not None
    assert (lead.kind, lead.version, lead.at) == ("version", 2, T0 + 3000)
    assert "served again since" in lead.title
    assert (found.before, found.after) == (3, 2)
    assert next(s for s in found.stories if s.version == 2).restored_at == T0 + 3000


def test_without_a_cause_a_rollback_is_the_newest_change(case: Case) -> None:
    rolled_back_to_two(case, T0 + 3000, 0.02)

    found = found_by(case)

    assert found.leading is None
    assert (found.before, found.after) == (3, 2)


def test_a_stable_version_that_gets_a_canarys_share_back_did_not_begin(case: Case) -> None:
    """Version 2 was always worse than the canary; taking the canary back changed nothing about it."""
    case.releases = InMemoryReleases()
    case.releases.start(Release(f"{ID}-3-1", NAME, T0 - 900, AUTHOR), entry(3, "started", T0 - 900, Event.STARTED))
    case.releases.append(entry(3, "route/1", T0, Event.CANARY_SHIFTED, version=3, weight=1000, stable=2))
    case.releases.append(entry(3, "route/2", T0 + 3000, Event.ROLLED_BACK, version=3, restored=2, phase="canary"))
    case.cells = counts({2: (0.3, T0 - 7000, T0 + 6900), 3: (0.02, T0, T0 + 3000)})

    assert found_by(case).leading is None


def test_what_was_stable_at_this_release_counts_and_not_at_an_earlier_one(case: Case) -> None:
    """Version 3 was released long ago against version 1, and again in this window against version 2."""
    again = f"{ID}-3-2"
    case.releases.start(Release(again, NAME, T0 - 5, AUTHOR), TimelineEntry(f"{again}/s", again, T0 - 5, Event.STARTED))
    case.releases.append(entry(3, "route/0", T0 - 90_000, Event.CANARY_SHIFTED, version=3, weight=100, stable=1))
    case.releases.append(
        TimelineEntry(
            f"{again}/r", again, T0 + 10, Event.CANARY_SHIFTED, detail={"version": 3, "weight": 5, "stable": 2}
        )
    )

    found = found_by(case)

    assert (found.before, found.after) == (2, 3)


def test_the_version_that_explains_a_rise_best_is_the_one_that_is_said_to(case: Case) -> None:
    version_four(case)
    case.cells = counts({2: (0.02, T0 - 7000, T0 + 4200), 3: (0.12, T0, T0 + 1800), 4: (0.4, T0 + 3000, T0 + 6900)})

    found = found_by(case)

    assert [c.version for c in found.causes if c.shown] == [4, 3]
    (outside,) = (c for c in found.causes if c.kind == "outside")
    assert "Version 4 explains that rise" in outside.because[0]


@pytest.mark.parametrize("metric", ["Slow", "NegativeFeedback"])
def test_conversations_are_not_made_to_show_what_the_log_does_not_tell(case: Case, metric: str) -> None:
    case.cells = [replace(c, metric=metric) if c.metric == "Refusal" else c for c in case.cells]

    found = found_by(case)

    assert found.pairs == ()
    assert no_conversations(found).startswith("The invocation log does not tell which calls had ")


def test_an_outside_rise_that_a_version_explains_is_said_to_explain_less(case: Case) -> None:
    outside = [c for c in found_by(case).causes if c.kind == "outside"]

    assert len(outside) == 1
    assert "explains the same rise less well" in outside[0].title
    assert "Version 3 explains that rise" in outside[0].because[0]
    assert not outside[0].shown


def test_impossible_counts_are_left_out_and_said(case: Case) -> None:
    case.cells += [Cell(T0 + 60, 120, 3, "Refusal", 1, 5), Cell(T0 + 60, 120, 2, "Error", 4, -1)]

    found = found_by(case)

    assert "2 period(s) of version 2, 3 count more bad events than requests" in gaps(found)
    assert found.leading is not None
    assert all(0 <= c.bad <= c.requests for c in found.facts.cells)


def lose(case: Case, lost: int) -> None:
    """Bedrock has this version no more."""
    present = case.prompts.version

    def read(prompt_id: str, version: int) -> PromptVersion:
        if version == lost:
            raise NotFound(f"prompt {prompt_id} has no version {version}")
        return present(prompt_id, version)

    case.prompts.version = read  # type: ignore[method-assign]


def test_editors_of_a_version_that_is_gone_are_not_credited_to_the_next(case: Case) -> None:
    """Version 2's snapshot is gone; its CreatePromptVersion tells where its edits end."""
    other = "arn:aws:iam::111122223333:user/ada"
    lose(case, 2)
    case.trail = [
        TrailEvent("UpdatePrompt", T0 - 90_000, other, "IAMUser", ID),
        TrailEvent("CreatePromptVersion", T0 - 89_000, other, "IAMUser", ID, 2),
        *case.trail,
    ]

    stories = {s.version: s for s in found_by(case, T0 - 95_000).stories}

    assert stories[3].edited_by == (EDITOR,)


def test_without_the_event_of_a_publication_before_it_every_edit_that_is_known_may_be_of_a_version(case: Case) -> None:
    case.trail = [TrailEvent("UpdatePrompt", T0 - 86_400 * 3 - 100, "before-version-1", "IAMUser", ID), *case.trail]

    stories = {s.version: s for s in found_by(case, T0 - 86_400 * 4).stories}

    assert stories[3].edited_by == ("before-version-1", EDITOR)


def test_a_missing_text_is_said_with_where_it_may_be(case: Case) -> None:
    lose(case, 2)

    diff = "\n".join(found_by(case).diff)

    assert "The text of version 2 is missing" in diff
    assert f"archive/{ID}/2.json" in diff
    assert f"promptlane restore {NAME} 2" in diff


def test_calls_are_shown_to_have_no_conversation(case: Case) -> None:
    case.records = {}

    found = found_by(case)

    assert "none of version 3 shows what went wrong" in no_conversations(found)
    assert no_conversations(found) in html_text(investigation_page(found))
    assert no_conversations(found_by(two_pm())) == ""


def html_text(page: str) -> str:
    reader = _Texts()
    reader.feed(page)
    return "".join(reader.texts)


class _Texts(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_unknown_approvals_are_not_called_absent(case: Case) -> None:
    facts = found_by(case).facts
    blind = conclude(replace(facts, releases=(), entries=(), releases_known=False))

    told = " ".join(blind.to_dict()["summary"])

    assert "approvals not known" in told
    assert "no approval on record" not in told
    assert "nobody on record" not in html_text(investigation_page(blind))


def printed(case: Case, width: int) -> str:
    out = io.StringIO()
    show(Console(file=out, width=width, highlight=False, soft_wrap=True), found_by(case), None)
    return out.getvalue()


def test_the_terminal_breaks_no_time_and_no_source(case: Case) -> None:
    case.alarms = [AlarmChange("promptlane/x/stable/Refusal", T0 + 700, "OK", "ALARM", "Threshold Crossed " * 9)]

    lines = printed(case, 80).splitlines()

    command = next(line for line in lines if line.startswith("promptlane rollback"))
    assert command.endswith('(investigate)"')
    assert lines[lines.index(command) - 1] == ""
    assert all(len(line) <= 80 for line in lines if line != command)
    timeline = [line for line in lines if line.startswith("  10-09 ")]
    assert len(timeline) == len(found_by(case).timeline)
    assert all(re.match(r"  \d\d-\d\d \d\d:\d\d:\d\d (cloudtrail|release|alarm) ", line) for line in timeline)


def test_the_terminal_shows_versions_callers_and_renderings(case: Case) -> None:
    arn = f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}"
    facts = found_by(case).facts
    seen = [
        TrailEvent("RenderPrompt", T0 + 50, EDITOR, "IAMUser", arn),
        TrailEvent("RenderPrompt", T0 + 60, EDITOR, "IAMUser", arn),
        TrailEvent("RenderPrompt", T0 + 70, "app", "AssumedRole", f"{arn}:3", 3),
    ]
    outside = (CallGroup("", "", EDITOR, "amazon.nova-lite-v1:0", "Converse", 17, first=T0 + 5),)
    found = conclude(replace(facts, trail=(*facts.trail, *seen), outside=outside))
    out = io.StringIO()
    show(Console(file=out, width=120, highlight=False), found, None)

    told = " ".join(out.getvalue().split())

    assert "3 published 2025-10-09 06:00:00 by user/author; edited by user/editor; approved by support-lead" in told
    assert "17 of amazon.nova-lite-v1:0 (Converse) by user/editor" in told
    assert "Who rendered which version 2 of DRAFT by user/editor" in told
    assert [(r["version"], r["calls"]) for r in found.to_dict()["rendered"]] == [("DRAFT", 2), (3, 1)]
    assert "Who rendered which version" in html_text(investigation_page(found))
    assert not [h for h in found.timeline if "RenderPrompt" in h.what]


def test_a_tiny_chance_is_printed_as_a_bound(case: Case) -> None:
    found = found_by(case)

    assert "chance < 1e-6" in " ".join(printed(case, 80).split())
    assert found.to_dict()["causes"][0]["contrast"]["chance"] < 1e-20


def test_a_since_in_the_future_is_refused_in_words(case: Case) -> None:
    desk = Desk()
    desk.now = NOW
    deployment = desk.connect()
    deployment.__dict__["sources"] = case.sources()
    desk.connect = lambda: deployment  # type: ignore[method-assign]

    refused = desk.json("investigate", NAME, "--since", "2099-01-01T00:00", exit_code=1)["error"]["message"]

    assert "--since 2099-01-01T00:00 is in the future" in refused
