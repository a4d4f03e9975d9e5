"""A promptfoo configuration on disk becomes suite.yaml in a prompt's folder, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from promptlane.domain.errors import AlreadyExists, InvalidInput, SuiteInvalid
from promptlane.engine.dataset import MAX_BYTES, DatasetInvalid, decode, parsed_json
from promptlane.engine.document import Problem, read_document
from promptlane.engine.files import not_data
from promptlane.engine.imported.config import imported
from promptlane.engine.imported.defaults import Usual
from promptlane.engine.imported.found import Imported
from promptlane.engine.imported.list import list_text
from promptlane.engine.imported.sources import Reads
from promptlane.engine.parse import parse
from promptlane.engine.written import yaml_text

from .load import PROMPT_FILE, SUITE_FILE, ProjectInvalid, inside

Json = Any
LIST_FILE: Final = "suite.left.md"
_CONFIGS: Final = ("promptfooconfig.yaml", "promptfooconfig.yml", "promptfooconfig.json")


@dataclass(frozen=True, slots=True)
class Written:
    """What an import wrote: `found`, in `folder`, as these files."""

    found: Imported
    folder: Path
    files: tuple[str, ...]


def import_suite(source: Path, folder: Path | None = None, *, root: Path | None = None, force: bool = False) -> Written:
    """Write suite.yaml, and the list of what was left, from a configuration; `folder` is where, else beside it.

    `root`: a folder above the configuration below which it may name cases, else the configuration's own. InvalidInput
    for what cannot be read, or holds nothing that carries over; AlreadyExists for a file that would be overwritten
    without `force`. Then nothing is written.
    """
    source = _config(source)
    target = source.parent if folder is None else folder
    if folder is not None and not target.is_dir():
        raise InvalidInput(f"{target} is not a directory; name the folder of a prompt, prompts/<name>")
    here, widest = source.parent, source.parent if root is None else root
    if not here.resolve().is_relative_to(widest.resolve()):
        raise InvalidInput(f"--root {widest} does not hold {source}; name a folder that holds it and its cases")
    remedy = f"name a folder that holds it and {source.name} by --root"
    reads = Reads(inside(here), inside(here, widest, remedy=remedy), _matching(here, widest))
    try:
        found = imported(_data(source), reads=reads, usual=_usual(target))
    except InvalidInput as error:
        raise type(error)(f"{source}: {error}") if type(error) is InvalidInput else error from None
    contents = _contents(source, found, beside=target.resolve() == here.resolve())
    _check(found, contents, target)
    _write(contents, target, force=force)
    return Written(found, target, tuple(contents))


def _config(source: Path) -> Path:
    if source.is_dir():
        known = [source / name for name in _CONFIGS if (source / name).is_file()]
        if not known:
            raise InvalidInput(f"{source} holds no {_CONFIGS[0]}; name the configuration that promptfoo runs")
        source = known[0]
    if not source.exists():
        raise InvalidInput(f"{source} does not exist; name a configuration of promptfoo in YAML or JSON")
    if not source.is_file():
        raise InvalidInput(f"{source} is no file; name a configuration of promptfoo in YAML or JSON")
    if problem := not_data(source.name):
        raise InvalidInput(
            f"{source} {problem}; only a configuration in YAML or JSON, or cases in CSV or JSONL, can be read"
        )
    return source


def _data(source: Path) -> Json:
    """The configuration; cases alone, as a CSV or JSONL file or a list has them, are one with nothing else."""
    if source.suffix.lower() in (".csv", ".jsonl"):
        return {"tests": [source.name]}
    data = _document(source)
    return {"tests": data} if isinstance(data, list) else data


def _document(source: Path) -> Json:
    if source.suffix.lower() == ".json":
        try:
            if (size := source.stat().st_size) > MAX_BYTES:
                raise InvalidInput(f"{source} has {size:,} bytes; at most {MAX_BYTES:,} are read")
            return parsed_json(decode(source.read_bytes(), str(source)))
        except (DatasetInvalid, ValueError, OSError) as error:
            raise InvalidInput(f"{source} is not valid JSON: {error}") from None
    document = read_document(source)
    if document.problems:
        raise ProjectInvalid(document.problems)
    return document.data


def _matching(folder: Path, root: Path) -> Any:
    """Files by a pattern of names that begins in a folder and ends below `root`."""

    def matching(pattern: str) -> list[str]:
        above, rest, base = "", pattern.removeprefix("./"), folder
        while rest.startswith("../"):
            above, rest, base = f"{above}../", rest.removeprefix("../"), base / ".."
        if Path(rest).is_absolute() or ".." in Path(rest).parts or not base.resolve().is_relative_to(root.resolve()):
            raise ValueError(f"it leads out of {root}; name what lies in it")
        return sorted(above + path.relative_to(base).as_posix() for path in base.glob(rest) if path.is_file())

    return matching


def _usual(folder: Path) -> Usual:
    """What prompt.yaml says of an answer's length and of a guardrail; nothing where there is none, or a broken one."""
    path = folder / PROMPT_FILE
    data = read_document(path).data if path.is_file() else None
    if not isinstance(data, Mapping):
        return Usual()
    inference = data.get("inference")
    most = inference.get("max_tokens") if isinstance(inference, Mapping) else None
    return Usual(most if isinstance(most, int) and not isinstance(most, bool) else None, bool(data.get("guardrail")))


def _contents(source: Path, found: Imported, *, beside: bool) -> dict[str, bytes]:
    """What is to be written, by its path within the folder; the suite comes last."""
    contents: dict[str, bytes] = {} if beside else dict(found.kept_files)
    contents |= {name: text.encode() for name, text in found.new_files.items()}
    told = list_text(found, source.name)
    listed = f" What did not carry over, and what is to be finished: {LIST_FILE}." if told else ""
    contents |= {LIST_FILE: told.encode()} if told else {}
    head = f"# From {source.name}, by `promptlane import`.{listed}\n"
    return contents | {SUITE_FILE: (head + yaml_text(dict(found.data))).encode()}


def _check(found: Imported, contents: Mapping[str, bytes], target: Path) -> None:
    """What is to be written must be read back as what was found. InvalidInput where it is not: it is too large."""
    from promptlane.engine.document import parse_document

    for name in contents:
        if Path(name).is_absolute() or not (target / name).resolve().is_relative_to(target.resolve()):
            raise InvalidInput(f"{name} would lie outside {target}; move the file beside the configuration")

    def read(name: str) -> bytes:
        return contents[name] if name in contents else found.kept_files[name]

    document = parse_document(contents[SUITE_FILE].decode(), SUITE_FILE)
    if document.problems:
        raise ProjectInvalid(document.problems)
    try:
        if parse(document.data, read=read) != parse(found.data, read=read):
            raise InvalidInput(f"{SUITE_FILE} would not be read back as it is; write the suite by hand")
    except SuiteInvalid as error:
        raise ProjectInvalid(Problem(SUITE_FILE, why, path) for path, why in error.problems) from None


def _write(contents: Mapping[str, bytes], folder: Path, *, force: bool) -> None:
    """All of them or none: each is written beside its place first; a failure puts back what stood there."""
    standing = {name: path.read_bytes() for name in contents if (path := folder / name).is_file()}
    in_the_way = [n for n, c in contents.items() if n in standing and (n == SUITE_FILE or standing[n] != c)]
    if in_the_way and not force:
        names = ", ".join(str(folder / name) for name in in_the_way)
        raise AlreadyExists(f"{names} would be overwritten; look at it, then give --force")
    parts: dict[str, Path] = {}
    moved: list[str] = []
    made: list[Path] = []
    try:
        for name, content in contents.items():
            for above in reversed((folder / name).parents):
                if not above.exists():
                    above.mkdir()
                    made.append(above)
            part = (folder / name).with_name(f".{Path(name).name}.{os.getpid()}.part")
            parts[name] = part
            part.write_bytes(content)
        for name, part in parts.items():
            part.replace(folder / name)
            moved.append(name)
    except OSError as error:
        for name in moved:
            _put_back(folder / name, standing.get(name))
        for part in parts.values():
            part.unlink(missing_ok=True)
        for above in reversed(made):
            above.rmdir()
        raise InvalidInput(
            f"nothing was written: {error.filename or folder}: {error.strerror or error}; free the place, then again"
        ) from None


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(content)
