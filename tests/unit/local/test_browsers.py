"""Whom the embedded AWS answers when a browser, or a name that somebody else owns, leads to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from local import browsers

HOST = "localhost:4566"
EVIL = "https://evil.example"
REVIEW = "/_aws/execute-api/abc/$default/review/R-1-1"


def asked(method: str = "POST", path: str = "/", query: str = "", **headers: str) -> str:
    given = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
    return browsers.refusal(method, path, query, given)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:4566",
        "LOCALHOST",
        "127.0.0.1:4566",
        "[::1]:4566",
        "bucket.localhost:4566",
        "abc.execute-api.localhost",
        "localhost.:4566",
        "127.0.0.1.",
    ],
)
def test_this_machine_is_asked_by_its_own_names(host: str) -> None:
    assert asked(host=host) == ""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:4566",
        "localhost.evil.example",
        "evillocalhost",
        "127.0.0.1.evil.example",
        "",
        ":1",
        "10.0.0.7:4566",
        "[",
        "localhost@evil.example",
        "0.0.0.0:4566",
        "[::ffff:127.0.0.1]:4566",
        "[::]:4566",
        "127.0.0.1.nip.io",
    ],
)
def test_a_name_that_somebody_else_owns_leads_nowhere(host: str) -> None:
    assert "is not a name of this machine" in asked(host=host)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "GET"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": EVIL, "sec_fetch_site": "cross-site", "sec_fetch_mode": "cors"},
        {"origin": "null"},
        {"origin": "null", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "no-cors"},
        {"origin": "http://localhost:3000"},
        {"origin": f"https://{HOST}.evil.example"},
        {"origin": EVIL, "sec_fetch_site": "same-origin"},
    ],
)
def test_a_page_of_another_site_is_not_answered(method: str, headers: dict[str, str]) -> None:
    assert "answers programs and its own pages" in asked(method, **headers)


@pytest.mark.parametrize(
    ("method", "path", "query", "answered"),
    [
        ("GET", REVIEW, "t=token", True),
        ("HEAD", REVIEW, "", True),
        ("POST", REVIEW, "", False),
        ("GET", "/", "Action=ConfirmSubscription&Token=x", True),
        ("GET", "/", "Action=DeleteTopic&TopicArn=x", False),
        ("GET", "/", "X=Action=ConfirmSubscription2", False),
        ("GET", "/2015-03-31/functions", "", False),
    ],
)
def test_another_site_may_lead_a_person_to_a_page_and_nowhere_else(
    method: str, path: str, query: str, answered: bool
) -> None:
    led = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert (asked(method, path, query, **led) == "") is answered
    assert asked(method, path, query, sec_fetch_site="cross-site", sec_fetch_mode="cors") != ""


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": f"http://{HOST}"},
        {"origin": f"http://{HOST}", "sec_fetch_site": "same-origin"},
        {"origin": "null", "sec_fetch_site": "same-origin"},  # a form of a page that sends no referrer
        {"sec_fetch_site": "none", "sec_fetch_mode": "navigate"},
    ],
)
def test_programs_and_our_own_pages_are_answered(headers: dict[str, str]) -> None:
    assert asked(**headers) == ""


FORM = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "headers", "answered"),
    [
        ("POST", REVIEW, {"content_type": FORM}, True),
        ("POST", REVIEW, {"content_type": FORM, "sec_fetch_site": "cross-site"}, False),
        ("POST", REVIEW, {"content_type": FORM, "sec_fetch_site": "same-site"}, False),
        ("POST", REVIEW, {"content_type": FORM, "authorization": "AWS4-HMAC-SHA256 Credential=test/x"}, False),
        ("POST", REVIEW, {"content_type": "text/plain"}, False),
        ("POST", REVIEW, {}, False),
        ("PUT", REVIEW, {"content_type": FORM}, False),
        ("POST", "/_aws/execute-api/abc/$default/releases/R/decision", {"content_type": FORM}, False),
        ("POST", "/", {"content_type": FORM}, False),
        ("POST", "/review/R-1-1", {"content_type": FORM}, False),
    ],
)
def test_a_form_without_an_origin_is_taken_for_a_reviewers_alone(
    method: str, path: str, headers: dict[str, str], answered: bool
) -> None:
    assert (asked(method, path, origin="null", **headers) == "") is answered


def test_no_answer_says_that_others_may_read_it() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [
        (b"Access-Control-Allow-Origin", b"*"),
        (b"content-type", b"text/plain"),
        (b"access-control-max-age", b"1"),
    ]
    asyncio.run(_sent(browsers.unread_by_others(send), headers))
    assert sent == [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]},
        {"type": "http.response.body", "body": b"x"},
    ]


async def _sent(send: browsers.Send, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x"})
