"""The keys that receipts are sealed with: one for each prompt and day.

`KmsKeys`: AWS KMS makes a data key for this process, bound by its encryption context to the prompt's name and the day,
and hands it out twice: in plain, kept in memory alone, and encrypted, which is the key's name in every receipt. Whoever
may `kms:Decrypt` under that context opens what it sealed, so there is nothing to store, to hand round or to rotate, and
IAM decides for which prompts a process may seal and open: by `kms:EncryptionContext:prompt`.

`OwnKeys`: derived by HKDF-SHA256 from a secret that the application sets, for where one application is alone. Whoever
holds that secret speaks for every prompt. Several are parted by blanks: the newest, which is the last, seals, and the
receipt names the one that opens it.

A key that cannot be had costs receipts and no answers: it is fetched while the model answers, and asked for again after
a minute.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from time import monotonic, time

from promptlane.domain.errors import InvalidInput, Unavailable
from promptlane.domain.names import RECEIPT_CONTEXT

from .errors import InvalidReceipt
from .receipts import DAY, Head, Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from .aws import Aws

    class Keys(Protocol):
        """Where sealing keys come from."""

        def newest(self, prompt: str, *, wait: float) -> Key | None:
            """The key to seal with, after at most `wait` seconds; None where there is none now."""

        def named(self, prompt: str, head: Head) -> Key:
            """The key that a head names. InvalidReceipt when it is not this prompt's, Unavailable when not now."""

        def after_fork(self) -> None: ...


_OWN, _KMS = 0, 1
_KEPT = 1000
"""Keys of other processes that were opened, at most this many."""
_SEALS = 2**28
"""How often one key seals in one process: with random nonces 2**32 is what GCM bears."""
_FOREIGN = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class OwnKeys:
    """Keys of secrets in a text."""

    def __init__(self, text: str) -> None:
        self._secrets = [secret.encode() for secret in text.split()]
        self._made: dict[tuple[bytes, str, int], Key] = {}

    def after_fork(self) -> None:
        """Nothing here belongs to a thread."""

    def newest(self, prompt: str, *, wait: float) -> Key | None:
        return self._key(self._secrets[-1], prompt, _today())

    def named(self, prompt: str, head: Head) -> Key:
        keys = (self._key(secret, prompt, head.day) for secret in self._secrets if head.kind == _OWN)
        found = next((key for key in keys if key.name == head.key), None)
        if found is None:
            raise InvalidReceipt("the receipt was sealed with a key that is not ours; it came from elsewhere")
        return found

    def _key(self, secret: bytes, prompt: str, day: int) -> Key:
        found = self._made.get((secret, prompt, day))
        if found is None:
            hashes, hkdf = _derivation()
            bound = b"promptlane receipt\0" + day.to_bytes(2, "big") + prompt.encode()
            made = hkdf(algorithm=hashes.SHA256(), length=40, salt=None, info=bound).derive(secret)
            found = Key(_OWN, day, made[32:], _cipher(made[:32]))
            _keep(self._made, (secret, prompt, day), found)
        return found


class KmsKeys:
    """Keys that a KMS key wraps; `key_id` is its id or ARN."""

    def __init__(self, aws: Aws, key_id: str) -> None:
        self._aws = aws
        self._key_id = key_id
        self._held: dict[str, Key] = {}
        self._sealed: dict[str, int] = {}
        self._opened: dict[tuple[str, int, bytes], Key] = {}
        self.after_fork()

    def after_fork(self) -> None:
        """Keys stay: nonces are random, so parent and child may seal with the same."""
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._due: dict[str, float] = {}

    def newest(self, prompt: str, *, wait: float) -> Key | None:
        """Today's key; yesterday's while today's cannot be had."""
        held, today = self._held.get(prompt), _today()
        if held is not None and held.day == today and self._sealed[prompt] < _SEALS:
            self._sealed[prompt] += 1
            return held
        usable = held is not None and held.day == today - 1 and self._sealed[prompt] < _SEALS
        thread = self._fetching(prompt)
        if thread is not None and wait and not usable:
            thread.join(wait)
        held = self._held.get(prompt)
        return held if held is not None and held.day >= today - 1 else None

    def named(self, prompt: str, head: Head) -> Key:
        if head.kind != _KMS:
            raise InvalidReceipt("the receipt was sealed with a key that is not of KMS; it came from elsewhere")
        found = self._opened.get((prompt, head.day, head.key))
        if found is None:
            found = Key(_KMS, head.day, head.key, _cipher(self._decrypt(prompt, head)))
            _keep(self._opened, (prompt, head.day, head.key), found)
        return found

    def _decrypt(self, prompt: str, head: Head) -> bytes:
        context = _context(prompt, head.day)
        try:
            kms = self._client()
            found = kms.decrypt(CiphertextBlob=head.key, KeyId=self._key_id, EncryptionContext=context)
        except Exception as error:
            if _code(error) in _FOREIGN:
                raise InvalidReceipt("the receipt was sealed with a key that is not this prompt's") from None
            raise Unavailable(
                f"the receipt cannot be checked now ({type(error).__name__}: {error}): it stays good, try again; allow "
                f"kms:Decrypt on {self._key_id} for receipts of {prompt}"
            ) from error
        return bytes(found["Plaintext"])

    def _fetching(self, prompt: str) -> threading.Thread | None:
        """The thread that fetches a prompt's key, started unless there is one or the last try was just now."""
        with self._lock:
            thread = self._threads.get(prompt)
            if (thread is None or not thread.is_alive()) and monotonic() >= self._due.get(prompt, 0.0):
                thread = threading.Thread(target=lambda: self._fetch(prompt), daemon=True)
                self._threads[prompt] = thread
                thread.start()
            return thread

    def _fetch(self, prompt: str) -> None:
        day = _today()
        try:
            kms = self._client()
            made = kms.generate_data_key(KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=_context(prompt, day))
            key = Key(_KMS, day, bytes(made["CiphertextBlob"]), _cipher(bytes(made["Plaintext"])))
        except Exception as error:  # noqa: BLE001 - an answer without a receipt is better than none
            import logging

            self._due[prompt] = monotonic() + 60
            logging.getLogger("promptlane.client").warning(
                "no key to seal receipts of %s with, its answers carry none for a minute: %s", prompt, error
            )
            return
        self._sealed[prompt] = 0
        self._held[prompt] = key
        _keep(self._opened, (prompt, day, key.name), key)

    def _client(self) -> Any:
        return self._aws.client("kms", read_timeout=2.0, attempts=2)


def keys_of(aws: Aws, *, secret: str, kms_key: str) -> Keys | None:
    """Where keys come from by these settings: the application's secret, else KMS, else nowhere."""
    if not secret.split() and not kms_key:
        return None
    from importlib.util import find_spec

    if find_spec("cryptography") is None:
        raise InvalidInput(
            "receipts are sealed by the package `cryptography`, which is not installed: pip install "
            "'promptlane[receipts]', or set neither PROMPTLANE_RECEIPT_KMS_KEY nor PROMPTLANE_RECEIPT_KEY"
        )
    return OwnKeys(secret) if secret.split() else KmsKeys(aws, kms_key)


def _today() -> int:
    return int(time() // DAY)


def _context(prompt: str, day: int) -> dict[str, str]:
    """What a data key is bound to."""
    return {RECEIPT_CONTEXT: prompt, "day": str(day)}


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _derivation() -> tuple[Any, Any]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return hashes, HKDF


def _keep(kept: dict[Any, Key], at: Any, key: Key) -> None:
    kept[at] = key
    if len(kept) > _KEPT:
        with suppress(RuntimeError):  # another thread adds one at this moment: it makes room
            kept.pop(next(iter(kept)), None)


def _code(error: BaseException) -> str:
    return str((getattr(error, "response", None) or {}).get("Error", {}).get("Code", ""))
