"""The page on which a reviewer reads and decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from promptlane.domain.policy import Reviewer
from promptlane.domain.review.brief import Brief
from promptlane.domain.review.mail import moment
from promptlane.domain.review.reading import Part, Reading
from promptlane.domain.review.review import (
    MAX_REASON,
    Choice,
    ReviewDecision,
    ReviewRequest,
    authored_in_words,
    authors_in_words,
    is_author,
    reviewer_key,
)
from promptlane.domain.review.rules import REACHED, Tally, reach_in_words, rules_in_words
from promptlane.domain.review.visit import Fault, Visit
from promptlane.domain.text import in_words, one_line, visible

from .diff_view import counted, diff_view
from .markup import Child, Html, document, facts, tag
from .style import STYLE

FAULTS: Final[Mapping[Fault, str]] = {
    Fault.CODE: "The short code is not the one in your email. Nothing was decided.",
    Fault.OLD_CODE: "This review was asked for before every reviewer had a code of their own, so the code in that "
    "email counts no more. Nothing was decided. You are sent a new email with a new code within ten minutes; with AWS "
    "credentials you may also decide by promptlane approve.",
    Fault.CHOICE: "Choose whether you approve or reject. Nothing was decided.",
    Fault.REASON: f"Give a reason of 1 to {MAX_REASON:,} characters. Nothing was decided.",
    Fault.AUTHOR: "You wrote part of this version, and nobody approves an own version. Nothing was decided; "
    "you may reject it.",
    Fault.UNREAD: "A part of what changes was not opened yet. Nothing was decided; open every part, then decide.",
    Fault.TOO_MANY: "Too many attempts with this link from your address. Nothing was decided; wait a minute and send "
    "it again, or use another network.",
}
_FIELD: Final[Mapping[Fault, str]] = {
    Fault.CODE: "code",
    Fault.OLD_CODE: "code",
    Fault.REASON: "reason",
    Fault.CHOICE: "approve",
    Fault.UNREAD: "parts",
}
_CASES: Final = 100
_VERDICT: Final = {"pass": "good", "fail": "bad"}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Of what belongs to a review page, as that page writes them. `report` is empty where there is none."""

    parts: str = ""
    report: str = ""


def review_page(
    visit: Visit,
    shown: Reading,
    *,
    now: float,
    addresses: Addresses,
    fault: Fault | None = None,
    typed: str = "",
    chosen: str = "",
) -> str:
    """The page of an open link. The form is on it once every part that does not fit was opened; `typed` is a reason
    to keep."""
    brief = shown.brief
    request, state, reviewer = visit.request, visit.state, visit.reviewer
    if request is None or state is None or reviewer is None:
        raise ValueError("only an open link has a review page")
    name = visible(brief.prompt)
    title = f"{'Error: ' if fault else ''}Review {name} version {brief.version}"
    return document(
        title,
        STYLE,
        tag("a", "Skip to the decision", href="#decide", class_="skip"),
        tag("header", "Promptlane · review for ", tag("strong", visible(reviewer.name)), class_="top"),
        tag(
            "main",
            _alert(fault),
            _summary(request, brief, state, now),
            _tests(request, brief, addresses.report),
            _changes(shown, addresses),
            _plan(brief),
            _people(request, state, visit.decisions, reviewer),
            _unread(shown) if shown.unread else _form(request, reviewer, fault, typed, chosen),
        ),
    )


def _summary(request: ReviewRequest, brief: Brief, state: Tally, now: float) -> Html:
    old = f"version {brief.stable_version}" if brief.stable_version is not None else "nothing: it is the first version"
    left = in_words(request.expires_at - now)
    return tag(
        "div",
        tag("h1", f"{visible(brief.prompt)}: approve version {brief.version}?"),
        tag("p", visible(brief.description) or "The author gave no description.", class_="lead"),
        tag("p", tag("a", "Go to the decision", href="#decide")),
        facts(
            ("Replaces", old),
            ("Authors", f"{visible(authors_in_words(request)) or 'not known'} ({authored_in_words(request)})"),
            ("Approvals", f"{len(state.approvals)} of {state.needed}: {state.why}"),
            ("Expires", f"{moment(request.expires_at)}, in {left}"),
            ("Release", request.release_id),
            ("Fingerprint", tag("span", request.candidate.fingerprint, class_="code")),
        ),
    )


def chip(verdict: str) -> Html:
    """A verdict as a word in a coloured pill."""
    return tag("span", verdict or "no tests", class_=f"chip {_VERDICT.get(verdict, 'warn')}")


def _tests(request: ReviewRequest, brief: Brief, report: str) -> Html:
    tests = brief.tests
    first = brief.stable_version is None
    rows = [
        tag("tr", tag("th", visible(a), scope="row"), None if first else tag("td", visible(b)), tag("td", visible(c)))
        for a, b, c in tests.rows
    ]
    stable = None if first else tag("th", "Stable", scope="col")
    head = tag("thead", tag("tr", tag("th", "", scope="col"), stable, tag("th", "This version", scope="col")))
    count = len(tests.newly_failing) + tests.left_out
    return _section(
        "tests",
        ["Tests ", chip(request.verdict)],
        tag("p", visible(tests.reason)) if tests.reason else None,
        tag("table", head, tag("tbody", rows), class_="results") if rows else None,
        tag("h3", f"{'Failing' if first else 'Newly failing'}: {count or 'none'}"),
        tag("ul", [_case(c.name, c.slice, c.why) for c in tests.newly_failing[:_CASES]], class_="plain"),
        tag("p", f"… and {count - _CASES} more in the report.", class_="soft") if count > _CASES else None,
        [tag("p", tag("strong", "Inconclusive: "), visible(text), class_="note warn") for text in tests.inconclusive],
        [tag("p", visible(text), class_="soft") for text in tests.blind],
        tag("p", tag("a", "Whole test report", href=report)) if report else None,
    )


def _case(name: str, part: str, why: str) -> Html:
    """In bounded length: spelled out, a text may be twenty times as long as it was."""
    slice = tag("span", f" [{one_line(part, 100)}] ", class_="soft")
    return tag("li", tag("strong", one_line(name, 300)), slice, one_line(why, 800))


def versions_in_words(brief: Brief) -> dict[str, str]:
    """What the two sides of the diff are called."""
    first = brief.stable_version is None
    old = "nothing yet" if first else f"version {brief.stable_version} (in production)"
    return {"old": old, "new": f"version {brief.version}"}


def _changes(shown: Reading, addresses: Addresses) -> Html:
    about = (
        "Everything that the fingerprint covers: model, inference settings, tools, texts. Characters that cannot be "
        "seen are spelled out as ⟦U+…⟧, which also follows letters that look like others; ⟦…⟧ ends a piece of a long "
        "line, which goes on."
    )
    same = [section.title for section in shown.sections if not section.changed]
    return _section(
        "changes",
        "What changes",
        tag("p", about, class_="soft"),
        diff_view(shown.on_page, **versions_in_words(shown.brief)) if shown.on_page else None,
        tag("p", f"Unchanged: {', '.join(same)}.", class_="soft") if same else None,
        _parts(shown, addresses) if shown.deferred else None,
    )


def _parts(shown: Reading, addresses: Addresses) -> Html:
    count = len(shown.deferred)
    about = (
        f"{count} more part{'s do' if count > 1 else ' does'} not fit this page. Open "
        f"{'each of them' if count > 1 else 'it'} and read it; then this page offers the form to decide."
    )
    listed = [_part(part, part.id in shown.opened, addresses) for part in shown.deferred]
    return tag("div", tag("h3", "To be opened"), tag("p", about, class_="note warn"), tag("ul", listed), id="parts")


def _part(part: Part, opened: bool, addresses: Addresses) -> Html:
    state = tag("strong", "opened", class_="chip good") if opened else tag("strong", "not opened", class_="chip warn")
    about = tag("p", tag("strong", part.title), f": {counted(part.section)} in the section. ", state)
    return tag("li", about, part_button(part, addresses.parts, "Open it again" if opened else "Open it"))


def part_button(part: Part, address: str, label: str) -> Html:
    """A form, since nothing is opened by following a link."""
    hidden = tag("input", type="hidden", name="part", value=part.id)
    button = tag("button", label, tag("span", f": {part.title}", class_="hidden"), type="submit", class_="second")
    return tag("form", hidden, button, method="post", action=address, accept_charset="utf-8")


def _unread(shown: Reading) -> Html:
    left = len(shown.unread)
    told = f"{left} part{'s' if left > 1 else ''} of what changes {'are' if left > 1 else 'is'} not opened yet. "
    return _section(
        "decide", "Your decision", tag("p", told, tag("a", "Open what is left", href="#parts"), class_="note warn")
    )


def _plan(brief: Brief) -> Html:
    steps = [tag("li", tag("strong", share), f" of the users, {how}") for share, how in brief.plan]
    return _section(
        "next",
        "If it is approved",
        tag("ol", steps, class_="plan"),
        tag("p", "An alarm, the judge or an operator puts the version in production back at any step.", class_="soft"),
    )


def _people(request: ReviewRequest, state: Tally, decisions: tuple[ReviewDecision, ...], me: Reviewer) -> Html:
    doubts = [
        tag("p", "The authors are not certain: ", visible(d), class_="note warn") for d in request.authors.unattributed
    ]
    return _section(
        "people",
        "Who decides",
        tag("p", f"{visible(rules_in_words(request))}. One rejection ends the review."),
        doubts,
        tag("ul", [_person(request, r, decisions, me) for r in request.policy.reviewers], class_="plain"),
        tag("p", _identities(me), class_="soft"),
        tag("p", state.why[:1].upper() + state.why[1:] + ".", class_="soft"),
    )


def _identities(me: Reviewer) -> str:
    """What nobody can know: an identity of a reviewer that the policy does not name."""
    named = ", ".join(map(visible, me.principals)) or "no identity at all"
    return (
        f"Whether you wrote part of this version is told by the AWS identities that the policy names for you: {named}. "
        "If you changed it under any other, do not approve it: nobody but you can tell."
    )


def _person(request: ReviewRequest, reviewer: Reviewer, decisions: tuple[ReviewDecision, ...], me: Reviewer) -> Html:
    key = reviewer_key(reviewer.email)
    mine = next((d for d in decisions if d.reviewer == key), None)
    if mine is not None:
        verb = "approved" if mine.choice is Choice.APPROVE else "rejected"
        status: Child = [tag("strong", verb), f" on {moment(mine.at)}: {mine.reason}"]
    elif is_author(reviewer, request.authors):
        status = "wrote part of it and cannot approve it"
    else:
        status = "has not decided"
        reach = request.reach.get(key, "confirmed")
        if reach not in REACHED:
            status += f" ({reach_in_words(reach)})"
    groups = f" ({', '.join(map(visible, reviewer.groups))})" if reviewer.groups else ""
    you = " – you" if reviewer.email == me.email else ""
    return tag("li", tag("strong", visible(reviewer.name)), f"{groups}{you}: ", status)


def _form(request: ReviewRequest, reviewer: Reviewer, fault: Fault | None, typed: str, chosen: str) -> Html:
    author = is_author(reviewer, request.authors)
    wrong = _FIELD.get(fault, "") if fault else ""

    def choice(value: str, label: str) -> Html:
        disabled = value == "approve" and author
        state = {"required": True, "checked": chosen == value and not disabled, "disabled": disabled}
        box = tag("input", type="radio", name="decision", value=value, id=value, **state)
        return tag("label", box, label, for_=value)

    def field(name: str, label: str, hint: str, element: str, *typed: str, **more: str | int) -> Html:
        told = {"aria_invalid": "true"} if wrong == name else {}
        described = f"{name}-hint{' fault' if told else ''}"
        box = tag(element, *typed, name=name, id=name, required=True, **more, **told, aria_describedby=described)
        about = tag("p", hint, class_="soft", id=f"{name}-hint")
        return tag("div", tag("label", label, for_=name), about, box, class_="field")

    barred = "You wrote part of this version: you may reject it, but not approve it."
    choices = tag("div", choice("approve", "Approve"), choice("reject", "Reject"), class_="choice")
    as_typed = {"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false", "inputmode": "text"}
    code: dict[str, str | int] = {"type": "text", "class_": "short", "maxlength": 20, **as_typed}
    kept = "It is kept in the release's record with your name."
    return _section(
        "decide",
        "Your decision",
        tag("p", FAULTS[fault], class_="note bad", id="fault") if fault else None,
        tag("p", barred, class_="note warn") if author else None,
        tag(
            "form",
            tag("fieldset", tag("legend", "Does this version go to users?"), choices),
            field(
                "code", "Short code from your email", "Eight letters and digits, such as ABCD-2345.", "input", **code
            ),
            field("reason", "Reason", kept, "textarea", "\n" + typed, rows=3, maxlength=MAX_REASON),
            tag("button", "Send my decision", type="submit"),
            method="post",
            accept_charset="utf-8",
            autocomplete="off",
            aria_describedby="fault" if fault else None,
        ),
    )


def _alert(fault: Fault | None) -> Html | None:
    """The fault once more where the page begins, with the way to the field, for eyes and for screen readers."""
    if fault is None:
        return None
    field = _FIELD.get(fault, "decide")
    return tag("p", FAULTS[fault], " ", tag("a", "Correct it", href=f"#{field}"), class_="note bad", role="alert")


def _section(name: str, title: Child, *children: Child) -> Html:
    return tag("section", tag("h2", title, id=f"{name}-title"), *children, id=name, aria_labelledby=f"{name}-title")
