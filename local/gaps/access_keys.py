"""Who may call: nobody without a key that this instance knows.

MiniStack takes any access key, and none at all, for the account's root, unless it enforces IAM. Here, enforced or not,
a call needs one of

- `test` or a 12-digit key (a tenant of its own), with the instance's secret (local/keys.py) as session token;
- temporary credentials that STS made here, with their token;
- the access key of an IAM user that was made here;

and the emulator's own routes below /_ministack/ and /_promptlane/ need the secret as a bearer token. What AWS serves
without a signature needs none here either: public routes of HTTP APIs, public function URLs, the links in SNS's mails,
the answer of a custom resource to the URL that it was given. Signatures themselves are verified where IAM is
enforced."""

from __future__ import annotations

import hmac
import os
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from ministack.core import iam_actions, iam_evaluator, responses, router
from ministack.services import sts

from local import browsers, seams

_APIS: Final = ("/_aws/execute-api/", "/_aws/lambda-url/")
_ANSWERS: Final = ("/_ministack/cfn-response/", "/_ministack/cfn-signal/")
_HEALTH: Final = ("/_promptlane/health", "/_ministack/health")
_LINKS: Final = ("ConfirmSubscription", "Unsubscribe")
_MISSING: Final = ("MissingAuthenticationToken", "Request is missing Authentication Token")
_INVALID: Final = (
    "UnrecognizedClientException",
    "The security token included in the request is invalid. An embedded AWS takes the keys that it handed out itself: "
    "those of its `env` file (after `make up`: . .local/env), or what its IAM and STS made.",
)
Query = Mapping[str, list[str]]


def install() -> None:
    seams.require(iam_evaluator, "is_root_access_key", "find_iam_access_key_account", "resolve_credential")
    seams.require(iam_evaluator, "ResolvedCredential", "AmbiguousAccessKeyError")
    seams.require(iam_actions, "access_denied_response")
    seams.require(router, "extract_access_key_id", "detect_service")
    seams.require(responses, "_account_from_sts_session")
    seams.require(sts, "_sessions")


def refusal(method: str, path: str, query: str, headers: Mapping[str, str]) -> seams.Response | None:
    """The answer to a call without a good key, in the shape of its service; None where it may pass.

    `headers` by lower-case names, repeated ones joined by commas."""
    parameters = parse_qs(query, keep_blank_values=True)
    if _open(method, path, parameters, headers):
        return None
    if path.startswith("/_") and not path.startswith(_APIS):
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind == "Bearer" and _ours(given.strip()):
            return None
        return seams.json_reply({"message": "this needs the instance's key as a bearer token (local/keys.py)"}, 403)
    key = router.extract_access_key_id(dict(headers), parameters)
    wrong = _fault(key, _token(parameters, headers)) if key else _MISSING
    return _refused(method, path, parameters, headers, *wrong) if wrong else None


def _open(method: str, path: str, query: Query, headers: Mapping[str, str]) -> bool:
    """Whether this is served to anybody. By names of the machine alone: a name below them selects another service."""
    if browsers.host_of(headers) not in browsers.OURS:
        return False
    signed = "authorization" in headers or not {"X-Amz-Credential", "AWSAccessKeyId"}.isdisjoint(query)
    if path.startswith(_APIS):
        return not signed  # a route, or a function URL, with IAM refuses it by itself
    if method == "GET" and path in _HEALTH:
        return True
    if method == "PUT" and path.startswith(_ANSWERS):
        return True
    link = method in ("GET", "HEAD") and path == "/" and query.get("Action", [])
    selects = {"x-amz-target", "content-type", "smithy-protocol", "authorization"}
    return bool(link) and len(query["Action"]) == 1 and query["Action"][0] in _LINKS and selects.isdisjoint(headers)


def _token(query: Query, headers: Mapping[str, str]) -> str:
    if given := headers.get("x-amz-security-token"):
        return given
    names = ("X-Amz-Security-Token", "x-amz-security-token")  # of addresses signed by version 4 and 2
    return next((value for name in names for value in query.get(name, ())), "")


def _ours(token: str) -> bool:
    expected = os.environ.get("AWS_SESSION_TOKEN", "")
    return bool(expected) and hmac.compare_digest(token.encode(), expected.encode())


def _fault(key: str, token: str) -> tuple[str, str] | None:
    """(code, message) of what is wrong with a key and its token, as MiniStack's evaluator names it."""
    if iam_evaluator.is_root_access_key(key):
        return None if _ours(token) else _INVALID
    try:
        account = iam_evaluator.find_iam_access_key_account(key) or responses._account_from_sts_session(key)
    except iam_evaluator.AmbiguousAccessKeyError:
        return _INVALID
    with seams.scope(account or seams.account(), seams.region()):
        found = iam_evaluator.resolve_credential(key, seams.account(), token)
    if isinstance(found, iam_evaluator.ResolvedCredential):
        return None
    return _INVALID if found.code == _INVALID[0] else (found.code, found.message)


def _refused(
    method: str, path: str, query: Query, headers: Mapping[str, str], code: str, message: str
) -> seams.Response:
    given, routing = dict(headers), dict(query)
    in_form = given.get("content-type", "").startswith("application/x-www-form-urlencoded")
    unsigned_form = in_form and "authorization" not in given and path == "/"
    service = "sts" if unsigned_form else router.detect_service(method, path, given, routing)
    denied: Callable[..., Any] = iam_actions.access_denied_response
    answer: seams.Response = denied(
        service, "*", "anonymous", str(uuid.uuid4()), error_code=code, message=message, headers=given
    )
    return answer
