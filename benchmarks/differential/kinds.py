"""Every kind of difference between promptfoo's grades and ours, recognised by assertion and answer, and why it is one.

docs/write-a-suite.md lists them; a test holds that list against this one. Outcomes are two letters, ours first: p(ass),
f(ail), m(issing), r(efused), e(rror of theirs). Where a kind's outcomes hold `pf`, promptfoo is wrong to fail.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptlane.domain.errors import SuiteInvalid
from promptlane.engine import scores
from promptlane.engine.parse import parse
from promptlane.engine.values import text_of

from .texts import Output

Json = Any
Recognises = Callable[[Mapping[str, Json], Output, Mapping[str, str]], bool]
_SCHEMAS: Final = ("is-json", "contains-json")
_TIE: Final = 1e-9
_LONG: Final = 1_000
_NUMBER_LIMIT: Final = 2**53
_NEW_KEYWORDS: Final = ("prefixItems", "dependentRequired", "dependentSchemas", "unevaluatedProperties", "minContains")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `reason`: a sentence for the documentation. `recognises`: (assertion, answer, variables)."""

    name: str
    reason: str
    outcomes: frozenset[str]
    recognises: Recognises


def kind_of(case: Mapping[str, Json], output: Output, ours: str, theirs: str) -> str:
    """The name of the kind that a difference is of; empty where it is of none."""
    outcome = ours + theirs
    for kind in KINDS:
        if outcome in kind.outcomes and any(kind.recognises(a, output, case["vars"]) for a in flat(case["assert"])):
            return kind.name
    return ""


def flat(assertions: Iterable[Json]) -> Iterator[Mapping[str, Json]]:
    """The assertions, and those within sets."""
    for one in assertions:
        yield one
        yield from flat(one.get("assert", ()))


def same(ours: str, theirs: str) -> bool:
    """Whether both say the same, or neither gives a grade."""
    return ours == theirs or (ours in "mr" and theirs == "e")


def _bare(a: Mapping[str, Json]) -> str:
    return str(a["type"]).removeprefix("not-")


def _texts(a: Mapping[str, Json], variables: Mapping[str, str]) -> list[str]:
    """The texts that an assertion compares with, with its variables filled in; a list's are its own."""
    found = a.get("value")
    listed = found if isinstance(found, list) else [] if found is None or isinstance(found, dict) else [found]
    return [re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda m: variables.get(m[1], m[0]), text_of(one)) for one in listed]


def _proves_nothing(a: Mapping[str, Json], _: Output, variables: Mapping[str, str]) -> bool:
    kinds = ("contains", "starts-with", "regex", "equals", "levenshtein", "rouge-n", "bleu", "-any", "-all")
    texts = _texts(a, variables)
    if _bare(a) == "equals" and a.get("value") in (None, [], {}):
        return True
    blank = any(re.fullmatch(r"[\s,]*", text) for text in texts)
    filled = "{{" in str(a.get("value")) and any(not variables[name].strip() for name in _names(a) & variables.keys())
    return _bare(a).endswith(kinds) and (blank or filled)


def _names(a: Mapping[str, Json]) -> set[str]:
    return set(re.findall(r"\{\{\s*(\w+)\s*\}\}", str(a.get("value"))))


def _template(a: Mapping[str, Json], _: Output, variables: Mapping[str, str]) -> bool:
    text = json.dumps(a.get("value"), ensure_ascii=False)
    return bool(re.search(r"\{%|\{#|\{\{(?!\s*\w+\s*\}\})", text)) or bool(_names(a) - variables.keys())


def _plain_value(a: Mapping[str, Json], _: Output, __: Mapping[str, str]) -> bool:
    found = a.get("value")
    wanted = {"starts-with": (int, float), "contains": (bool,), "icontains": (bool,)}.get(_bare(a), ())
    return isinstance(found, wanted) if wanted else False


def _space_around(a: Mapping[str, Json], output: Output, variables: Mapping[str, str]) -> bool:
    if _bare(a) != "equals" or isinstance(a.get("value"), dict | list):
        return False
    return any(output.text != text and output.text.strip() == text.strip() for text in _texts(a, variables))


def _folded(a: Mapping[str, Json], output: Output, variables: Mapping[str, str]) -> bool:
    parts = [part for text in _texts(a, variables) for part in (text, *re.split(r'[",]+', text))]
    return "icontains" in _bare(a) and any(
        (part.strip().casefold() in output.text.casefold()) != (part.strip().lower() in output.text.lower())
        for part in parts
        if part.strip()
    )


def _foreign_pattern(a: Mapping[str, Json], _: Output, variables: Mapping[str, str]) -> bool:
    return _bare(a) == "regex" and any(_refused({"type": "regex", "value": text}) for text in _texts(a, variables))


def _odd_schema(a: Mapping[str, Json], _: Output, __: Mapping[str, str]) -> bool:
    return _bare(a) in _SCHEMAS and _refused(a)


def _refused(a: Mapping[str, Json]) -> bool:
    try:
        parse({"tests": [{"assert": [dict(a)]}]})
    except SuiteInvalid:
        return True
    return False


def _new_schema(a: Mapping[str, Json], _: Output, __: Mapping[str, str]) -> bool:
    text = json.dumps(a.get("value"))
    return _bare(a) in _SCHEMAS and any(f'"{word}"' in text for word in _NEW_KEYWORDS)


def _doubled_enum(a: Mapping[str, Json], _: Output, __: Mapping[str, str]) -> bool:
    found = a.get("value")
    schema = json.loads(found) if _bare(a) in _SCHEMAS and isinstance(found, str) else found
    return _bare(a) in _SCHEMAS and any(len({text_of(v) for v in e}) < len(e) for e in _enums(schema))


def _enums(schema: Json) -> Iterator[list[Json]]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and isinstance(schema.get("enum"), list):
        yield schema["enum"]
    for one in inner:
        yield from _enums(one)


def _top_values(text: str) -> Iterator[tuple[int, Json]]:
    """(where, value) of the JSON objects and lists of a text, and (where, None) of braces that begin none."""
    decoder, at = json.JSONDecoder(), 0
    while found := re.compile(r"[{\[]").search(text, at):
        try:
            made, at = decoder.raw_decode(text, found.start())
            yield found.start(), made
        except ValueError:
            at = found.start() + 1
            if found[0] == "{":
                yield found.start(), None


def _list_in_answer(a: Mapping[str, Json], output: Output, _: Mapping[str, str]) -> bool:
    return _bare(a) == "contains-json" and any(isinstance(made, list) for _, made in _top_values(output.text))


def _loose_json(a: Mapping[str, Json], output: Output, _: Mapping[str, str]) -> bool:
    return _bare(a) == "contains-json" and any(made is None for _, made in _top_values(output.text))


def _large_number(a: Mapping[str, Json], output: Output, _: Mapping[str, str]) -> bool:
    kinds = ("is-json", "contains-json", "equals")
    digits = re.findall(r"\d{16,}", f"{json.dumps(a.get('value'))} {output.text}")
    return _bare(a) in kinds and any(int(number) > _NUMBER_LIMIT for number in digits)


def _endless_number(a: Mapping[str, Json], output: Output, _: Mapping[str, str]) -> bool:
    kinds = ("is-json", "contains-json", "equals")
    numbers = re.findall(r"-?\d[\d.]{0,40}[eE]\+?\d{1,6}", output.text)
    return _bare(a) in kinds and any(math.isinf(float(number)) for number in numbers)


def _refusal(a: Mapping[str, Json], output: Output, _: Mapping[str, str]) -> bool:
    return _bare(a) == "is-refusal" and bool(output.text.strip())


def _negated_tools(a: Mapping[str, Json], _: Output, __: Mapping[str, str]) -> bool:
    return str(a["type"]) == "not-is-valid-openai-tools-call"


def _near_anything(a: Mapping[str, Json], _: Output, variables: Mapping[str, str]) -> bool:
    most = float(a.get("threshold", 5))
    return _bare(a) == "levenshtein" and any(len(text) <= most for text in _texts(a, variables))


def _beyond_ascii_units(a: Mapping[str, Json], output: Output, variables: Mapping[str, str]) -> bool:
    return _bare(a) == "levenshtein" and any(
        max(text, default="") > "\uffff" for text in (*_texts(a, variables), output.text)
    )


def _filled_mapping(a: Mapping[str, Json], _: Output, __: Mapping[str, str]) -> bool:
    return isinstance(a.get("value"), dict) and "{{" in json.dumps(a["value"])


def _just_reached(a: Mapping[str, Json], output: Output, variables: Mapping[str, str]) -> bool:
    least = float(a.get("threshold", 0.75 if _bare(a) == "rouge-n" else 0.5))
    texts = _texts(a, variables)
    if _bare(a) == "rouge-n":
        return abs(scores.rouge_1(output.text, texts[0]) - least) < _TIE
    return _bare(a) == "bleu" and abs(scores.bleu(output.text, texts) - least) < _TIE


def _last_stop(a: Mapping[str, Json], output: Output, variables: Mapping[str, str]) -> bool:
    texts = (*_texts(a, variables), output.text)
    return _bare(a) == "rouge-n" and any(re.search(r"\w\.\w+\.\s*$", text) for text in texts)


def _slow_pattern(a: Mapping[str, Json], output: Output, _: Mapping[str, str]) -> bool:
    return _bare(a) == "regex" and len(output.text) >= _LONG and len(re.findall(r"[+*]", str(a.get("value")))) > 1


_REFUSED: Final = frozenset({"rp", "rf", "mp", "mf"})
KINDS: Final = (
    Kind(
        "proves nothing",
        "an empty or blank text, alone or in a list, or a variable that fills in to nothing, is refused or missing",
        _REFUSED,
        _proves_nothing,
    ),
    Kind(
        "templates",
        "an expression, a filter, a statement, or a name that the case has not, is refused; promptfoo fills some in",
        _REFUSED,
        _template,
    ),
    Kind(
        "patterns",
        "a pattern that is none, or means something else than its author can have meant, is refused; promptfoo "
        "fails it, also under `not-`, or takes it literally",
        _REFUSED,
        _foreign_pattern,
    ),
    Kind(
        "schemas",
        "an unknown keyword, type or format, and one of another draft than `$schema` names, are refused; promptfoo "
        "takes draft 7's without a name, and says what is wrong only once an answer holds JSON",
        _REFUSED,
        _odd_schema,
    ),
    Kind(
        "newer schemas",
        "keywords of draft 2019-09 and later are checked; promptfoo raises",
        frozenset({"pe", "fe"}),
        _new_schema,
    ),
    Kind(
        "doubled entries",
        "an `enum` that holds an entry twice is checked; promptfoo raises",
        frozenset({"pe", "fe"}),
        _doubled_enum,
    ),
    Kind(
        "near anything",
        "`levenshtein` of a text that is no longer than its threshold is refused: any short word would do",
        _REFUSED,
        _near_anything,
    ),
    Kind(
        "numbers as texts",
        "a number or `true` is compared as the text that it is written as; promptfoo raises",
        frozenset({"pe", "fe"}),
        _plain_value,
    ),
    Kind(
        "space around",
        "`equals` ignores the space around a text",
        frozenset({"pf", "fp"}),
        _space_around,
    ),
    Kind(
        "folded case",
        "`icontains` folds case as Unicode does: `STRASSE` is in `Straße`",
        frozenset({"pf", "fp"}),
        _folded,
    ),
    Kind(
        "lists in answers",
        "`contains-json` finds lists, and the objects in them; promptfoo finds objects alone",
        frozenset({"pf", "fp"}),
        _list_in_answer,
    ),
    Kind(
        "loose JSON",
        "`contains-json` takes JSON alone; promptfoo takes what YAML makes of braces, `{maybe}` too",
        frozenset({"pf", "fp"}),
        _loose_json,
    ),
    Kind(
        "large numbers",
        "whole numbers beyond 2^53 are compared digit by digit; promptfoo rounds them",
        frozenset({"pf", "fp"}),
        _large_number,
    ),
    Kind(
        "endless numbers",
        "JSON with a number that no reader keeps (1e400) is missing, also under `not-`; promptfoo reads Infinity",
        frozenset({"mp", "mf"}),
        _endless_number,
    ),
    Kind(
        "refusals",
        "what is a refusal is decided as docs/refusals.md says; promptfoo looks for phrases anywhere",
        frozenset({"pf", "fp"}),
        _refusal,
    ),
    Kind(
        "no tool call",
        "`not-is-valid-tool-call` is the negation; promptfoo does not negate it",
        frozenset({"pf", "fp"}),
        _negated_tools,
    ),
    Kind(
        "characters",
        "`levenshtein` counts characters; promptfoo counts halves of those beyond U+FFFF",
        frozenset({"pf", "fp"}),
        _beyond_ascii_units,
    ),
    Kind(
        "variables in mappings",
        "variables within a mapping are filled in; promptfoo compares with the braces",
        frozenset({"pf", "fp"}),
        _filled_mapping,
    ),
    Kind(
        "time",
        "a pattern that takes more than a second of processor time on an answer is missing",
        frozenset({"mp", "mf"}),
        _slow_pattern,
    ),
    Kind(
        "reached to the last digit",
        "a score that is the threshold reaches it; promptfoo's fractions fall short of it in the last digit",
        frozenset({"pf", "fp"}),
        _just_reached,
    ),
    Kind(
        "several references",
        "`bleu` clips each n-gram by the reference that has most of it, as its paper does; promptfoo by one for all",
        frozenset({"pf", "fp"}),
        lambda a, _, __: _bare(a) == "bleu" and isinstance(a.get("value"), list) and len(a["value"]) > 1,
    ),
    Kind(
        "last full stop",
        "`rouge-n` parts the full stop that ends an answer also from `a.m.`, as the Penn Treebank does",
        frozenset({"pf", "fp"}),
        _last_stop,
    ),
)
"""All of them; the first that recognises a difference names it."""
