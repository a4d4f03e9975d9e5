"""Pages of other sites, in a developer's browser: what they may not do to the embedded AWS, asked as they would ask."""

from __future__ import annotations

import http.client
import json

import pytest

from local.running import EmbeddedAws

INVOKE = "/2015-03-31/functions/none/invocations"
FOREIGN = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


def ask(
    aws: EmbeddedAws, method: str, path: str, body: str = "", **headers: str
) -> tuple[int, dict[str, str], dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", aws.port, timeout=20)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        raw = answer.read()
        said = json.loads(raw) if answer.getheader("content-type") == "application/json" else {}
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, said
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", INVOKE),
        ("POST", "/2015-03-31/functions"),
        ("PUT", "/some-bucket"),
        ("GET", "/?Action=ListTopics"),
        ("OPTIONS", INVOKE),
        ("POST", "/_promptlane/bedrock"),
        ("GET", "/_promptlane/health"),
    ],
)
def test_another_sites_page_reaches_nothing(embedded_aws: EmbeddedAws, method: str, path: str) -> None:
    status, headers, said = ask(embedded_aws, method, path, "{}", **FOREIGN)
    assert (status, "answers programs and its own pages" in said["message"]) == (403, True)
    assert not [name for name in headers if name.startswith("access-control-")]
    rebound = ask(embedded_aws, method, path, "{}", Host=f"evil.example:{embedded_aws.port}")
    assert (rebound[0], "is not a name of this machine" in rebound[2]["message"]) == (403, True)


def test_a_program_is_answered_and_told_nothing_for_browsers(embedded_aws: EmbeddedAws) -> None:
    status, headers, _ = ask(embedded_aws, "POST", INVOKE, "{}")
    assert status == 403  # without a key
    assert not [name for name in headers if name.startswith("access-control-")]
    assert ask(embedded_aws, "GET", "/_promptlane/health")[2]["status"] == "ok"
