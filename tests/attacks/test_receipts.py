"""Feedback and receipts against those who hold one (end users), and those who may make some (applications)."""

from __future__ import annotations

import itertools
import json
import os
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from time import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.access.proof import Caller, Forbidden
from promptlane.client import InvalidReceipt, PromptClient, calls, receipt_keys, receipts, request
from promptlane.client.aws import LastVoices
from promptlane.client.errors import ModelCallFailed
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, client_over
from promptlane.domain.errors import Unavailable
from tests.support.attacks import attack, patched, together
from tests.support.client import Kms, Session
from tests.support.deployment import Deployment

FORGED, TOLD, SPOKEN = "forged feedback", "who learns the track", "an application speaks for another's prompt"


class Open:
    """In place of a cipher: seals nothing and checks nothing."""

    def __init__(self, key: bytes = b"") -> None:
        pass

    def encrypt(self, nonce: bytes, text: bytes, more: bytes) -> bytes:
        return text + bytes(16)

    def decrypt(self, nonce: bytes, text: bytes, more: bytes) -> bytes:
        return text[:-16]


class Shop:
    """Two applications with a prompt each, `mine` and `victim`, both in canary, over one KMS and one route table."""

    def __init__(self) -> None:
        self.routes = StaticRoutes()
        for prompt in ("mine", "victim", "another-prompt-with-a-far-longer-name"):
            self.routes.put(prompt, stable=9, canary=10, weight=5000)
        self.kms = Kms()

    def client(self, replies: Any = "hi", sink: ListSink | None = None) -> PromptClient:
        return client_over(
            self.routes,
            session=Session(kms=self.kms),
            bedrock=lambda timeout: FakeBedrock(replies),
            sink=sink or ListSink(),
            receipt_kms_key="k",
            shield=False,
            refresh=3600,
        )

    def receipt(self, prompt: str, track: str, client: PromptClient | None = None) -> str:
        client = client or self.client()
        unit = next(u for u in (f"u{i}" for i in range(99)) if client.route(prompt, u).track == track)
        return client.converse(prompt, unit=unit).receipt or ""


def raw(receipt: str) -> bytes:
    return b64decode(receipt + "=" * (-len(receipt) % 4), altchars=b"-_")


def text_of(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def counts(shop: Shop, receipt: str, prompt: str = "") -> bool:
    """Whether the gateway counts feedback by this receipt, for `prompt` where one is named."""
    sink = ListSink()
    try:
        shop.client(sink=sink).feedback(receipt, positive=False)
    except (InvalidReceipt, Unavailable):
        return False
    return any(document.dimensions["Prompt"] == prompt or not prompt for document in sink.documents)


# what a holder learns


@attack("the track is read from a receipt", kind=TOLD, without=patched(receipt_keys, "_cipher", Open))
def test_read_the_track() -> bool:
    return b'"canary"' in raw(Shop().receipt("mine", "canary"))


@attack(
    "the track is told from a receipt's length",
    kind=TOLD,
    without=together(
        patched(receipts, "_filled", lambda text: text),
        patched(receipt_keys, "_cipher", Open),  # or the lengths of cipher texts say the same
    ),
)
def test_tell_by_length() -> bool:
    shop = Shop()
    return len({len(shop.receipt("mine", track)) for track in ("stable", "canary")}) > 1


@attack("a prompt's name is told from a receipt's length", kind=TOLD, without=patched(receipts, "_filled", bytes.strip))
def test_tell_the_prompt_by_length() -> bool:
    shop = Shop()
    shop.routes.put("mine", stable=123, canary=45_678, weight=5000)
    prompts = ("mine", "victim", "another-prompt-with-a-far-longer-name")
    return len({len(shop.receipt(prompt, "canary")) for prompt in prompts}) > 1


@attack("two receipts of one track are seen to be alike", kind=TOLD, without=patched(os, "urandom", bytes))
def test_tell_by_likeness() -> bool:
    """With a nonce that repeats, equal facts seal to equal bytes, whose tail tells version and track."""
    shop = Shop()
    client = shop.client()
    with _one_moment():
        first, second = shop.receipt("mine", "canary", client), shop.receipt("mine", "canary", client)
    return first == second


@contextmanager
def _one_moment() -> Iterator[None]:
    with patched(request, "time", lambda: 1_700_000_000.0)(), patched(receipt_keys, "time", lambda: 1_700_000_000.0)():
        yield


def _telling(decision: Any, error: BaseException) -> Exception:
    return ModelCallFailed(f"{decision.prompt} version {decision.version} failed: {error}", code="x")


def _refusing(request: Any) -> object:
    said = {"Code": "AccessDeniedException", "Message": f"no access to {request['modelId']}"}
    return ClientError({"Error": said}, "Converse")


@attack("the track is told from the text of an error", kind=TOLD, without=patched(calls, "failure", _telling))
def test_tell_by_an_error() -> bool:
    shop = Shop()
    client = shop.client(_refusing)
    told = set()
    for unit in (f"u{i}" for i in range(20)):
        with pytest.raises(ModelCallFailed) as caught:
            client.converse("mine", unit=unit)
        told.add(str(caught.value))
    return len(told) > 1


# what a holder changes


@attack(
    "an end user changes the version that the feedback counts for",
    kind=FORGED,
    without=patched(receipt_keys, "_cipher", Open),
)
def test_change_the_facts() -> bool:
    shop = Shop()
    data = bytearray(raw(shop.receipt("mine", "canary")))
    data[-159] ^= 8  # the first digit of the version, where nothing is sealed
    return counts(shop, text_of(bytes(data)))


@attack("one receipt counts again and again", kind=FORGED, without=patched(LastVoices, "first", lambda *_, **__: True))
def test_replay() -> bool:
    shop = Shop()
    client = shop.client()
    receipt = shop.receipt("mine", "canary", client)
    return [client.feedback(receipt, positive=False) for _ in range(3)] == [True, True, True]


@attack(
    "one receipt counts again in another spelling",
    kind=FORGED,
    without=patched(receipts, "b64decode", lambda text, **_: b64decode(text.strip(), altchars=b"-_")),
)
def test_other_spelling() -> bool:
    """A decoder that passes over foreign characters takes any number of texts for one receipt."""
    shop = Shop()
    receipt = shop.receipt("mine", "canary")
    return counts(shop, f"{receipt[:40]}!!!!{receipt[40:]}")


@attack("a receipt is moved to another prompt", kind=FORGED, without=patched(receipt_keys, "_cipher", Open))
def test_move_to_another_prompt() -> bool:
    shop = Shop()
    client = shop.client()
    data = raw(shop.receipt("mine", "canary", client)).replace(b"MINE000000", b"VICTIM0000", 1)
    return _opened(shop, data, "victim")


def _opened(shop: Shop, data: bytes, prompt: str) -> bool:
    with patched(shop.kms, "decrypt", lambda **_: {"Plaintext": bytes(32)})() if _is_open() else _nothing():
        return counts(shop, text_of(data), prompt)


def _is_open() -> bool:
    return isinstance(receipt_keys._cipher(bytes(32)), Open)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


# what an application does with its own keys


def _forged(shop: Shop, *, made_for: str, day: int = 0, started: float | None = None) -> str:
    """A receipt for `victim`, sealed with the key that KMS gives to who may ask for `made_for`."""
    client = shop.client()
    client.route("victim", "u")
    assert client._keys is not None
    key = client._keys.newest(made_for, wait=5.0)
    assert key is not None
    decision = client.route("victim", "u")
    at = time() if started is None else started
    return receipts.seal(key._replace(day=key.day + day), decision, group="1", started_at=at)


@attack(
    "an application seals a receipt of another's prompt with its own key",
    kind=SPOKEN,
    without=patched(receipt_keys, "_context", lambda prompt, day: {"day": str(day)}),
)
def test_seal_for_another() -> bool:
    shop = Shop()
    return counts(shop, _forged(shop, made_for="mine"), "victim")


@attack(
    "a key that leaked seals receipts of a later day",
    kind=FORGED,
    without=patched(receipts, "_LATE", 400.0 * receipts.DAY),
)
def test_leaked_key() -> bool:
    shop = Shop()
    now = time()
    with patched(receipt_keys, "time", lambda: now - 5 * receipts.DAY)():
        leaked = _forged(shop, made_for="victim", started=now)
    return counts(shop, leaked, "victim")


@attack(
    "a key that leaked seals receipts under the name of another day",
    kind=FORGED,
    without=together(patched(receipt_keys, "_context", lambda prompt, day: {"prompt": prompt})),
)
def test_leaked_key_of_another_day() -> bool:
    shop = Shop()
    now = time()
    with patched(receipt_keys, "time", lambda: now - 5 * receipts.DAY)():
        leaked = _forged(shop, made_for="victim", day=5, started=now)
    return counts(shop, leaked, "victim")


# what IAM lets the application `checkout` do, whose prompt is e2e-tested

_NAMES = itertools.count()
_VICTIM = "e2e-reviewed"
_CONTEXT = {"prompt": _VICTIM, "day": "20000"}


@contextmanager
def _with_the_policy_for_all(attacked: Deployment) -> Iterator[None]:
    """The application has the policy for every prompt, and no longer its own alone."""
    iam, role = attacked.client("iam"), _role(attacked).rpartition("/")[2]
    iam.attach_role_policy(RoleName=role, PolicyArn=attacked.resources["application_policy"])
    try:
        yield
    finally:
        iam.detach_role_policy(RoleName=role, PolicyArn=attacked.resources["application_policy"])


def _role(attacked: Deployment) -> str:
    """The role of the application, with its own policy."""
    iam, name = attacked.client("iam"), "checkout-application"
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    try:
        return str(iam.get_role(RoleName=name)["Role"]["Arn"])
    except iam.exceptions.NoSuchEntityException:
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        made = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])
        iam.attach_role_policy(RoleName=name, PolicyArn=attacked.resources["application_checkout_policy"])
        return made


def _seal(caller: Caller, attacked: Deployment, context: dict[str, str]) -> object:
    key = attacked.resources["receipt_key"]
    return caller.client("kms").generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)


def _open(caller: Caller, attacked: Deployment, context: dict[str, str]) -> object:
    key = attacked.resources["receipt_key"]
    made = attacked.client("kms").generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)
    return caller.client("kms").decrypt(KeyId=key, CiphertextBlob=made["CiphertextBlob"], EncryptionContext=context)


def _mark(prompt: str) -> dict[str, Any]:
    return {"receipt": {"S": f"{prompt}/{next(_NAMES)}"}}


def _put(caller: Caller, attacked: Deployment, prompt: str) -> object:
    return caller.client("dynamodb").put_item(TableName=attacked.resources["feedback_table"], Item=_mark(prompt))


def _transact(caller: Caller, attacked: Deployment, prompt: str) -> object:
    table = attacked.resources["feedback_table"]
    puts = [{"Put": {"TableName": table, "Item": _mark(name)}} for name in ("e2e-tested", prompt)]
    return caller.client("dynamodb").transact_write_items(TransactItems=puts)


def _route(caller: Caller, attacked: Deployment, prompt: str) -> object:
    return caller.client("dynamodb").get_item(
        TableName=attacked.resources["route_table"], Key={"prompt": {"S": prompt}}
    )


def _routes(caller: Caller, attacked: Deployment, prompt: str) -> object:
    keys = [{"prompt": {"S": name}} for name in {"e2e-tested", prompt}]
    return caller.client("dynamodb").batch_get_item(RequestItems={attacked.resources["route_table"]: {"Keys": keys}})


def _converse(caller: Caller, attacked: Deployment, prompt: str) -> object:
    return caller.post(f"{attacked.resources['gateway_url']}/prompts/{prompt}/converse", {"unit": "u"})


_ACTS: dict[str, tuple[Any, Any, Any]] = {
    "makes a key for receipts": (_seal, {"prompt": "e2e-tested", "day": "1"}, _CONTEXT),
    "opens a receipt's key": (_open, {"prompt": "e2e-tested", "day": "1"}, _CONTEXT),
    "makes a key of no prompt": (_seal, {"prompt": "e2e-tested", "day": "1"}, {"day": "1"}),
    "makes a key in other letters": (_seal, {"prompt": "e2e-tested", "day": "1"}, {"prompt": _VICTIM.upper()}),
    "marks a receipt as counted": (_put, "e2e-tested", _VICTIM),
    "marks one beside an own one": (_transact, "e2e-tested", _VICTIM),
    "marks one of a prompt whose name begins alike": (_put, "e2e-tested", "e2e-tested-too"),
    "reads a route": (_route, "e2e-tested", _VICTIM),
    "reads a route beside an own one": (_routes, "e2e-tested", _VICTIM),
    "asks the gateway": (_converse, "e2e-tested", _VICTIM),
}


@pytest.mark.parametrize("act", _ACTS)
@attack("an application, for a prompt of another's", kind=SPOKEN, without=_with_the_policy_for_all)
def test_application(attacked: Deployment, act: str) -> bool:
    caller = Caller(attacked.aws, _role(attacked))
    call, own, others = _ACTS[act]
    assert _let_in(lambda: call(caller, attacked, own)), "what it may do for its own prompt"
    return _let_in(lambda: call(caller, attacked, others))


def _let_in(call: Any) -> bool:
    try:
        call()
    except Forbidden:
        return False
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("AccessDenied", "AccessDeniedException"):
            return False
        raise
    return True
