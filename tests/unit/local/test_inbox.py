"""local/inbox: mails as pages, for who has the key; whatever a mail says is text."""

from email.message import EmailMessage
from pathlib import Path

import pytest

from local import inbox, keys

HOSTILE = 'Review <script>alert(1)</script> "now"'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "mail").mkdir()
    return tmp_path


def mail(home: Path, name: str, subject: str, text: str) -> None:
    message = EmailMessage()
    message["To"], message["Subject"] = "ana@example.com", subject
    message.set_content(text)
    (home / "mail" / name).write_bytes(message.as_bytes())


def ask(home: Path, path: str = inbox.PATH, query: str = "", method: str = "GET", cookie: str = "") -> inbox.Reply:
    headers = {"cookie": cookie} if cookie else {}
    return inbox.answer(method, path, query, headers, home=home, mail=home / "mail")


def opened(home: Path, path: str = inbox.PATH) -> tuple[int, str]:
    status, headers, body = ask(home, path, cookie=f"promptlane_inbox={inbox.key(home)}")
    assert "default-src 'none'" in headers["content-security-policy"]
    return status, body.decode()


def test_the_link_opens_it_and_leaves_the_address_bar(home: Path) -> None:
    status, headers, _ = ask(home, query=inbox.link(4566, home).partition("?")[2])
    assert (status, headers["location"]) == (303, inbox.PATH)
    assert "HttpOnly" in headers["set-cookie"]
    assert opened(home)[0] == 200


@pytest.mark.parametrize(
    ("query", "cookie"),
    [
        ("", ""),
        ("key=", ""),
        ("key=wrong", ""),
        ("", "promptlane_inbox=wrong"),
        ("", "promptlane_inbox=é"),
        ("", ";;="),
    ],
)
def test_nobody_else_gets_in(home: Path, query: str, cookie: str) -> None:
    mail(home, "1.eml", "Secret", "http://localhost/review/1")
    status, headers, body = ask(home, query=query, cookie=cookie)
    assert (status, "set-cookie" in headers) == (403, False)
    assert b"review/1" not in body
    assert b"Secret" not in body


def test_its_key_is_not_the_instances(home: Path) -> None:
    assert inbox.key(home) not in keys.token(home)
    assert ask(home, query=f"key={keys.token(home)}")[0] == 403


def test_mails_are_shown_as_text_with_their_links(home: Path) -> None:
    mail(home, "1.eml", HOSTILE, 'Open http://localhost:4566/review/1?k=a&b=2 now.\n<img src=x onerror="alert(1)">\n')
    listed, shown = opened(home), opened(home, f"{inbox.PATH}/1.eml")
    assert listed[0] == shown[0] == 200
    for page in (listed[1], shown[1]):
        assert "<script>" not in page
        assert "<img" not in page
        assert "ana@example.com" in page
    assert 'href="http://localhost:4566/review/1?k=a&amp;b=2"' in shown[1]


@pytest.mark.parametrize("name", ["2.eml", "../key", "..%2fkey", "1.eml/..", "%2e%2e/key"])
def test_nothing_but_mails_is_shown(home: Path, name: str) -> None:
    keys.token(home)
    mail(home, "1.eml", "One", "text")
    assert opened(home, f"{inbox.PATH}/{name}")[0] == 404


def test_it_is_read_only_and_says_when_it_is_empty(home: Path) -> None:
    assert ask(home, method="POST")[0] == 405
    assert "Nothing yet" in opened(home)[1]
