"""Signed links: only what was signed, only for its purpose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput
from promptlane.domain.review.link import Link, parse, url
from promptlane.fakes.review import FakeSigner

LINK = Link("PROMPTID12-2-1", 1, "a" * 16, 1_780_000_000)
MAC = FakeSigner().sign(LINK.message)
links = st.builds(
    Link,
    st.from_regex(r"\A[0-9A-Za-z]{10}-[1-9][0-9]{0,4}-[1-9][0-9]{0,2}\Z"),
    st.integers(1, 99_999),
    st.from_regex(r"\A[0-9a-f]{16}\Z"),
    st.integers(1, 999_999_999_999),
)


@given(links, st.binary(min_size=32, max_size=32))
def test_a_link_says_after_the_way_what_it_said_before(link: Link, mac: bytes) -> None:
    token = link.token(mac)
    assert parse(token) == (link, mac)
    assert url("https://x.example.com/live/", link, mac).endswith(f"/live/review/{link.release_id}?t={token}")


@given(links, links)
def test_two_links_never_sign_the_same_message(one: Link, other: Link) -> None:
    assert (one.message == other.message) == (one == other)


@given(st.integers(0, len(LINK.token(MAC)) - 1), st.characters(codec="utf-8"))
def test_one_changed_character_is_another_link_or_none(index: int, char: str) -> None:
    token = LINK.token(MAC)
    changed = token[:index] + char + token[index + 1 :]
    try:
        link, mac = parse(changed)
    except InvalidInput:
        return
    assert changed == token or not FakeSigner().verify(link.message, mac)


@given(st.text(max_size=400))
def test_anything_else_is_no_link(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a review link"):
        parse(text)


def test_another_spelling_of_the_same_signature_is_refused() -> None:
    token = LINK.token(MAC)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 43 characters hold 258 bits for 256: the last one has four spellings, of which one is ours.
    twin = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
    with pytest.raises(InvalidInput, match="damaged"):
        parse(twin)


def test_the_message_names_its_purpose_and_holds_no_secret() -> None:
    assert LINK.message.startswith(b"promptlane review link 1\n")
    assert b"token" not in LINK.message


def test_a_link_is_written_and_signed_exactly_so() -> None:
    link, mac = Link("PROMPTID12-4-2", 3, "0123456789abcdef", 1_780_000_001), bytes(range(32))
    token = "1.PROMPTID12-4-2.3.0123456789abcdef.1780000001.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

    assert link.message == b"promptlane review link 1\nPROMPTID12-4-2\n3\n0123456789abcdef\n1780000001"
    assert link.token(mac) == token
    assert (
        url("https://x.example.com/live//", link, mac) == f"https://x.example.com/live/review/PROMPTID12-4-2?t={token}"
    )
