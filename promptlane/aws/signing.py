"""Signatures by a KMS HMAC key: the key never leaves KMS, so no code and no log can leak it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .errors import code_of, domain_error, translated

_ALGORITHM = "HMAC_SHA_256"


class KmsSigner:
    """`Signer` with a KMS key of spec HMAC_256. `kms` is the boto3 client; messages are at most 4,096 bytes."""

    def __init__(self, kms: Any, key_id: str) -> None:
        self._kms, self._key_id = kms, key_id

    def sign(self, message: bytes) -> bytes:
        with translated("signing a review link"):
            return bytes(self._kms.generate_mac(KeyId=self._key_id, MacAlgorithm=_ALGORITHM, Message=message)["Mac"])

    def verify(self, message: bytes, mac: bytes) -> bool:
        try:
            answer = self._kms.verify_mac(KeyId=self._key_id, MacAlgorithm=_ALGORITHM, Message=message, Mac=mac)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and code_of(error) == "KMSInvalidMacException":
                return False
            raise domain_error(error, "verifying a review link") from error
        return bool(answer["MacValid"])
