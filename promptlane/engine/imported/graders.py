"""Which model a promptfoo file has grade, where Bedrock has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Json = Any
_ADAPTERS: Final = ("converse", "completion", "embeddings", "embedding", "chat", "text")
_MODEL: Final = re.compile(
    r"arn:aws[\w-]*:bedrock:[\w.:/-]+|(?:(?:us|eu|apac|global|us-gov|jp|au|ca|sa)\.)?[a-z0-9-]+\.[\w.:-]+", re.I
)


def bedrock_model(provider: str) -> str:
    """The model id of a provider such as `bedrock:amazon.nova-lite-v1:0`; empty when it names none on Bedrock."""
    scheme, _, model = provider.partition(":")
    if scheme != "bedrock":
        return ""
    first, _, rest = model.partition(":")
    if first in _ADAPTERS:
        model = rest
    return model if _MODEL.fullmatch(model) else ""


def graders(provider: Json, asks: str = "") -> Iterator[tuple[str, str]]:
    """(`judge` or `embedder`, provider) of what stands in a `provider`: an id, a mapping with one, or one for each use.

    `asks`: what it is used for where that is known, otherwise told by its name.
    """
    if isinstance(provider, str):
        yield asks or ("embedder" if "embed" in provider else "judge"), provider
    elif isinstance(provider, Mapping) and isinstance(provider.get("id"), str):
        yield from graders(provider["id"], asks)
    elif isinstance(provider, Mapping):
        for use, inner in provider.items():
            if use in ("text", "embedding"):
                yield from graders(inner, "embedder" if use == "embedding" else "judge")
