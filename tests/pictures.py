"""Takes docs/images, the review page as reviewers see it, from the review function's own code: `make pictures`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from promptlane.domain.policy import ReviewPolicy
from tests.support.review import LEAD, LEGAL, NEW, OLD, QUALITY, UnderReview
from tests.support.site import serving

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
RULES = "".join(f"{n}. Rule number {n} about politeness and facts.\n" for n in range(1, 15))
FACTS = "Use only the facts below. If they do not answer the question, say so"
BEFORE = replace(
    OLD,
    template=f"You help customers of a shop.\n\nCustomer: {{{{customer_name}}}}\n\n{FACTS} and offer a person.\n\n"
    f"<facts>\n{{{{question}}}}\n</facts>\n\n{RULES}Be brief.\n",
)
AFTER = replace(
    NEW,
    model="amazon.nova-pro-v1:0",
    template=str(BEFORE.template)
    .replace("so and offer a person", "so, apologise once, and offer to connect them to a person")
    .replace("9. Rule number 9 about politeness and facts.\n", "")
    + "Never promise a refund before order and date are known.\u202e\n",
)


@contextmanager
def visit(browser: Browser, **options: Any) -> Iterator[Page]:
    context = browser.new_context(**options)
    yield context.new_page()
    context.close()


def take(browser: Browser, world: UnderReview, address: str) -> None:
    with visit(browser, viewport=DESKTOP) as page:
        page.goto(address)
        page.screenshot(path=IMAGES / "review-desktop.png", full_page=True)
    with visit(browser, viewport=PHONE, color_scheme="dark") as page:
        page.goto(address)
        page.screenshot(path=IMAGES / "review-phone-dark.png", full_page=True)
    with visit(browser, viewport=PHONE) as page:
        page.goto(address)
        page.get_by_label("Approve", exact=True).check()
        page.get_by_label("Reason").fill("Looks right")
        code = page.get_by_label("Short code from your email")
        code.fill("AAAA-AAAA")
        page.get_by_role("button", name="Send my decision").click()
        page.screenshot(path=IMAGES / "review-phone-fault.png", full_page=True)
        code.fill(world.code())
        page.get_by_role("button", name="Send my decision").click()
        page.screenshot(path=IMAGES / "review-decided.png", full_page=True)


def main() -> None:
    world = UnderReview(
        ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2, required_groups=("legal",)),
        BEFORE,
        AFTER,
        "Fewer empty apologies, no refund promises (ticket SUP-481)",
        states={QUALITY.email: "pending"},
        now=1_780_000_000.0,
    )
    world.ask()
    with serving(world) as site, sync_playwright() as playwright:
        chromium = shutil.which("chromium") or "/usr/bin/chromium"
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        take(browser, world, site.here(world.link(LEAD)))
        browser.close()


if __name__ == "__main__":
    main()
