"""InvokeModel on amazon.titan-embed-text-v2:0: a deterministic embedding of words by feature hashing.

Lacking in MiniStack: InvokeModel answers embedding models with mock text. Here: every word and pair of neighbouring
words is hashed to a signed coordinate, then the vector is scaled to length 1, so that texts that share words are close
(cosine 1 for the same words in the same order) and unrelated texts are nearly orthogonal. It knows no synonyms."""

from __future__ import annotations

import hashlib
import json
import math
import re
from itertools import pairwise
from typing import Any

from local import seams
from local.gaps import prompts

MODELS = ("amazon.titan-embed-text-v2:0",)
DIMENSIONS = (1024, 512, 256)


def is_embedding(model_id: str) -> bool:
    return model_id.rsplit("/", 1)[-1] in MODELS


def reply(body: dict[str, Any]) -> seams.Response:
    """The InvokeModel response for `{"inputText", "dimensions", "normalize"}`; raises Refused."""
    text = body.get("inputText")
    if not isinstance(text, str) or not text.strip():
        raise prompts.invalid("Malformed input request: 'inputText' must be a non-empty string")
    size = body.get("dimensions", DIMENSIONS[0])
    if size not in DIMENSIONS:
        raise prompts.invalid(f"Malformed input request: 'dimensions' must be one of {list(DIMENSIONS)}, not {size!r}")
    tokens = max(1, len(text) // 4)
    vector = embed(text, size, normalize=body.get("normalize", True) is not False)
    document = {"embedding": vector, "embeddingsByType": {"float": vector}, "inputTextTokenCount": tokens}
    headers = {"Content-Type": "application/json", "x-amzn-bedrock-input-token-count": str(tokens)}
    return 200, headers, json.dumps(document).encode()


def embed(text: str, size: int = DIMENSIONS[0], *, normalize: bool = True) -> list[float]:
    """The embedding of a text, `size` numbers long."""
    words = re.findall(r"\w+", text.lower()) or [text]
    features = [(word, 1.0) for word in words] + [(f"{a} {b}", 0.5) for a, b in pairwise(words)]
    vector = [0.0] * size
    for feature, weight in features:
        digest = hashlib.blake2b(feature.encode(), digest_size=8).digest()
        vector[int.from_bytes(digest[:4], "big") % size] += weight if digest[4] & 1 else -weight
    length = math.sqrt(sum(x * x for x in vector)) if normalize else 1.0
    return [round(x / (length or 1.0), 8) for x in vector]
