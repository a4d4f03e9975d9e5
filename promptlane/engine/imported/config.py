"""A whole configuration of promptfoo as a suite of ours, in part where only part of it carries over.

Each piece is tried by our own loader, and what that refuses is left with its sentence: the suite that comes out is one
that loads. A case is left whole where its input would be another; an assertion where it would mean something else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import PurePosixPath
from typing import Any, Final, NoReturn

from promptlane.domain.errors import InvalidInput, SuiteInvalid
from promptlane.engine import promptfoo
from promptlane.engine.dataset import DatasetInvalid
from promptlane.engine.parse import parse
from promptlane.engine.suite import MAX_CASES, Suite

from .assertions import Assertions
from .cases import Cases, said
from .defaults import Usual
from .found import Imported, Notes
from .sources import Reads, Sources, leads_out, mapping

Json = Any
_CONFIG_KEYS: Final = ("tests", "scenarios", "defaultTest", "description", "repeats", "assertionTemplates")


def imported(data: Json, *, reads: Reads, usual: Usual) -> Imported:
    """What of a configuration carries over. InvalidInput where nothing does, with everything that was left."""
    if not isinstance(data, Mapping):
        raise InvalidInput("is no configuration of promptfoo: it holds no mapping with `tests`")
    notes = Notes()
    sources = Sources(reads, notes)
    return _Import(data, notes, sources, usual).result()


@dataclass(frozen=True, slots=True)
class _File:
    """A file of cases: each as it stands there, and as ours, None where it does not carry over."""

    name: str
    cases: list[tuple[Json, dict[str, Json] | None]]


class _Import:
    def __init__(self, data: Mapping[str, Json], notes: Notes, sources: Sources, usual: Usual) -> None:
        self.data, self.notes, self.sources, self.usual = data, notes, sources, usual
        assertions = Assertions(notes, mapping(data.get("assertionTemplates")), sources.read, usual.guardrail)
        self.cases = Cases(notes, assertions, sources, usual)
        self.new_files: dict[str, str] = {}
        self.rewritten: dict[str, list[Json]] = {}
        self.kept: dict[str, list[Json]] = {}

    def result(self) -> Imported:
        self.top_level()
        made: dict[str, Json] = {}
        if isinstance(self.data.get("description"), str) and self.data["description"]:
            made["description"] = self.data["description"]
        if (times := self.repeats()) is not None:
            made["repeats"] = times
        self.cases.begin(self.default_test())
        found = [*self.tests(), *self.scenarios()]
        if not found:
            self.refuse("no case carries over, so there is nothing to write")
        default, templates = self.cases.end()
        if templates:
            made["assertionTemplates"] = templates
        if default:
            made["defaultTest"] = default
        made["tests"] = [self.named(one) if isinstance(one, _File) else one for one in found]
        suite = self.loaded(made)
        policy = self.notes.policy()
        kept = {name: self.sources.named[name] for name in sorted(self.named_files(made)) if name in self.sources.named}
        return Imported(made, len(suite.cases), self.new_files, kept, self.notes.left, self.notes.stubs, policy)

    def named_files(self, made: Mapping[str, Json]) -> set[str]:
        """The files that the suite names, the case files that it keeps, and what these name."""
        rewritten = [test for one in self.rewritten.values() for test in one]
        kept = [test for one in self.kept.values() for test in one]
        return {*self.kept, *_file_names([made, rewritten, kept])}

    def refuse(self, why: str) -> NoReturn:
        told = "\n".join(f"{', '.join(one.places[:3])}: {one.what}: {one.why}" for one in self.notes.left[:20])
        raise InvalidInput(f"{why}\n{told}".rstrip())

    def top_level(self) -> None:
        """Note the keys of the file that have no say here."""
        others = {key: value for key, value in self.data.items() if key not in _CONFIG_KEYS}
        for path, why in promptfoo.top_level(others)[0]:
            self.notes.leave(path, f"`{path.rpartition('.')[2]}`", why)
        for key in others:
            if key in promptfoo.LEFT_OUT:
                self.notes.leave(str(key), f"`{key}`", promptfoo.LEFT_OUT[key])
        for key in mapping(self.data.get("evaluateOptions")):
            if key != "repeat":
                why = "the policy's max_concurrency and retries apply"
                self.notes.leave(f"evaluateOptions.{key}", f"`{key}`", why)

    def repeats(self) -> int | None:
        path, value = promptfoo.repeats(self.data)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 20:
            return value
        self.notes.leave(
            path, f"repeats of {value!r}", "1 to 20 are made; set `repeats`, or tests.repeats of the policy"
        )
        return None

    def default_test(self) -> Mapping[str, Json]:
        default = self.data.get("defaultTest")
        if isinstance(default, str):
            try:
                default = self.sources.plain_data(default)
            except DatasetInvalid as error:
                self.refuse(f"defaultTest is read from a file, and without it no case is the same: {error}")
        if default is not None and not isinstance(default, Mapping):
            self.refuse("defaultTest is no mapping, and without it no case is the same")
        return mapping(default)

    def tests(self) -> Iterator[dict[str, Json] | _File]:
        tests = self.data.get("tests")
        if tests is None and "scenarios" not in self.data:
            self.refuse("holds no `tests`; name the configuration that promptfoo runs")
        for i, test in enumerate(tests if isinstance(tests, list) else [] if tests is None else [tests]):
            place = f"tests[{i}]" if isinstance(tests, list) else "tests"
            if isinstance(test, Mapping) and "path" in test and not test.keys() & {"vars", "assert"}:
                test = str(test["path"])
            if isinstance(test, str):
                yield from self.files(test, place)
            elif (carried := self.cases.one(test, place)) is not None:
                yield carried

    def files(self, name: str, place: str) -> Iterator[_File]:
        """The files of cases of a name, each with what of it carries over."""
        try:
            names = self.sources.files(name)
        except DatasetInvalid as error:
            self.notes.leave(place, f"cases of {name!r}", str(error))
            return
        for one in names:
            try:
                rows = [*self.sources.rows(one)]
            except DatasetInvalid as error:
                self.notes.leave(place, f"cases of {one!r}", str(error))
                continue
            if not rows:
                self.notes.leave(place, f"cases of {one!r}", "it holds none")
            carried = [(test, self.cases.one(test, where)) for where, test in rows]
            if any(mine is not None for _, mine in carried):
                yield _File(one, carried)

    def named(self, file: _File) -> str:
        """What the suite calls a file: its own name where all of it carries over as it is, else that of a new one."""
        if (
            file.name not in self.kept
            and not leads_out(file.name)
            and all(mine == said(test) for test, mine in file.cases)
            and self.loads(file.name)
        ):
            self.kept[file.name] = [mine for _, mine in file.cases]
            return file.name
        name = PurePosixPath(file.name).name if leads_out(file.name) else file.name
        stem = name.rpartition(".")[0] or name
        made, number = f"{stem}.imported.jsonl", 1
        while made in self.rewritten:
            number += 1
            made = f"{stem}.imported-{number}.jsonl"
        self.rewritten[made] = tests = [mine for _, mine in file.cases if mine is not None]
        self.new_files[made] = "".join(json.dumps(test, ensure_ascii=False) + "\n" for test in tests)
        return made

    def loads(self, name: str) -> bool:
        """Whether our loader takes a file as it is."""
        default = {"assert": [{"type": "regex", "value": r"\S"}], "vars": mapping(self.cases.default.get("vars"))}
        try:
            parse({"tests": [name], "defaultTest": default}, read=self.sources.read)
        except SuiteInvalid:
            return False
        return True

    def scenarios(self) -> Iterator[dict[str, Json]]:
        """Every set of data of a scenario with every one of its tests, as promptfoo runs them."""
        scenarios = self.data.get("scenarios")
        if scenarios is not None and not isinstance(scenarios, list):
            self.notes.leave("scenarios", "scenarios", "are no list; write their cases as `tests`")
            return
        count = 0
        for i, scenario in enumerate(scenarios or ()):
            place = f"scenarios[{i}]"
            sets, tests = mapping(scenario).get("config") or [{}], mapping(scenario).get("tests") or [{}]
            if not isinstance(scenario, Mapping) or not isinstance(sets, list) or not isinstance(tests, list):
                why = "is read from no file, and holds lists: write it out, or its cases as `tests`"
                self.notes.leave(place, "scenario", why)
                continue
            for (j, given), (k, test) in product(enumerate(sets), enumerate(tests)):
                where = f"{place}.config[{j}] with tests[{k}]"
                count += 1
                if count > MAX_CASES:
                    self.refuse(f"scenarios make more than {MAX_CASES:,} cases, which is the most a suite takes")
                if not isinstance(given, Mapping) or not isinstance(test, Mapping):
                    self.notes.leave(where, "part of a scenario", "is no mapping; write its cases as `tests`")
                elif (carried := self.cases.one(_merged(given, test), where)) is not None:
                    yield carried

    def loaded(self, made: Mapping[str, Json]) -> Suite:
        """The suite, by our loader. InvalidInput where it is none after all: too large, for instance."""

        def read(name: str) -> bytes:
            return self.new_files[name].encode() if name in self.new_files else self.sources.read(name)

        try:
            return parse(made, read=read)
        except SuiteInvalid as error:
            told = "\n".join(f"{path}: {why}" for path, why in error.problems[:20])
            raise InvalidInput(f"what carries over is no suite as a whole:\n{told}") from None


def _merged(given: Mapping[str, Json], test: Mapping[str, Json]) -> dict[str, Json]:
    both = {**given, **test}
    for key in ("vars", "options", "metadata"):
        if all(isinstance(one.get(key, {}), Mapping) for one in (given, test)):
            both[key] = {**mapping(given.get(key)), **mapping(test.get(key))}
    parts = [one["assert"] for one in (given, test) if one.get("assert") is not None]
    if all(isinstance(part, list) for part in parts):
        return {**both, "assert": [one for part in parts for one in part]}
    return both  # what is no list is told of the case


def _file_names(value: Json) -> Iterator[str]:
    """The files that texts name."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, str) and here.startswith("file://"):
            yield here.removeprefix("file://")
        elif isinstance(here, Mapping | list):
            waiting += here.values() if isinstance(here, Mapping) else here
