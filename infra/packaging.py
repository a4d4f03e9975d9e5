"""What Lambda runs, built with plain pip, esbuild and file copies: no Docker, no CDK bundling.

Folders are named by the hash of what they are made of and appear in one rename, so that parallel synths may share them
and an unchanged input is never built twice. The same input gives the same bytes on every run.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

from infra.bytecode import PYTHON, Compiler, compiler

Packages = Literal["sdk", "layer", "engine", "receipts"]
Target = Literal["aws", "host"]
NODE = "node22"
"""As esbuild names the runtime nodejs22.x."""
ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
SDK_SERVICES = (
    *("bedrock", "bedrock-agent", "bedrock-runtime", "cloudformation", "cloudtrail", "cloudwatch", "dynamodb"),
    *("events", "kms", "lambda", "s3", "sns", "sqs", "ssm", "stepfunctions", "sts"),
)
"""The services that functions call, as boto3 names them: of 400 service models the layer holds these."""

_RECIPE = "4"  # raise it when the way of building changes
# Lambda's python3.13 runs on Amazon Linux 2023 (glibc 2.34): wheels for any older glibc will do.
_PLATFORMS = (
    "manylinux2014_aarch64",
    *(f"manylinux_2_{glibc}_aarch64" for glibc in (17, 24, 26, 27, 28, 31, 34)),
)
# Parts of the package that no Lambda imports.
_DESK_ONLY = ("cli", "cdk", "project", "fakes", "py.typed")
# The team's own Python assertions (docs/write-a-suite.md), for the functions that know or run them.
_CHECKS, _RUN_CHECKS = "promptlane_checks", ("plan_tests", "run_cases")
_CLIENT_PARTS = ("__init__.py", "py.typed", "client", "domain")


class PackagingError(Exception):
    """An asset cannot be built; the message says which and what to do."""


def layer(holds: Packages, *, target: Target, root: Path = ROOT, build: Path = BUILD) -> Path:
    """Folder with `python/`: the packages of requirements/<holds>.txt for Lambda's or for this machine's Python.

    All is named there, with hashes. pip looks for nothing else: it would read markers as this machine's Python does.
    Beside each source lies its byte code, where there is an interpreter of that version (`infra.bytecode`).
    """
    requirements = root / "requirements" / f"{holds}.txt"
    compiles = compiler(target)
    made_for = [target, compiles.name, *(_PLATFORMS if target == "aws" else (sys.platform,))]
    trimmed = SDK_SERVICES if holds == "sdk" else ()
    key = _digest([*made_for, *trimmed], [(requirements, "requirements")])

    def install(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        command += ["--no-input", "--no-deps", "--require-hashes", "--requirement", str(requirements)]
        command += ["--target", str(folder / "python")]
        if target == "aws":
            command += ["--implementation", "cp", "--python-version", PYTHON, "--only-binary=:all:"]
            command += [part for platform in _PLATFORMS for part in ("--platform", platform)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PackagingError(
                f"pip could not install requirements/{holds}.txt for the Lambda layer (target {target}). Check the "
                f"package index and the pins, then try again:\n{done.stderr.strip()[-2000:]}"
            )
        _make_reproducible(folder)
        if trimmed:
            _keep_services(folder / "python", trimmed)
        compiles(folder, at="/opt")

    return _built(build / f"{holds}-{target}-{key}", install)


def function_code(verb: str, *, target: Target, root: Path = ROOT, build: Path = BUILD) -> Path:
    """Folder with `promptlane/` and `functions/<verb>/`; the handler is `functions.<verb>.handler.handle`."""
    if not (root / "functions" / verb / "handler.py").is_file():
        raise PackagingError(f"there is no function {verb}: expected functions/{verb}/handler.py")
    code = _code(compiler(target), root=root, build=build)
    parts = ["promptlane", f"functions/{verb}", *([_CHECKS] if verb in _RUN_CHECKS else [])]
    files = [pair for part in parts for pair in _files(code / part, part)]
    for package in (code / "functions", code / "functions" / "__pycache__"):
        files += [(path, path.relative_to(code).as_posix()) for path in package.glob("__init__.*")]
    return _copied(build / f"function-{verb}-{_digest([], files)}", files)


def _code(compiles: Compiler, *, root: Path, build: Path) -> Path:
    """All that any function holds of our own, compiled once for all of them."""
    files = [*_sources(root / "promptlane", "promptlane", without=_DESK_ONLY)]
    files += _sources(root / "functions", "functions")
    if (root / _CHECKS).is_dir():
        files += _sources(root / _CHECKS, _CHECKS)

    def make(folder: Path) -> None:
        _copy(files, folder)
        compiles(folder, at="/var/task")

    return _built(build / f"code-{_digest([compiles.name], files)}", make)


def node_code(verb: str, *, files: Mapping[str, str], root: Path = ROOT, build: Path = BUILD) -> Path:
    """Folder with `handler.js`, one file of functions/<verb>/ and all that it imports, and with `files` (text by name).

    The client is bundled from its sources, and the AWS SDK with it: the runtime's own differs between Regions, and is
    not what was tested. The handler is `handler.handle`.
    """
    own, client = root / "functions" / verb, root / "clients" / "js"
    if not (own / "handler.mjs").is_file():
        raise PackagingError(f"there is no function {verb}: expected functions/{verb}/handler.mjs")
    bundler = client / "node_modules" / ".bin" / "esbuild"
    if not bundler.is_file():
        raise PackagingError(
            f"{bundler.relative_to(root)} is missing: run `make setup`, which installs what is bundled"
        )
    options = [
        *("--bundle", "--platform=node", f"--target={NODE}", "--format=cjs", "--main-fields=module,main"),
        *("--minify-whitespace", "--minify-syntax", "--keep-names", "--legal-comments=none", "--log-level=warning"),
    ]
    sources = [*_files(own, f"functions/{verb}"), *_files(client / "src", "clients/js/src")]
    sources.append((client / "package-lock.json", "clients/js/package-lock.json"))
    made_of = [*options, *(part for pair in sorted(files.items()) for part in pair)]

    def bundle(folder: Path) -> None:
        command = [str(bundler), str(own / "handler.mjs"), *options, f"--outfile={folder / 'handler.js'}"]
        command.append(f"--alias:promptlane={client / 'src' / 'index.ts'}")
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PackagingError(f"esbuild could not bundle functions/{verb}:\n{done.stderr.strip()[-2000:]}")
        for name, text in files.items():
            (folder / name).write_text(text)

    return _built(build / f"function-{verb}-{_digest(made_of, sources)}", bundle)


def client_layer(*, root: Path = ROOT, build: Path = BUILD) -> Path:
    """Folder with `python/promptlane/` as applications import it: client and domain only."""
    package = root / "promptlane"
    parts = [path for name in _CLIENT_PARTS if (path := package / name).exists()]
    files: list[tuple[Path, str]] = []
    for part in parts:
        name = f"python/promptlane/{part.name}"
        files += _sources(part, name) if part.is_dir() else [(part, name)]
    return _copied(build / f"client-{_digest([], files)}", files)


def _sources(folder: Path, prefix: str, *, without: Iterable[str] = ()) -> list[tuple[Path, str]]:
    """Its files without byte code, which an editor or a test left there."""
    return [
        (path, name)
        for path, name in _files(folder, prefix, without=without)
        if path.suffix != ".pyc" and "__pycache__" not in path.parts
    ]


def _files(folder: Path, prefix: str, *, without: Iterable[str] = ()) -> list[tuple[Path, str]]:
    found = ((path, path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file())
    return [(path, f"{prefix}/{below.as_posix()}") for path, below in found if below.parts[0] not in without]


def _digest(words: Iterable[str], files: Iterable[tuple[Path, str]]) -> str:
    digest = hashlib.sha256("\0".join([_RECIPE, *words]).encode())
    for path, name in sorted(files, key=lambda pair: pair[1]):
        digest.update(f"\0{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _copied(target: Path, files: Iterable[tuple[Path, str]]) -> Path:
    return _built(target, lambda folder: _copy(files, folder))


def _copy(files: Iterable[tuple[Path, str]], folder: Path) -> None:
    for path, name in files:
        destination = folder / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, destination)


def _built(target: Path, make: Callable[[Path], None]) -> Path:
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        make(scratch)
        scratch.chmod(0o755)
        try:
            os.rename(scratch, target)
        except OSError:
            if not target.is_dir():  # somebody else built the same meanwhile: take theirs
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _make_reproducible(folder: Path) -> None:
    """Drop what names this machine or this run: scripts, RECORD, INSTALLER, direct_url, byte code."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and (path.name == "__pycache__" or path == folder / "python" / "bin"):
            shutil.rmtree(path)
        elif path.parent.suffix == ".dist-info" and path.name in (
            "RECORD",
            "INSTALLER",
            "REQUESTED",
            "direct_url.json",
        ):
            path.unlink()


def _keep_services(python: Path, services: Iterable[str]) -> None:
    """Drop the models of all other services, and what boto3 and botocore carry for readers alone."""
    for data in (python / "botocore" / "data", python / "boto3" / "data"):
        for folder in data.iterdir():
            if folder.is_dir() and folder.name not in services:
                shutil.rmtree(folder)
    shutil.rmtree(python / "boto3" / "examples")
    for examples in python.glob("botocore/data/*/*/examples-1.json*"):
        examples.unlink()
