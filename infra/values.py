"""How each setting's value is read: from cdk.json, or from text of the command line. ValueError says what to write."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from promptlane.domain.enrolment.floor import Floor
from promptlane.domain.errors import FloorInvalid

DUTIES = ("author", "reviewer", "operator", "runtime", "auditor")
"""The roles of the Access stack."""
MAX_PROMPTS, MAX_NAMES = 10, 220
"""Of one application, and their characters: a managed policy has 6,144, and each name stands in it five times."""

MAX_PROMPT_KEYS = 3
"""For the same reason: each has 75 characters."""

_NOT_NAMES = (
    ("^(aws|ssm)", "Systems Manager takes no parameter below a path that begins with aws or ssm"),
    ("--", "CloudTrail takes no trail with two hyphens beside each other"),
    ("^(sthree-|amzn-s3-demo)", "S3 keeps buckets whose names begin so for itself"),
)
"""What AWS refuses of names that stacks, parameters, the trail and buckets begin with, as their documentation says."""
_APPLICATION = re.compile(r"[a-z][a-z0-9_]{0,29}")
PROMPT_NAME = re.compile(r"([0-9a-zA-Z][_-]?){1,100}")
_LONGEST_LISTED = 350
_LONGEST_FLOOR = 2_000
"""Characters: functions are told it in their environment, which has 4 kB."""
_KEY = re.compile(r"arn:aws(-cn|-us-gov)?:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]{36}")
_LONGEST_ON_CALL = 2_000
"""Characters: commands are told them by a parameter of SSM, which has 4,096."""
_EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")
_MODEL_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/_-]*\*?")
_ARN_PATTERN = re.compile(r"arn:[a-z*-]+:(iam|sts)::([0-9]{12}|\*):[\w+=,.@/*-]+")


def name(value: Any) -> str:
    # CloudFormation shortens names of roles; with more, `<name>-pipeline-…` in resource policies may not match them.
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9-]{1,13}[a-z0-9]", value):
        raise ValueError("write 3 to 15 lower-case letters, digits and single hyphens, beginning with a letter")
    refused = next((says for begins, says in _NOT_NAMES if re.search(begins, value)), "")
    if refused:
        raise ValueError(f"{refused}; write another, such as prompts-{value[:5].strip('-')}")
    return value


def region(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]{2}(-[a-z]+){1,3}-[0-9]", value):
        raise ValueError("write a Region's code, as eu-central-1")
    return value


def path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("write a path, absolute or relative to cdk.json")
    return Path(value)


def prompt(value: Any) -> str:
    if not isinstance(value, str) or not PROMPT_NAME.fullmatch(value):
        raise ValueError("write the name of a prompt, as its prompt.yaml has it")
    return value


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError("write true or false")


def one_of(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"write one of {', '.join(allowed)}")
        return str(value)

    return read


def whole(*, low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) else value
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise ValueError(f"write a whole number from {low} to {high}")
        return number

    return read


def whole_of(*allowed: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if str(value) not in {str(number) for number in allowed}:
            raise ValueError(f"write one of {', '.join(str(number) for number in allowed)}")
        return int(value)

    return read


def number(*, above: float, up_to: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if isinstance(value, bool) or not above < number <= up_to:
            raise ValueError(f"write a number above {above:g} and at most {up_to:g}")
        return number

    return read


def patterns(value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not given or not all(_ARN_PATTERN.fullmatch(str(one)) for one in given):
        raise ValueError("write ARN patterns such as arn:aws:iam::123456789012:role/deployer-*, separated by commas")
    return tuple(str(one) for one in given)


def callers(value: Any) -> tuple[str, ...]:
    found = patterns(value)
    if wrong := [one for one in found if "*" in one[:-1] or one.endswith(":*")]:
        raise ValueError(f"{wrong[0]}: write ARNs with one * at most, at the end of a name")
    return _fitting(found)


def models(value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    found = tuple(str(one).strip() for one in listed) if isinstance(listed, (list, tuple)) else ()
    if not found or not all(_MODEL_PATTERN.fullmatch(one) for one in found):
        raise ValueError("write ids or ARNs of models such as amazon.nova-*, with one * at most, at the end")
    return _fitting(found)


def _fitting(found: tuple[str, ...]) -> tuple[str, ...]:
    """What fits into the filter of calls past the split, beside as much of the other setting."""
    if sum(len(one) + 25 for one in found) > _LONGEST_LISTED:
        raise ValueError(
            "a filter of log records has 1,024 characters: write fewer, or wider ones with a * at the end; with 25 "
            f"characters for each they may have {_LONGEST_LISTED}"
        )
    return found


def by_duty(value: Any) -> dict[str, tuple[str, ...]]:
    wanted = 'write {"author": ["arn:aws:iam::123456789012:role/writers-*"], …} for any of ' + ", ".join(DUTIES)
    try:
        given = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(wanted) from None
    if not isinstance(given, Mapping) or not given or given.keys() - set(DUTIES):
        raise ValueError(wanted)
    return {str(duty): patterns(named) for duty, named in given.items()}


def applications(value: Any) -> dict[str, tuple[str, ...]]:
    wanted = (
        'write {"checkout": ["support-assistant"], …}: up to 40 names of lower-case letters, digits and underscores, '
        f"each with 1 to {MAX_PROMPTS} names of prompts"
    )
    try:
        given = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(wanted) from None
    if not isinstance(given, Mapping) or not 0 < len(given) <= 40:
        raise ValueError(wanted)
    found = {}
    for name, prompts in given.items():
        if not _APPLICATION.fullmatch(str(name)) or not isinstance(prompts, (list, tuple)):
            raise ValueError(wanted)
        if not 0 < len(prompts) <= MAX_PROMPTS or not all(PROMPT_NAME.fullmatch(str(one)) for one in prompts):
            raise ValueError(wanted)
        if sum(len(str(one)) for one in prompts) > MAX_NAMES:
            raise ValueError(f"{name}'s prompts have more than {MAX_NAMES} characters: name fewer in one application")
        found[str(name)] = tuple(dict.fromkeys(str(one) for one in prompts))
    return found


def floor(value: Any) -> Floor:
    try:
        given = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError('write {"review": {"quorum": 2}, …}, as docs/write-a-policy.md lists it') from None
    try:
        floor = Floor.from_dict(given)
    except FloorInvalid as error:
        raise ValueError(str(error).replace("\n", "; ")) from None
    if len(json.dumps(floor.to_dict())) > _LONGEST_FLOOR:
        raise ValueError(f"it has more than {_LONGEST_FLOOR:,} characters; write fewer, wider patterns of reviewers")
    return floor


def keys(value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    given = [str(one).strip() for one in listed] if isinstance(listed, (list, tuple)) else []
    if not 0 < len(given) <= MAX_PROMPT_KEYS or not all(_KEY.fullmatch(one) for one in given):
        raise ValueError(
            f"write 1 to {MAX_PROMPT_KEYS} ARNs of keys, not of aliases, separated by commas: "
            "arn:aws:kms:eu-west-1:123456789012:key/12345678-90ab-cdef-1234-567890abcdef"
        )
    return tuple(dict.fromkeys(given))


def emails(value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    given = [str(one).strip().lower() for one in listed] if isinstance(listed, (list, tuple)) else []
    if not given or not all(_EMAIL.fullmatch(one) for one in given):
        raise ValueError("write e-mail addresses, separated by commas")
    if len(",".join(given)) > _LONGEST_ON_CALL:
        raise ValueError(f"they have more than {_LONGEST_ON_CALL:,} characters; name the address of a group instead")
    return tuple(dict.fromkeys(given))
