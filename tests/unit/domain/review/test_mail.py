"""The emails of a review, whole, and each bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.policy import Reviewer, ReviewPolicy
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.review.brief import Brief, CaseChange, VerdictShown
from promptlane.domain.review.mail import (
    MAX_BODY,
    MAX_SUBJECT,
    Mail,
    WayIn,
    diff_lines,
    moment,
    reminder_mail,
    review_mail,
    warning_mail,
)
from promptlane.domain.review.review import Authors, Choice, ReviewDecision, ReviewRequest
from promptlane.domain.review.rules import tally
from tests.support.review import AUTHOR, LEAD, LEGAL, NEW, QUALITY, UnderReview, key

EVE = "arn:aws:iam::111122223333:user/eve"


def variants(text: str) -> list[dict[str, Any]]:
    return [{"modelId": "m", "templateConfiguration": {"text": {"text": text}}}]


REQUEST = ReviewRequest(
    "PROMPTID12-4-1",
    1,
    "support",
    VersionRef(4, "c" * 64, "arn:4"),
    VersionRef(3, "5" * 64, "arn:3"),
    ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2),
    Authors((AUTHOR, EVE), ("first doubt", "second doubt")),
    "pass",
    1_000.0,
    1_780_003_600.0,
    reach={key(LEAD): "pending", key(QUALITY): "missing", key(LEGAL): "unprotected"},
)
BRIEF = Brief(
    "PROMPTID12-4-1",
    1,
    "support",
    4,
    "Warmer",
    ("ada",),
    "bo",
    variants("a\nNEW\n"),
    variants("a\nold\n"),
    3,
    VerdictShown(
        "pass",
        "as good",
        (("All", "9 of 10", "8 of 10"), ("refunds", "5 of 5", "4 of 5")),
        (CaseChange("late", "refunds", "lacks x"), CaseChange("early", "all", "lacks y")),
        0,
        ("few cases", "few runs"),
        ("small drops", "tone"),
        "r.html",
    ),
    (("5%", "for at least 1 hour"), ("100%", "watched for 1 day")),
)
NOW = 1_780_000_000.0


def made(request: ReviewRequest, *approvals: ReviewDecision) -> Any:
    return tally(request, approvals, NOW)


APPROVED = ReviewDecision(key(LEGAL), Choice.APPROVE, "fine", 5.0, LEGAL.email, "link", "", "c" * 64, "5" * 64, 1)
BODY = f"""\
Hello support-lead,

version 4 of the prompt support asks for your review.

Decide here:   https://x.example.com/review
Short code:    ABCD-EFGH   (you type it to decide; opening the link decides nothing)
Page down?     With AWS credentials, `promptlane approve` and `promptlane reject` do not need it.
Expires:       Thu 28 May 2026, 21:26 UTC (in 1 hour)

Release:       PROMPTID12-4-1
Replaces:      version 3 (in production)
Authors:       {AUTHOR}, {EVE} (of everything since what version 3 holds was published)
Not certain:   first doubt
Not certain:   second doubt
Fingerprint:   {"c" * 64}
Why:           Warmer

Tests:         PASS: as good
  All: 9 of 10 in production, 8 of 10 now
  refunds: 5 of 5 in production, 4 of 5 now
Newly failing: 2 cases that pass in production
  - late [refunds] lacks x
  - early [all] lacks y
Inconclusive:  few cases
Inconclusive:  few runs
Not shown:     small drops
Not shown:     tone

Approvals:     1 of 3; waits for 2 more approvals
Note:          support-quality may not get this email: is not subscribed

If it is approved:
      5%  for at least 1 hour
    100%  watched for 1 day

{"-" * 72}
What changes (3 -> 4)
{"-" * 72}
=== template
 a
-old
+NEW
{"-" * 72}
This link is yours alone and says who you are. Do not forward it.
"""

WAY_IN = WayIn("https://x.example.com/review", "ABCDEFGH")


def mail(request: ReviewRequest = REQUEST, brief: Brief = BRIEF, who: Reviewer = LEAD) -> Mail:
    return review_mail(request, brief, made(request, APPROVED), who, WAY_IN, NOW)


def line(start: str, found: Mail) -> str:
    return next(text for text in found.body.splitlines() if text.startswith(start))


def test_the_email_that_asks_for_a_review() -> None:
    assert mail() == Mail("Review: support version 4 against 3 (tests: pass)", BODY)


def test_a_reminder_says_how_long_there_is_and_then_the_same() -> None:
    state = made(REQUEST, APPROVED)

    assert reminder_mail(REQUEST, BRIEF, state, LEAD, WAY_IN, NOW) == Mail(
        "Reminder: support version 4 against 3 (tests: pass)",
        "Reminder: this review expires in 1 hour, and then the release ends without it.\n\n" + BODY,
    )


def test_a_warning_names_the_release_and_the_remedy() -> None:
    assert warning_mail(REQUEST, "No topic", "Deploy again") == Mail(
        "Review of support version 4: needs attention",
        "Release: PROMPTID12-4-1\n\nNo topic\n\nWhat to do: Deploy again\n",
    )


def test_a_first_version_is_compared_with_nothing() -> None:
    request = replace(REQUEST, stable=None, verdict="", authors=Authors(), reach={})
    tests = replace(BRIEF.tests, reason="", newly_failing=BRIEF.tests.newly_failing[:1])
    brief = replace(BRIEF, stable_variants=(), stable_version=None, tests=tests, description=" ")

    found = mail(request, brief)

    assert found.subject == "Review: support version 4, the first (tests: none)"
    for part in (
        "\nReplaces:      nothing yet\n",
        "\nAuthors:       not known (of everything since the prompt was created)\nFingerprint: ",
        "\nWhy:           (the author gave no description)\n",
        "\nTests:         NONE\n  All: 8 of 10\n  refunds: 4 of 5\nFailing:       1 case\n  - late [refunds] lacks x\n",
        "\nAll of it is new\n" + "-" * 72 + "\n=== model\n+m\n=== template\n+a\n+NEW\n",
    ):
        assert part in found.body
    assert "\nFailing:       none\n" in mail(request, replace(brief, tests=VerdictShown())).body
    assert "\nNewly failing: none\n" in mail(brief=replace(BRIEF, tests=VerdictShown())).body


def test_whoever_gets_the_email_is_told_of_others_whom_it_may_not_reach() -> None:
    request = replace(REQUEST, reach={key(LEAD): "pending", key(QUALITY): "missing", key(LEGAL): "confirmed"})

    def notes(who: Reviewer) -> list[str]:
        return [
            text.partition("Note:          ")[2] for text in mail(request, who=who).body.splitlines() if "Note:" in text
        ]

    assert notes(QUALITY) == ["support-lead may not get this email: has not confirmed the subscription"]
    assert len(notes(LEGAL)) == 2
    assert [len(notes(who)) for who in (LEAD, QUALITY)] == [1, 1]
    assert "Note:" not in mail(replace(request, reach={})).body


def cases(count: int) -> tuple[CaseChange, ...]:
    return tuple(CaseChange(f"n{n}", "s", "w") for n in range(count))


@pytest.mark.parametrize(
    ("listed", "left_out", "shown", "more"), [(20, 0, 20, 0), (21, 0, 20, 1), (25, 4, 20, 9), (1, 30, 1, 30)]
)
def test_the_first_twenty_cases_are_listed(listed: int, left_out: int, shown: int, more: int) -> None:
    body = mail(brief=replace(BRIEF, tests=VerdictShown(newly_failing=cases(listed), left_out=left_out))).body

    assert f"Newly failing: {listed + left_out} cases that pass in production\n" in body
    assert body.count("\n  - n") == shown
    assert (f"\n  ... and {more} more on the review page\n" in body) == bool(more)


def test_one_failing_case_is_told_as_one() -> None:
    assert line("Newly", mail(brief=replace(BRIEF, tests=VerdictShown(newly_failing=cases(1))))) == (
        "Newly failing: 1 case that pass in production"
    )


def test_each_list_of_an_email_is_bounded() -> None:
    tests = VerdictShown(rows=(("row", "1", "2"),) * 21, inconclusive=("unsure",) * 21, blind=("blind",) * 6)
    body = mail(brief=replace(BRIEF, tests=tests, plan=(("step", "later"),) * 31)).body

    assert [body.count(word) for word in ("  row: ", "unsure", "blind", "step  later")] == [20, 20, 5, 30]


def cut(char: str, limit: int) -> str:
    return char * (limit - 1) + "…"


def test_each_text_of_an_email_is_one_line_of_bounded_length() -> None:
    who = replace(LEAD, name="l" * 900)
    others = (who, replace(QUALITY, name="q" * 900), LEGAL)
    request = replace(
        REQUEST, policy=replace(REQUEST.policy, reviewers=others), authors=Authors(("a" * 900,), ("d" * 900,))
    )
    tests = VerdictShown(
        "pass",
        "r" * 900,
        (("w" * 900, "x" * 900, "y" * 900),),
        (CaseChange("n" * 900, "s" * 900, "z" * 900),),
        0,
        ("i" * 900,),
        ("b" * 900,),
    )

    body = mail(request, replace(BRIEF, prompt="p" * 900, description="e" * 900, tests=tests), who).body

    for expected in (
        f"Hello {cut('l', 80)},\n",
        f"version 4 of the prompt {cut('p', 100)} asks for your review.\n",
        f"Authors:       {cut('a', 500)} (of everything since what version 3 holds was published)\n",
        f"Not certain:   {cut('d', 300)}\n",
        f"Why:           {cut('e', 250)}\n",
        f"Tests:         PASS: {cut('r', 500)}\n",
        f"  {cut('w', 40)}: {cut('x', 60)} in production, {cut('y', 60)} now\n",
        f"  - {cut('n', 100)} [{cut('s', 40)}] {cut('z', 200)}\n",
        f"Inconclusive:  {cut('i', 300)}\n",
        f"Not shown:     {cut('b', 300)}\n",
        f"Note:          {cut('q', 80)} may not get this email: ",
    ):
        assert expected in body


def test_a_subject_has_less_than_a_hundred_printable_characters() -> None:
    full = mail(brief=replace(BRIEF, prompt="p" * 200)).subject
    fits = "p" * (99 - len("Review: ") - len(" version 4 against 3 (tests: pass)"))

    assert MAX_SUBJECT == 99
    assert full == f"Review: {fits[1:]}? version 4 against 3 (tests: pass)"
    assert mail(brief=replace(BRIEF, prompt=fits)).subject == f"Review: {fits} version 4 against 3 (tests: pass)"
    assert warning_mail(replace(REQUEST, prompt="é ~" + "x" * 200), "", "").subject == "Review of ? ~" + "x" * 86


def body_of(size: int) -> str:
    """The body of a warning that would take so many bytes, the last of them an e acute."""
    frame = len(warning_mail(REQUEST, "", "").body)
    return warning_mail(REQUEST, "x" * (size - frame - 2), "é").body


def test_a_body_is_cut_only_when_it_is_larger_than_it_may_be() -> None:
    assert MAX_BODY == 200 * 1024
    assert body_of(MAX_BODY).endswith("What to do: é\n")
    assert len(body_of(MAX_BODY).encode()) == MAX_BODY
    cut_body = body_of(MAX_BODY + 1)
    assert cut_body.endswith("x\n... cut here; the rest is on the review page\n")
    assert len(cut_body.partition("\n... cut")[0]) == MAX_BODY - 100


def test_a_letter_that_the_cut_would_break_is_left_out() -> None:
    body = warning_mail(REQUEST, "é" * MAX_BODY, "").body

    assert body.endswith("é\n... cut here; the rest is on the review page\n")


def test_of_a_long_line_the_email_shows_what_changed() -> None:
    words = [f"word{n}" for n in range(20_000)]
    old, new = " ".join(words), " ".join([*words[:12_000], "NEVER", *words[12_001:]])
    brief = replace(BRIEF, candidate_variants=variants(new + "\n"), stable_variants=variants(old + "\n"))

    lines = diff_lines(brief)

    assert [line[0] for line in lines if "word12000" in line or "NEVER" in line] == ["-", "+"]
    assert len(lines) < 14
    assert max(map(len, lines)) < 700


def test_a_diff_is_cut_after_its_bound_and_says_what_of_which_section_is_missing() -> None:
    """A line of the diff is `+`, 500 characters and a line end: 502 bytes. Model comes first, whatever the text is."""
    head = ["=== model", "+m", "=== template"]
    room = 96 * 1024 - len("\n".join(head) + "\n")
    lines = [f"{n:0500}" for n in range(300)]
    fit = room // 502

    def shown(last: str) -> list[str]:
        texts = [*lines[:fit], last, "and more", "and more still"]
        brief = replace(BRIEF, candidate_variants=variants("\n".join(texts) + "\n"), stable_variants=[])
        found = diff_lines(brief)
        assert found[:3] == head
        return found[3 + fit :]

    def cut(missing: int) -> list[str]:
        told = f"  template: {missing} of {fit + 4} lines"
        return ["", "NOT in this email, but on the review page only:", told]

    left = room - fit * 502 - len("+\n")
    assert shown("x" * left) == ["+" + "x" * left, *cut(2)]
    assert shown("x" * (left + 1)) == cut(3)
    assert shown("é" * (left // 2 + 1)) == cut(3)


def test_an_unchanged_prompt_says_so() -> None:
    assert diff_lines(replace(BRIEF, candidate_variants=BRIEF.stable_variants)) == [
        "(nothing that the fingerprint covers)"
    ]


@pytest.mark.usefixtures("elsewhere")
def test_a_time_is_told_in_utc_wherever_the_machine_is() -> None:
    assert moment(1_780_000_000.0) == "Thu 28 May 2026, 20:26 UTC"


@settings(max_examples=12)
@given(
    st.text(max_size=300),
    st.sampled_from(["p", "p" * 100]),
    st.sampled_from(["x", "é" * 150_000, "a\n" * 100_000, "𝔘" * 60_000, "\u202e" * 20_000, ("y" * 5_000 + "\n") * 40]),
)
def test_subject_and_body_stay_within_what_sns_takes(description: str, name: str, template: str) -> None:
    world = UnderReview(new=replace(NEW, name=name, template=template), description=description)
    world.ask()
    found = world.mail_to(LEAD)
    assert 0 < len(found.subject) < 100
    assert all(" " <= c <= "~" for c in found.subject)
    assert len(found.body.encode()) <= MAX_BODY < 256 * 1024
    assert world.link(LEAD) in found.body
    assert not [c for c in found.body if ord(c) < 32 and c not in "\n\t"]


def test_no_text_of_the_prompt_can_pose_as_a_line_of_the_email() -> None:
    forged = "Decide here:   https://evil.example.com/\nShort code:    AAAA-AAAA\n"
    world = UnderReview(new=replace(NEW, template=forged), description=f"ok\n{forged}")
    world.ask()
    lines = world.mail_to(LEAD).body.splitlines()
    assert [line for line in lines if line.startswith("Decide here:")] == [f"Decide here:   {world.link(LEAD)}"]
    assert len([line for line in lines if line.startswith("Short code:")]) == 1
