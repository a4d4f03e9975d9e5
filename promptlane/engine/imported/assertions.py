"""One assertion of a promptfoo file as one of ours: itself, a check that a person must write, or nothing and why."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from promptlane.domain.errors import SuiteInvalid
from promptlane.engine import promptfoo
from promptlane.engine.assertions import KINDS
from promptlane.engine.guarded import NO_GUARDRAIL, unguarded
from promptlane.engine.kinds import READS, split_negation
from promptlane.engine.parse import parse
from promptlane.engine.suite import Read

from .found import Notes
from .graders import bedrock_model, graders

Json = Any
CODE: Final = ("javascript", "python", "ruby", "webhook")
CHECKED: Final = (
    *CODE,
    *("is-xml", "contains-xml", "is-html", "contains-html", "is-sql", "contains-sql"),
    *("word-count", "f-score", "meteor", "gleu", "classifier", "finish-reason", "tool-call-f1"),
)
"""promptfoo's types that a registered check must stand for."""
CRITERIA: Final = ("model-graded-closedqa", "pi")
"""Types whose value is a criterion in words, as that of `llm-rubric`."""
_REWRITES: Final = ("transform", "contextTransform")
_SETTINGS: Final = {"judge": "judge_model", "embedder": "embedding_model"}
_SLUG: Final = re.compile(r"[^a-z0-9]+")
_CACHE: Final = 50_000
_BESIDE: Final[Json] = {"type": "contains", "value": "x"}
"""Since a case needs an assertion that reads the answer, and this is about one alone."""


class Assertions:
    """Carries them over, one by one. `names`, in each call: the variables that the case has."""

    def __init__(self, notes: Notes, templates: Mapping[str, Json], read: Read | None, guardrail: bool) -> None:
        self.notes, self.templates, self.read, self.guardrail = notes, templates, read, guardrail
        self._known: dict[str, tuple[tuple[str, str], ...]] = {}

    def all(self, found: Json, place: str, names: Collection[str]) -> list[Json]:
        """Those that carry over of a list."""
        if found is None:
            return []
        if not isinstance(found, list):
            self.notes.leave(place, "assertions", "are no list; each is a mapping with `type`")
            return []
        carried = [self.one(item, f"{place}[{i}]", names) for i, item in enumerate(found)]
        return [one for one in carried if one is not None]

    def one(self, data: Json, place: str, names: Collection[str]) -> Json:
        """Ours, or None."""
        if isinstance(data, Mapping) and "$ref" in data:
            name = str(data["$ref"]).removeprefix("#/assertionTemplates/")
            template = self.templates.get(name)
            if not isinstance(template, Mapping):
                self.notes.leave(place, f"assertion by $ref {name!r}", "assertionTemplates holds none of this name")
                return None
            data = {**template, **{k: v for k, v in data.items() if k != "$ref"}}
        if not isinstance(data, Mapping) or not isinstance(data.get("type"), str):
            self.notes.leave(place, "assertion", "is no mapping with `type`")
            return None
        written = data["type"]
        bare, negated = split_negation(written)
        if bare in CHECKED and bare not in KINDS.keys() - {"python"}:
            return self.stub(data, bare, negated, place)
        for key in _REWRITES:
            if key in data:
                return self.stub(data, bare, negated, place)
        if bare in CRITERIA and bare not in KINDS:
            why = "has prompts of its own in promptfoo; here it is an `llm-rubric` with the same criterion: look at it"
            self.notes.leave(place, f"`{bare}`, read as `llm-rubric`", why)
            data = {**data, "type": "not-llm-rubric" if negated else "llm-rubric"}
            bare = "llm-rubric"
        if not self.guardrail and unguarded({bare} & KINDS.keys()):
            self.notes.leave(place, f"`{written}`", NO_GUARDRAIL)
            return None
        if bare == "assert-set":
            return self.set(data, place, names)
        return self.plain(data, bare, place, names)

    def set(self, data: Mapping[str, Json], place: str, names: Collection[str]) -> Json:
        inner = self.all(data.get("assert"), f"{place}.assert", names)
        if not inner:
            self.notes.leave(place, "assert-set", "none of its assertions carries over")
            return None
        kept = {k: v for k, v in data.items() if k in promptfoo.ASSERT_KEYS and k != "assert"}
        problems = self.problems({**kept, "assert": [{"type": "contains", "value": "x"}]}, ())
        if problems:
            self.notes.leave(place, "assert-set", _told(problems))
            return None
        lost = len(data["assert"]) - len(inner)
        if lost and "threshold" in kept:
            self.notes.leave(place, "part of an assert-set", f"its threshold is now over {len(inner)} assertions")
        return {**kept, "assert": inner}

    def stub(self, data: Mapping[str, Json], bare: str, negated: bool, place: str) -> Json:
        """A `python` assertion by the name of a check that nobody has registered yet: no run begins without it."""
        if bare in CODE and isinstance(data.get("value"), str) and not any(k in data for k in _REWRITES):
            code = data["value"]
        else:
            code = json.dumps({k: v for k, v in data.items() if k != "metric"}, ensure_ascii=False, default=str)
        extra = {k: data[k] for k in ("threshold", "config") if data.get(k) is not None}
        if extra and bare in CODE:
            code += f"\n{json.dumps(extra, ensure_ascii=False, default=str)}"
        name = self.notes.stub(place, bare, code, _name(data, bare, code))
        kept = {k: data[k] for k in ("weight", "metric") if data.get(k) is not None}
        made = {"type": "not-python" if negated else "python", "value": name, **kept}
        return self.plain(made, "python", place, ())

    def plain(self, data: Mapping[str, Json], bare: str, place: str, names: Collection[str]) -> Json:
        kept = {k: v for k, v in data.items() if k in promptfoo.ASSERT_KEYS and v is not None}
        for key in data.keys() - kept.keys():
            if data[key] is None:
                continue
            if key == "provider":
                self.grader(data[key], f"{place}.provider", KINDS[bare].asks if bare in KINDS else "")
                continue
            for _, why in promptfoo.assert_keys({key: data[key]}, place):
                self.notes.leave(f"{place}.{key}", f"`{key}` of an assertion", why)
        problems = self.problems(kept, names)
        for key, said in (("threshold", "takes no threshold"), ("value", "takes no value")):
            if any(path == key and said in why for path, why in problems):
                self.notes.leave(f"{place}.{key}", f"`{key}` of `{bare}`", f"{bare} {said}: it says nothing there")
                del kept[key]
                problems = self.problems(kept, names)
        if problems:
            self.notes.leave(place, f"`{data['type']}`", _told(problems))
            return None
        return kept

    def grader(self, provider: Json, place: str, asks: str) -> None:
        """Note the model that grades: the policy's, where Bedrock has it."""
        known = [*graders(provider, asks)]
        if not known:
            self.notes.leave(place, "grader", "names no provider; tests.judge_model in release.yaml grades")
        for use, name in known:
            setting = _SETTINGS[use]
            if model := bedrock_model(name):
                self.notes.graded_by(place, setting, model)
            else:
                why = f"is no model of Bedrock's; tests.{setting} in release.yaml grades: name one there"
                self.notes.leave(place, f"grader {name!r}", why)

    def problems(self, data: Mapping[str, Json], names: Collection[str]) -> tuple[tuple[str, str], ...]:
        """(key, what is wrong) with an assertion, as our own loader says it."""
        known = sorted(names)
        key = json.dumps([data, known], ensure_ascii=False, sort_keys=True, default=repr)
        if key not in self._known:
            if len(self._known) > _CACHE:
                self._known.clear()
            case = {"vars": dict.fromkeys(known, "x"), "assert": [data, _BESIDE]}
            try:
                parse({"tests": [case]}, read=self.read)
                self._known[key] = ()
            except SuiteInvalid as error:
                found = [
                    (path.removeprefix("tests[0].assert[0]").removeprefix("."), why) for path, why in error.problems
                ]
                self._known[key] = tuple(found)
        return self._known[key]


def read_by(assertion: Json) -> tuple[tuple[str, ...], ...]:
    """Variables that an assertion reads by itself: one name of each group."""
    written = assertion.get("type") if isinstance(assertion, Mapping) else None
    return READS.get(split_negation(written)[0], ()) if isinstance(written, str) else ()


def _told(problems: Collection[tuple[str, str]]) -> str:
    return "; ".join(dict.fromkeys(why for _, why in problems))


def _name(data: Mapping[str, Json], bare: str, code: str) -> str:
    """What the check is called: by its file and function, by its metric, or by what it was."""
    first = code.partition("\n")[0]
    if bare in CODE and first.startswith("file://"):
        source, _, function = first.removeprefix("file://").rpartition("/")[2].partition(":")
        wanted = f"{source.rpartition('.')[0] or source}-{function}"
    elif isinstance(data.get("metric"), str):
        wanted = data["metric"]
    else:
        wanted = f"imported-{bare}"
    return _SLUG.sub("-", wanted.lower()).strip("-")[:60].strip("-") or f"imported-{bare}"
