"""Somebody with a review link, or without one, who wants to decide in a reviewer's name or keep a reviewer out."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock
from urllib.parse import urlencode

import pytest

from functions.review import handler
from promptlane.aws import http_events
from promptlane.domain.review import code as codes
from promptlane.domain.review import guesses
from promptlane.domain.review.code import Holder
from promptlane.domain.review.link import Link
from promptlane.domain.review.proof import prove
from promptlane.domain.review.review import ReviewRequest
from promptlane.domain.review.visit import Door, Visit
from promptlane.fakes.review import FakeSigner, InMemoryReviews
from promptlane.lifecycle.proof import Reader
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.lifecycle.review_record import review_record
from tests.support.attacks import attack, patched, together
from tests.support.review import LEAD, LEGAL, QUALITY, RELEASE, UnderReview, key

KIND = "deciding in a reviewer's name"
OPEN_DOOR = patched(ReviewDesk, "_code_fault", lambda *_: None)
NO_ROUND = patched(Holder, "_message", lambda self, purpose, last: "\n".join((purpose, last)).encode())


def recorded(of: UnderReview) -> dict[str, object]:
    reader = Reader(releases=of.releases, reviews=of.reviews, objects=of.objects, clock=of.clock)
    evidence = reader.read(RELEASE).evidence
    return review_record(evidence, prove(evidence), problems=[], copies=None)


def world(**more: object) -> UnderReview:
    made = UnderReview(**more)  # type: ignore[arg-type]
    made.ask()
    return made


def decided(of: UnderReview, token: str, code: str, **more: str) -> bool:
    form = {"decision": "approve", "code": code, "reason": "fine", **more}
    of.http("POST", token, body=urlencode(form))
    return bool(of.reviews.decisions(RELEASE, of.request.round))


# Codes


def _computed(of: UnderReview) -> str:
    """The hash of what link and page show, by which codes were once made."""
    request = of.request
    content = f"{RELEASE}/{request.candidate.fingerprint}/{request.round}"
    return base64.b32encode(hashlib.sha256(content.encode()).digest())[:8].decode()


def _public(self: Holder, seed: str, sign: object) -> str:
    found = f"{self.release_id}/{WORLD[0].prompts.version('PROMPTID12', 2).fingerprint}/{self.round}"
    return base64.b32encode(hashlib.sha256(found.encode()).digest())[:8].decode()


WORLD: list[UnderReview] = []


@attack("the code is computed from what link and page show", kind=KIND, without=patched(Holder, "code", _public))
def test_computed_code() -> bool:
    of = UnderReview()
    WORLD[:] = [of]
    of.ask()
    return decided(of, of.token(LEAD), _computed(of))


@attack(
    "another reviewer's link with one's own code",
    kind=KIND,
    without=together(
        patched(Holder, "_message", lambda self, purpose, last: f"{purpose}\n{last}".encode()),
        patched(InMemoryReviews, "sealed", lambda self, *_: next(iter(self._seals.values()), None)),
    ),
)
def test_anothers_code() -> bool:
    of = world()
    return decided(of, of.token(LEAD), of.code(QUALITY))


@attack(
    "the code of an earlier round",
    kind=KIND,
    without=together(
        NO_ROUND,
        patched(
            InMemoryReviews,
            "sealed",
            lambda self, release, _, reviewer: self._seals.get((release, 1, reviewer)),
        ),
    ),
)
def test_code_of_an_earlier_round() -> bool:
    of = world()
    old = of.code(LEAD)
    of.ask(round=2, token="token-2")
    return decided(of, of.token(LEAD), old)


@attack("the signature of the link itself is tried as the code", kind=KIND, without=OPEN_DOOR)
def test_signature_as_code() -> bool:
    of = world()
    mac = of.token(LEAD).rpartition(".")[2]
    return any(decided(of, of.token(LEAD), tried) for tried in (mac[:8], mac, key(LEAD)[:8], RELEASE[:8]))


def _plain(self: Holder, seed: str, sign: object) -> codes.Seal:
    code = self.code(seed, sign)  # type: ignore[arg-type]
    return codes.Seal(code, code.encode().hex())


@attack(
    "the code is read where reviews are stored",
    kind="secrets that people may read",
    without=together(patched(Holder, "seal", _plain), patched(ReviewDesk, "_code_fault", lambda *_: None)),
)
def test_stored_code() -> bool:
    of = world()
    stored = of.reviews.sealed(RELEASE, 1, key(LEAD))
    assert stored is not None
    found = (stored.seed[:8], stored.verifier[:8], bytes.fromhex(stored.verifier).decode(errors="ignore"))
    # Whoever reads the seal and has no key tries to make the code of it, too.
    made = base64.b32encode(hashlib.sha256(bytes.fromhex(stored.seed) if len(stored.seed) == 64 else b"").digest())
    return any(decided(of, of.token(LEAD), tried) for tried in (*found, made[:8].decode()))


@attack(
    "an auditor's record tells token or codes",
    kind="secrets that people may read",
    without=patched(
        ReviewRequest,
        "to_item",
        (lambda original: lambda self: {**original(self), "task_token": WORLD[0].reviews.task_token(RELEASE, 1)})(
            ReviewRequest.to_item
        ),
    ),
)
def test_record() -> bool:
    of = world()
    WORLD[:] = [of]
    document = json.dumps(recorded(of))
    seal = of.reviews.sealed(RELEASE, 1, key(LEAD))
    assert seal is not None
    secrets = ("token-1", of.code(LEAD).replace("-", ""), of.code(LEAD), seal.seed, seal.verifier)
    return any(secret in document for secret in secrets)


@contextmanager
def _talkative() -> Iterator[None]:
    """A handler that logs what it was sent."""
    original = handler.serve

    def serve(reviews: object, event: object, *rest: object, **more: object) -> object:
        logging.getLogger("review").warning("sent: %s", event)
        return original(reviews, event, *rest, **more)  # type: ignore[arg-type]

    with mock.patch.object(handler, "serve", serve):
        yield


@attack("the code is read in the function's log", kind="secrets that people may read", without=_talkative)
def test_code_in_logs(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> bool:
    caplog.clear()
    of = world()
    code = of.code(LEAD)
    of.send(LEAD, code="AAAAAAAA")
    of.http("POST", of.token(LEAD)[:-3], body=urlencode({"code": code}))
    of.send(LEAD)
    return code in caplog.text + capsys.readouterr().out + json.dumps(
        [e.to_dict() for e in of.releases.timeline(RELEASE)]
    )


# Guesses


@contextmanager
def _unlimited() -> Iterator[None]:
    def counted(self: InMemoryReviews, release_id: str, name: str, most: int) -> int:
        self._attempts[release_id, name] = self._attempts.get((release_id, name), 0) + 1
        return self._attempts[release_id, name]

    with mock.patch.object(InMemoryReviews, "attempt", counted):
        yield


def _guesses(of: UnderReview, addresses: int, each: int) -> int:
    """How many codes were looked at."""
    looked = 0
    original = ReviewDesk._code_fault

    def counted(self: ReviewDesk, link: Link, code: str) -> object:
        nonlocal looked
        looked += 1
        return original(self, link, code)

    with mock.patch.object(ReviewDesk, "_code_fault", counted):
        for n in range(addresses):
            for _ in range(each):
                of.from_address(f"198.51.{n // 250}.{n % 250}", LEAD, "AAAAAAAA")
    return looked


@attack("one guesser tries codes as fast as the API lets", kind="guessing codes", without=_unlimited)
def test_brute_force() -> bool:
    return _guesses(world(), 1, 60) > guesses.ADDRESS_TRIES


@attack("a guesser with many addresses", kind="guessing codes", without=_unlimited)
def test_distributed_brute_force() -> bool:
    return _guesses(world(), 300, 5) > guesses.LINK_TRIES


@attack(
    "a guesser forges the address that requests come from",
    kind="guessing codes",
    without=patched(http_events, "source", lambda event: (http_events.header(event, "x-forwarded-for"), "")),
)
def test_forged_address() -> bool:
    of = world()
    faults = [of.from_address("203.0.113.9", LEAD, "AAAAAAAA", forwarded=f"10.0.0.{n}") for n in range(30)]
    return faults.count(422) > guesses.ADDRESS_TRIES


def _by_link_alone(round: int, reviewer: str, address: str, now: float) -> str:
    return f"{round}#{reviewer}#{int(now) // 600}"


@attack(
    "ten wrong codes by somebody else lock the owner out",
    kind="keeping reviewers out",
    without=patched(guesses, "from_address", _by_link_alone),
)
def test_lock_out() -> bool:
    of = world()
    for _ in range(10):
        of.from_address("198.51.100.66", LEAD, "AAAAAAAA")
    return of.from_address("203.0.113.7", LEAD, of.code(LEAD)) != 200


@attack(
    "a colleague behind the same address locks the owner out for longer than a minute",
    kind="keeping reviewers out",
    without=patched(guesses, "WINDOW", 86_400),
)
def test_lock_out_behind_one_address() -> bool:
    of = world()
    for _ in range(50):
        of.from_address("203.0.113.7", LEAD, "AAAAAAAA")
    of.now += 61
    return of.from_address("203.0.113.7", LEAD, of.code(LEAD)) != 200


@contextmanager
def _refusals_count() -> Iterator[None]:
    """What was refused uses up what a link has."""

    def counted(self: InMemoryReviews, release_id: str, name: str, most: int) -> int:
        count = self._attempts[release_id, name] = self._attempts.get((release_id, name), 0) + 1
        return count if count <= most else 0

    with mock.patch.object(InMemoryReviews, "attempt", counted):
        yield


@attack("a flood of wrong codes uses up a link for ever", kind="keeping reviewers out", without=_refusals_count)
def test_flood() -> bool:
    of = world()
    _guesses(of, 260, 5)
    for n in range(260, 700):
        of.from_address(f"198.51.{n // 250}.{n % 250}", LEAD, "AAAAAAAA")
    of.now += 120
    return of.from_address("203.0.113.7", LEAD, of.code(LEAD)) != 200


# Links


@attack("a link whose reviewer was changed", kind=KIND, without=patched(FakeSigner, "verify", lambda *_: True))
def test_tampered_link() -> bool:
    of = world()
    token = of.token(QUALITY).replace(key(QUALITY), key(LEAD))
    return bool(of.http("GET", token)["statusCode"] == 200)


@attack(
    "the link of one release at the address of another",
    kind=KIND,
    without=patched(
        ReviewDesk,
        "enter",
        (lambda original: lambda self, release_id, token: original(self, RELEASE, token))(ReviewDesk.enter),
    ),
)
def test_foreign_link() -> bool:
    of = world()
    return bool(of.http("GET", of.token(LEAD), release_id="PROMPTID12-7-1")["statusCode"] == 200)


def _always_open(self: ReviewDesk, request: ReviewRequest, link: Link, reviewer: object) -> Visit:
    visit = LOOK(self, request, link, reviewer)  # type: ignore[arg-type]
    return replace(visit, door=Door.OPEN)


LOOK = ReviewDesk._look


@attack("a link that has expired", kind=KIND, without=patched(ReviewDesk, "_look", _always_open))
def test_expired_link() -> bool:
    of = world()
    code, token = of.code(LEAD), of.token(LEAD)
    of.now = of.request.expires_at + 1
    return decided(of, token, code)


@attack(
    "a form is sent again with another choice",
    kind=KIND,
    without=together(
        patched(ReviewDesk, "_look", _always_open),
        patched(
            InMemoryReviews,
            "record",
            (
                lambda original: (
                    lambda self, request, decision, *entries: (
                        self._decisions.pop((RELEASE, 1), None),
                        original(self, request, decision),
                    )[1]
                )
            )(InMemoryReviews.record),
        ),
    ),
)
def test_replayed_form() -> bool:
    from promptlane.domain.policy import ReviewPolicy

    of = world(policy=ReviewPolicy(reviewers=(LEAD, QUALITY, LEGAL), quorum=2))
    code, token = of.code(LEAD), of.token(LEAD)
    assert decided(of, token, code)
    decided(of, token, code, decision="reject")
    return any(d.choice == "reject" for d in of.reviews.decisions(RELEASE, 1))


@attack(
    "the link of an earlier round",
    kind=KIND,
    without=patched(
        ReviewDesk,
        "enter",
        (lambda original: lambda self, release_id, token: replace(original(self, release_id, token), door=Door.OPEN))(
            ReviewDesk.enter
        ),
    ),
)
def test_stale_link() -> bool:
    of = world()
    token = of.token(LEAD)
    of.ask(round=2, token="token-2")
    return bool(of.http("GET", token)["statusCode"] == 200)


@attack(
    "a report is read by its link long after its release",
    kind="reports for ever",
    without=patched(ReviewDesk, "report_shown", lambda *_: True),
)
def test_old_report_link() -> bool:
    of = world()
    of.objects.data["report.html"] = b"<!doctype html><main>secret answers</main>"
    token = of.token(LEAD)
    of.send(LEAD)
    of.releases.update(replace(of.releases.get(RELEASE), state="ended"))
    of.now += 400 * 86_400
    return "secret answers" in of.http("GET", token, path="/report")["body"]


@attack(
    "a page of another site sends the form",
    kind="forms of other sites",
    without=together(
        OPEN_DOOR,
        patched(
            http_events,
            "header",
            lambda event, name: {"content-type": "application/x-www-form-urlencoded"}.get(name, ""),
        ),
    ),
)
def test_cross_site_form() -> bool:
    of = world()
    of.http("POST", of.token(LEAD), body=urlencode({"decision": "approve", "reason": "x"}), site="cross-site")
    return bool(of.reviews.decisions(RELEASE, 1))
