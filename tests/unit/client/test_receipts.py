"""Receipts: sealed by one key and opened by it alone, of one length, telling their holder the prompt's id at most."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from promptlane.client import Decision, InvalidReceipt
from promptlane.client.receipts import (
    DAY,
    MAX_AGE,
    Head,
    Key,
    Receipt,
    check_fresh,
    head_of,
    mark,
    prompt_id_of,
    seal,
    unseal,
)
from promptlane.client.testing import version_arn

STARTED = 1_700_000_000.25
TODAY = int(STARTED // DAY)
SECRET = bytes(range(32))
NAMES = st.from_regex(r"([0-9a-zA-Z][_-]?){1,100}", fullmatch=True)


def key(day: int = TODAY, name: bytes = b"wrapped", secret: bytes = SECRET) -> Key:
    return Key(1, day, name, AESGCM(secret))


def answered(
    prompt: str = "greeter", version: int = 7, track: str = "canary", release_id: str = "GREETER000-7-1"
) -> Decision:
    arn = version_arn("greeter", version)
    return Decision(prompt=prompt, version=version, version_arn=arn, track=track, release_id=release_id)


def sealed(by: Decision | None = None, sealing: Key | None = None, started_at: float = STARTED) -> str:
    return seal(sealing or key(), by or answered(), group="3", started_at=started_at, unit="00112233aabbccdd")


def opened(text: str, prompt: str = "greeter", opening: Key | None = None, now: float = STARTED) -> Receipt:
    return unseal(text, head_of(text, now=now), opening or key(), prompt, now=now)


def raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@given(
    NAMES,
    st.integers(1, 99_999),
    st.sampled_from(["stable", "canary", "holdback"]),
    st.from_regex(r"[0-9A-Za-z]{10}-[1-9][0-9]{0,4}-[1-9][0-9]{0,2}", fullmatch=True),
    st.sampled_from(["", *"01234567"]),
    st.integers(0, DAY * 1000 - 1),
    st.text(min_size=1, max_size=300),
)
def test_what_was_sealed_is_read_back_and_every_receipt_is_of_one_length(
    prompt: str, version: int, track: str, release_id: str, group: str, milliseconds: int, unit: str
) -> None:
    started = TODAY * DAY + milliseconds / 1000
    by = answered(prompt, version, track, release_id)
    text = seal(key(), by, group=group, started_at=started, unit=mark("a salt", unit))
    found = opened(text, prompt, now=started)
    assert found == Receipt(prompt, version, track, release_id, group, started, found.id, mark("a salt", unit))
    assert (found.id[: len(prompt) + 1], len(found.id)) == (f"{prompt}/", len(prompt) + 25)
    assert len(text) == len(sealed())
    assert text.isascii()


def test_a_receipt_has_the_documented_format() -> None:
    text = sealed()
    data = raw(text)
    assert data[:16] == b"\x03\x01GREETER000" + TODAY.to_bytes(2, "big") + b"\x00\x07"
    assert data[16:23] == b"wrapped"
    nonce, rest = data[23:35], data[35:]
    facts = AESGCM(SECRET).decrypt(nonce, rest, data[:23] + b"greeter")
    assert len(facts) == 144
    assert json.loads(facts) == [7, "canary", "GREETER000-7-1", "3", 1_700_000_000_250, "00112233aabbccdd"]
    assert head_of(text, now=STARTED) == Head(1, "GREETER000", TODAY, b"wrapped")


def test_a_units_voice_is_one_in_an_hour_of_answers_and_another_in_the_next_of_another_unit_prompt_or_release() -> None:
    def voice(prompt: str = "greeter", salt: str = "s", unit: str = "u", started: float = STARTED) -> str:
        return Receipt(prompt, 7, "canary", "R", "3", started, "any", mark(salt, unit)).voice

    hour = STARTED - STARTED % 3600
    assert voice(started=hour) == voice(started=hour + 3599.999) == voice()
    others = [voice(started=hour + 3600), voice(prompt="p"), voice(salt="t"), voice(unit="v"), voice(unit="U")]
    assert len({voice(), *others}) == 6
    assert voice().startswith("greeter/"), "IAM lets an application put what begins so"


@pytest.mark.parametrize(("after", "good"), [(0.0, True), (2 * DAY, True), (2 * DAY + 0.25, False)])
def test_feedback_counts_on_answers_of_the_last_two_days(after: float, good: bool) -> None:
    receipt = opened(sealed(), now=STARTED + after)
    if good:
        check_fresh(receipt, now=STARTED + after)
    else:
        with pytest.raises(InvalidReceipt, match="the answer is older than 2 days; feedback on it counts no more"):
            check_fresh(receipt, now=STARTED + after)


def test_two_receipts_of_one_moment_are_two() -> None:
    assert opened(sealed()).id != opened(sealed()).id


def test_what_has_no_room_or_no_prompt_of_bedrocks_gets_none() -> None:
    assert sealed(answered(release_id="x" * 145)) == ""
    nameless = Decision(prompt="p", version=1, version_arn="arn:aws:bedrock:eu-west-1:1:prompt/short:1", track="stable")
    assert sealed(nameless) == ""
    assert [
        prompt_id_of(arn) for arn in ("", "x", "a/prompt/ABCDEFGHIJ", "prompt/ABCDEFGHI_:1", "prompt/ÀBCDEFGHIJ")
    ] == [
        "",
        "",
        "ABCDEFGHIJ",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("prompt", "opening"),
    [
        ("other", key()),
        ("Greeter", key()),
        ("", key()),
        ("greeter", key(secret=bytes(32))),
    ],
)
def test_it_is_opened_by_its_own_prompt_and_key_alone(prompt: str, opening: Key) -> None:
    with pytest.raises(InvalidReceipt, match="the receipt is not ours, or was altered"):
        opened(sealed(), prompt, opening)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_receipt_with_one_byte_changed_is_refused(place: int, by: int) -> None:
    data = bytearray(raw(sealed()))
    data[place % len(data)] ^= by
    text = urlsafe_b64encode(data).rstrip(b"=").decode()
    with pytest.raises(InvalidReceipt):
        opened(text)


@pytest.mark.parametrize("after", [-300.0, 0.0, 13.0 * DAY])
def test_it_is_good_for_thirteen_days_and_five_minutes_of_skew(after: float) -> None:
    assert opened(sealed(), now=STARTED + after).started_at == STARTED


@pytest.mark.parametrize("after", [-300.25, 13 * DAY + 0.25, 20 * DAY, -20 * DAY])
def test_before_and_after_that_it_is_refused(after: float) -> None:
    with pytest.raises(InvalidReceipt, match=r"the receipt is older than 13 days; its feedback can count no more"):
        opened(sealed(), now=STARTED + after)
    assert MAX_AGE == 13 * DAY


@pytest.mark.parametrize(
    ("seconds", "good"), [(-3600.0, True), (-3600.25, False), (2 * DAY - 0.25, True), (2.0 * DAY, False)]
)
def test_a_key_speaks_for_its_day_and_for_what_runs_over(seconds: float, good: bool) -> None:
    started = TODAY * DAY + seconds
    text = sealed(started_at=started)
    if good:
        assert opened(text, now=started).started_at == started
    else:
        with pytest.raises(InvalidReceipt, match="its key is of another day"):
            opened(text, now=started)


@pytest.mark.parametrize(
    "given",
    [
        None,
        7,
        b"x.y",
        "",
        "é",
        "A",
        "x" * 2049,
        "A" * 600,
        "AgFHUkVFVEVSMDAw",
        sealed() + "AAAA",
        sealed()[:-4],
        "=" * 8,
    ],
)
def test_what_cannot_be_a_receipt_is_refused_as_that(given: object) -> None:
    with pytest.raises(InvalidReceipt, match="that is no receipt; pass on the `receipt` of an answer as it was given"):
        head_of(given, now=STARTED)  # type: ignore[arg-type]


def test_a_receipt_of_the_format_before_is_refused_with_the_reason() -> None:
    old = "WzEsImdyZWV0ZXIiLDcsImNhbmFyeSIsIlItNy0xIiwiMyIsMTcwMDAwMDAwMDI1MCwiMDAiXQ.c2lnbmF0dXJl"
    with pytest.raises(InvalidReceipt, match=r"of the format before 0\.2, which is not taken any more"):
        head_of(old, now=STARTED)
