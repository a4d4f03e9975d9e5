"""One part of a review that does not fit the review page."""

from __future__ import annotations

from promptlane.domain.review.reading import Part, Reading
from promptlane.domain.text import visible

from .diff_view import diff_view
from .markup import Html, document, tag
from .review_page import part_button, versions_in_words
from .style import STYLE


def part_page(shown: Reading, part: Part, *, back: str, here: str) -> str:
    """The page of an opened part. `back` is the address of the review page, `here` of this one."""
    brief = shown.brief
    left = len(shown.unread)
    told = f"{left} more to open." if left else "That was the last one: the review page now offers the form to decide."
    return document(
        f"{part.title} – {visible(brief.prompt)} version {brief.version}",
        STYLE,
        tag("header", "Promptlane · ", tag("a", "back to the review", href=back), class_="top"),
        tag(
            "main",
            tag("h1", f"{visible(brief.prompt)} version {brief.version}: {part.title}"),
            _ways(shown, told, back, here),
            tag("section", diff_view([part], **versions_in_words(brief)), id="changes", aria_label="What changes"),
            _ways(shown, told, back, here),
        ),
    )


def _ways(shown: Reading, told: str, back: str, here: str) -> Html:
    following = shown.unread[0] if shown.unread else None
    go_on = part_button(following, here, "Open the next one") if following else None
    return tag("div", tag("p", told, " ", tag("a", "Back to the review", href=back)), go_on)
