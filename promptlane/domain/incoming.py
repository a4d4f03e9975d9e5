"""Text that comes in from outside: what no store can keep, and no key can be, is refused where it comes in.

Half a surrogate pair is no Unicode text: JSON's escapes and a terminal's undecodable bytes make one, and every encoder
behind would fail on it. Imports nothing that costs a client or the gateway its start.
"""

from __future__ import annotations

from .errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    Json = Any

MAX_NAME_BYTES: Final = 2_048
"""Bytes of a name. The longest that is one, a prompt's ARN, has 300; DynamoDB takes no longer key."""
MAX_VERSION: Final = 99_999
"""The largest version number that a release id holds."""
_SHOWN: Final = 60


def torn(text: str) -> int:
    """The position of the first half of a surrogate pair in a text; -1 where there is none."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return -1


def torn_problem(text: str) -> str:
    """What is wrong with a text that is not Unicode; empty where nothing is."""
    at = torn(text)
    return (
        "" if at < 0 else f"holds half a surrogate pair (U+{ord(text[at]):04X}, character {at + 1}); send it as UTF-8"
    )


def odd_places(data: Json, path: str = "", *, numbers: bool = True) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) within plain data: texts, keys or values, that are not Unicode; and `numbers` that are not
    finite, which JSON has none of."""
    stack = [(path, data)]
    while stack:
        place, value = stack.pop()
        if isinstance(value, str):
            if problem := torn_problem(value):
                yield place, problem
        elif isinstance(value, float):
            if numbers and value - value != 0:
                yield place, f"is {value}; write a finite number"
        elif isinstance(value, dict):
            for key, inner in value.items():
                name = key if isinstance(key, str) else str(key)
                if problem := torn_problem(name):
                    yield place, f"a key {problem}"
                    continue
                stack.append((f"{place}.{name}" if place else name, inner))
        elif isinstance(value, list | tuple):
            stack += [(f"{place}[{i}]", inner) for i, inner in enumerate(value)]


def whole(text: str, field: str) -> str:
    """The text as it is; InvalidInput, naming the field, when it is not Unicode."""
    if problem := torn_problem(text):
        raise InvalidInput(f"{field} {problem}")
    return text


def mended(text: str) -> str:
    """The text, with a question mark in place of each half: for what AWS tells, which has nobody to be sent back to."""
    return text if torn(text) < 0 else text.encode("utf-8", "replace").decode()


def name(text: object, field: str) -> str:
    """A name, id or ARN: InvalidInput when it is none that anything could have."""
    if not isinstance(text, str) or not text:
        raise InvalidInput(f"{field} is {_shown(text)}; give a name, id or ARN")
    whole(text, field)
    if (size := len(text.encode())) > MAX_NAME_BYTES:
        raise InvalidInput(f"{field} has {size:,} bytes; a name, id or ARN has at most {MAX_NAME_BYTES:,}")
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
        raise InvalidInput(f"{field} {_shown(text)} holds a control character; give a name, id or ARN")
    return text


def version_number(text: object) -> int | None:
    """The version that a text of ASCII digits names; None for anything else: `²`, `١`, `1_0`, `+1`, ` 1`, `01`, `0`.

    `str.isdigit` and `int` take many of those, and not the same ones.
    """
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or text[0] == "0" or len(text) > 5:
        return None
    return int(text)


def _shown(value: object) -> str:
    said = ascii(value)
    return said if len(said) <= _SHOWN else said[:_SHOWN] + "…"
