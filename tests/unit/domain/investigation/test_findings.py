"""What an investigation found, in words and as JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.investigation.causes import Contrast
from promptlane.domain.investigation.findings import (
    Cause,
    ConversationPair,
    Happening,
    Investigation,
    Remedy,
    Rendered,
    Story,
    approvals,
    chance_words,
    clock,
    no_conversations,
    summary,
    who,
)
from promptlane.domain.investigation.invocation import Invocation
from promptlane.domain.investigation.sources import CallGroup, Missing
from promptlane.domain.metrics import GUARD_METRICS, noun_of
from promptlane.domain.text import percent
from promptlane.domain.trail import Window
from tests.support.investigation_case import AUTHOR, EDITOR, NAME, T0
from tests.support.known_facts import LEAD, SECOND, cell, facts
from tests.support.prompt import ID

SHOWN = Contrast("Refusal", (60, 12), (90, 1), 20.0, 0.001)
NOT_SHOWN = Contrast("Error", (60, 4), (90, 3), 1.0, 0.25)


def cause(contrast: Contrast | None = SHOWN, **changes: Any) -> Cause:
    return replace(Cause("version", "Version 7 is worse.", ("Because.", "And so."), T0, 7, contrast), **changes)


def found(*causes: Cause, **changes: Any) -> Investigation:
    return replace(
        Investigation(facts(), (), causes, (), 0, 0, (), Remedy("", "nothing"), ()),
        **changes,
    )


def test_every_guard_metric_has_its_word() -> None:
    assert {name: noun_of(name) for name in GUARD_METRICS} == {
        "Error": "errors",
        "Refusal": "refusals",
        "Empty": "empty answers",
        "Guardrail": "guardrail interventions",
        "Truncation": "truncated answers",
        "Slow": "slow answers",
        "NegativeFeedback": "negative feedback",
        "CostShare": "cost, as a share of its cap",
        "OutputTokensShare": "output tokens, as a share of their cap",
    }


def test_a_line_of_the_timeline_as_json() -> None:
    full = Happening(T0, "cloudtrail", "CreatePromptVersion of version 3", AUTHOR, 3, True)

    assert full.to_dict() == {
        "at": "2025-10-09T07:00:00.000Z",
        "source": "cloudtrail",
        "what": "CreatePromptVersion of version 3",
        "by": AUTHOR,
        "version": 3,
        "change": True,
    }
    assert Happening(T0, "alarm", "x").to_dict() == {
        "at": "2025-10-09T07:00:00.000Z",
        "source": "alarm",
        "what": "x",
        "by": "",
        "version": None,
        "change": False,
    }


FULL_STORY = Story(
    8,
    f"{ID}-8-2",
    "Firmer",
    T0 + 1,
    AUTHOR,
    (EDITOR, "cyd"),
    "bob",
    (LEAD, SECOND),
    "pass",
    T0 + 2,
    T0 + 4,
    T0 + 3,
    T0 + 5.5,
)


def test_a_story_as_json() -> None:
    assert FULL_STORY.to_dict() == {
        "version": 8,
        "release_id": f"{ID}-8-2",
        "description": "Firmer",
        "published_at": "2025-10-09T07:00:01.000Z",
        "published_by": AUTHOR,
        "edited_by": [EDITOR, "cyd"],
        "requested_by": "bob",
        "approved_by": [LEAD, SECOND],
        "tests": "pass",
        "first_served_at": "2025-10-09T07:00:02.000Z",
        "promoted_at": "2025-10-09T07:00:04.000Z",
        "rolled_back_at": "2025-10-09T07:00:03.000Z",
        "restored_at": "2025-10-09T07:00:05.500Z",
    }
    assert Story(8).to_dict() == {
        **dict.fromkeys(FULL_STORY.to_dict()),
        "version": 8,
        "description": "",
        "edited_by": [],
        "approved_by": [],
    }


def test_what_is_not_known_is_empty() -> None:
    assert Story(8) == Story(8, "", "", 0.0, "", (), "", (), "", 0.0, 0.0, 0.0, 0.0)
    assert Happening(T0, "alarm", "x") == Happening(T0, "alarm", "x", "", 0, False)
    assert Cause("bypass", "x", (), T0) == Cause("bypass", "x", (), T0, 0, None, ())
    nothing = (facts(), (), (), (), 0, 0, (), Remedy("", ""), ())
    assert Investigation(*nothing) == Investigation(*nothing, (), (), None)


def test_how_a_version_got_and_lost_its_traffic_is_in_the_order_of_time() -> None:
    assert FULL_STORY.traffic == (
        ("served from", T0 + 2),
        ("rolled back", T0 + 3),
        ("promoted", T0 + 4),
        ("put back by a rollback", T0 + 5.5),
    )
    assert Story(8, first_served=T0 + 9, rolled_back_at=T0 + 1).traffic == (
        ("rolled back", T0 + 1),
        ("served from", T0 + 9),
    )
    assert Story(8).traffic == ()


@pytest.mark.parametrize(
    ("contrast", "shown", "certainty"),
    [
        (None, False, "no count can test it"),
        (SHOWN, True, "chance ≤ 0.001"),
        (NOT_SHOWN, False, "chance ≤ 0.25, not shown"),
        (replace(SHOWN, rivalled=True), False, "not shown: another explanation fits as well"),
    ],
)
def test_how_sure_a_cause_is(contrast: Contrast | None, shown: bool, certainty: str) -> None:
    assert (cause(contrast).shown, cause(contrast).certainty) == (shown, certainty)


def test_a_cause_as_json() -> None:
    assert cause(also=(NOT_SHOWN,)).to_dict() == {
        "kind": "version",
        "title": "Version 7 is worse.",
        "because": ["Because.", "And so."],
        "at": "2025-10-09T07:00:00.000Z",
        "version": 7,
        "shown": True,
        "contrast": SHOWN.to_dict(),
        "also": [NOT_SHOWN.to_dict()],
    }
    assert Cause("bypass", "x", (), 0.0).to_dict() == {
        "kind": "bypass",
        "title": "x",
        "because": [],
        "at": None,
        "version": None,
        "shown": False,
        "contrast": None,
        "also": [],
    }


BAD = Invocation(
    T0 + 9,
    "r-9",
    "Converse",
    "nova",
    "app",
    NAME,
    "3",
    "canary",
    f"{ID}-3-1",
    "Hi you",
    "Sorry",
    "end_turn",
    "Oops",
    frozenset({"Refusal", "Error"}),
    True,
    3,
    4,
)
GOOD = Invocation(T0 + 5, "r-5", "Converse", "nova", "web", version="2", track="stable", sent="Hi", answer="Sure")


def test_a_pair_of_conversations_as_json() -> None:
    pair = ConversationPair(BAD, GOOD, {"name": "you"}, {"name": "me"})

    assert pair.to_dict() == {
        "bad": {
            "at": "2025-10-09T07:00:09.000Z",
            "version": "3",
            "track": "canary",
            "caller": "app",
            "request_id": "r-9",
            "variables": {"name": "you"},
            "sent": "Hi you",
            "answer": "Sorry",
            "stop_reason": "end_turn",
            "error": "Oops",
            "bad": ["Error", "Refusal"],
        },
        "good": {
            "at": "2025-10-09T07:00:05.000Z",
            "version": "2",
            "track": "stable",
            "caller": "web",
            "request_id": "r-5",
            "variables": {"name": "me"},
            "sent": "Hi",
            "answer": "Sure",
            "stop_reason": "",
            "error": None,
            "bad": [],
        },
    }
    assert ConversationPair(BAD, None, {}, {}).to_dict()["good"] is None


def test_renderings_are_named_and_as_json() -> None:
    draft, three = Rendered(0, "", 2, T0, T0 + 1), Rendered(3, "app", 5, T0 + 2, 0.0)

    assert (draft.name, three.name) == ("DRAFT", "version 3")
    assert draft.to_dict() == {
        "version": "DRAFT",
        "caller": None,
        "calls": 2,
        "first": "2025-10-09T07:00:00.000Z",
        "last": "2025-10-09T07:00:01.000Z",
    }
    assert three.to_dict() == {
        "version": 3,
        "caller": "app",
        "calls": 5,
        "first": "2025-10-09T07:00:02.000Z",
        "last": None,
    }


def test_only_a_first_cause_that_is_shown_leads() -> None:
    shown, other = cause(), cause(NOT_SHOWN)

    assert found(shown, other).leading is shown
    assert found(other, shown).leading is None
    assert found().leading is None


def test_the_whole_answer_as_json() -> None:
    known = facts(
        window=Window(T0 - 60, T0 + 600),
        now=T0 + 900,
        cells=(cell(T0, 3, 50, 4, "Error", 120.0),),
        calls=(
            CallGroup("3", "stable", "app", "nova", "Converse", 9, 2, 300, 70, T0 + 1, T0 + 8),
            CallGroup("", "", "", "pro", "InvokeModel", 1),
        ),
        outside=(CallGroup("", "", "web", "pro", "ConverseStream", 4),),
    )
    gap = Missing("metrics", "one", "two", "three")
    happening, pair, rendering = (
        Happening(T0, "route", "x"),
        ConversationPair(BAD, None, {}, {}),
        Rendered(3, "app", 5, T0, T0),
    )
    whole = Investigation(
        known,
        (happening,),
        (cause(),),
        (FULL_STORY,),
        2,
        8,
        ("- a", "+ b"),
        Remedy("do it", "Does it."),
        (gap,),
        (pair,),
        (rendering,),
        cause(),
    )
    nothing = {
        "track": None,
        "caller": None,
        "errors": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "first": None,
        "last": None,
        "version": None,
    }

    assert whole.to_dict() == {
        "schema": 1,
        "prompt": NAME,
        "prompt_id": ID,
        "since": "2025-10-09T06:59:00.000Z",
        "until": "2025-10-09T07:10:00.000Z",
        "generated_at": "2025-10-09T07:15:00.000Z",
        "summary": list(summary(whole)),
        "causes": [cause().to_dict()],
        "remedy": {"command": "do it", "says": "Does it."},
        "before": 2,
        "after": 8,
        "diff": ["- a", "+ b"],
        "versions": [FULL_STORY.to_dict()],
        "conversations": [pair.to_dict()],
        "timeline": [happening.to_dict()],
        "rates": [
            {
                "at": "2025-10-09T07:00:00.000Z",
                "seconds": 120.0,
                "version": 3,
                "metric": "Error",
                "requests": 50,
                "bad": 4,
            }
        ],
        "calls": [
            {
                "version": "3",
                "track": "stable",
                "caller": "app",
                "model": "nova",
                "operation": "Converse",
                "calls": 9,
                "errors": 2,
                "input_tokens": 300,
                "output_tokens": 70,
                "first": "2025-10-09T07:00:01.000Z",
                "last": "2025-10-09T07:00:08.000Z",
            },
            {**nothing, "model": "pro", "operation": "InvokeModel", "calls": 1},
        ],
        "rendered": [rendering.to_dict()],
        "calls_outside_the_split": [
            {**nothing, "caller": "web", "model": "pro", "operation": "ConverseStream", "calls": 4}
        ],
        "missing": [{"source": "metrics", "what": "one", "therefore": "two", "remedy": "three"}],
    }


def test_of_an_answer_without_anything_the_json_says_so() -> None:
    told = found(facts=facts(prompt_id="")).to_dict()

    assert {k: told[k] for k in ("prompt_id", "before", "after", "remedy", "rendered", "conversations")} == {
        "prompt_id": None,
        "before": None,
        "after": None,
        "remedy": {"command": None, "says": "nothing"},
        "rendered": [],
        "conversations": [],
    }


def test_the_summary_is_the_lead_what_can_be_ended_whose_version_it_is_and_how_much_is_missing() -> None:
    lead, ended = cause(title="First."), cause(title="Second.", because=("Unsaid.",), version=8)
    gaps = (Missing("a", "b", "c"), Missing("d", "e", "f"))
    story = Story(8, published_by="ada")
    whole = found(lead, ended, subject=ended, stories=(Story(7, published_by="bob"), story), after=8, missing=gaps)
    people = "Version 8: published by ada; no approval on record."
    lacking = "2 thing(s) could not be learnt; they are listed under what is missing."

    assert list(summary(whole)) == ["First.", "Because.", "And so.", "Second.", people, lacking]
    assert list(summary(replace(whole, subject=lead, missing=(), after=9))) == ["First.", "Because.", "And so."]
    unknown = replace(whole, subject=None, missing=(), facts=facts(releases_known=False))
    assert list(summary(unknown))[3:] == ["Version 8: published by ada; approvals not known."]


def test_without_a_lead_the_summary_says_whether_anything_was_counted() -> None:
    counted = facts(cells=(cell(T0, 3, 5, 0),))

    assert list(summary(found(cause(NOT_SHOWN), facts=counted, subject=cause()))) == [
        f"Nothing shows a rise of bad events of {NAME} that chance would not explain."
    ]
    assert list(summary(found())) == [
        f"There are no counts of {NAME} in this window, so no rise of bad events can be shown."
    ]


CALLED = facts(calls=(CallGroup("3", "stable", "app", "nova", "Converse", 9),))
UNSHOWN = "The invocation log holds calls, but of the records that were read none of version 7 shows what went wrong."


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (found(cause(), facts=CALLED, after=7), UNSHOWN),
        (found(facts=CALLED, after=7), UNSHOWN),
        (found(cause(replace(SHOWN, metric="Guardrail")), facts=CALLED, after=7), UNSHOWN),
        (found(cause(replace(SHOWN, metric="Truncation")), facts=CALLED, after=7), UNSHOWN),
        (found(cause(replace(SHOWN, metric="Error")), facts=CALLED, after=7), UNSHOWN),
        (
            found(cause(replace(SHOWN, metric="Slow")), facts=CALLED, after=7),
            "The invocation log does not tell which calls had slow answers, so no conversation can show them.",
        ),
        (
            found(cause(), subject=cause(replace(SHOWN, metric="Odd")), facts=CALLED, after=7),
            "The invocation log does not tell which calls had Odd, so no conversation can show them.",
        ),
        (found(cause(replace(SHOWN, metric="Slow")), subject=cause(), facts=CALLED, after=7), UNSHOWN),
        (found(cause(), facts=CALLED, after=7, pairs=(ConversationPair(BAD, None, {}, {}),)), ""),
        (found(cause(), after=7), ""),
        (found(cause(), facts=CALLED, after=0), ""),
    ],
)
def test_why_there_are_no_conversations(answer: Investigation, said: str) -> None:
    assert no_conversations(answer) == said


@pytest.mark.parametrize(
    ("rate", "said"),
    [(0.0, "0%"), (0.00349, "0.35%"), (0.0349, "3.5%"), (0.0999, "10%"), (0.256, "25.6%"), (1.0, "100%")],
)
def test_a_share_has_a_decimal_where_it_says_something(rate: float, said: str) -> None:
    assert percent(rate) == said


@pytest.mark.parametrize(
    ("chance", "said"), [(1e-7, "< 1e-6"), (1e-6, "≤ 1e-06"), (0.00127, "≤ 0.0013"), (0.5, "≤ 0.5"), (1.0, "≤ 1")]
)
def test_chances_below_one_in_a_million_are_all_alike(chance: float, said: str) -> None:
    assert chance_words(chance) == said


@pytest.mark.parametrize(
    ("story", "said"),
    [
        (Story(8), "Version 8: publisher unknown; no approval on record."),
        (
            Story(8, published_by="ada", edited_by=("bob", "ada", "cyd"), approved_by=("eve", "dan")),
            "Version 8: published by ada; edited by bob, cyd; approved by eve, dan.",
        ),
        (
            Story(8, description="Be\nfirm" + "!" * 300, published_by="ada", edited_by=("ada",)),
            f"Version 8: published by ada; no approval on record; described as “Be firm{'!' * 192}…”.",
        ),
    ],
)
def test_who_made_a_version(story: Story, said: str) -> None:
    assert who(story, approvals_known=True) == said


def test_approvals_that_are_not_known_are_not_said_to_be_none() -> None:
    assert approvals(Story(8), known=False) == "approvals not known"
    assert approvals(Story(8, approved_by=("eve",)), known=False) == "approved by eve"


def test_a_time_is_read_to_the_second() -> None:
    assert clock(T0 + 59.9) == "2025-10-09 07:00:59"
