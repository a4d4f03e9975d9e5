"""Loads a prompt's folder, or all of them, and reports every problem of every file at once."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from promptlane.domain.errors import DraftInvalid, InvalidInput, PolicyInvalid, SuiteInvalid
from promptlane.domain.model_regions import profiled
from promptlane.domain.policy import Policy
from promptlane.domain.release.prompt import VARIABLE, PromptDraft, template_texts
from promptlane.engine.dataset import MAX_BYTES as MAX_FILE
from promptlane.engine.document import Document, Problem, read_document
from promptlane.engine.guarded import unguarded
from promptlane.engine.parse import parse
from promptlane.engine.suite import Read, Suite
from promptlane.engine.suite import problems as suite_problems
from promptlane.engine.targets import Target

PROMPT_FILE: Final = "prompt.yaml"
POLICY_FILE: Final = "release.yaml"
SUITE_FILE: Final = "suite.yaml"

T = TypeVar("T")


class ProjectInvalid(InvalidInput):
    """Files of a prompt cannot be used. `problems` lists each with file, line, column, path and message."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class PromptProject:
    """One prompt as code: what to publish, how to release it, what must hold."""

    directory: Path
    draft: PromptDraft
    policy: Policy
    suite: Suite

    @property
    def name(self) -> str:
        return self.draft.name

    def called_in(self, region: str, group: str) -> PromptProject:
        """The same with its models as they are called in the Region (`PromptDraft.called_in`).

        Where the policy allows a model that goes by another name there, it allows both.
        """
        policy, tests = self.policy, self.policy.tests
        allowed = dict.fromkeys(
            one for model in policy.allowed_models for one in (model, profiled(model, group, region))
        )
        tests = replace(
            tests,
            judge_model=profiled(tests.judge_model, group, region),
            embedding_model=profiled(tests.embedding_model, group, region),
        )
        return replace(
            self,
            draft=self.draft.called_in(region, group),
            policy=replace(policy, allowed_models=tuple(allowed), tests=tests),
        )


def load(directory: Path | str) -> list[PromptProject]:
    """Every enrolled prompt below `directory`: each folder that holds a release.yaml, sorted by name.

    ProjectInvalid lists the problems of all of them. A folder without release.yaml is not enrolled and left alone.
    """
    root = Path(directory)
    if not root.is_dir():
        raise InvalidInput(f"{root} is not a directory; name the one that holds a folder for each prompt")
    problems: list[Problem] = []
    projects: list[PromptProject] = []
    for folder in sorted(p.parent for p in root.glob(f"*/{POLICY_FILE}")):
        try:
            projects.append(load_one(folder))
        except ProjectInvalid as error:
            problems += error.problems
    problems += _shared_names(projects)
    if problems:
        raise ProjectInvalid(problems)
    return sorted(projects, key=lambda p: p.name)


def load_one(directory: Path | str) -> PromptProject:
    """The prompt in one folder, checked as a whole; ProjectInvalid lists every problem with its line."""
    folder = _folder(directory)
    draft, draft_document, problems = _read(folder / PROMPT_FILE, PromptDraft.from_dict, DraftInvalid)
    policy, _, more = _read(folder / POLICY_FILE, Policy.written, PolicyInvalid)
    problems += more
    suite, suite_document, more = _read(folder / SUITE_FILE, partial(parse, read=inside(folder)), SuiteInvalid)
    problems += more
    if draft is not None:
        problems += [draft_document.problem(path, text) for path, text in _draft_problems(draft)]
        if suite is not None:
            target = Target.of_draft(PROMPT_FILE, draft.variants())
            found = suite_problems(suite, draft.variables) + target.unfit(suite.cases)
            if draft.guardrail is None:
                found += unguarded(suite.kinds)
            problems += [suite_document.problem("tests", text) for text in found]
    if draft is None or policy is None or suite is None or problems:
        raise ProjectInvalid(problems)
    return PromptProject(folder, draft, policy, suite)


def load_draft(directory: Path | str) -> PromptDraft:
    """prompt.yaml of one folder; a prompt may be published before it is enrolled."""
    folder = _folder(directory)
    draft, document, problems = _read(folder / PROMPT_FILE, PromptDraft.from_dict, DraftInvalid)
    if draft is not None:
        problems += [document.problem(path, text) for path, text in _draft_problems(draft)]
    if draft is None or problems:
        raise ProjectInvalid(problems)
    return draft


def _folder(directory: Path | str) -> Path:
    folder = Path(directory)
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a directory; name the folder that holds {PROMPT_FILE}")
    return folder


def inside(folder: Path, root: Path | None = None, *, remedy: str = "move it there") -> Read:
    """Reads the case files that a suite names; what lies outside the prompt's folder would not be deployed with it.

    `root`: a folder above, outside of which nothing is read instead. `remedy`: what to do then.
    """
    widest = folder if root is None else root

    def read(relative: str) -> bytes:
        try:
            path = (folder / relative).resolve()
        except (ValueError, RuntimeError) as error:  # a NUL in the name, links in a circle
            raise OSError(errno.EINVAL, f"is no path: {error}", relative) from None
        if not path.is_relative_to(widest.resolve()):
            raise OSError(errno.EACCES, f"lies outside {widest}; {remedy}", relative)
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "is no file", relative)  # reading a pipe would never end
        if (size := path.stat().st_size) > MAX_FILE:
            raise OSError(errno.EFBIG, f"has {size:,} bytes; at most {MAX_FILE:,} are read", relative)
        return path.read_bytes()

    return read


_Refusal = DraftInvalid | PolicyInvalid | SuiteInvalid


def _read(path: Path, parse: Callable[[Any], T], refusal: type[_Refusal]) -> tuple[T | None, Document, list[Problem]]:
    document = read_document(path)
    if document.problems:
        return None, document, list(document.problems)
    try:
        return parse(document.data), document, []
    except refusal as error:
        return None, document, [document.problem(where, message) for where, message in error.problems]


def _draft_problems(draft: PromptDraft) -> list[tuple[str, str]]:
    """What Bedrock would accept and `admit` refuse later: better said at the author's desk."""
    used = {name for variant in draft.variants() for text in template_texts(variant) for name in VARIABLE.findall(text)}
    declared = set(draft.variables)
    path = "template" if draft.template is not None else "messages"
    problems = [
        (path, f"uses {{{{{name}}}}}, which `variables` does not declare; add it there or correct the template")
        for name in sorted(used - declared)
    ]
    problems += [
        (f"variables[{draft.variables.index(name)}]", f"{name!r} is declared but the template never uses it; remove it")
        for name in sorted(declared - used)
    ]
    return problems


def _shared_names(projects: Sequence[PromptProject]) -> list[Problem]:
    problems = []
    first: dict[str, PromptProject] = {}
    for project in projects:
        other = first.setdefault(project.name, project)
        if other is not project:
            file = str(project.directory / PROMPT_FILE)
            message = f"{project.name!r} is also the name of {other.directory}; a prompt's name is its key, rename one"
            problems.append(Problem(file, message, "name"))
    return problems
