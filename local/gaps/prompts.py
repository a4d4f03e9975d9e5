"""Bedrock Prompt Management: the control plane of prompts.

Lacking in MiniStack: ARNs as identifiers, the list of a prompt's versions, deleting one version, version descriptions,
validation, idempotency by client token; and it rewrites the keys of JSON inside variants (a tool's schema comes back
changed). Here: the six operations over MiniStack's own stores, each recorded in CloudTrail, failures too.

Where AWS documents nothing, the worse case: several prompts may have one name; empty lists that were sent are absent
from what is read, and those that were not sent are there, empty."""

from __future__ import annotations

import copy
import json
import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import bedrock_agent

from local import seams
from local.gaps import callers, cloudtrail

MAX_VERSIONS = 10
"""Of one prompt; the quota can be raised, by asking."""
NAME = re.compile(r"([0-9a-zA-Z][_-]?){1,100}")
_IDENTIFIER = re.compile(r"(?:arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:prompt/)?([0-9a-zA-Z]{10})(?::([0-9]{1,5}))?")
_ROUTE = re.compile(r"/prompts(?:/(.+?))?(/versions)?/?")
_OPERATIONS = {
    ("POST", False, False): "CreatePrompt",
    ("GET", False, False): "ListPrompts",
    ("POST", True, True): "CreatePromptVersion",
    ("GET", True, False): "GetPrompt",
    ("PUT", True, False): "UpdatePrompt",
    ("DELETE", True, False): "DeletePrompt",
}
_FIELDS = ("name", "description", "defaultVariant", "variants", "customerEncryptionKeyArn")

_DECRYPTING = ("GetPrompt", "UpdatePrompt", "CreatePromptVersion")
_MODEL = re.compile(
    r"(arn:aws(-[^:]{1,12})?:(bedrock|sagemaker):[a-z0-9-]{1,20}:([0-9]{12})?:([a-z-]+/)?)?([a-zA-Z0-9.-]{1,63}){0,2}"
    r"(([:][a-z0-9-]{1,63}){0,2})?(/[a-z0-9]{1,12})?"
)

_tokens = AccountRegionScopedDict()
key_checks: list[Callable[[dict[str, str], str, str], None]] = []
"""Called with headers, the ARN of a customer's key and that of the prompt under it; raise Refused."""


class Refused(Exception):
    """A call that Bedrock answers with an error: code, message, HTTP status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def invalid(message: str) -> Refused:
    return Refused("ValidationException", message, 400)


def not_found(message: str) -> Refused:
    return Refused("ResourceNotFoundException", message, 404)


def install() -> None:
    seams.require(
        bedrock_agent, "_prompts", "_prompt_versions", "_prompt_arn", "_prompt_version_arn", "_now_iso", "_tags"
    )
    seams.wrap("bedrock-agent", handle)
    seams.keep("prompt-tokens", _tokens)


async def handle(
    inner: seams.Handler, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
) -> seams.Response:
    route = _ROUTE.fullmatch(unquote(path))
    operation = _OPERATIONS.get((method, bool(route and route[1]), bool(route and route[2])))
    if route is None or operation is None:
        return await inner(method, path, headers, body, query)
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return seams.error_reply("ValidationException", "The request body is not valid JSON.")
    if route[1]:
        request["promptIdentifier"] = route[1]
    for name in ("promptVersion", "promptIdentifier", "maxResults", "nextToken", "includedData"):
        if value := seams.one(query, name):
            request[name] = value
    try:
        response = call(
            operation,
            request,
            callers.identity(headers),
            headers.get("user-agent", ""),
            check=lambda: _check_key(operation, request, headers),
        )
    except Refused as refused:
        return seams.error_reply(refused.code, refused.message, refused.status)
    return seams.json_reply(response, 201 if operation.startswith("Create") else 200)


def call(
    operation: str,
    request: dict[str, Any],
    identity: dict[str, Any],
    user_agent: str = "",
    check: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Do one operation and record it in CloudTrail; raises Refused, as `check` may. CloudFormation calls this too."""
    reading = operation in ("GetPrompt", "ListPrompts")
    error: tuple[str, str] | None = None
    response: dict[str, Any] | None = None
    try:
        check()
        response = _IMPLEMENTATIONS[operation](request)
    except Refused as refused:
        error = (refused.code, refused.message)
        raise
    finally:
        cloudtrail.record(
            operation,
            identity=identity,
            request=request,
            response=None if reading else response,
            read_only=reading,
            error=error,
            user_agent=user_agent,
        )
    return response


def _check_key(operation: str, request: dict[str, Any], headers: dict[str, str]) -> None:
    """A prompt under a customer's key is read and written by who may use the key; its metadata is not under it."""
    if operation == "CreatePrompt":
        check_key(headers, request.get("customerEncryptionKeyArn"), bedrock_agent._prompt_arn("*"))
    elif operation in _DECRYPTING and request.get("includedData") != "METADATA_ONLY":
        record = find(request["promptIdentifier"], request.get("promptVersion"))
        for key in {record.get("CustomerEncryptionKeyArn"), request.get("customerEncryptionKeyArn")}:
            check_key(headers, key, bedrock_agent._prompt_arn(record["Id"]))


def check_key(headers: dict[str, str], key: str | None, prompt_arn: str) -> None:
    """Raise Refused where the caller may not use a prompt's key; "" or None is none."""
    for check in key_checks if key else ():
        check(headers, key or "", prompt_arn)


def find(identifier: str, version: str | None = None) -> dict[str, Any]:
    """The stored record of a prompt's draft, or of one version; `identifier` is an id or ARN, with or without `:n`."""
    match = _IDENTIFIER.fullmatch(identifier)
    if match is None:
        raise invalid(
            f"1 validation error detected: Value '{identifier}' at 'promptIdentifier' is not a prompt id or ARN"
        )
    number = version or match[2]
    if number and number != "DRAFT":
        record = bedrock_agent._prompt_versions.get(f"{match[1]}/{number}")
    else:
        record = bedrock_agent._prompts.get(match[1])
    if record is None:
        raise not_found(f"Could not find prompt {identifier}{f' version {version}' if version else ''}.")
    return dict(record)


def public(record: dict[str, Any]) -> dict[str, Any]:
    """A record as the API returns it: first letters small, absent fields absent, empty lists the other way about."""
    found = {name[0].lower() + name[1:]: value for name, value in record.items() if value is not None}
    if found.get("variants"):
        found["variants"] = [_returned(variant) for variant in found["variants"]]
    return found


def _returned(variant: dict[str, Any]) -> dict[str, Any]:
    """Nothing but empty lists is touched: they are dropped where they were sent, and added where they were not."""
    found = copy.deepcopy(variant)
    _turn(found, "metadata")
    template = found.get("templateConfiguration") or {}
    for kind, lists in (("text", ("inputVariables",)), ("chat", ("inputVariables", "system"))):
        if kind in template:
            _turn(template[kind], *lists)
    settings = (found.get("inferenceConfiguration") or {}).get("text")
    if settings is not None:
        _turn(settings, "stopSequences")
    return found


def _turn(holder: dict[str, Any], *names: str) -> None:
    for name in names:
        if holder.get(name) == []:
            del holder[name]
        elif name not in holder:
            holder[name] = []


def _validate(request: dict[str, Any]) -> None:
    name = request.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise invalid(
            f"1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: {NAME.pattern}"
        )
    if not 1 <= len(request.get("description") or "-") <= 200:
        raise invalid("Member 'description' must have length between 1 and 200")
    variants = request.get("variants") or []
    if len(variants) > 1:
        raise invalid("Member 'variants' must have length less than or equal to 1")
    for variant in variants:
        _validate_variant(variant)


def _validate_variant(variant: dict[str, Any]) -> None:
    kind = variant.get("templateType")
    if not NAME.fullmatch(str(variant.get("name"))):
        raise invalid(
            f"Value '{variant.get('name')}' at 'variants.1.name' failed to satisfy constraint: {NAME.pattern}"
        )
    if not _MODEL.fullmatch(str(variant.get("modelId") or "")):
        raise invalid(f"Value '{variant['modelId']}' at 'variants.1.modelId' is no model identifier")
    if len(variant.get("metadata") or []) > 50:
        raise invalid("Member 'metadata' must have length less than or equal to 50")
    template = variant.get("templateConfiguration") or {}
    if kind not in ("TEXT", "CHAT"):
        raise invalid(f"Value '{kind}' at 'variants.1.templateType' must be one of [TEXT, CHAT]")
    part = template.get(kind.lower())
    if part is None:
        raise invalid(f"templateConfiguration must hold '{kind.lower()}' for templateType {kind}")
    if kind == "CHAT" and part.get("messages") is None:
        raise invalid("Value null at 'variants.1.templateConfiguration.chat.messages' must not be null")
    declared = part.get("inputVariables") or []
    if len(declared) > 20:
        raise invalid("Member 'inputVariables' must have length less than or equal to 20")
    if wrong := [v.get("name") for v in declared if not NAME.fullmatch(str(v.get("name")))]:
        raise invalid(f"Value '{wrong[0]}' at 'inputVariables' failed to satisfy constraint: {NAME.pattern}")
    if (part.get("toolConfiguration") or {}).get("tools") == []:
        raise invalid("Member 'tools' must have length greater than or equal to 1")


def _create(request: dict[str, Any]) -> dict[str, Any]:
    token = request.get("clientToken")
    if token and (made := _tokens.get(("CreatePrompt", token))):
        return public(find(made))
    _validate(request)
    prompt_id = uuid.uuid4().hex[:10].upper()
    now = bedrock_agent._now_iso()
    record: dict[str, Any] = {field[0].upper() + field[1:]: copy.deepcopy(request.get(field)) for field in _FIELDS}
    record |= {"Arn": bedrock_agent._prompt_arn(prompt_id), "Id": prompt_id, "Version": "DRAFT"}
    record |= {"CreatedAt": now, "UpdatedAt": now, "Variants": record["Variants"] or []}
    bedrock_agent._prompts[prompt_id] = record
    _keep_tags(record["Arn"], request)
    if token:
        _tokens["CreatePrompt", token] = prompt_id
    return public(record)


def _update(request: dict[str, Any]) -> dict[str, Any]:
    """The whole body is replaced, as on AWS: a field that is left out is gone."""
    record = find(request["promptIdentifier"], "DRAFT")
    _validate(request)
    record |= {field[0].upper() + field[1:]: copy.deepcopy(request.get(field)) for field in _FIELDS}
    record |= {"UpdatedAt": bedrock_agent._now_iso(), "Variants": record["Variants"] or []}
    bedrock_agent._prompts[record["Id"]] = record
    return public(record)


def _create_version(request: dict[str, Any]) -> dict[str, Any]:
    """A snapshot of whatever the draft holds now."""
    draft = find(request["promptIdentifier"], "DRAFT")
    token = request.get("clientToken")
    if token and not 33 <= len(token) <= 256:
        raise invalid("Member 'clientToken' must have length between 33 and 256")
    if token and (made := _tokens.get((draft["Id"], token))):
        return public(find(draft["Id"], made))
    numbers = [int(record["Version"]) for record in versions(draft["Id"])]
    if len(numbers) >= MAX_VERSIONS:
        raise invalid(
            f"You have exceeded the number of versions per prompt in your account: max-number-versions-per-prompt is "
            f"{MAX_VERSIONS}. Delete a version or request a quota increase."
        )
    number = str(_next_number(draft["Id"], numbers))
    now = bedrock_agent._now_iso()
    record = copy.deepcopy(draft) | {"Version": number, "CreatedAt": now, "UpdatedAt": now}
    record |= {"Arn": bedrock_agent._prompt_version_arn(draft["Id"], number), "Description": request.get("description")}
    bedrock_agent._prompt_versions[f"{draft['Id']}/{number}"] = record
    _keep_tags(record["Arn"], request)
    if token:
        _tokens[draft["Id"], token] = number
    return public(record)


def _next_number(prompt_id: str, numbers: list[int]) -> int:
    """Version numbers are never used twice, not even after the newest one was deleted."""
    number = max([*numbers, _tokens.get(("last", prompt_id)) or 0]) + 1
    _tokens["last", prompt_id] = number
    return number


def versions(prompt_id: str) -> list[dict[str, Any]]:
    found = [dict(r) for key, r in bedrock_agent._prompt_versions.items() if key.startswith(f"{prompt_id}/")]
    return sorted(found, key=lambda record: int(record["Version"]))


def _get(request: dict[str, Any]) -> dict[str, Any]:
    found = public(find(request["promptIdentifier"], request.get("promptVersion")))
    if request.get("includedData") == "METADATA_ONLY":
        found = {name: value for name, value in found.items() if name not in ("variants", "defaultVariant")}
    return found


def _delete(request: dict[str, Any]) -> dict[str, Any]:
    number = request.get("promptVersion")
    record = find(request["promptIdentifier"], number)
    if number:
        del bedrock_agent._prompt_versions[f"{record['Id']}/{number}"]
        return {"id": record["Id"], "version": number}
    for version in versions(record["Id"]):
        del bedrock_agent._prompt_versions[f"{record['Id']}/{version['Version']}"]
    del bedrock_agent._prompts[record["Id"]]
    return {"id": record["Id"]}


def _list(request: dict[str, Any]) -> dict[str, Any]:
    if identifier := request.get("promptIdentifier"):
        draft = find(identifier, "DRAFT")
        records = [draft, *reversed(versions(draft["Id"]))]
    else:
        records = sorted(map(dict, bedrock_agent._prompts.values()), key=lambda r: r["UpdatedAt"], reverse=True)
    skip, size = int(request.get("nextToken") or 0), int(request.get("maxResults") or 100)
    shown = ("Arn", "CreatedAt", "Description", "Id", "Name", "UpdatedAt", "Version")
    page = [public({name: record.get(name) for name in shown}) for record in records[skip : skip + size]]
    more = {"nextToken": str(skip + size)} if skip + size < len(records) else {}
    return {"promptSummaries": page, **more}


def _keep_tags(arn: str, request: dict[str, Any]) -> None:
    if request.get("tags"):
        bedrock_agent._tags[arn] = dict(request["tags"])


_IMPLEMENTATIONS = {
    "CreatePrompt": _create,
    "ListPrompts": _list,
    "CreatePromptVersion": _create_version,
    "GetPrompt": _get,
    "UpdatePrompt": _update,
    "DeletePrompt": _delete,
}
