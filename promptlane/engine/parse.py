"""Reads a suite from plain data; collects every problem, each with the path of its field."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from promptlane.domain.errors import SuiteInvalid
from promptlane.domain.incoming import odd_places
from promptlane.domain.limits import MAX_ASSERTIONS, MAX_SETS, MAX_SUITE_CHARS
from promptlane.domain.text import shortened

from . import messages, promptfoo, templates
from .admissible import chars_of, is_number
from .assertions import KINDS
from .dataset import DatasetInvalid, load_rows
from .kinds import ASKED, READS, split_negation, unknown_type
from .repeating import Repeating
from .suite import MAX_CASES, Assertion, Case, Message, Read, Suite, Turn, flat
from .templates import references, resolved
from .values import Values, is_multiplied, text_of

Json = Any
MAX_PROBLEMS: Final = 100
MAX_MESSAGE: Final = 2_000
MAX_COMBINATIONS: Final = 1_000
MAX_TURNS: Final = 20
_ID: Final = re.compile(r"[^a-z0-9]+")


def parse(data: Json, *, read: Read | None = None) -> Suite:
    """The suite that `data` describes. SuiteInvalid lists every problem as (path, message), the first hundred."""
    reader = _Reader(read)
    with suppress(_Enough):
        reader.note(odd_places(data, numbers=False))
        suite = None if reader.problems else reader.suite(data)
        if suite is not None and not reader.problems:
            return suite
    raise SuiteInvalid(reader.problems)


class _Enough(Exception):
    """So many problems that more would not help."""


class _Reader:
    def __init__(self, read: Read | None) -> None:
        self.read = read
        self.values = Values(self.problem, read)
        self.problems: list[tuple[str, str]] = []
        self.templates: Mapping[str, Json] = {}
        self.default_vars: dict[str, Json] = {}
        self.default_asserts: list[Assertion] = []
        self.repeating = Repeating(self.problem, None, None)
        self.assertions = self.sets = 0
        self.place = ""
        """Prefix of messages about a case that stands in another file (`cases.csv line 3: `)."""

    def problem(self, path: str, message: str) -> None:
        self.problems.append((path, shortened(self.place + message, MAX_MESSAGE)))
        if len(self.problems) >= MAX_PROBLEMS:
            self.problems.append(("", f"stopped after {MAX_PROBLEMS} problems"))
            raise _Enough

    def note(self, found: Iterable[tuple[str, str]]) -> None:
        for path, message in found:
            self.problem(path, message)

    def suite(self, data: Json) -> Suite | None:
        if not isinstance(data, Mapping):
            self.problem("", "a suite is a mapping with `tests`, a list of cases")
            return None
        found, notes = promptfoo.top_level(data)
        self.note(found)
        templates = data.get("assertionTemplates") or {}
        if isinstance(templates, Mapping):
            self.templates = templates
        else:
            self.problem("assertionTemplates", "must be a mapping of names to assertions")
        default = self.default_test(data.get("defaultTest"))
        self.repeating = Repeating.of_suite(data, self.problem)
        cases = self.cases(data.get("tests"), default)
        description = data.get("description") or ""
        return Suite(tuple(cases), str(description), self.repeating.repeats, tuple(notes))

    def default_test(self, default: Json) -> Mapping[str, Json]:
        if default is None:
            return {}
        if isinstance(default, str):
            self.problem("defaultTest", f"is read from no file ({default!r}); write it out in the suite")
            return {}
        if not isinstance(default, Mapping):
            self.problem("defaultTest", "must be a mapping with `vars`, `assert`, `threshold` or `metadata`")
            return {}
        self.note(promptfoo.test_keys(default, "defaultTest"))
        self.note(
            (f"defaultTest.{key}", "belongs to one case; write it there")
            for key in ("messages", "chat", "turns")
            if key in default
        )
        self.default_vars = self.variables(default.get("vars"), "defaultTest.vars")
        self.default_asserts = self.asserts(default.get("assert"), "defaultTest.assert")
        return default

    def cases(self, tests: Json, default: Mapping[str, Json]) -> list[Case]:
        before = len(self.problems)
        cases: list[Case] = []
        taken: dict[str, str] = {}
        chars, known = 0, dict[int, int]()
        for path, place, test in self.rows(tests):
            self.place = place
            for case in self.expand(test, path, default, len(cases)):
                if case.id in taken:
                    where = "id" if isinstance(test, Mapping) and "id" in test else "metadata.id"
                    message = f"case id {case.id!r} is used twice (also by {taken[case.id]}); ids are unique"
                    self.problem(f"{path}.{where}", message)
                taken.setdefault(case.id, place.removesuffix(": ") or path)
                cases.append(case)
                chars += sum(map(len, case.vars.values())) + sum(chars_of(a.value, known) for a in case.all_asserts)
                chars += chars_of([case.messages, [turn.asked() for turn in case.turns]], {})
                if chars > MAX_SUITE_CHARS:
                    self.place = ""
                    self.problem("tests", f"have more than {MAX_SUITE_CHARS:,} characters with every case written out")
                    return cases
                if len(cases) > MAX_CASES:
                    self.place = ""
                    self.problem(
                        "tests", f"more than {MAX_CASES:,} cases; a suite takes at most so many, draw a sample"
                    )
                    return cases
            self.place = ""
        if not cases and len(self.problems) == before:
            self.problem("tests", "holds no case; a suite without cases can show nothing")
        return cases

    def rows(self, tests: Json) -> Iterator[tuple[str, str, Json]]:
        """(path, message prefix, test) of every test, from the suite and from the files that it names."""
        if isinstance(tests, str):
            yield from self.file_rows("tests", tests)
        elif isinstance(tests, list):
            for i, test in enumerate(tests):
                if isinstance(test, str):
                    yield from self.file_rows(f"tests[{i}]", test)
                else:
                    yield f"tests[{i}]", "", test
        else:
            what = "is required:" if tests is None else "must be"
            self.problem("tests", f"{what} a list of cases, or the path of a .csv or .jsonl file")

    def file_rows(self, path: str, name: str) -> Iterator[tuple[str, str, Json]]:
        if self.read is None:
            self.problem(path, f"names the file {name!r}, but no files can be read here")
            return
        count = 0
        try:
            for where, test in load_rows(name, self.read):
                count += 1
                self.place = f"{where}: "
                self.note(odd_places(test, path, numbers=False))
                yield path, self.place, test
        except DatasetInvalid as error:
            self.place = ""
            self.problem(path, str(error))
            return
        if not count:
            self.problem(path, f"{name} holds no case")

    def expand(self, test: Json, path: str, default: Mapping[str, Json], number: int) -> Iterator[Case]:
        """The case, or one for every combination where variables hold lists of values."""
        if not isinstance(test, Mapping):
            self.problem(path, "must be a mapping with `vars` and `assert`")
            return
        self.note(promptfoo.test_keys(test, path))
        before = len(self.problems)
        options = {**_mapping(default.get("options")), **_mapping(test.get("options"))}
        variables = {**self.default_vars, **self.variables(test.get("vars"), f"{path}.vars")}
        usual = [] if options.get("disableDefaultAsserts") else self.default_asserts
        asserts = self.asserts(test.get("assert"), f"{path}.assert") + usual
        turns = self.turns(test.get("turns"), f"{path}.turns", usual)
        metadata = {**_mapping(default.get("metadata")), **self.mapping(test.get("metadata"), f"{path}.metadata")}
        tags = self.tags(default, "defaultTest") + self.tags(test, path)
        critical = self.critical(test, default, metadata, path)
        threshold = self.threshold(test.get("threshold", default.get("threshold")), f"{path}.threshold")
        repeats, at_least = self.repeating.of_test(test, default, path)
        case_id = self.case_id(test, metadata, path, number)
        if not asserts and len(self.problems) == before:
            self.problem(path, "has no assertion and would always pass; add `assert`, here or in defaultTest")
        for suffix, picked, chosen in self.combinations(variables, path, bool(options.get("disableVarExpansion"))):
            messages, chat = self.messages(test, {**variables, **picked}, path)
            case = Case(
                id=case_id + suffix,
                vars=chosen,
                asserts=tuple(asserts),
                description=str(test.get("description") or ""),
                threshold=threshold,
                tags=tuple(dict.fromkeys(tags)),
                critical=critical,
                metadata={k: v for k, v in metadata.items() if k not in ("tags", "critical", "id")},
                messages=messages,
                chat=chat,
                turns=turns,
                repeats=repeats,
                at_least=at_least,
            )
            self.check_references(case, path)
            yield case

    def messages(
        self, test: Mapping[str, Json], variables: Mapping[str, Json], path: str
    ) -> tuple[tuple[Message, ...], str]:
        """(messages, the variable that they are from), of `messages`, of the variable that `chat` names, else of the
        one that holds a chat as promptfoo's chat prompts take it."""
        chat = test.get("chat", "")
        if "messages" in test:
            found = messages.read(test["messages"], f"{path}.messages", self.problem)
            self.note(self.sent_problems(found, f"{path}.messages"))
            held = variables.get(chat) if isinstance(chat, str) else None
            if chat and not (messages.may_be_chat(held) or messages.is_chat(held)):
                self.problem(f"{path}.chat", f"names {chat!r}, which is no variable that holds a list of messages")
            return found, str(chat)
        if chat:
            held = messages.chat_of(variables.get(chat)) if isinstance(chat, str) else None
            if held is None:
                self.problem(f"{path}.chat", f"names {chat!r}, which is no variable that holds a list of messages")
                return (), ""
            found = messages.read(held, f"{path}.vars.{chat}", self.problem)
            self.note(self.sent_problems(found, f"{path}.vars.{chat}"))
            return found, chat
        chats = {name: held for name, value in variables.items() if (held := messages.chat_of(value))}
        if len(chats) != 1:
            return (), ""
        [(name, held)] = chats.items()
        unfit: list[tuple[str, str]] = []
        found = messages.read(held, "", lambda *problem: unfit.append(problem))
        unfit += self.sent_problems(found, "")
        # A template may take the variable as a text, whatever it holds; where none does, `suite.problems` says why.
        return ((), "") if unfit else (found, name)

    def sent_problems(self, value: Json, path: str) -> list[tuple[str, str]]:
        """What is wrong with the texts of messages: they are filled in as those of assertions."""
        return [*odd_places(value, path), *((path, problem) for problem in dict.fromkeys(templates.problems(value)))]

    def turns(self, value: Json, path: str, usual: list[Assertion]) -> tuple[Turn, ...]:
        if value is None:
            return ()
        if not isinstance(value, list) or not 0 < len(value) <= MAX_TURNS:
            self.problem(path, f"must be a list of 1 to {MAX_TURNS} turns, each {{user: ..., assert: [...]}}")
            return ()
        found = []
        for i, turn in enumerate(value):
            at = f"{path}[{i}]"
            if not isinstance(turn, Mapping):
                self.problem(at, "must be a mapping with `user` (or `tool_results`) and `assert`")
                continue
            before = len(self.problems)
            user, results = messages.said_in(turn, at, self.problem)
            self.note(self.sent_problems([user, results], at))
            asserts = self.asserts(turn.get("assert"), f"{at}.assert") + usual
            if not asserts and len(self.problems) == before:
                self.problem(at, "has no assertion, so any answer to it would pass; add `assert`, or end before it")
            found.append(Turn(user, tuple(asserts), results))
        return tuple(found)

    def case_id(self, test: Mapping[str, Json], metadata: Mapping[str, Json], path: str, number: int) -> str:
        given, where = (test["id"], "id") if "id" in test else (metadata.get("id"), "metadata.id")
        if given is None:
            slug = _ID.sub("-", str(test.get("description") or "").lower()).strip("-")[:60]
            return f"{number + 1}-{slug}" if slug else f"case-{number + 1}"
        if isinstance(given, int) and not isinstance(given, bool):
            given = str(given)
        if not isinstance(given, str) or not given.strip() or len(given) > 120:
            self.problem(f"{path}.{where}", f"is {given!r}; an id is a text of 1 to 120 characters")
            return f"case-{number + 1}"
        return given.strip()

    def tags(self, test: Mapping[str, Json], path: str) -> list[str]:
        metadata = _mapping(test.get("metadata"))
        tags: list[str] = []
        for where, value in ((f"{path}.tags", test.get("tags")), (f"{path}.metadata.tags", metadata.get("tags"))):
            listed = [value] if isinstance(value, str) else value or []
            if not isinstance(listed, list) or not all(isinstance(t, str) and t.strip() for t in listed):
                self.problem(where, f"is {value!r}; tags are a list of names")
            else:
                tags += [t.strip() for t in listed]
        return tags

    def critical(
        self, test: Mapping[str, Json], default: Mapping[str, Json], metadata: Mapping[str, Json], path: str
    ) -> bool:
        own = next((given for given in (test, default) if "critical" in given), None)
        value, where = (own["critical"], "critical") if own else (metadata.get("critical", False), "metadata.critical")
        if not isinstance(value, bool):
            self.problem(f"{path}.{where}", f"is {value!r}; write true or false")
            return False
        return value

    def mapping(self, value: Json, path: str) -> dict[str, Json]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.problem(path, "must be a mapping")
            return {}
        self.note(odd_places(value, path))
        return dict(value)

    def variables(self, value: Json, path: str) -> dict[str, Json]:
        if isinstance(value, str):
            self.problem(path, "must be a mapping of names to values; variables from files are named one by one")
            return {}
        found = self.mapping(value, path)
        for name, content in found.items():
            if isinstance(content, str) and content.startswith("file://"):
                found[name] = self.values.file_text(content, f"{path}.{name}")
        return found

    def combinations(
        self, variables: Mapping[str, Json], path: str, keep_lists: bool
    ) -> Iterator[tuple[str, dict[str, Json], dict[str, str]]]:
        """(end of the id, values of the lists that were chosen, all variables as text) of each combination."""
        lists = {} if keep_lists else {k: v for k, v in variables.items() if is_multiplied(v)}
        count = math.prod(len(v) for v in lists.values())
        if count > MAX_COMBINATIONS or count == 0:
            what = f"multiply out to {count:,} cases" if count else "include an empty list, which makes no case at all"
            self.problem(f"{path}.vars", f"lists of values {what}; 1 to {MAX_COMBINATIONS:,} are allowed")
            return
        for chosen in itertools.product(*lists.values()):
            picked = dict(zip(lists, chosen, strict=True))
            suffix = "[" + ", ".join(f"{k}={text_of(v)[:30]}" for k, v in picked.items()) + "]" if picked else ""
            try:
                yield suffix, picked, resolved({str(k): text_of(v) for k, v in {**variables, **picked}.items()})
            except ValueError as error:
                self.problem(f"{path}.vars", str(error))

    def check_references(self, case: Case, path: str) -> None:
        for asserts in (case.asserts, *(turn.asserts for turn in case.turns)):
            told = [a for a in flat(asserts) if not a.children]
            if told and not any(a.kind == "assert-set" or KINDS[a.kind].of_answer for a in told):
                kinds = ", ".join(sorted({a.type for a in told}))
                self.problem(
                    path, f"reads no answer, only what was fetched ({kinds}); add an assertion about the answer"
                )
        spoken = {id(a) for turn in case.turns for a in flat(turn.asserts)} if not case.messages else None
        for assertion in flat(case.all_asserts):
            for names in READS.get(assertion.kind, ()):
                said_last = names is ASKED and (spoken is None or id(assertion) in spoken)  # a message asks instead
                if not said_last and not any(name in case.vars for name in names):
                    said = f"{assertion.type} reads the variable {' or '.join(names)}, which the case does not have"
                    self.problem(f"{path}.assert", f"{said}; add it to `vars`")
            for name in sorted(references(assertion.value) - case.vars.keys()):
                self.problem(
                    f"{path}.assert", f"{assertion.type} refers to {{{{{name}}}}}, which is not among the case's vars"
                )
        for name in sorted(references([case.messages, [turn.asked() for turn in case.turns]]) - case.vars.keys()):
            where = f"vars.{case.chat}" if case.chat else "messages" if case.messages else "turns"
            self.problem(f"{path}.{where}", f"refers to {{{{{name}}}}}, which is not among the case's vars")

    def asserts(self, value: Json, path: str) -> list[Assertion]:
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem(path, "must be a list of assertions, each a mapping with `type`")
            return []
        self.assertions += len(value)
        if self.assertions > MAX_ASSERTIONS:
            self.problem(path, f"there are more than {MAX_ASSERTIONS:,} assertions with every template written out")
            raise _Enough
        found = [self.assertion(item, f"{path}[{i}]") for i, item in enumerate(value)]
        return [a for a in found if a is not None]

    def assertion(self, data: Json, path: str) -> Assertion | None:
        if isinstance(data, Mapping) and "$ref" in data:
            data = self.resolved(data, path)
        if not isinstance(data, Mapping) or not isinstance(data.get("type"), str):
            self.problem(path, "must be a mapping with `type` (and `value`, `threshold`, `weight`)")
            return None
        self.note(promptfoo.assert_keys(data, path))
        name, negated = split_negation(data["type"])
        kind = KINDS.get(name)
        if kind is None:
            self.problem(f"{path}.type", unknown_type(data["type"], KINDS))
            return None
        if negated and kind.never_negated:
            self.problem(f"{path}.type", f"is {data['type']!r}; {kind.never_negated}")
        children: tuple[Assertion, ...] = ()
        if name == "assert-set":
            self.sets += 1
            if self.sets > MAX_SETS:
                self.problem(path, f"more than {MAX_SETS} assert-sets lie within one another; write them side by side")
                raise _Enough
            children = tuple(self.asserts(data.get("assert"), f"{path}.assert"))
            self.sets -= 1
            if not children:
                self.problem(f"{path}.assert", "an assert-set needs assertions; without any it would always pass")
        elif "assert" in data:
            self.problem(f"{path}.assert", f"only an assert-set holds assertions, not {name}")
        value, threshold = self.values.both(kind, data, path)
        return Assertion(
            kind=name,
            negated=negated,
            value=value,
            threshold=threshold,
            weight=self.weight(data.get("weight", 1), f"{path}.weight"),
            metric=str(data.get("metric") or ""),
            children=children,
        )

    def resolved(self, data: Mapping[str, Json], path: str) -> Json:
        name = str(data["$ref"]).removeprefix("#/assertionTemplates/")
        template = self.templates.get(name)
        if not isinstance(template, Mapping):
            self.problem(f"{path}.$ref", f"assertionTemplates holds no {name!r}")
            return {}
        return {**template, **{k: v for k, v in data.items() if k != "$ref"}}

    def threshold(self, value: Json, path: str) -> float | None:
        if value is None:
            return None
        if not is_number(value) or not 0 < value <= 1:
            self.problem(
                path, f"is {value!r}; a case's threshold lies above 0 (which would always pass) and at most at 1"
            )
            return None
        return float(value)

    def weight(self, value: Json, path: str) -> float:
        if not is_number(value) or value <= 0:
            self.problem(
                path, f"is {value!r}; a weight lies above 0: with 0 the assertion would always pass. Remove it instead"
            )
            return 1.0
        return float(value)


def _mapping(value: Json) -> dict[str, Json]:
    return dict(value) if isinstance(value, Mapping) else {}
