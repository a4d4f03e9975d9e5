"""The demo's own parts: reading mail as a reviewer, telling how long the rollback took, drawing the scene."""

from __future__ import annotations

import io
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local.demo.__main__ import show
from local.demo.crowd import Crowd
from local.demo.mailbox import Mailbox, _Form, confirm
from local.demo.play import VERSIONS, Pace, alarm_to_safe_route
from local.demo.questions import QUESTIONS
from local.demo.screen import Screen
from promptlane.domain.names import Phase
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry, iso
from tests.support.prompt import ID, RELEASE

LINK = "http://localhost:4566/_aws/execute-api/ab12/$default/review/PROMPT0001-2-1?token=abc.def"
INVITATION = f"""Hello lead,

Decide here:   {LINK}
Short code:    ABCD-2345   (you type it to decide; opening the link decides nothing)
"""


def write(folder: Path, number: int, body: str, *, to: str = "lead@example.com") -> None:
    message = EmailMessage()
    message["To"], message["Subject"] = to, "Review: greeter version 2"
    message.set_content(body)
    (folder / f"{number}.eml").write_bytes(bytes(message))


def test_an_invitation_is_found_with_link_and_code(tmp_path: Path) -> None:
    write(tmp_path, 1, INVITATION)
    write(tmp_path, 2, "Nothing to decide here.")

    [found] = Mailbox(tmp_path).invitations(RELEASE)

    assert (found.reviewer, found.link, found.code) == ("lead@example.com", LINK, "ABCD-2345")
    assert Mailbox(tmp_path).invitations("PROMPT0001-3-1") == []


def test_a_long_link_survives_the_line_folding_of_email(tmp_path: Path) -> None:
    link = LINK + "x" * 400
    write(tmp_path, 1, INVITATION.replace(LINK, link))

    assert Mailbox(tmp_path).invitations(RELEASE)[0].link == link


def test_every_subscription_is_confirmed_so_that_only_its_owner_can_end_it(tmp_path: Path) -> None:
    arn = "arn:aws:sns:us-east-1:000000000000:lead"
    write(tmp_path, 1, f"Open http://localhost:4566/?Action=ConfirmSubscription&TopicArn={arn}&Token=t0ken to confirm.")

    class Sns:
        def __init__(self) -> None:
            self.calls: list[dict[str, str]] = []

        def confirm_subscription(self, **call: str) -> None:
            self.calls.append(call)

    sns = Sns()

    assert confirm(sns, Mailbox(tmp_path).confirmations()) == ["lead@example.com"]
    assert sns.calls == [{"TopicArn": arn, "Token": "t0ken", "AuthenticateOnUnsubscribe": "true"}]


def test_the_form_of_a_page_is_read_with_its_hidden_fields() -> None:
    form = _Form()
    form.feed(
        '<form method="get"><input type="hidden" name="no" value="1"></form>'
        '<form method="post" action="/there"><input type="hidden" name="round" value="2"><input name="code"></form>'
    )

    assert (form.found, form.action, form.hidden) == (True, "/there", {"round": "2"})


def rolled_back(**detail: Any) -> list[dict[str, Any]]:
    return [{"event": "Release Rolled Back", "at": iso(1_000_001.25), "by": "x", "detail": detail}]


def test_the_time_to_the_safe_route_counts_from_the_alarms_change() -> None:
    timeline = rolled_back(cause="alarm", evidence={"changed_at": 1_000_000.5})

    assert alarm_to_safe_route(timeline) == pytest.approx(0.75)


@pytest.mark.parametrize("detail", [{"cause": "judge", "evidence": {"changed_at": 1.0}}, {"cause": "alarm"}])
def test_a_rollback_that_no_alarm_caused_has_no_such_time(detail: dict[str, Any]) -> None:
    assert alarm_to_safe_route(rolled_back(**detail)) is None
    assert alarm_to_safe_route([]) is None


def test_a_third_of_the_questions_is_about_what_the_suite_does_not_cover() -> None:
    total = sum(often for often, _, _ in QUESTIONS)
    uncovered = sum(often for often, _, q in QUESTIONS if "gift card" in q or "voucher" in q)

    assert 0.25 <= uncovered / total <= 0.4


def test_every_version_of_the_play_has_a_folder() -> None:
    assert all((folder / "prompt.yaml").is_file() for folder, _ in VERSIONS.values())


def test_a_slower_model_stretches_every_act_but_not_the_looks() -> None:
    slow = Pace().times(10)

    assert (slow.review, slow.look) == (Pace().review * 10, Pace().look)


def test_totals_are_summed_over_processes() -> None:
    crowd = Crowd({}, prompt="p", users=10, rate=1)
    crowd._latest = {
        0: {"total": 3, "failed": 1, "by_version": {"1": 2}, "by_track": {"stable": 2}, "last_error": ""},
        1: {"total": 4, "failed": 0, "by_version": {"1": 3, "2": 1}, "by_track": {"stable": 4}, "last_error": "x"},
    }

    totals = crowd.totals()

    assert (totals["total"], totals["failed"], totals["by_version"]) == (7, 1, {"1": 5, "2": 1})
    assert totals["last_error"] == "x"
    assert not crowd.running


@pytest.mark.parametrize("terminal", [True, False])
def test_the_scene_shows_steps_shares_and_entries(terminal: bool) -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=terminal, width=160, highlight=False))
    first, second = (VersionRef(n, str(n) * 64, f"arn:{n}") for n in (1, 2))
    route = Route("p", ID, first, canary=second, weight=2500, phase=Phase.CANARY)
    with screen:
        screen.begin("Version 2 on trial")
        screen.entry(2, TimelineEntry("x", RELEASE, 0.0, Event.CANARY_SHIFTED, detail={"weight": 2500}))
        screen.look(route, {"total": 7, "failed": 2, "by_version": {"1": 7}}, 3.0)
        panel = Console(file=(drawn := io.StringIO()), width=120)
        panel.print(screen.draw())
        screen.end(failed=True)

    assert "v2 25%" in drawn.getvalue()
    assert "2 failed" in drawn.getvalue()
    assert "weight 25%" in drawn.getvalue()
    assert "Version 2 on trial" in out.getvalue()


def test_the_end_shows_both_timelines_and_the_numbers() -> None:
    out = io.StringIO()
    entry = {"at": iso(0), "event": "Canary Shifted", "by": "promptlane", "detail": {"weight": 500}}
    releases = [
        {"release_id": f"P-{n}-1", "prompt": "p", "version": n, "outcome": outcome, "timeline": [entry]}
        for n, outcome in ((2, "promoted"), (3, "rolled_back"))
    ]
    requests = {"total": 1234, "failed": 0, "by_version": {"1": 1000, "2": 234}}

    show(
        Screen(Console(file=out, width=200)),
        {"releases": releases, "alarm_to_safe_route_seconds": 1.153, "requests": requests},
    )

    assert "Version 3: rolled back" in out.getvalue()
    assert "1.15 s" in out.getvalue()
    assert "1,234 questions" in out.getvalue()
