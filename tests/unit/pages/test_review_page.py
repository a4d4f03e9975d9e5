"""The page behind the link: what each request may do, what each link opens, and that hostile text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.aws import http_events
from promptlane.domain.errors import Unavailable
from promptlane.domain.policy import Reviewer, ReviewPolicy
from promptlane.domain.release.guardrail import Guardrail
from promptlane.pages.markup import Html, document, tag
from promptlane.pages.style import STYLE
from tests.support.review import LEAD, LEGAL, NEW, OLD, QUALITY, RELEASE, UnderReview, key, person

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&{{question}}\u202e\x00\x1b[31m</style></title>"


class Reader(HTMLParser):
    """Elements and attributes as a browser sees them."""

    VOID = frozenset({"br", "col", "hr", "input", "link", "meta"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


ALLOWED = frozenset(
    {
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "header",
        "main",
        "div",
        "section",
        "h1",
        "h2",
        "h3",
        "p",
        "a",
        "strong",
        "span",
        "code",
        "dl",
        "dt",
        "dd",
        "ul",
        "ol",
        "li",
        "table",
        "colgroup",
        "col",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "del",
        "ins",
        "input",
        "label",
        "form",
        "fieldset",
        "legend",
        "textarea",
        "button",
    }
)


def harmless(body: str) -> Reader:
    """Only our elements, no script, no handler, no address that leaves the page."""
    page = Reader(body)
    for name, attributes in page.tags:
        assert name in ALLOWED
        assert not [a for a in attributes if a.startswith("on") or a in ("style", "src", "formaction")]
        assert re.match(r"^([0-9A-Za-z-]+/)?part\?t=[0-9A-Za-z._-]+$", attributes.get("action") or "part?t=x")
        target = attributes.get("href")
        assert target is None or re.match(
            r"^(#[a-z-]*|data:,|[0-9A-Za-z-]+/report\?t=[0-9A-Za-z._-]+|\.\./[0-9A-Za-z-]+\?t=[0-9A-Za-z._-]+)$", target
        )
    return page


def world() -> UnderReview:
    made = UnderReview()
    made.ask()
    return made


def test_get_shows_everything_that_a_reviewer_needs() -> None:
    w = world()
    answer = w.http("GET", w.token(LEAD))
    text = harmless(answer["body"]).text
    assert answer["statusCode"] == 200
    for expected in (
        "Warmer greeting, no promises",
        "user/author",
        "refund-after-30-days",
        "Inconclusive",
        "5%",
        "at least 10 minutes",
        "legal-desk (legal)",
        "0 of 1",
        "politely",
        "warmly",
        "Never promise a refund.",
        "Send my decision",
    ):
        assert expected in text


def test_the_short_code_is_in_the_email_and_nowhere_on_the_page() -> None:
    w = world()
    body = w.http("GET", w.token(LEAD))["body"]
    assert w.code().replace("-", "") not in body
    assert w.code() not in body
    assert "token-1" not in body


def test_headers_let_nothing_run_load_or_leak() -> None:
    headers = world().http("GET", "x")["headers"]
    hashed = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    csp = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert csp["default-src"] == "'none'"
    assert csp["style-src"] == f"'sha256-{hashed}'"
    assert csp["form-action"] == "'self'"
    assert csp["frame-ancestors"] == "'none'"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"


def test_a_view_is_recorded_for_what_a_person_does_once_per_reviewer() -> None:
    w = UnderReview(old=REWRITTEN[0], new=REWRITTEN[1], policy=ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2))
    w.ask()

    def viewed() -> list[str]:
        return [e.by for e in w.releases.timeline(RELEASE) if e.event == "Review Viewed"]

    for method in ("GET", "HEAD", "GET"):
        w.http(method, w.token(LEAD))
        w.http(method, w.token(LEAD), path="/part")
        w.http(method, w.token(LEAD), path="/report")
    w.send(LEAD, code="AAAAAAAA")
    assert viewed() == []
    open_all(w, LEAD)
    assert viewed() == [LEAD.email]
    w.send(LEAD)
    open_all(w, QUALITY)
    assert viewed() == [LEAD.email, QUALITY.email]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_a_post_can_decide(method: str) -> None:
    w = world()
    form = urlencode({"decision": "approve", "code": w.code(), "reason": "scanned"})
    answer = w.http(method, w.token(LEAD), body=form)
    assert w.request.decisions == 0
    assert w.tokens.answers == {}
    assert answer["statusCode"] == (200 if method in ("GET", "HEAD") else 405)


def test_head_answers_as_get_without_a_body_and_records_no_view() -> None:
    w = world()
    assert w.http("HEAD", w.token(LEAD))["body"] == ""
    assert "Review Viewed" not in w.events_seen


def test_a_scanner_that_submits_the_form_as_it_is_decides_nothing() -> None:
    w = world()
    page = Reader(w.http("GET", w.token(LEAD))["body"])
    fields = {
        a["name"] or "": a.get("value") or ""
        for name, a in page.tags
        if name in ("input", "textarea") and a.get("name")
    }
    for guess in ("", "on", "test", "12345678", "ABCD-2345"):
        for choice in ("approve", "reject"):
            w.http(
                "POST", w.token(LEAD), body=urlencode({**fields, "decision": choice, "code": guess, "reason": "test"})
            )
    assert w.request.decisions == 0
    assert w.tokens.answers == {}
    assert "Review Link Refused" in w.events_seen


def test_attempts_are_limited_and_even_the_right_code_waits_then() -> None:
    w = world()
    for _ in range(5):
        assert w.send(LEAD, code="AAAAAAAA")["statusCode"] == 422
    limited = w.send(LEAD)
    assert limited["statusCode"] == 429
    assert w.request.decisions == 0
    assert w.send(QUALITY)["statusCode"] == 200  # one reviewer's scanner keeps nobody else out
    w.now += 60
    assert w.send(LEGAL)["statusCode"] == 410
    refused = [e for e in w.releases.timeline(RELEASE) if e.event == "Review Link Refused" and e.by == LEAD.email]
    assert len(refused) == 5


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        ({"code": "AAAAAAAA", "decision": "approve", "reason": "ok"}, "short code"),
        ({"decision": "", "reason": "ok"}, "Choose"),
        ({"decision": "maybe", "reason": "ok"}, "Choose"),
        ({"decision": "approve", "reason": "   "}, "Give a reason"),
        ({"decision": "approve", "reason": "x" * 2_001}, "Give a reason"),
        ({}, "Choose"),
    ],
)
def test_a_fault_says_what_to_correct_and_keeps_what_was_typed(form: dict[str, str], fault: str) -> None:
    w = world()
    answer = w.http("POST", w.token(LEAD), body=urlencode({"code": w.code(), **form}))
    page = harmless(answer["body"])
    assert answer["statusCode"] == 422
    assert fault in page.text
    assert [name for name, a in page.tags if a.get("role") == "alert"] == ["p"]
    assert form.get("reason", "")[:100] in page.text
    assert w.request.decisions == 0


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        (lambda t: t[:-1] + ("A" if t[-1] != "A" else "E"), 403, "not valid"),
        (lambda t: t.replace(key(LEAD), key(QUALITY)), 403, "not valid"),
        (lambda t: t.replace(".1.", ".2.", 1), 403, "not valid"),
        (lambda t: re.sub(r"\.(\d{5,})\.", ".99999999999.", t), 403, "not valid"),
        (lambda t: t[:60], 403, "not valid"),
        (lambda t: "", 403, "not valid"),
        (lambda t: "x" * 10_000, 403, "not valid"),
        (lambda t: "\x00\u202e<script>", 403, "not valid"),
    ],
)
def test_a_link_that_we_did_not_sign_opens_nothing_and_stays_out_of_the_timeline(
    change: Callable[[str], str], status: int, says: str
) -> None:
    w = world()
    before = w.events_seen
    for method in ("GET", "POST"):
        answer = w.http(
            method, change(w.token(LEAD)), body=urlencode({"decision": "approve", "code": w.code(), "reason": "x"})
        )
        assert answer["statusCode"] == status
        assert says in harmless(answer["body"]).text
    assert w.events_seen == before
    assert w.request.decisions == 0


def test_a_link_of_another_release_is_told_apart_and_recorded_where_it_belongs() -> None:
    w = world()
    answer = w.http("GET", w.token(LEAD), release_id="PROMPTID12-3-1")
    assert answer["statusCode"] == 403
    assert "another release" in answer["body"]
    assert w.releases.timeline(RELEASE)[-1].detail["why"] == "foreign"


def test_an_expired_link_has_its_page_and_one_entry() -> None:
    w = world()
    token = w.token(LEAD)
    w.now = w.request.expires_at + 10
    for _ in range(3):
        answer = w.http("GET", token)
    assert answer["statusCode"] == 410
    assert "expired" in answer["body"]
    refused = [e for e in w.releases.timeline(RELEASE) if e.event == "Review Link Refused"]
    assert [e.detail["why"] for e in refused] == ["expired"]


def test_a_used_link_shows_what_was_decided_with_it() -> None:
    w = UnderReview(ReviewPolicy((LEAD, QUALITY), quorum=2))
    w.ask()
    w.send(LEAD, reason="I read all of it")
    answer = w.http("GET", w.token(LEAD))
    assert answer["statusCode"] == 200
    assert "I read all of it" in answer["body"]
    assert "The review goes on" in answer["body"]


@pytest.mark.parametrize(
    ("body", "content_type", "encoded", "status"),
    [
        ('{"decision": "approve"}', "application/json", False, 415),
        ("decision=approve", "text/plain", False, 415),
        ("decision=approve", "multipart/form-data; boundary=x", False, 415),
        ("%ff%fe=1", "application/x-www-form-urlencoded", False, 400),
        ("no equals sign", "application/x-www-form-urlencoded", False, 400),
        ("decision=approve&decision=reject", "application/x-www-form-urlencoded", False, 400),
        ("&".join(f"f{i}=1" for i in range(50)), "application/x-www-form-urlencoded", False, 400),
        ("not base64!", "application/x-www-form-urlencoded", True, 400),
        ("é=1", "application/x-www-form-urlencoded", False, 400),
        ("reason=" + "x" * 1_000_000, "application/x-www-form-urlencoded", False, 413),
        (base64.b64encode(b"reason=" + b"x" * 70_000).decode(), "application/x-www-form-urlencoded", True, 413),
    ],
)
def test_a_body_that_is_not_our_form_decides_nothing_and_is_told_so(
    body: str, content_type: str, encoded: bool, status: int
) -> None:
    w = world()
    answer = w.http("POST", w.token(LEAD), body=body, content_type=content_type, base64=encoded)
    assert answer["statusCode"] == status
    assert "Nothing was decided" in answer["body"]
    assert w.request.decisions == 0


def test_a_service_that_does_not_answer_is_told_and_nothing_is_lost() -> None:
    w = world()

    def down(*_: object) -> bytes:
        raise Unavailable("KMS is away")

    w.signer.verify = down  # type: ignore[assignment, method-assign]
    answer = w.http("GET", w.token(LEAD))
    assert (answer["statusCode"], answer["headers"]["retry-after"]) == (503, "60")
    assert "KMS" not in answer["body"]


def test_what_was_stored_for_review_must_be_what_is_under_review() -> None:
    w = world()
    brief = w.briefs.get(RELEASE, 1)
    w.briefs.put(replace(brief, candidate_variants=[{"modelId": "another"}]))
    assert w.http("GET", w.token(LEAD))["statusCode"] == 503


def test_the_stored_report_is_shown_in_a_sandbox_with_its_own_styles_only() -> None:
    w = world()
    style = "p{color:red}"
    w.objects.data["report.html"] = f"<!doctype html><style>{style}</style><p>report".encode()
    page = harmless(w.http("GET", w.token(LEAD))["body"])
    (href,) = [a["href"] for name, a in page.tags if name == "a" and "report" in (a["href"] or "")]
    assert href == f"{RELEASE}/report?t={w.token(LEAD)}"
    answer = w.http("GET", w.token(LEAD), path="/report")
    assert answer["statusCode"] == 200
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{hashed}'" in answer["headers"]["content-security-policy"]
    assert answer["headers"]["content-security-policy"].endswith("; sandbox")
    assert w.http("POST", w.token(LEAD), path="/report")["statusCode"] == 405
    assert w.http("GET", w.token(LEAD)[:-2], path="/report")["statusCode"] == 403


def test_a_report_that_is_not_there_is_told() -> None:
    w = world()
    assert w.http("GET", w.token(LEAD), path="/report")["statusCode"] == 404


def hostile_world() -> UnderReview:
    names = (Reviewer(XSS[:60], "support-lead@example.com", ("<b>legal</b>",), LEAD.principals), QUALITY)
    evil = replace(NEW, template=f"{XSS}\n" * 3 + "{{customer_name}} {{question}}")
    w = UnderReview(
        ReviewPolicy(names, quorum=2, required_groups=("<b>legal</b>",)),
        new=evil,
        description=XSS,
        old=replace(OLD, model="<i>model</i>"),
    )
    w.ask()
    return w


def test_markup_in_prompt_name_description_and_reason_stays_text() -> None:
    w = hostile_world()
    page = harmless(w.http("GET", w.token(LEAD))["body"])
    assert "<script>alert(1)</script>" in page.text
    assert "⟦U+202E⟧" in page.text
    assert "\u202e" not in page.text
    assert "\x1b" not in page.text
    harmless(w.send(LEAD, code="AAAAAAAA", reason=XSS + "</textarea><script>")["body"])
    decided = harmless(w.send(LEAD, reason=XSS)["body"])
    assert "<script>alert(1)</script>" in decided.text
    other = harmless(w.http("GET", w.token(QUALITY))["body"])
    assert "<script>alert(1)</script>" in other.text


@settings(max_examples=40)
@given(st.text(max_size=200), st.text(max_size=80), st.text(min_size=1, max_size=100))
def test_no_text_becomes_markup(template: str, description: str, reason: str) -> None:
    w = UnderReview(
        ReviewPolicy((LEAD, QUALITY), quorum=2), new=replace(NEW, template=template), description=description
    )
    w.ask()
    harmless(w.http("GET", w.token(LEAD))["body"])
    try:
        body = urlencode({"decision": "approve", "code": w.code(), "reason": reason})
    except UnicodeEncodeError:
        return
    harmless(w.http("POST", w.token(LEAD), body=body)["body"])


def test_only_what_was_made_as_markup_is_markup() -> None:
    assert tag("p", "<b>", tag("b", "x"), title='"><') == '<p title="&quot;&gt;&lt;">&lt;b&gt;<b>x</b></p>'
    assert isinstance(tag("p"), Html)
    assert "<title>&lt;x&gt;</title>" in document("<x>", STYLE)


REWRITTEN = tuple(
    replace(OLD, template="\n".join(f"{word} {i} <&>" for i in range(3_200)), model=f"model-{word}")
    for word in ("line", "other")
)


def parts_of(body: str) -> list[str]:
    return re.findall(r'name="part" value="([0-9a-f]{32})"', body)


def open_all(w: UnderReview, who: Reviewer) -> list[str]:
    """Open every part that the page lists; the pages of the parts."""
    listed = parts_of(w.http("GET", w.token(who))["body"])
    answers = [w.http("POST", w.token(who), path="/part", body=urlencode({"part": part})) for part in listed]
    assert {answer["statusCode"] for answer in answers} <= {200}
    return [answer["body"] for answer in answers]


def test_a_change_that_does_not_fit_is_read_in_parts_before_the_form_is_there() -> None:
    w = UnderReview(old=REWRITTEN[0], new=REWRITTEN[1])
    w.ask()
    answer = w.http("GET", w.token(LEAD))
    page = harmless(answer["body"])
    assert "model-other" in page.text, "what is small is on the page, whatever else there is"
    assert 'name="code"' not in answer["body"]
    listed = parts_of(answer["body"])
    assert len(listed) > 2

    shown = open_all(w, LEAD)

    seen = [int(n) for body in shown for n in re.findall(r"other (\d+) &lt;&amp;&gt;", harmless_text(body))]
    assert sorted(set(seen)) == list(range(3_200))
    assert 'name="code"' in w.http("GET", w.token(LEAD))["body"]
    assert 'name="code"' not in w.http("GET", w.token(QUALITY))["body"], "each reviewer opens for themselves"
    assert "That was the last one" in shown[-1]


def harmless_text(body: str) -> str:
    harmless(body)
    return re.sub(r"</?(del|ins)>", "", body)


def test_what_the_page_does_not_show_cannot_be_decided_until_every_part_was_opened() -> None:
    w = UnderReview(old=REWRITTEN[0], new=REWRITTEN[1])
    w.ask()
    assert "was not opened yet" in w.send(LEAD)["body"]
    assert w.send(LEAD, "reject")["statusCode"] == 422
    *most, last = parts_of(w.http("GET", w.token(LEAD))["body"])
    for part in most:
        w.http("POST", w.token(LEAD), path="/part", body=urlencode({"part": part}))
    assert w.send(LEAD)["statusCode"] == 422
    assert w.request.decisions == 0
    w.http("POST", w.token(LEAD), path="/part", body=urlencode({"part": last}))
    assert w.send(LEAD)["statusCode"] == 200


@pytest.mark.parametrize(("form", "status"), [("part=" + "0" * 32, 404), ("", 404), ("x", 400), ("part=a&part=b", 400)])
def test_what_is_no_part_opens_nothing(form: str, status: int) -> None:
    w = UnderReview(old=REWRITTEN[0], new=REWRITTEN[1])
    w.ask()
    assert w.http("POST", w.token(LEAD), path="/part", body=form)["statusCode"] == status
    assert w.reviews.marked(RELEASE, "opened#") == set()


@pytest.mark.parametrize("old", [None, Guardrail("gr0000000001", "1")])
def test_a_reviewer_sees_which_guardrail_a_version_brings_or_loses(old: Guardrail | None) -> None:
    new = None if old else Guardrail("gr0000000002", "7")
    w = UnderReview(old=replace(OLD, guardrail=old), new=replace(OLD, guardrail=new))
    w.ask()

    text = harmless(w.http("GET", w.token(LEAD))["body"]).text

    (shown,) = [guard for guard in (old, new) if guard]
    assert f"id: {shown.id}" in text
    assert f"version: {shown.version}" in text


WORST = ("\U000e0100", '"<&>', "\u0430b ")


@pytest.mark.parametrize("text", WORST)
def test_no_page_is_larger_than_an_answer_of_lambda_may_be(text: str) -> None:
    lines = [text * (200_000 // len(text) // 100) + f"{n}\n" for n in range(100)]
    tools = [{"toolSpec": {"name": "t", "description": text * (20_000 // len(text)), "inputSchema": {"json": {}}}}]
    new = replace(OLD, template="".join(lines)[:200_000], additional_fields={"tools": tools})
    w = UnderReview(new=new, description=text * 50)
    w.ask()
    answers = [w.http("GET", w.token(LEAD))]
    for part in parts_of(answers[0]["body"]):
        answers.append(w.http("POST", w.token(LEAD), path="/part", body=urlencode({"part": part})))
    assert {answer["statusCode"] for answer in answers} == {200}
    assert max(len(json.dumps(answer)) for answer in answers) < 5_000_000


def test_every_field_has_a_label_and_every_reference_a_target() -> None:
    w = world()
    for answer in (w.http("GET", w.token(LEAD)), w.send(LEAD, code="AAAAAAAA")):
        page = harmless(answer["body"])
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert len(ids) == len(set(ids))
        labelled = {a["for"] for name, a in page.tags if name == "label"}
        fields = {a["id"] for name, a in page.tags if name in ("input", "textarea")}
        assert fields == labelled
        for _, a in page.tags:
            for attribute in ("aria-labelledby", "aria-describedby"):
                assert set((a.get(attribute) or "").split()) <= set(ids)
            if (a.get("href") or "").startswith("#"):
                assert (a["href"] or "")[1:] in ids
        html = dict(page.tags)["html"]
        assert html["lang"] == "en"


def test_an_author_is_told_and_cannot_tick_approve() -> None:
    w = UnderReview(ReviewPolicy((person("author"), QUALITY)))
    w.ask()
    page = harmless(w.http("GET", w.token(person("author")))["body"])
    assert "You wrote part of this version" in page.text
    (approve,) = [a for name, a in page.tags if a.get("value") == "approve"]
    assert "disabled" in approve


def test_the_handler_reads_forms_strictly() -> None:
    event = {"headers": {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}, "body": "a=%C3%A9+b&c="}
    assert http_events.form(event) == {"a": "é b", "c": ""}
