"""What `intake` is handed: a CloudTrail event of a new version, or an explicit request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from promptlane.domain.errors import InvalidInput, NotApplicable
from promptlane.domain.text import one_line, shortened

from . import identity

Json = Any
MAX_NAMED: Final = 300
"""Characters of who asked, and of a message's id. The longest ARN of a session has 180."""
_SOURCES = ("bedrock.amazonaws.com", "bedrock-agent.amazonaws.com")
_PROMPT = re.compile(r"^(arn:aws[a-z-]*:bedrock:[a-z0-9-]+:[0-9]{12}:prompt/)?[0-9A-Za-z_-]{1,100}(:[0-9]{1,5})?\Z")
_ID = re.compile(r"[0-9A-Za-z]{10}")
_NAME = re.compile(r"[0-9A-Za-z_-]{1,100}")
_VERSION = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A wish for a release. `prompt` is a name, id or ARN; `version` is None where the event does not tell it.

    `requested_by` is what AWS vouches for: CloudTrail's caller, or the sender as the queue knows it, with what the
    message says as a claim (identity.py). `sent_by`: the principal id of a person's or a function's message.
    """

    prompt: str
    version: int | None
    requested_by: str
    explicit: bool = False
    request_id: str = ""
    sent_by: str = ""


@dataclass(frozen=True, slots=True)
class PromptChange:
    """A call that may have moved a prompt's name, or deleted a version (`version`, else 0), and who made it.

    `prompt_id` and `named`, the name that the prompt has after it, are "" where the event does not tell them.
    """

    event_id: str
    call: str
    prompt_id: str
    named: str
    version: int
    by: str

    @property
    def did(self) -> str:
        return f"{self.call} of prompt {self.prompt_id}" if self.prompt_id else self.call


CHANGES: Final = ("UpdatePrompt", "DeletePrompt", "CreatePrompt")


def change(message: Json, *, account: str, region: str) -> PromptChange | None:
    """The change of a prompt that a message tells of; None for other messages. NotApplicable as `read`."""
    if not isinstance(message, Mapping) or message.get("detail-type") != "AWS API Call via CloudTrail":
        return None
    detail = message.get("detail")
    if not isinstance(detail, Mapping) or detail.get("eventName") not in CHANGES:
        return None
    _succeeded_here(message, detail, account, region)
    asked, answered = (_mapping(detail.get(name)) for name in ("requestParameters", "responseElements"))
    identifier = str(asked.get("promptIdentifier") or answered.get("id") or answered.get("arn") or "")
    prompt_id, _, number = identifier.rpartition("prompt/")[2].partition(":")
    version = str(asked.get("promptVersion") or number)
    named = str(asked.get("name") or answered.get("name") or "")
    return PromptChange(
        event_id=_request_id(detail.get("eventID") or message.get("id")),
        call=str(detail["eventName"]),
        prompt_id=prompt_id if _ID.fullmatch(prompt_id) else "",
        named=named if _NAME.fullmatch(named) else "",
        version=int(version) if detail["eventName"] == "DeletePrompt" and _VERSION.fullmatch(version) else 0,
        by=_caller(detail),
    )


def read(message: Json, *, account: str, region: str, sender: str = "") -> ReleaseRequest:
    """Read a message of the intake queue. `sender`: SQS's SenderId, "" where there is none.

    EventBridge sends with an id that looks like an IAM user's, and a person may move real events back from the dead
    letters: so no event is dropped for its sender. One that a role's session sent says so; it can start nothing that
    `reconcile` would not start, and authors are looked up in CloudTrail itself.

    Raises NotApplicable for an event that is well-formed but none of ours (another account or Region, another call, a
    call that failed), InvalidInput for one that cannot be understood.
    """
    if not isinstance(message, Mapping):
        raise InvalidInput("the message is not a JSON object; it must be an EventBridge event or a release request")
    if message.get("source") == "promptlane.request":
        return _explicit(message, sender)
    if message.get("detail-type") == "AWS API Call via CloudTrail":
        request = _from_cloudtrail(message, account, region)
        if not identity.is_session(sender):
            return request
        return replace(request, requested_by=identity.sent(sender, request.requested_by), sent_by=sender)
    raise InvalidInput("the message is neither an AWS API call via CloudTrail nor a release request")


def record_of(message: Json, *, account: str, region: str) -> Mapping[str, Json] | None:
    """The CloudTrail record of a call of Bedrock that changed something here; None where the message holds none."""
    if not isinstance(message, Mapping) or message.get("detail-type") != "AWS API Call via CloudTrail":
        return None
    record = message.get("detail")
    if not isinstance(record, Mapping) or record.get("eventSource") not in _SOURCES or record.get("errorCode"):
        return None
    where = (str(message.get("account", account)), str(record.get("awsRegion", region)))
    return record if where == (account, region) else None


def sender_of(sender: str) -> str:
    """Who sent a message that says it is an event, where that was a role's session and so not EventBridge; else ""."""
    return sender if identity.is_session(sender) else ""


def _explicit(message: Mapping[str, Json], sender: str) -> ReleaseRequest:
    prompt, version = message.get("prompt"), str(message.get("version", ""))
    if not isinstance(prompt, str) or not _PROMPT.match(prompt):
        raise InvalidInput(f"the release request names no prompt: {shortened(repr(prompt), 120)}")
    return ReleaseRequest(
        prompt=prompt,
        version=_number(version),
        requested_by=identity.sent(sender, _named(message.get("requested_by"))),
        explicit=message.get("explicit") is True,
        request_id=_request_id(message.get("request_id")),
        sent_by=sender if identity.known(sender) else "",
    )


def _from_cloudtrail(message: Mapping[str, Json], account: str, region: str) -> ReleaseRequest:
    detail = message.get("detail")
    if not isinstance(detail, Mapping):
        raise InvalidInput("the CloudTrail event has no detail")
    if detail.get("eventSource") not in _SOURCES or detail.get("eventName") != "CreatePromptVersion":
        raise NotApplicable(f"{detail.get('eventSource')} {detail.get('eventName')} starts no release")
    _succeeded_here(message, detail, account, region)
    parameters = detail.get("requestParameters")
    prompt = parameters.get("promptIdentifier") if isinstance(parameters, Mapping) else None
    if not isinstance(prompt, str) or not _PROMPT.match(prompt):
        raise InvalidInput(f"the CloudTrail event names no prompt: {shortened(repr(prompt), 120)}")
    # What the real event's response elements hold is not documented: the version is taken where it is plain to see, and
    # else found by listing the prompt's versions.
    response = detail.get("responseElements")
    version = str(response.get("version")) if isinstance(response, Mapping) else ""
    return ReleaseRequest(
        prompt=prompt,
        version=int(version) if _VERSION.fullmatch(version) else None,
        requested_by=identity.vouched(_caller(detail)),
        request_id=_request_id(detail.get("eventID")),
    )


def _succeeded_here(message: Mapping[str, Json], detail: Mapping[str, Json], account: str, region: str) -> None:
    if detail.get("eventSource") not in _SOURCES:
        raise NotApplicable(f"{detail.get('eventSource')} is not Bedrock")
    if detail.get("errorCode"):
        raise NotApplicable(f"the call failed with {detail['errorCode']}: nothing was changed")
    where = (str(message.get("account", account)), str(detail.get("awsRegion", region)))
    if where != (account, region):
        raise NotApplicable(f"the event is from {where[0]}/{where[1]}, this deployment serves {account}/{region}")


def _caller(detail: Mapping[str, Json]) -> str:
    return _named(_mapping(detail.get("userIdentity")).get("arn"))


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _named(said: Json) -> str:
    """Who asked, as a message says: one visible line, so that it can be kept, copied and shown wherever it goes."""
    return one_line(said, MAX_NAMED) if isinstance(said, str) and said.strip() else "unknown"


def _request_id(said: Json) -> str:
    """A message's own id, by which it is known when it comes twice. InvalidInput for one that cannot be kept."""
    if said in (None, ""):
        return ""
    if not isinstance(said, str) or not said.isascii() or not said.isprintable() or len(said) > MAX_NAMED:
        raise InvalidInput(f"the message's id is none: it has at most {MAX_NAMED} characters of ASCII")
    return said


def _number(text: str) -> int:
    if not _VERSION.fullmatch(text):
        raise InvalidInput(
            f"{shortened(text, 80)!r} is not a version number; DRAFT is never released: publish a version first"
        )
    return int(text)
