"""The keys of receipts: one for each prompt and day, fetched beside the answer, and never handed to another prompt."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from promptlane.client import InvalidReceipt, receipt_keys
from promptlane.client.aws import Aws
from promptlane.client.receipt_keys import KmsKeys, OwnKeys, Source, keys_of
from promptlane.client.receipts import DAY, Head, Key
from promptlane.domain.errors import InvalidInput, Unavailable
from tests.support.client import Clock, Kms, Session


class Held:
    """Keys of KMS whose threads run when they are joined; `joined` lists for how long callers would have waited."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock(monkeypatch)
        self.kms = Kms()
        self.joined: list[float] = []
        these = self

        class Thread:
            def __init__(self, *, target: Any, daemon: bool) -> None:
                assert daemon
                self.target = target
                self.alive = False

            def start(self) -> None:
                self.alive = True

            def is_alive(self) -> bool:
                return self.alive

            def join(self, seconds: float) -> None:
                these.joined.append(seconds)
                if self.alive:
                    self.alive = False
                    self.target()

        monkeypatch.setattr("promptlane.client.receipt_keys.threading.Thread", Thread)
        self.keys = KmsKeys(Aws(session=Session(kms=self.kms)), Source("the-key", "receipt_kms_key"))

    def run(self) -> None:
        for thread in self.keys._threads.values():
            thread.join(0.0)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


def own(secrets: Any) -> OwnKeys:
    return OwnKeys(Source(secrets, "receipt_key"))


def head(key: Key, prompt_id: str = "GREETER000") -> Head:
    return Head(key.kind, prompt_id, key.day, key.name)


def test_a_key_is_made_once_for_a_prompt_and_day_and_waited_for_by_who_needs_it(held: Held) -> None:
    assert held.keys.newest("greeter", wait=0.0) is None
    assert held.joined == []
    first = held.keys.newest("greeter", wait=1.0)
    assert first is held.keys.newest("greeter", wait=1.0)
    assert held.joined == [1.0]
    assert first is not None
    today = int(held.clock.wall // DAY)
    assert (first.kind, first.day) == (1, today)
    other = held.keys.newest("other", wait=1.0)
    assert held.kms.asked == [
        {"KeyId": "the-key", "KeySpec": "AES_256", "EncryptionContext": {"prompt": name, "day": str(today)}}
        for name in ("greeter", "other")
    ]
    assert other is not None
    assert other.name != first.name


def test_yesterdays_key_seals_while_todays_is_fetched_and_no_longer_than_today(held: Held) -> None:
    first = held.keys.newest("greeter", wait=1.0)
    assert first is not None
    held.joined.clear()
    held.clock.advance(DAY)
    held.kms.down = ConnectionError("no route to host")
    assert held.keys.newest("greeter", wait=1.0) is first
    assert held.joined == [], "who has a key waits for no other"
    held.run()
    held.clock.advance(60)
    held.kms.down = None
    assert held.keys.newest("greeter", wait=1.0) is first
    held.run()
    second = held.keys.newest("greeter", wait=1.0)
    assert second is not None
    assert second.day == first.day + 1
    held.clock.advance(2 * DAY)
    held.kms.down = ConnectionError("no route to host")
    assert held.keys.newest("greeter", wait=1.0) is None


def test_a_key_that_cannot_be_made_is_asked_for_again_after_a_minute(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    held.kms.down = ConnectionError("no route to host")
    assert held.keys.newest("greeter", wait=1.0) is None
    assert "no key to seal receipts of greeter with, its answers carry none for a minute: no route" in caplog.text
    held.clock.advance(59.75)
    assert held.keys.newest("greeter", wait=1.0) is None
    assert len(held.kms.asked) == 1
    held.clock.advance(0.25)
    held.kms.down = None
    assert held.keys.newest("greeter", wait=1.0) is not None


def test_a_key_seals_so_often_and_no_oftener(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt_keys, "_SEALS", 3)
    keys = [held.keys.newest("greeter", wait=1.0) for _ in range(6)]
    assert len({key.name for key in keys if key is not None}) >= 2
    assert None not in keys


def test_another_process_opens_it_by_its_name_once_and_a_foreign_one_never(held: Held) -> None:
    key = held.keys.newest("greeter", wait=1.0)
    assert key is not None
    other = KmsKeys(Aws(session=Session(kms=held.kms)), Source("the-key", "receipt_kms_key"))
    for _ in range(2):
        opened = other.named("greeter", head(key))
        assert opened.cipher.decrypt(b"n" * 12, key.cipher.encrypt(b"n" * 12, b"x", b""), b"") == b"x"
    today = str(key.day)
    assert held.kms.opened == [
        {"CiphertextBlob": key.name, "KeyId": "the-key", "EncryptionContext": {"prompt": "greeter", "day": today}}
    ]
    for prompt, wrong in (
        ("other", head(key)),
        ("greeter", head(key)._replace(day=key.day - 1)),
        ("greeter", head(key)._replace(key=b"made up")),
    ):
        with pytest.raises(InvalidReceipt, match="not this prompt's"):
            other.named(prompt, wrong)
    with pytest.raises(InvalidReceipt, match="not of KMS"):
        other.named("greeter", head(key)._replace(kind=0))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("no route to host"),
        ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Decrypt"),
        ClientError({"Error": {"Code": "KMSInvalidStateException", "Message": "no"}}, "Decrypt"),
    ],
)
def test_what_kms_does_not_answer_now_may_be_good(held: Held, error: Exception) -> None:
    key = held.keys.newest("greeter", wait=1.0)
    assert key is not None
    other = KmsKeys(Aws(session=Session(kms=held.kms)), Source("the-key", "receipt_kms_key"))
    held.kms.down = error
    words = "cannot be checked now .* try again; allow kms:Decrypt on the-key for receipts of greeter"
    with pytest.raises(Unavailable, match=words):
        other.named("greeter", head(key))


def test_no_more_than_a_thousand_keys_of_others_are_kept(held: Held) -> None:
    kept: dict[Any, Key] = {}
    key = held.keys.newest("greeter", wait=1.0)
    assert key is not None
    for i in range(1001):
        receipt_keys._keep(kept, i, key)
    assert (len(kept), 0 in kept, 1000 in kept) == (1000, False, True)


def test_a_child_has_threads_of_its_own_and_the_parents_keys(held: Held) -> None:
    key = held.keys.newest("greeter", wait=1.0)
    lock = held.keys._lock
    held.keys.after_fork()
    assert held.keys._lock is not lock
    assert held.keys._threads == {}
    assert held.keys.newest("greeter", wait=1.0) is key


def test_secrets_of_ones_own_give_each_prompt_and_day_a_key_and_the_last_one_seals() -> None:
    first, both, second = own(" first\n"), own("first second"), own("second")
    one, two = first.newest("greeter", wait=0.0), both.newest("greeter", wait=0.0)
    assert one is not None
    assert two is not None
    assert (one.kind, len(one.name)) == (0, 8)
    assert both.named("greeter", head(one)).name == one.name
    assert second.named("greeter", head(two)).name == two.name == both.named("greeter", head(two)).name
    for keys, key in ((first, two), (second, one), (own("third"), one)):
        with pytest.raises(InvalidReceipt, match="a key that is not ours"):
            keys.named("greeter", head(key))
    with pytest.raises(InvalidReceipt):
        both.named("other", head(two))
    with pytest.raises(InvalidReceipt):
        both.named("greeter", head(two)._replace(day=two.day - 1))
    with pytest.raises(InvalidReceipt):
        both.named("greeter", head(two)._replace(kind=1))


def test_without_the_package_that_seals_a_client_with_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert keys_of(Aws(), secret=" ", kms_key="") is None
    for given in ({"secret": "s", "kms_key": ""}, {"secret": "", "kms_key": "k"}):
        with pytest.raises(InvalidInput, match=r"pip install 'promptlane\[receipts\]'"):
            keys_of(Aws(), **given)
