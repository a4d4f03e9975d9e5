"""What an application sends with a request, beside its variables: refused here when no version could take it.

The limits of requestMetadata are those of Converse's API reference; a text block that is blank is refused by Converse
for every model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from promptlane.domain.errors import InvalidInput
from promptlane.domain.incoming import odd_places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    Json = Any

OURS: Final = ("prompt", "version", "track", "release")
"""Keys of requestMetadata by which invocation logs name the release; they win over an application's own."""
MAX_METADATA: Final = 16
"""Entries of requestMetadata that Converse takes, ours among them."""
MAX_METADATA_CHARACTERS: Final = 256
_KEPT: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.\-]*", re.ASCII)


def check(*, messages: Json = (), guardrail: Json = None, metadata: Json = None) -> None:
    """Raise InvalidInput, which names the argument and what to do, for what Converse takes from no version."""
    for argument, given, kinds, wanted in (
        ("messages", messages, Sequence, 'a list such as [{"role": "user", "content": [{"text": "..."}]}]'),
        ("guardrail", guardrail, Mapping, 'an object such as {"guardrailIdentifier": "...", "guardrailVersion": "1"}'),
        ("metadata", metadata, Mapping, "an object of texts by name"),
    ):
        if given is None:
            continue
        if not isinstance(given, kinds) or isinstance(given, str | bytes):
            raise InvalidInput(f"{argument} is {type(given).__name__}; give {wanted}")
        plain = dict(given) if isinstance(given, Mapping) else list(given)
        for place, problem in odd_places(plain, argument):
            raise InvalidInput(f"{place} {problem}")
    for i, message in enumerate(messages or ()):
        _check_message(f"messages[{i}]", message)
    _check_metadata(metadata or {})


def _check_message(place: str, message: Json) -> None:
    if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
        raise InvalidInput(f'{place} has no role; give {{"role": "user" or "assistant", "content": [...]}}')
    blocks = message.get("content")
    if not isinstance(blocks, list | tuple) or not blocks:
        raise InvalidInput(f'{place}.content has no block; give a list such as [{{"text": "..."}}]')
    for i, block in enumerate(blocks):
        if not isinstance(block, dict) or len(block) != 1:
            raise InvalidInput(f'{place}.content[{i}] must be an object with one key, such as {{"text": "..."}}')
        if "text" in block and not (isinstance(block["text"], str) and block["text"].strip()):
            raise InvalidInput(f"{place}.content[{i}].text is blank, or no text; leave the block out")


def _check_metadata(metadata: Mapping[Any, Any]) -> None:
    own = [name for name in metadata if name not in OURS]
    if len(own) > MAX_METADATA - len(OURS):
        raise InvalidInput(
            f"metadata has {len(own)} entries; Bedrock takes {MAX_METADATA}, of which {len(OURS)} name the release: "
            f"send at most {MAX_METADATA - len(OURS)}"
        )
    for name in own:
        for what, text, least in (("a name in metadata", name, 1), (f"metadata[{name!r}]", metadata[name], 0)):
            if not isinstance(text, str):
                raise InvalidInput(f"{what} is {type(text).__name__}; give text, with str()")
            if not least <= len(text) <= MAX_METADATA_CHARACTERS:
                raise InvalidInput(
                    f"{what} has {len(text)} characters; Bedrock takes {least} to {MAX_METADATA_CHARACTERS}"
                )
            if not _KEPT.fullmatch(text):
                raise InvalidInput(
                    f"{what} is {text[:60]!r}; Bedrock takes ASCII letters, digits, blanks and : _ @ $ # = / + , . - "
                    "alone: encode the rest"
                )
