"""KMS of the embedded AWS decrypts with the key that made the ciphertext, and with no other."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from local.running import EmbeddedAws

CONTEXT = {"prompt": "greeter"}


def test_a_ciphertext_opens_under_its_own_key_alone(embedded_aws: EmbeddedAws, account: str) -> None:
    kms = embedded_aws.client("kms", account)
    mine, other = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    kms.create_alias(AliasName="alias/receipts", TargetKeyId=mine)
    made = kms.generate_data_key(KeyId="alias/receipts", KeySpec="AES_256", EncryptionContext=CONTEXT)

    def opened(**key: str) -> bytes:
        given = {"CiphertextBlob": made["CiphertextBlob"], "EncryptionContext": CONTEXT, **key}
        return bytes(kms.decrypt(**given)["Plaintext"])

    assert opened(KeyId=mine) == opened(KeyId="alias/receipts") == opened() == made["Plaintext"]
    kms.update_alias(AliasName="alias/receipts", TargetKeyId=other)
    for key in ("alias/receipts", other):
        with pytest.raises(ClientError, match="IncorrectKeyException"):
            opened(KeyId=key)
    with pytest.raises(ClientError, match="InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=b"x" * 184, EncryptionContext=CONTEXT, KeyId=mine)
    assert opened(KeyId=mine) == made["Plaintext"]
