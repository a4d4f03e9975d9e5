"""KMS: Decrypt under the key that the ciphertext was made with, and under no other.

Lacking in MiniStack: a Decrypt whose `KeyId` names another key answers with bytes that mean nothing. KMS refuses it by
IncorrectKeyException."""

from __future__ import annotations

import base64
from typing import Any

from ministack.services import kms

from local import seams

_KEY_ID = 36


def install() -> None:
    seams.require(kms, "_resolve_key")
    error = seams.replies(kms, "error_response_json")

    @seams.replace(kms, "_decrypt")
    def decrypt(original: seams.Replies, data: dict[str, Any]) -> seams.Response:
        named = kms._resolve_key(data.get("KeyId") or "")
        given = data.get("CiphertextBlob") or ""
        blob = base64.b64decode(given) if isinstance(given, str) else given
        if named is not None and "_symmetric_key" in named:
            made_with = kms._resolve_key(blob[:_KEY_ID].decode("utf-8", errors="ignore"))
            if made_with is None:
                return error("InvalidCiphertextException", "", 400)
            if made_with is not named:
                why = "The key ID in the request does not identify a CMK that can perform this operation."
                return error("IncorrectKeyException", why, 400)
        return original(data)
