"""The secret by which an embedded AWS knows its own callers.

One for each home directory, in `<home>/key`, which only its owner reads. It travels as the session token of every key
that the instance itself hands out: `test` and, as MiniStack has it, 12-digit keys, which choose an account. Keys that
its IAM and STS made are known by what these stored. Who may call without any is in gaps/access_keys.py.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

ROOT = "test"
"""The access key of the default account, and the secret of all: they prove nothing, the token does."""


def token(home: Path) -> str:
    """The secret of the instance that keeps its state under `home`; made at first use."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if found := path.read_text():
            return found
        path.unlink()  # somebody died between the two steps below
        return token(home)
    with open(descriptor, "w") as file:
        file.write(made := secrets.token_urlsafe(32))
    return made


def credentials(home: Path, account: str | None = None) -> dict[str, str]:
    """An identity that may do everything, as boto3 takes it; a 12-digit `account` selects a tenant of its own."""
    return {
        "aws_access_key_id": account or ROOT,
        "aws_secret_access_key": ROOT,
        "aws_session_token": token(home),
    }


def bearer(home: Path) -> dict[str, str]:
    """What requests for the emulator's own routes carry, which have no signature."""
    return {"Authorization": f"Bearer {token(home)}"}
