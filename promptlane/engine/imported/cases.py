"""Cases of a promptfoo file: their variables and assertions, and what stands in where none asserts anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from promptlane.domain.errors import SuiteInvalid
from promptlane.engine import promptfoo
from promptlane.engine.admissible import is_number
from promptlane.engine.assertions import KINDS
from promptlane.engine.dataset import DatasetInvalid
from promptlane.engine.kinds import split_negation
from promptlane.engine.parse import parse
from promptlane.engine.templates import problems as template_problems
from promptlane.engine.templates import references

from .assertions import Assertions, read_by
from .defaults import Usual
from .found import Notes
from .sources import Sources, mapping

Json = Any
_INPUT: Final = {
    "transformVars": "rewrites the variables by code: the input would be another; write out what it makes",
    "prefix": "puts a text before the prompt; put it into prompt.yaml, or into a variable",
    "suffix": "puts a text behind the prompt; put it into prompt.yaml, or into a variable",
}
_PLACEHOLDER: Final = {"type": "regex", "value": r"\S"}
_OWN_METADATA: Final = ("id", "tags", "critical")


class Cases:
    """Carries them over, one by one, between `begin` and `end`."""

    def __init__(self, notes: Notes, assertions: Assertions, sources: Sources, usual: Usual) -> None:
        self.notes, self.assertions, self.sources, self.usual = notes, assertions, sources, usual
        self.default: dict[str, Json] = {}
        self.default_options: Mapping[str, Json] = {}
        self.default_asserts: list[Json] = []
        self.bare: list[tuple[str, dict[str, Json]]] = []
        self.asserting = False
        self.taken: set[str] = set()

    def begin(self, default: Mapping[str, Json]) -> None:
        """defaultTest, as far as it carries over; what it says is asked of every case that follows."""
        place = "defaultTest"
        self.default_options = mapping(default.get("options"))
        self.default = self.keys(default, place)
        if "vars" in default:
            variables = self.variables(default["vars"], f"{place}.vars")
            self.default["vars"] = variables
        for key, why in self.unfit_defaults().items():
            self.notes.leave(f"{place}.{key}", f"`{key}` of defaultTest", why)
            self.default.pop(key, None)
        asserts = default.get("assert")
        known = {*mapping(self.default.get("vars")), *_named(asserts)}
        self.default_asserts = self.assertions.all(
            _transformed(asserts, self.default_options), f"{place}.assert", known
        )

    def unfit_defaults(self) -> dict[str, str]:
        """What our loader says of keys that it does not take in defaultTest, by key."""
        default = {key: value for key, value in self.default.items() if key != "vars"}
        try:
            parse({"tests": [{"assert": [_PLACEHOLDER]}], "defaultTest": default}, read=self.sources.read)
        except SuiteInvalid as error:
            places = [(re.split(r"[.\[]", path), why) for path, why in error.problems]
            return {names[1]: why for names, why in places if names[0] == "defaultTest" and len(names) > 1}
        return {}

    def end(self) -> tuple[dict[str, Json], dict[str, Json]]:
        """(defaultTest, assertionTemplates) once every case is known: ours stand in where nothing was asserted."""
        made = said(self.default)
        if self.default_asserts:
            made["assert"] = self.default_asserts
        if not self.bare:
            return made, {}
        ours = self.usual.assertions()
        why = "promptfoo passes it whatever is answered; ours stand in, written out: adapt them to the case"
        for place, _ in self.bare:
            self.notes.leave(place, "a case without an assertion that carries over", why)
        if not self.usual.guardrail:
            why = "prompt.yaml names no guardrail, and without one none can intervene; add it once there is one"
            self.notes.leave("suite", "no guardrail intervention, of the usual assertions", why)
        if self.asserting or self.default_asserts or any(self.alone(test) for _, test in self.bare):
            return made, ours
        for _, test in self.bare:
            del test["assert"]
        return {**made, "assert": list(ours.values())}, {}

    def one(self, test: Json, place: str) -> dict[str, Json] | None:
        """The case as ours, or None."""
        if not isinstance(test, Mapping):
            self.notes.leave(place, "a case", "is no mapping with `vars` and `assert`")
            return None
        options = {**self.default_options, **mapping(test.get("options"))}
        if why := self.another_input(test, options):
            self.notes.leave(place, "a case", why)
            return None
        made = self.keys(test, place)
        if test.get("vars") is not None:
            variables = self.variables(test["vars"], f"{place}.vars")
            if variables is None:
                return None
            made["vars"] = variables
        known = {**mapping(self.default.get("vars")), **mapping(made.get("vars"))}
        asserts = self.assertions.all(_transformed(test.get("assert"), options), f"{place}.assert", known)
        carried = said(made)
        if not self.fits(carried, place):
            return None
        asserts += self.own_defaults(carried, place, known)
        if asserts:
            carried["assert"] = asserts
        written = test["assert"] if isinstance(test.get("assert"), list) else []
        if "threshold" in carried and 0 < len(asserts) < len(written):
            why = f"is now over {len(asserts)} of {len(written)} assertions; look at it"
            self.notes.leave(f"{place}.threshold", "threshold of a case of which assertions were left", why)
        self.count(carried, place)
        return carried

    def another_input(self, test: Mapping[str, Json], options: Mapping[str, Json]) -> str:
        """Why a case would be another one here; empty when it would not."""
        if mapping(test.get("metadata")).get("conversationId") is not None:
            return "it goes on from the cases before it (`conversationId`); write them as one case with `turns`"
        if "providerOutput" in test:
            return "an answer that was not given by the model (`providerOutput`) proves nothing"
        if self.default.get("vars", {}) is None:
            return "it takes the variables of defaultTest, which do not carry over"
        return next((f"its `{key}` {why}" for key, why in _INPUT.items() if options.get(key)), "")

    def own_defaults(self, test: dict[str, Json], place: str, known: Mapping[str, Json]) -> list[Json]:
        """The default assertions, written out, for a case that lacks a variable of one of them; without that one."""
        absent = {name for one in self.default_asserts for name in _lacking(one, known)}
        if not absent or self.alone(test):
            return []
        for name in sorted(absent):
            why = f"refers to {{{{{name}}}}}, which the case has not: give it the variable"
            self.notes.leave(place, "a default assertion", why)
        test["options"] = {**mapping(test.get("options")), "disableDefaultAsserts": True}
        return [one for one in self.default_asserts if not _lacking(one, known)]

    def alone(self, test: Mapping[str, Json]) -> bool:
        """Whether a case does without the default assertions."""
        options = {**mapping(self.default.get("options")), **mapping(test.get("options"))}
        return bool(options.get("disableDefaultAsserts"))

    def count(self, test: dict[str, Json], place: str) -> None:
        """Note whether a case asserts anything; one that does not gets ours, here or, by `end`, in defaultTest."""
        asserts = list(test.get("assert") or [])
        asked = [*asserts, *([] if self.alone(test) else self.default_asserts)]
        self.asserting |= bool(asked)
        if any(map(_reads_the_answer, asked)):
            return
        test["assert"] = asserts + [{"$ref": f"#/assertionTemplates/{name}"} for name in self.usual.assertions()]
        self.bare.append((place, test))

    def keys(self, test: Mapping[str, Json], place: str) -> dict[str, Json]:
        """What a test says besides its variables and assertions, as far as we know it."""
        made: dict[str, Json] = {}
        for key, value in test.items():
            if key in ("assert", "vars") or value is None:
                continue
            if key == "options":
                made["options"] = self.options(value, place)
            elif key == "metadata":
                made["metadata"] = self.metadata(value, place)
            elif key == "id" and not (place != "defaultTest" and self.own("id", value)):
                why = "is that of another case, or none; ids are unique texts of 1 to 120 characters"
                self.notes.leave(f"{place}.id", f"id {value!r:.60}", why)
            elif key == "threshold" and not (is_number(value) and 0 < value <= 1):
                why = "lies not above 0 and at most at 1; without it every assertion must hold"
                self.notes.leave(f"{place}.threshold", f"threshold {value!r}", why)
            elif key in promptfoo.TEST_KEYS:
                made[key] = value
            elif key == "provider" and place == "defaultTest":
                self.assertions.grader(value, f"{place}.provider", "")
            else:
                for _, why in promptfoo.test_keys({key: value}, place):
                    self.notes.leave(f"{place}.{key}", f"`{key}` of a case", why)
        return made

    def options(self, options: Json, place: str) -> dict[str, Json]:
        made = {}
        for key, value in mapping(options).items():
            if key in ("disableVarExpansion", "disableDefaultAsserts"):
                made[key] = value
            elif key == "provider":
                self.assertions.grader(value, f"{place}.options.provider", "")
            elif key not in _INPUT and key not in ("transform", "postprocess"):
                why = "is an option of promptfoo's own runs; nothing here does the same"
                self.notes.leave(f"{place}.options.{key}", f"option `{key}`", why)
        return made

    def metadata(self, metadata: Json, place: str) -> dict[str, Json]:
        """As it is, without what would mean something else here: an id that another case has, tags that are none."""
        made = {}
        for key, value in mapping(metadata).items():
            if key not in _OWN_METADATA or ((key, place) != ("id", "defaultTest") and self.own(key, value)):
                made[key] = value
            else:
                why = f"has a meaning of its own here (`{key}` of a case), which {value!r:.60} does not have"
                self.notes.leave(f"{place}.metadata.{key}", f"metadata `{key}`", why)
        return made

    def own(self, key: str, value: Json) -> bool:
        if key == "critical":
            return isinstance(value, bool)
        if key == "tags":
            listed = [value] if isinstance(value, str) else value
            return isinstance(listed, list) and all(isinstance(tag, str) and tag.strip() for tag in listed)
        name = str(value).strip()
        fits = isinstance(value, str | int) and not isinstance(value, bool) and 0 < len(name) <= 120
        if not fits or name in self.taken:
            return False
        self.taken.add(name)
        return True

    def variables(self, found: Json, place: str) -> dict[str, Json] | None:
        """The variables, None where the input would be another."""
        if isinstance(found, str | list):
            merged: dict[str, Json] = {}
            for name in [found] if isinstance(found, str) else found:
                try:
                    held = self.sources.plain_data(str(name))
                except DatasetInvalid as error:
                    self.notes.leave(place, "a case", f"its variables are those of a file: {error}")
                    return None
                merged |= mapping(held)
            found = merged
        if not isinstance(found, Mapping):
            self.notes.leave(place, "a case", "its `vars` are no mapping")
            return None
        made = dict(found)
        for name, value in found.items():
            try:
                made[name] = self.value(value)
            except DatasetInvalid as error:
                self.notes.leave(f"{place}.{name}", "a case", f"its variable {error}")
                return None
        return made

    def value(self, value: Json) -> Json:
        """One variable. Raises DatasetInvalid where it would be another."""
        if isinstance(value, str) and value.startswith("file://"):
            text = self.sources.json_text(value.removeprefix("file://"))
            return value if text is None else text
        if any(
            isinstance(one, str) and one.startswith("file://") for one in (value if isinstance(value, list) else ())
        ):
            raise DatasetInvalid("is a list with files; write one case for each")
        if problem := next(template_problems(value), ""):
            raise DatasetInvalid(f"holds a template: {problem}")
        return value

    def fits(self, test: Mapping[str, Json], place: str) -> bool:
        """Whether our loader takes the case; otherwise it is left with what that says."""
        try:
            whole = {
                "tests": [{**test, "assert": [_PLACEHOLDER]}],
                "defaultTest": {"vars": mapping(self.default.get("vars"))},
            }
            parse(whole, read=self.sources.read)
        except SuiteInvalid as error:
            found = [(path.removeprefix("tests[0]").strip("."), said) for path, said in error.problems]
            self.notes.leave(place, "a case", "; ".join(f"{path}: {said}" for path, said in dict.fromkeys(found)))
            return False
        return True


def _named(value: Json) -> set[str]:
    """Variables that assertions refer to, in sets too."""
    found: set[str] = set()
    for one in value if isinstance(value, list) else []:
        if isinstance(one, Mapping):
            found |= references(one.get("value")) | _named(one.get("assert")) | {group[0] for group in read_by(one)}
    return found


def _lacking(assertion: Json, known: Mapping[str, Json]) -> set[str]:
    """Variables that an assertion needs, and a case has not; of those of which one is enough, the first."""
    spare = {group[0] for group in read_by(assertion) if any(name in known for name in group)}
    return _named([assertion]) - known.keys() - spare


def _reads_the_answer(assertion: Json) -> bool:
    kind = KINDS.get(split_negation(assertion["type"])[0])
    if kind is not None and kind.name == "assert-set":
        return any(map(_reads_the_answer, assertion["assert"]))
    return kind is None or kind.of_answer


def said(test: Mapping[str, Json]) -> dict[str, Json]:
    """A case without what says nothing."""
    return {k: v for k, v in test.items() if v not in (None, [], {}, "")}


def _transformed(asserts: Json, options: Mapping[str, Json]) -> Json:
    """The assertions, each with the code by which the case has its answer rewritten."""
    code = options.get("transform") or options.get("postprocess")
    if not code or not isinstance(asserts, list):
        return asserts
    return [{"transform": code, **one} if isinstance(one, Mapping) else one for one in asserts]
