"""A key of receipts that changes: the new one is found, the old one stays good, and forgeries cost next to nothing."""

from __future__ import annotations

from typing import Any

import pytest

from promptlane.client import InvalidReceipt, PromptClient
from promptlane.client.receipt_keys import _FORGED, OwnKeys, Source, keys_of
from promptlane.client.receipts import DAY, Head, Key, prompt_id_of
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, client_over, version_arn
from promptlane.domain.errors import InvalidInput, Unavailable
from tests.support.client import Clock, Kms, Session, eventually

PROMPT_ID = prompt_id_of(version_arn("greeter", 1))


class Setting:
    """A setting that a function reads: notes how often."""

    def __init__(self, text: Any) -> None:
        self.text = text
        self.read = 0

    def __call__(self) -> str:
        self.read += 1
        if isinstance(self.text, Exception):
            raise self.text
        return str(self.text)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def client(clock: Clock, kms: Kms | None = None, **settings: Any) -> PromptClient:
    routes = StaticRoutes()
    routes.put("greeter", stable=1)
    made = client_over(
        routes,
        bedrock=lambda limit: FakeBedrock("hi"),
        session=Session(kms=kms),
        sink=ListSink(),
        refresh=1e9,
        **settings,
    )
    made.route("greeter", "u")
    return made


def receipt(answering: PromptClient, unit: str) -> str:
    found: list[str] = []

    def answered() -> str:
        found.append(answering.converse("greeter", unit=unit).receipt or "")
        return found[-1]

    eventually(answered)
    return found[-1]


def forged(number: int, day: int, kind: int) -> Head:
    return Head(kind, PROMPT_ID, day, number.to_bytes(8, "big"))


@pytest.mark.parametrize("rotated", ["old new", "new"], ids=["beside the old one", "in its place"])
def test_a_secret_that_changed_is_read_when_a_receipt_needs_it_and_both_are_valid(clock: Clock, rotated: str) -> None:
    setting = Setting("old")
    running = client(clock, receipt_key=setting)
    old, younger = receipt(running, "a"), receipt(running, "b")
    restarted = client(clock, receipt_key=rotated)
    new = receipt(restarted, "c")
    setting.text = rotated
    assert setting.read == 1
    clock.advance(60)
    assert running.feedback(new, positive=True)
    assert running.feedback(old, positive=True)
    assert setting.read == 2
    assert restarted.feedback(receipt(running, "d"), positive=True), "it seals with the new one from now on"
    if rotated == "old new":
        assert restarted.feedback(younger, positive=True)


def test_forged_key_ids_have_a_secret_read_once_a_minute_and_no_more(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    setting = Setting("old")
    keys = OwnKeys(Source(setting, "receipt_key"))
    own = keys.newest("greeter", wait=0.0)
    assert own is not None
    today = int(clock.wall // DAY)
    for minute in range(3):
        for i in range(200):
            clock.advance(0.1)
            with pytest.raises(InvalidReceipt):
                keys.named("greeter", forged(i, today, 0))
        assert setting.read == 1 + minute
        clock.advance(40)
    setting.text = ConnectionError("no route to host")
    clock.advance(60)
    for _ in range(2):
        with pytest.raises(InvalidReceipt):
            keys.named("greeter", forged(7, today, 0))
    assert "receipt_key was not read again: no route to host" in caplog.text
    assert keys.named("greeter", Head(0, PROMPT_ID, today, own.name)) == own
    setting.text = ""
    clock.advance(60)
    with pytest.raises(InvalidReceipt):
        keys.named("greeter", forged(7, today, 0))
    assert keys.newest("greeter", wait=0.0) == own, "nothing is no secret"


def test_a_child_that_was_forked_amid_a_reading_reads_again(clock: Clock) -> None:
    setting = Setting("old")
    source = Source(setting, "receipt_key")
    clock.advance(60)
    source._lock.acquire()
    assert source.again() == ()
    source.after_fork()
    setting.text = "old new"
    assert source.again() == ("new",)
    assert source.known == ("new", "old")


@pytest.mark.parametrize("given", [lambda: " ", lambda: None, lambda: b"secret"])
def test_a_function_that_gives_no_secret_is_refused_when_the_client_is_made(clock: Clock, given: Any) -> None:
    with pytest.raises(InvalidInput, match=r"receipt_key is a function that gave .*; let it give"):
        client(clock, receipt_key=given)


def test_another_key_of_kms_is_found_and_what_the_former_one_sealed_stays_good(clock: Clock) -> None:
    kms, setting = Kms(), Setting("key-1")
    running = client(clock, kms, receipt_kms_key=setting)
    old = receipt(running, "a")
    restarted = client(clock, kms, receipt_kms_key="key-1 key-2")
    new = receipt(restarted, "b")
    assert [asked["KeyId"] for asked in kms.asked] == ["key-1", "key-2"]
    with pytest.raises(InvalidReceipt, match="not this prompt's"):
        running.feedback(new, positive=True)
    setting.text = "key-2"
    clock.advance(60)
    assert running.feedback(new, positive=True)
    assert running.feedback(old, positive=True)
    assert restarted.feedback(receipt(running, "c"), positive=True)
    clock.advance(DAY)
    receipt(running, "d")
    eventually(lambda: [asked["KeyId"] for asked in kms.asked] == ["key-1", "key-2", "key-2"])


def test_forged_keys_of_kms_cost_a_bounded_number_of_calls_and_known_keys_stay_good(clock: Clock) -> None:
    kms, setting = Kms(), Setting("key-1")
    running = client(clock, kms, receipt_kms_key=setting)
    known = receipt(running, "a")
    other = receipt(client(clock, kms, receipt_kms_key="key-1"), "b")
    keys = running._keys
    assert keys is not None
    today = int(clock.wall // DAY)
    for _ in range(100):
        with pytest.raises(InvalidReceipt):
            keys.named("greeter", forged(0, today, 1))
    assert kms.decrypts == 1, "one that was refused is not asked for again"
    clock.advance(60)
    refused = 0
    for i in range(500):
        with pytest.raises((InvalidReceipt, Unavailable)) as caught:
            keys.named("greeter", forged(i + 1, today, 1))
        refused += caught.type is Unavailable
    assert (kms.decrypts, refused) == (1 + _FORGED, 500 - _FORGED)
    assert running.feedback(known, positive=True)
    with pytest.raises(Unavailable, match="try again in a minute"):
        running.feedback(other, positive=True)
    clock.advance(60)
    assert running.feedback(other, positive=True)
    assert setting.read == 1, "what is no key at all has no setting read again"


def test_receipts_of_unknown_prompts_are_looked_up_in_bounds(clock: Clock) -> None:
    running = client(clock, receipt_key="secret")
    asked: list[str] = []
    running._routes.reader.name_of = asked.append  # type: ignore[method-assign,assignment]
    for i in range(300):
        with pytest.raises((InvalidReceipt, Unavailable)):
            running._name_of(f"X{i:09}")
    assert len(asked) == _FORGED


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("apart", [-240.0, 0.0, 240.0])
@pytest.mark.parametrize("to_midnight", [-180.0, 0.0, 180.0])
def test_processes_whose_clocks_are_apart_at_midnight_take_each_others_receipts(
    clock: Clock, own: bool, apart: float, to_midnight: float
) -> None:
    kms = Kms()
    settings = {"receipt_key": "secret"} if own else {"receipt_kms_key": "key-1"}
    clock.wall = (clock.wall // DAY + 1) * DAY + to_midnight
    answering, counting = client(clock, kms, **settings), client(clock, kms, **settings)
    before = receipt(answering, "yesterday")
    clock.advance(600)
    clock.wall += apart
    given = receipt(answering, "u")
    clock.wall -= apart
    assert counting.feedback(given, positive=True)
    assert counting.feedback(before, positive=True)


def test_a_clock_that_was_set_back_a_day_seals_with_no_key_of_tomorrow(clock: Clock) -> None:
    kms = Kms()
    running = client(clock, kms, receipt_kms_key="key-1")
    receipt(running, "a")
    clock.wall -= DAY
    sealed = receipt(running, "b")
    assert running.feedback(sealed, positive=True)
    keys: Key | None = running._keys.newest("greeter", wait=0.0) if running._keys else None
    assert keys is not None
    assert keys.day == int(clock.wall // DAY)


def test_no_setting_is_no_keys() -> None:
    assert keys_of(client_over()._aws, secret="", kms_key=" ") is None
