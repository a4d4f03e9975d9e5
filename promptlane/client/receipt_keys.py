"""The keys that receipts are sealed with: one for each prompt and day.

`KmsKeys`: AWS KMS makes a data key for this process, bound by its encryption context to the prompt's name and the day,
and hands it out twice: in plain, kept in memory alone, and encrypted, which is the key's name in every receipt. Whoever
may `kms:Decrypt` under that context opens what it sealed, so there is nothing to store, to hand round or to rotate, and
IAM decides for which prompts a process may seal and open: by `kms:EncryptionContext:prompt`.

`OwnKeys`: derived by HKDF-SHA256 from a secret that the application sets, for where one application is alone. Whoever
holds that secret speaks for every prompt.

Of secrets, and of keys of KMS, there may be several, parted by blanks: the newest, which is the last, seals, and each
opens what it sealed. They may be given as a function, which is called again when a receipt comes that none of them
opens, at most once a minute, however many such receipts come; those that it named before go on opening.

A key that cannot be had costs receipts and no answers: it is fetched while the model answers, and asked for again after
a minute.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from math import inf
from time import monotonic, time

from promptlane.domain.errors import InvalidInput, Unavailable
from promptlane.domain.names import RECEIPT_CONTEXT

from .errors import InvalidReceipt
from .forks import unbroken
from .receipts import DAY, Head, Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .aws import Aws

    Given = str | Callable[[], str]

    class Keys(Protocol):
        """Where sealing keys come from."""

        def newest(self, prompt: str, *, wait: float) -> Key | None:
            """The key to seal with, after at most `wait` seconds; None where there is none now."""

        def named(self, prompt: str, head: Head) -> Key:
            """The key that a head names. InvalidReceipt when it is not this prompt's, Unavailable when not now."""

        def after_fork(self) -> None: ...


_OWN, _KMS = 0, 1
_KEPT = 1000
"""Keys of other processes that were opened, at most this many; as many names of keys that are none are remembered."""
_PROMPTS = 20_000
"""Prompts whose sealing keys are held."""
_FORMER = 4
"""Texts that a source no longer names, which still open what they sealed."""
_AGAIN = 60.0
"""Seconds between two readings of a source."""
_FORGED = 60
"""Receipts a minute of unknown keys for which AWS is asked in vain; more of them have to wait."""
_SEALS = 2**28
"""How often one key seals in one process: with random nonces 2**32 is what GCM bears."""
_FOREIGN = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


_FORGERY = "the receipt was sealed with a key that is not this prompt's"


class Source:
    """Texts parted by blanks, the newest last: as given, or from a function, which is asked again on demand."""

    def __init__(self, given: Given, name: str) -> None:
        self._given = given
        self._name = name
        self._due = -inf
        self.texts = tuple((given if isinstance(given, str) else self._read()).split())
        self.former: tuple[str, ...] = ()
        if not self.texts and not isinstance(given, str):
            raise InvalidInput(f"{name} is a function that gave no text; let it give the newest one last")
        self.after_fork()

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def _read(self) -> str:
        self._due = monotonic() + _AGAIN
        given = self._given
        found = given if isinstance(given, str) else given()
        if not isinstance(found, str):
            raise InvalidInput(f"{self._name} is a function that gave {type(found).__name__}; let it give text")
        return found

    @property
    def newest(self) -> str:
        return self.texts[-1]

    @property
    def known(self) -> tuple[str, ...]:
        """All that may have sealed, the newest first."""
        return (*reversed(self.texts), *self.former)

    def again(self) -> tuple[str, ...]:
        """What a new reading names that was not known; nothing when it was read within the last minute."""
        if isinstance(self._given, str) or not self._lock.acquire(blocking=False):
            return ()
        try:
            if monotonic() < self._due:
                return ()
            known, found = self.known, tuple(self._read().split())
            if found:
                gone = tuple(text for text in known if text not in found)
                self.texts, self.former = found, gone[:_FORMER]
            return tuple(text for text in reversed(found) if text not in known)
        except Exception as error:  # noqa: BLE001 - what is known still opens and seals
            import logging

            logging.getLogger("promptlane.client").warning("%s was not read again: %s", self._name, error)
            return ()
        finally:
            self._lock.release()


class Allowance:
    """So many failures a minute, after which nobody is asked in vain for the rest of it."""

    def __init__(self, count: int = _FORGED) -> None:
        self._count = count
        self._left = count
        self._until = -inf

    def over(self) -> bool:
        return self._left <= 0 and monotonic() < self._until

    def spend(self) -> None:
        now = monotonic()
        if now >= self._until:
            self._left, self._until = self._count, now + 60
        self._left -= 1


class OwnKeys:
    """Keys of secrets."""

    def __init__(self, secrets: Source) -> None:
        self._secrets = secrets
        self._made: dict[tuple[str, str, int], Key] = {}

    def after_fork(self) -> None:
        self._secrets.after_fork()

    def newest(self, prompt: str, *, wait: float) -> Key | None:
        return self._key(self._secrets.newest, prompt, _today())

    def named(self, prompt: str, head: Head) -> Key:
        found = None
        if head.kind == _OWN:
            found = self._among(self._secrets.known, prompt, head) or self._among(self._secrets.again(), prompt, head)
        if found is None:
            raise InvalidReceipt("the receipt was sealed with a key that is not ours; it came from elsewhere")
        return found

    def _among(self, secrets: tuple[str, ...], prompt: str, head: Head) -> Key | None:
        keys = (self._key(secret, prompt, head.day) for secret in secrets)
        return next((key for key in keys if key.name == head.key), None)

    def _key(self, secret: str, prompt: str, day: int) -> Key:
        found = self._made.get((secret, prompt, day))
        if found is None:
            hashes, hkdf = _derivation()
            bound = b"promptlane receipt\0" + day.to_bytes(2, "big") + prompt.encode()
            made = hkdf(algorithm=hashes.SHA256(), length=40, salt=None, info=bound).derive(secret.encode())
            found = Key(_OWN, day, made[32:], _cipher(made[:32]))
            _keep(self._made, (secret, prompt, day), found)
        return found


class KmsKeys:
    """Keys that keys of KMS wrap; `key_ids` are ids, ARNs or aliases."""

    def __init__(self, aws: Aws, key_ids: Source) -> None:
        self._aws = aws
        self._key_ids = key_ids
        self._held: dict[str, Key] = {}
        self._sealed: dict[str, int] = {}
        self._opened: dict[tuple[str, int, bytes], Key] = {}
        self._forged: dict[tuple[str, int, bytes], None] = {}
        self._allowance = Allowance()
        self.after_fork()

    def after_fork(self) -> None:
        """Keys stay: nonces are random, so parent and child may seal with the same."""
        self._key_ids.after_fork()
        self._lock = threading.RLock()
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
        return held if held is not None and today - 1 <= held.day <= today else None

    def named(self, prompt: str, head: Head) -> Key:
        if head.kind != _KMS:
            raise InvalidReceipt("the receipt was sealed with a key that is not of KMS; it came from elsewhere")
        name = prompt, head.day, head.key
        found = self._opened.get(name)
        if found is None:
            found = Key(_KMS, head.day, head.key, _cipher(self._decrypt(prompt, head)))
            _keep(self._opened, name, found)
        return found

    def _decrypt(self, prompt: str, head: Head) -> bytes:
        """The data key in plain, by whichever key of KMS wrapped it."""
        name = prompt, head.day, head.key
        if name in self._forged:
            raise InvalidReceipt(_FORGERY)
        if self._allowance.over():
            raise Unavailable(
                f"the receipt cannot be checked now: {_FORGED} receipts of keys that are none came within a minute; it "
                "stays good, try again in a minute"
            )
        failed: Exception | None = None
        tried = self._key_ids.known
        while tried:
            for key_id in tried:
                try:
                    return self._unwrapped(key_id, prompt, head)
                except Exception as error:  # noqa: BLE001 - what none of them opens is told below
                    code = _code(error)
                    if code == "InvalidCiphertextException":
                        _keep(self._forged, name, None)
                        self._allowance.spend()
                        raise InvalidReceipt(_FORGERY) from None
                    if code not in _FOREIGN:
                        failed = error
            tried = self._key_ids.again() if failed is None else ()
        if failed is None:
            self._allowance.spend()
            raise InvalidReceipt(_FORGERY)
        raise Unavailable(
            f"the receipt cannot be checked now ({type(failed).__name__}: {failed}): it stays good, try again; allow "
            f"kms:Decrypt on {self._key_ids.newest} for receipts of {prompt}"
        ) from failed

    def _unwrapped(self, key_id: str, prompt: str, head: Head) -> bytes:
        context = _context(prompt, head.day)
        found = self._client().decrypt(CiphertextBlob=head.key, KeyId=key_id, EncryptionContext=context)
        return bytes(found["Plaintext"])

    def _fetching(self, prompt: str) -> threading.Thread | None:
        """The thread that fetches a prompt's key, started unless there is one or the last try was just now."""
        with self._lock:
            thread = self._threads.get(prompt)
            if (thread is None or not thread.is_alive()) and monotonic() >= self._due.get(prompt, 0.0):
                thread = threading.Thread(target=lambda: self._fetch(prompt), daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system has no more threads, or the interpreter ends
                    return None
                _keep(self._threads, prompt, thread, most=_PROMPTS)
            return thread

    def _fetch(self, prompt: str) -> None:
        day = _today()
        try:
            kms = self._client()
            key_id, context = self._key_ids.newest, _context(prompt, day)
            made = kms.generate_data_key(KeyId=key_id, KeySpec="AES_256", EncryptionContext=context)
            key = Key(_KMS, day, bytes(made["CiphertextBlob"]), _cipher(bytes(made["Plaintext"])))
        except Exception as error:  # noqa: BLE001 - an answer without a receipt is better than none
            import logging

            _keep(self._due, prompt, monotonic() + 60, most=_PROMPTS)
            logging.getLogger("promptlane.client").warning(
                "no key to seal receipts of %s with, its answers carry none for a minute: %s", prompt, error
            )
            return
        _keep(self._sealed, prompt, 0, most=2 * _PROMPTS)  # never gone before the key is
        _keep(self._held, prompt, key, most=_PROMPTS)
        _keep(self._opened, (prompt, day, key.name), key)

    def _client(self) -> Any:
        return self._aws.client("kms", read_timeout=2.0, attempts=2)


def keys_of(aws: Aws, *, secret: Given, kms_key: Given) -> Keys | None:
    """Where keys come from by these settings: the application's secret, else KMS, else nowhere."""
    named = [(given, name) for given, name in ((secret, "receipt_key"), (kms_key, "receipt_kms_key"))]
    sources = [Source(given, name) for given, name in named if not isinstance(given, str) or given.split()]
    if not sources:
        return None
    from importlib.util import find_spec

    if find_spec("cryptography") is None:
        raise InvalidInput(
            "receipts are sealed by the package `cryptography`, which is not installed: pip install "
            "'promptlane[receipts]', or set neither PROMPTLANE_RECEIPT_KMS_KEY nor PROMPTLANE_RECEIPT_KEY"
        )
    own = not isinstance(secret, str) or secret.split()
    return OwnKeys(sources[0]) if own else KmsKeys(aws, sources[0])


def _today() -> int:
    return int(time() // DAY)


def _context(prompt: str, day: int) -> dict[str, str]:
    """What a data key is bound to."""
    return {RECEIPT_CONTEXT: prompt, "day": str(day)}


def _cipher(key: bytes) -> Any:
    with unbroken():
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _derivation() -> tuple[Any, Any]:
    with unbroken():
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return hashes, HKDF


def _keep(kept: dict[Any, Any], at: Any, value: Any, *, most: int = _KEPT) -> None:
    kept[at] = value
    if len(kept) > most:
        with suppress(RuntimeError):  # another thread adds one at this moment: it makes room
            kept.pop(next(iter(kept)), None)


def _code(error: BaseException) -> str:
    return str((getattr(error, "response", None) or {}).get("Error", {}).get("Code", ""))
