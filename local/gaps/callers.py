"""Who makes a request, as CloudTrail and the model invocation log name them.

MiniStack can resolve an access key, but gathers all policies of the principal on the way; an identity needs only the
key. Answers are kept for a few seconds, because Converse asks on every call."""

from __future__ import annotations

import time
from typing import Any

from ministack.core import iam_evaluator, router
from ministack.services import iam

from local import seams

_SECONDS = 5.0
_known: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}


def install() -> None:
    seams.require(iam_evaluator, "resolve_credential")
    seams.require(router, "extract_access_key_id")
    seams.require(iam, "_roles")
    seams.on_reset(_known.clear)


def identity(headers: dict[str, str]) -> dict[str, Any]:
    """The `userIdentity` element of a CloudTrail record for the caller of a request."""
    key = router.extract_access_key_id(headers, {}) or ""
    at = (key, seams.account())
    kept = _known.get(at)
    if kept and time.monotonic() - kept[0] < _SECONDS:
        return kept[1]
    if len(_known) > 1000:
        _known.clear()
    found = _resolve(key)
    _known[at] = (time.monotonic(), found)
    return found


def service(name: str) -> dict[str, Any]:
    """The `userIdentity` of an AWS service that acts for the account, such as cloudformation.amazonaws.com."""
    return {"type": "AWSService", "accountId": seams.account(), "invokedBy": name, "arn": _root()}


def user_name(identity: dict[str, Any]) -> str:
    """What LookupEvents calls Username."""
    return str(identity.get("userName") or identity.get("arn", "").rsplit("/", 1)[-1].rsplit(":", 1)[-1])


def _root() -> str:
    return f"arn:aws:iam::{seams.account()}:root"


def _resolve(key: str) -> dict[str, Any]:
    account = seams.account()
    common = {"accountId": account, "accessKeyId": key}
    credential = iam_evaluator.resolve_credential(key, account) if key else None
    arn = getattr(credential, "principal_arn", "") or _root()
    if ":user/" in arn:
        name = arn.rsplit("/", 1)[-1]
        return {"type": "IAMUser", "principalId": key, "arn": arn, "userName": name, **common}
    if ":assumed-role/" in arn:
        _, role, session = arn.split(":", 5)[5].split("/", 2)
        record = iam._roles.get(role) or {}
        issuer = {
            "type": "Role",
            "principalId": record.get("RoleId", role),
            "arn": record.get("Arn", f"arn:aws:iam::{account}:role/{role}"),
            "accountId": account,
            "userName": role,
        }
        return {
            "type": "AssumedRole",
            "principalId": f"{issuer['principalId']}:{session}",
            "arn": arn,
            **common,
            "sessionContext": {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "false"}},
        }
    return {"type": "Root", "principalId": account, "arn": arn, **common}
