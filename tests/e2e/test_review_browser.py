"""Reviewers and mail scanners in a real headless Chromium, against the review function's own code."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from functions.request_review import handler as request_review
from local.running import EmbeddedAws
from promptlane.domain.policy import Reviewer, ReviewPolicy
from tests.support.review import LEAD, LEGAL, NEW, OLD, QUALITY, RELEASE, UnderReview
from tests.support.review_stage import staged
from tests.support.site import Site, serving

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
TWO = ReviewPolicy(reviewers=(LEAD, QUALITY, LEGAL), quorum=2, required_groups=("legal",))
XSS = "</textarea></td></table><script>console.error('ran')</script><img src=x onerror=\"console.error('ran')\">"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


class Visitor:
    """A page of its own, with everything that the console said and every address that the page asked for."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context: BrowserContext = browser.new_context(**{"viewport": DESKTOP, **options})
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))

    def decide(self, choice: str, code: str, reason: str) -> str:
        """Fill in the form as a person does; the page's heading afterwards."""
        self.page.get_by_label(choice.capitalize(), exact=True).check()
        self.page.get_by_label("Short code from your email").fill(code)
        self.page.get_by_label("Reason").fill(reason)
        self.page.get_by_role("button", name="Send my decision").click()
        return self.page.get_by_role("heading", level=1).inner_text()


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Any]:
    made: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        made.append(Visitor(browser, **options))
        return made[-1]

    yield make
    for one in made:
        one.context.close()


class WorldSite:
    """A served review, and the world it is of."""

    def __init__(self, world: UnderReview, site: Site) -> None:
        self.world, self.address, self.here = world, site.address, site.here


@pytest.fixture
def site() -> Iterator[WorldSite]:
    world = UnderReview(TWO)
    world.ask()
    with serving(world) as running:
        yield WorldSite(world, running)


def test_a_quorum_of_two_reads_the_email_opens_the_link_reads_the_diff_and_decides(
    site: WorldSite, visitor: Any
) -> None:
    world = site.world
    lead = visitor()
    lead.page.goto(site.here(world.link(LEAD)))
    diff = lead.page.locator("#changes .side")
    assert diff.is_visible()
    assert diff.locator("del").all_inner_texts() == ["2", "politely"], "settings come before texts"
    assert diff.locator("ins").all_inner_texts()[:2] == ["3", "warmly"]
    assert "refund-after-30-days" in lead.page.locator("#tests").inner_text()
    assert "legal-desk (legal)" in lead.page.locator("#people").inner_text()
    assert lead.decide("approve", world.code(), "Friendlier, and no promises") == "You approved version 2"
    assert "1 more approval, among them an approval from legal" in lead.page.locator("main").inner_text()
    assert world.tokens.answers == {}

    legal = visitor(viewport=PHONE, color_scheme="dark", is_mobile=True, has_touch=True)
    legal.page.goto(site.here(world.link(LEGAL)))
    assert "approved" in legal.page.locator("#people").inner_text()
    spelled = world.code(LEGAL).lower().replace("-", " ")
    assert legal.decide("approve", spelled, "Fine by legal") == "You approved version 2"
    assert "The review is complete: approved" in legal.page.locator("main").inner_text()
    assert world.tokens.answers["token-1"]["decision"] == "approved"
    assert lead.said == legal.said == []
    assert all(url.startswith((site.address, "data:")) for url in [*lead.asked, *legal.asked])


def test_a_rejection_with_a_reason_ends_it_and_the_other_is_told(site: WorldSite, visitor: Any) -> None:
    world = site.world
    quality = visitor()
    quality.page.goto(site.here(world.link(QUALITY)))
    assert quality.decide("reject", world.code(QUALITY), "Line one\nLine two") == "You rejected version 2"
    lead = visitor()
    lead.page.goto(site.here(world.link(LEAD)))
    assert lead.page.get_by_role("heading", level=1).inner_text() == "This review is over"
    assert "rejected" in lead.page.locator("main").inner_text()
    assert world.tokens.answers["token-1"]["decision"] == "rejected"


def test_the_whole_page_works_by_keyboard_alone(site: WorldSite, visitor: Any) -> None:
    world = site.world
    lead = visitor()
    lead.page.goto(site.here(world.link(LEAD)))
    lead.page.keyboard.press("Tab")
    assert lead.page.evaluate("document.activeElement.textContent") == "Skip to the decision"
    lead.page.keyboard.press("Enter")
    lead.page.keyboard.press("Tab")
    lead.page.keyboard.press("Space")
    assert lead.page.evaluate("document.activeElement.id") == "approve"
    lead.page.keyboard.press("Tab")
    lead.page.keyboard.type(world.code())
    lead.page.keyboard.press("Tab")
    lead.page.keyboard.type("Read it by keyboard")
    lead.page.keyboard.press("Tab")
    lead.page.keyboard.press("Enter")
    lead.page.get_by_role("heading", name="You approved version 2").wait_for()
    assert world.request.decisions == 1


def test_a_screen_reader_is_told_everything_by_role_and_name(site: WorldSite, visitor: Any) -> None:
    lead = visitor()
    lead.page.goto(site.here(site.world.link(LEAD)))
    page = lead.page
    for title in ("What changes", "If it is approved", "Who decides", "Your decision"):
        assert page.get_by_role("region", name=title).count() == 1
    assert page.get_by_role("group", name="Does this version go to users?").count() == 1
    assert page.get_by_role("textbox", name="Short code from your email").count() == 1
    assert page.get_by_role("table", name="template, side by side").count() == 1
    assert "removed:" in page.locator("td.del").first.inner_text()
    page.get_by_label("Approve", exact=True).check()
    page.get_by_label("Short code from your email").fill("AAAA-AAAA")
    page.get_by_label("Reason").fill("ok")
    page.get_by_role("button").click()
    assert "short code is not the one" in page.get_by_role("alert").inner_text()
    assert page.title().startswith("Error: ")
    assert page.get_by_label("Reason").input_value() == "ok"
    assert page.get_by_label("Short code from your email").get_attribute("aria-invalid") == "true"


def test_everything_works_without_javascript(site: WorldSite, visitor: Any) -> None:
    world = site.world
    lead = visitor(java_script_enabled=False)
    lead.page.goto(site.here(world.link(LEAD)))
    lead.page.get_by_text("One column").click()
    assert lead.page.locator("#changes .unified").is_visible()
    assert not lead.page.locator("#changes .side").is_visible()
    lead.page.get_by_text("Side by side").click()
    assert lead.page.locator("#changes .side").is_visible()
    assert lead.decide("approve", world.code(), "No script needed") == "You approved version 2"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_runs_off_the_screen_and_the_diff_is_one_column(
    site: WorldSite, visitor: Any, scheme: str
) -> None:
    phone = visitor(viewport=PHONE, color_scheme=scheme, is_mobile=True)
    phone.page.goto(site.here(site.world.link(LEAD)))
    assert phone.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert phone.page.locator("#changes .unified").is_visible()
    assert not phone.page.locator("#changes .side").is_visible()
    button = phone.page.get_by_role("button").bounding_box()
    assert button is not None
    assert button["height"] >= 44
    phone.page.goto(site.here(site.world.link(LEAD)) + "x")
    assert phone.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(site: WorldSite, visitor: Any, scheme: str) -> None:
    lead = visitor(color_scheme=scheme)
    lead.page.goto(site.here(site.world.link(LEAD)))
    low = lead.page.evaluate(CONTRAST)
    assert low == []


CONTRAST = """() => {
  const rgb = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const lum = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const under = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
  const low = [];
  for (const e of document.querySelectorAll('main *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    if (!e.checkVisibility()) continue;
    const a = lum(rgb(getComputedStyle(e).color)), b = lum(under(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) low.push([e.tagName, e.textContent.slice(0, 40), ratio.toFixed(2)]);
  }
  return low;
}"""


# --- scanners ------------------------------------------------------------------------------------------------------


def test_a_scanner_that_follows_every_link_and_reloads_decides_nothing(site: WorldSite, visitor: Any) -> None:
    world = site.world
    scanner = visitor()
    for who in (LEAD, QUALITY, LEGAL):
        scanner.page.goto(site.here(world.link(who)))
        for href in scanner.page.eval_on_selector_all("a", "links => links.map(a => a.href)"):
            scanner.page.goto(href)
        scanner.page.goto(site.here(world.link(who)))
        scanner.page.reload()
    assert world.request.decisions == 0
    assert world.tokens.answers == {}
    assert "Review Viewed" not in world.events_seen


def test_a_scanner_that_submits_the_form_by_script_decides_nothing(site: WorldSite, visitor: Any) -> None:
    world = site.world
    scanner = visitor()
    for choice in ("approve", "reject"):
        scanner.page.goto(site.here(world.link(LEAD)))
        # What a scanner knows is on the page: it fills every field with it and submits past the browser's own checks.
        scanner.page.evaluate(
            """choice => {
                document.querySelector('#' + choice).checked = true;
                document.querySelector('#code').value = document.body.innerText.match(/[A-Z0-9]{4}-[A-Z0-9]{4}/)[0];
                document.querySelector('#reason').value = document.title;
                document.querySelector('form').submit();
            }""",
            choice,
        )
        scanner.page.get_by_role("alert").wait_for()
    assert world.request.decisions == 0
    assert world.tokens.answers == {}


def test_a_bare_request_of_any_kind_decides_nothing(site: WorldSite, browser: Browser) -> None:
    world = site.world
    context = browser.new_context()
    form = urlencode({"decision": "approve", "code": world.code(), "reason": "scanned"})
    link = site.here(world.link(LEAD))
    for method in ("GET", "HEAD", "PUT"):
        context.request.fetch(f"{link}&{form}", method=method)
    context.request.post(link, data='{"decision": "approve"}', headers={"content-type": "application/json"})
    assert world.request.decisions == 0
    assert context.request.fetch(link, method="HEAD").body() == b""
    context.close()


def test_going_back_and_sending_again_counts_once(site: WorldSite, visitor: Any) -> None:
    world = site.world
    lead = visitor()
    lead.page.goto(site.here(world.link(LEAD)))
    lead.decide("approve", world.code(), "First")
    lead.page.go_back()
    lead.page.goto(site.here(world.link(LEAD)))
    assert lead.page.get_by_role("heading", level=1).inner_text() == "You already approved this version"
    assert world.request.decisions == 1


def test_parts_are_opened_by_their_buttons_before_there_is_a_form(visitor: Any) -> None:
    old, new = (
        replace(OLD, template="\n".join(f"{word} rule {n}" for n in range(2_500)), model=f"model-{word}")
        for word in ("old", "new")
    )
    world = UnderReview(ReviewPolicy(reviewers=(LEAD, QUALITY)), old=old, new=new)
    world.ask()
    with serving(world) as site:
        lead = visitor(java_script_enabled=False)
        lead.page.goto(site.here(world.link(LEAD)))
        assert "model-new" in lead.page.locator("#changes").inner_text()
        assert lead.page.get_by_label("Reason").count() == 0
        lead.page.get_by_role("button", name="Open it").first.click()
        while "That was the last one" not in lead.page.content():
            lead.page.get_by_role("button", name="Open the next one").first.click()
        lead.page.get_by_role("link", name="Back to the review").first.click()
        assert lead.page.locator("#parts .good").count() == lead.page.locator("#parts li").count() > 1
        assert lead.decide("approve", world.code(), "Read all of it") == "You approved version 2"
        assert world.events_seen.count("Review Viewed") == 1


def test_a_report_in_parts_is_read_by_its_links(site: WorldSite, visitor: Any) -> None:
    rows = "".join(f"<p>case {n} &lt;é&gt;</p>" for n in range(150_000))
    site.world.objects.data["report.html"] = f"<!doctype html><body><main>{rows}</main></body>".encode()
    lead = visitor()
    lead.page.goto(site.here(site.world.link(LEAD)))
    lead.page.get_by_role("link", name="Whole test report").click()
    assert "this is part 1 of 2" in lead.page.content()
    lead.page.get_by_role("link", name="the next one").first.click()
    lead.page.wait_for_load_state()
    assert "this is part 2 of 2" in lead.page.content()
    assert "case 149999" in lead.page.content()


# --- hostile text --------------------------------------------------------------------------------------------------


def test_markup_in_every_text_runs_nothing_and_the_console_stays_silent(visitor: Any) -> None:
    mallory = Reviewer(XSS, LEAD.email, (XSS,), LEAD.principals)
    evil = replace(NEW, template=f"{XSS}\n{{{{customer_name}}}} {{{{question}}}}\n\u202eevil\u202c\x00")
    world = UnderReview(
        ReviewPolicy((mallory, QUALITY), quorum=2), old=replace(OLD, model=XSS), new=evil, description=XSS
    )
    world.ask()
    world.objects.data["report.html"] = f"<!doctype html><title>r</title><p>report {XSS}".encode()
    with serving(world) as site:
        lead = visitor()
        lead.page.goto(site.here(world.link(LEAD)))
        assert "<script>" in lead.page.locator("#changes").inner_text()
        assert "⟦U+202E⟧" in lead.page.locator("#changes").inner_text()
        assert lead.page.locator("script, img, iframe, object").count() == 0
        lead.page.get_by_label("Reason").fill(XSS)
        lead.page.get_by_label("Approve", exact=True).check()
        lead.page.get_by_label("Short code from your email").fill("AAAA-AAAA")
        lead.page.get_by_role("button").click()
        assert lead.page.get_by_label("Reason").input_value() == XSS
        lead.decide("approve", world.code(), XSS)
        assert "<script>" in lead.page.locator("main").inner_text()
        quality = visitor()
        quality.page.goto(site.here(world.link(QUALITY)))
        assert "<script>" in quality.page.locator("#people").inner_text()
        # The browser itself reports the answer to the wrong code; nothing else may be said.
        assert [text for text in lead.said if "422" not in text] == quality.said == []
        # The stored report is another part's page. Should it ever hold a script, the sandbox stops it: the browser
        # says that it blocked it, and nothing ran.
        quality.page.goto(site.here(world.link(QUALITY)).replace(f"/{RELEASE}?", f"/{RELEASE}/report?"))
        assert "ran" not in quality.said
        assert quality.said


@pytest.mark.parametrize(
    ("spoil", "heading"),
    [
        (lambda world, link: link[:-1] + ("A" if link[-1] != "A" else "E"), "This link is not valid"),
        (lambda world, link: link.replace(f"/{RELEASE}?", "/PROMPTID12-9-1?"), "This link belongs to another release"),
        (lambda world, link: link.split("?")[0], "This link is not valid"),
    ],
)
def test_each_wrong_link_says_what_is_wrong(site: WorldSite, visitor: Any, spoil: Any, heading: str) -> None:
    stranger = visitor()
    stranger.page.goto(site.here(spoil(site.world, site.world.link(LEAD))))
    assert stranger.page.get_by_role("heading", level=1).inner_text() == heading
    assert stranger.page.locator("form").count() == 0


def test_a_form_that_was_open_while_the_review_expired_decides_nothing(site: WorldSite, visitor: Any) -> None:
    world = site.world
    lead = visitor()
    lead.page.goto(site.here(world.link(LEAD)))
    world.now = world.request.expires_at + 1
    assert lead.decide("approve", site.world.code(), "Too late") == "This link has expired"
    assert world.request.decisions == 0


# --- over the embedded AWS -----------------------------------------------------------------------------------------


def test_from_the_email_file_to_the_answered_workflow(embedded_aws: EmbeddedAws, visitor: Any) -> None:
    def eventually(probe: Any, seconds: float = 20) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := probe()):
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.1)
        return found

    with staged(embedded_aws, "100000000777") as stage, serving() as site:
        stage.confirm(eventually, LEAD.email, LEGAL.email)
        request_review.handle({"release_id": stage.release_id, "round": 1, "task_token": stage.task_token}, None)
        for who in (LEAD, LEGAL):
            token, code = stage.link(eventually, who.email)
            reader = visitor(viewport=PHONE, is_mobile=True)
            reader.page.goto(f"{site.address}/live/review/{stage.release_id}?t={token}")
            assert "Never promise a refund." in reader.page.locator("#changes .unified").inner_text()
            assert reader.decide("approve", code, "Read in the email first") == "You approved version 2"
            assert reader.said == []
        assert "The review is complete: approved" in reader.page.locator("main").inner_text()
        eventually(lambda: stage.status()["status"] == "SUCCEEDED")
        assert json.loads(stage.status()["output"])["decision"] == "approved"
