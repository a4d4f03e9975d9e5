"""Receipts: every one that was signed is read back whole, in the documented format, by any of the keys, for 13 days."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.client import Decision, InvalidReceipt
from promptlane.client.receipts import MAX_AGE, Receipt, keys_of, sign, verify

STARTED = 1_700_000_000.25
TEXT = st.text(max_size=40)
DAY = 86_400


def answered(prompt: str, version: int, track: str, release_id: str) -> Decision:
    return Decision(prompt=prompt, version=version, version_arn="", track=track, release_id=release_id)


def receipt_of(*keys: bytes, started_at: float = STARTED) -> str:
    return sign(keys, answered("greeter", 7, "canary", "GREETER000-7-1"), group="3", started_at=started_at)


def unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@given(
    TEXT, st.integers(1, 99_999), st.sampled_from(["stable", "canary", "holdback"]), TEXT, TEXT, st.integers(0, 4**20)
)
def test_what_was_signed_is_read_back_whatever_its_length(
    prompt: str, version: int, track: str, release_id: str, group: str, milliseconds: int
) -> None:
    started = milliseconds / 1000
    text = sign([b"a key"], answered(prompt, version, track, release_id), group=group, started_at=started)
    found = verify([b"a key"], text, now=started)
    nonce = found.id.removeprefix(f"{prompt}/")
    assert found == Receipt(prompt, version, track, release_id, group, started, f"{prompt}/{nonce}")
    assert (len(nonce), len(bytes.fromhex(nonce))) == (16, 8)
    assert "=" not in text


def test_a_receipt_has_the_documented_format() -> None:
    payload, signature = receipt_of(b"old", b"new").split(".")
    *fields, nonce = json.loads(unpadded(payload))
    assert fields == [1, "greeter", 7, "canary", "GREETER000-7-1", "3", 1_700_000_000_250]
    compact = json.dumps([*fields, nonce], separators=(",", ":")).encode()
    assert payload == urlsafe_b64encode(compact).decode().rstrip("=")
    assert unpadded(signature) == hmac.digest(b"new", payload.encode(), "sha256")[:16]


def test_two_receipts_of_one_moment_are_two() -> None:
    first, second = receipt_of(b"k"), receipt_of(b"k")
    assert verify([b"k"], first, now=STARTED).id != verify([b"k"], second, now=STARTED).id


def test_the_newest_key_signs_and_each_verifies() -> None:
    assert keys_of("  first second\n third ") == (b"first", b"second", b"third")
    assert keys_of(" ") == ()
    text = receipt_of(b"first", b"second")
    for keys in ([b"second"], [b"second", b"third"], [b"first", b"second"]):
        assert verify(keys, text, now=STARTED).version == 7
    for others in ([b"first"], [b"third"], []):
        with pytest.raises(InvalidReceipt, match="not ours"):
            verify(others, text, now=STARTED)


@pytest.mark.parametrize("after", [-300.0, 0.0, 13.0 * DAY])
def test_it_is_good_for_thirteen_days_and_five_minutes_of_skew(after: float) -> None:
    assert verify([b"k"], receipt_of(b"k"), now=STARTED + after).started_at == STARTED


@pytest.mark.parametrize("after", [-300.25, 13 * DAY + 0.25])
def test_before_and_after_that_it_is_refused(after: float) -> None:
    with pytest.raises(InvalidReceipt, match=r"the receipt is older than 13 days; its feedback can count no more"):
        verify([b"k"], receipt_of(b"k"), now=STARTED + after)
    assert MAX_AGE == 13 * DAY


@pytest.mark.parametrize("given", [None, 7, b"x.y", "é.y", "x" * 1025, "." * 1025])
def test_what_cannot_be_a_receipt_is_refused_as_that(given: object) -> None:
    with pytest.raises(InvalidReceipt, match="that is no receipt; pass on the `receipt` of an answer as it was given"):
        verify([b"k"], given, now=STARTED)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["", ".", "x" * 1024, "a.b", "a.bcdef", "a.====", "a.!", "é"[:0] + "x.y.z"])
def test_what_was_not_signed_by_us_is_refused_as_that(given: str) -> None:
    with pytest.raises(InvalidReceipt, match="the receipt's signature is not ours"):
        verify([b"k"], given, now=STARTED)


@given(st.integers(0, 500), st.sampled_from("Aa0_-.="))
def test_a_receipt_with_one_character_changed_is_refused(place: int, other: str) -> None:
    text = receipt_of(b"k")
    place %= len(text) - 2  # the last character of a signature holds spare bits, and of the payload none that count
    if text[place] != other:
        with pytest.raises(InvalidReceipt):
            verify([b"k"], text[:place] + other + text[place + 1 :], now=STARTED)
