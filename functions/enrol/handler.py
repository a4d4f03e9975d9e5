"""CloudFormation custom resources: `Custom::PromptlaneEnrolment` says which policy and suite count for a prompt,
`Custom::PromptlaneReviewers` who the deployment's reviewers are.

Properties of the first: `Name` of the prompt, `Policy` and `Suite`, each {"uri": "s3://…", "sha256": "…"}. Create and
Update enrol, or fail and say why; Delete gives the prompt up, and its history stays. A new name is a new physical
resource. Of the second: `Reviewers`, such an object; only the deployment's Pipeline stack may have it.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptlane.aws.composition import Function, wired
from promptlane.aws.custom_resource import answer
from promptlane.domain.enrolment.declaration import DECLARATION_TYPE, DECLARED_ID, DeclarationAsked
from promptlane.domain.enrolment.enrolment import (
    RESOURCE_TYPE,
    Asked,
    Configuration,
    Part,
    name_of,
    physical_id,
    prompt_name,
)
from promptlane.domain.errors import InvalidInput, PromptlaneError
from promptlane.domain.trail import TRAIL_LATE
from promptlane.engine.parse import parse
from promptlane.engine.suite import facts
from promptlane.lifecycle.declare import Declaring
from promptlane.lifecycle.enrol import Enrolling
from promptlane.lifecycle.stack_requests import Witness

Json = Any
log = logging.getLogger("enrol")
log.setLevel(logging.INFO)
_STACK: Final = re.compile(
    r"arn:aws[a-z-]*:cloudformation:([a-z0-9-]+):(\d{12}):stack/[A-Za-z0-9-]{1,128}/[0-9a-f-]{8,64}"
)
_LOGICAL_ID: Final = re.compile(r"[A-Za-z0-9]{1,255}")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{8,128}")
_REFUSED: Final = "enrolled-nothing"
"""The physical id of a resource that could not be created. CloudFormation deletes it at once, which does nothing."""


@dataclass(frozen=True)
class Stacks:
    """What stacks ask for."""

    enrolling: Enrolling
    declaring: Declaring


@wired
def wire(of: Function) -> Stacks:
    witness = Witness(of.stacks, time.sleep)
    deployment = of.setting("deployment")
    enrolling = Enrolling(
        deployment=deployment,
        register=of.register,
        witness=witness,
        config=of.deployed_config,
        floor=of.floor,
        identities=of.identities,
        routes=of.routes,
        late=of.number("trail_late_seconds", float, TRAIL_LATE),
        read_suite=lambda suite: facts(parse(suite)),
        directory=of.declarations,
        clock=time.time,
    )
    declaring = Declaring(
        declarations=of.declarations,
        witness=witness,
        config=of.deployed_config,
        deployment=deployment,
        clock=time.time,
    )
    return Stacks(enrolling, declaring)


def handle(event: dict[str, Json], context: Any) -> dict[str, Json]:
    """Always answers CloudFormation, or the stack would wait."""
    physical = str(event.get("PhysicalResourceId") or "")
    try:
        status, (said, physical) = "SUCCESS", act(event, str(getattr(context, "invoked_function_arn", "")))
    except PromptlaneError as error:
        status, said = "FAILED", str(error)
    except Exception as error:
        log.exception("not enrolled")
        status, said = "FAILED", f"enrol failed ({type(error).__name__}); its log says why. Deploy again"
    log.info("%s: %s", status, said)
    return answer(event, status, said, physical=physical or _REFUSED, stream=getattr(context, "log_stream_name", ""))


def act(event: Mapping[str, Json], function_arn: str) -> tuple[str, str]:
    """(what was done, the resource's physical id)."""
    if event.get("ResourceType") == DECLARATION_TYPE:
        return _declared(event, function_arn)
    kind = event.get("RequestType")
    if kind == "Delete":
        physical = str(event.get("PhysicalResourceId") or "")
        if physical == _REFUSED:
            return "nothing was enrolled under this resource", physical
        # CloudFormation makes up an id for a resource whose creation was never answered.
        name = name_of(physical) or _mapping(event.get("ResourceProperties")).get("Name")
        return wire().enrolling.give_up(_asked(event, function_arn, prompt_name(name), None)), physical
    if kind not in ("Create", "Update"):
        raise InvalidInput(f"RequestType is {kind!r:.80}: this is no request of CloudFormation")
    properties = _mapping(event.get("ResourceProperties"))
    name = prompt_name(properties.get("Name"))
    asked = _asked(event, function_arn, name, _configuration(properties, "ResourceProperties"))
    return wire().enrolling.enrol(asked), physical_id(name)


def _declared(event: Mapping[str, Json], function_arn: str) -> tuple[str, str]:
    kind = event.get("RequestType")
    if kind not in ("Create", "Update", "Delete"):
        raise InvalidInput(f"RequestType is {kind!r:.80}: this is no request of CloudFormation")
    old = _mapping(event.get("OldResourceProperties")).get("Reviewers")
    asked = DeclarationAsked(
        kind=kind,
        stack=_stack(event, function_arn),
        resource=_text(event, "LogicalResourceId", _LOGICAL_ID),
        request=_text(event, "RequestId", _REQUEST_ID),
        says=Part.from_dict(_mapping(event.get("ResourceProperties")).get("Reviewers"), "ResourceProperties.Reviewers"),
        old=Part.from_dict(old, "OldResourceProperties.Reviewers").sha256 if old else "",
    )
    declaring = wire().declaring
    return declaring.give_up(asked) if kind == "Delete" else declaring.declare(asked), DECLARED_ID


def _asked(event: Mapping[str, Json], function_arn: str, name: str, says: Configuration | None) -> Asked:
    """InvalidInput for what is no request of CloudFormation about a resource of this account and Region."""
    stack = _stack(event, function_arn)
    if event.get("ResourceType") != RESOURCE_TYPE:
        raise InvalidInput(f"ResourceType is {event.get('ResourceType')!r:.80}; it must be {RESOURCE_TYPE}")
    old = _mapping(event.get("OldResourceProperties"))
    return Asked(
        kind=event["RequestType"],
        stack=stack,
        resource=_text(event, "LogicalResourceId", _LOGICAL_ID),
        request=_text(event, "RequestId", _REQUEST_ID),
        name=name,
        says=says,
        old=_configuration(old, "OldResourceProperties") if says and old and old.get("Name") == name else None,
    )


def _stack(event: Mapping[str, Json], function_arn: str) -> str:
    stack = _STACK.fullmatch(_text(event, "StackId", _STACK))
    here = function_arn.split(":")
    if stack is None or len(here) < 5 or list(stack.groups()) != here[3:5]:
        raise InvalidInput(f"StackId {event.get('StackId')!r:.200} is no stack of this account and Region")
    return stack.group()


def _configuration(properties: Mapping[str, Json], where: str) -> Configuration:
    parts = {key.lower(): properties.get(key) for key in ("Policy", "Suite")}
    return Configuration.from_dict(parts, where)


def _text(event: Mapping[str, Json], key: str, shape: re.Pattern[str]) -> str:
    value = event.get(key)
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise InvalidInput(f"{key} is {value!r:.200}: this is no request of CloudFormation")
    return value


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
