"""Lambda: code and layers are unpacked once, not at every cold start.

Lacking in MiniStack: each new environment unpacks its code and all of its layers again, some thousand files, which on
one machine takes longer than the function's own start. AWS keeps what it unpacked. Here: an archive is unpacked once
per emulator, known by its contents, and every environment gets links to it. As on AWS, functions must not write there.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime

from local import seams

_lock = threading.Lock()
_unpacked: dict[str, Path] = {}
_root: list[Path] = []


def install() -> None:
    seams.require(lambda_runtime, "zipfile")
    lambda_runtime.zipfile = SimpleNamespace(
        ZipFile=Archive, BadZipFile=zipfile.BadZipFile, LargeFileError=zipfile.LargeZipFile
    )


class Archive:
    """What the emulator asks of `zipfile.ZipFile`, over the copy that is unpacked already.

    Raises zipfile.BadZipFile for what is none, and ValueError for an entry that would lie outside.
    """

    def __init__(self, path: str) -> None:
        self._folder = _folder_of(Path(path))

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: Any) -> None: ...

    def namelist(self) -> list[str]:
        """The first level; what lies below was looked at when it was unpacked."""
        return sorted(entry.name for entry in self._folder.iterdir())

    def extractall(self, into: str) -> None:
        for entry in self._folder.iterdir():
            (Path(into) / entry.name).symlink_to(entry)


def _folder_of(archive: Path) -> Path:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    with _lock:
        if digest not in _unpacked:
            _unpacked[digest] = _unpack(archive, digest)
        return _unpacked[digest]


def _unpack(archive: Path, digest: str) -> Path:
    if not _root:
        _root.append(Path(tempfile.mkdtemp(prefix="promptlane-code-")))
        atexit.register(shutil.rmtree, _root[0], ignore_errors=True)
    folder = _root[0] / digest[:16]
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"the archive's entry {name!r} lies outside of it")
        opened.extractall(folder)
    return folder
