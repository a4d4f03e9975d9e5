"""Cases of every deterministic kind of assertion, as people write them and as they should not, drawn from a seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any, Final

from .texts import KEYS, REFUSALS, SENTENCES, sentence, value

Json = Any
Case = dict[str, Json]
"""A test: `vars`, `assert`, and maybe `threshold`."""
Draw = Callable[[Random], Json]


def _word(draw: Random) -> str:
    text = draw.choice(SENTENCES)
    words = text.split()
    start = draw.randrange(len(words))
    return draw.choice((draw.choice(words), draw.choice(words).strip(".,!?:;\"'"), " ".join(words[start : start + 3])))


def _text(draw: Random) -> Json:
    return draw.choice(
        (
            _word(draw),
            _word(draw),
            _word(draw).upper(),
            _word(draw).lower(),
            sentence(draw),
            draw.choice((30, 5, 42, 12.5, 1e-5, 1e-7, 0.1, 1e21, 3.0, True)),
            "{{word}}",
            "{{ word }} {{other}}",
            draw.choice(("{{ word | lower }}", "{% if word %}a{% endif %}", "{{ absent }}", "{# a #}", "{{ word")),
            f"{_word(draw)[:3]}",
            draw.choice(("ß", "STRASSE", "İ", "😀", "ﬁ", "É", "é", "e\u0301", "\u00a0", "{", "\\", '"', "$12.50")),
        )
    )


def _list(draw: Random) -> Json:
    words = [_word(draw) for _ in range(draw.randint(1, 4))]
    return draw.choice(
        (
            words,
            words,
            [*words, draw.choice((30, 12.5, 7))],
            ", ".join(words),
            ",".join(f'"{w}"' for w in words if '"' not in w) or "x",
            f'"hello, world",{words[0]}' if '"' not in words[0] else words[0],
            "{{word}},{{other}}",
            "{{both}}",
            ["{{word}}", words[0]],
            ["", words[0]],
            f"{words[0]},,  ,{words[-1]},",
        )
    )


_PIECES: Final = (
    *(r"\d+", r"\w+", r"\bcat\b", r"\s", r"[A-Z]", r"[^a-z]", r"(?:red|green)", r"(\w)\1", r".", r".+?", r"[^]", "é"),
    *(r"\u00e9", r"\x41", r"\cJ", r"\S", r"\D", r"\W", r"(?=P)", r"(?!x)", r"(?<=a)p", r"(?<!\d)7", r"(?<q>a)\k<q>"),
    *(
        r"\$",
        r"\.",
        r"\/",
        r"[.*+?^${}()|[\]\\]",
        r"a{2}",
        r"t{1,2}",
        r"o*",
        r"\B",
        r"[\d-]+",
        r"[\w.]+@[\w.]+",
        "x{,2}",
    ),
    *(r"\0", r"\t", r"\n", r"[\b]", r"(?:)", r"]", r"}", r"\-", r"\_", "{"),
)
_PATTERNS: Final = (
    *(r"^yes$", r"^\d+$", r"^\w+$", r"^\s*\{", r"\}\s*$", r"^[^\n]+$", r"^.*$", r"(?i)paris", r"\p{L}", r"[[:alpha:]]"),
    *(
        r"\Ayes\Z",
        r"(?P<x>a)",
        r"a++",
        r"(?>a)",
        r"(unclosed",
        r"[z-a]",
        r"*",
        r"\d{2}:\d{2}",
        r"^(yes|no)\.?$",
        "{{word}}",
    ),
    *(r"{{word}}.*{{other}}", r"^[A-Z][a-z]+", r"\b[A-Z]{2,}\b", r"(a|b)*c", r"\$\d+(\.\d{2})?", r"[\s\S]{10,}", r"^$"),
)


def _pattern(draw: Random) -> Json:
    if draw.random() < 0.45:
        return draw.choice(_PATTERNS)
    made = "".join(draw.choice(_PIECES) for _ in range(draw.randint(1, 3)))
    return draw.choice((made, f"^{made}", f"{made}$", f"({made}|{draw.choice(_PIECES)})"))


def _schema(draw: Random, depth: int = 2) -> Json:
    """A JSON Schema over the keys that answers have."""
    roll = draw.random()
    if depth and roll < 0.45:
        keys = draw.sample(KEYS, draw.randint(1, 3))
        made: dict[str, Json] = {"type": "object", "properties": {key: _schema(draw, depth - 1) for key in keys}}
        if draw.random() < 0.6:
            made["required"] = draw.sample(keys, draw.randint(1, len(keys)))
        if draw.random() < 0.3:
            made["additionalProperties"] = draw.choice((False, True, {"type": "string"}))
        return made
    if depth and roll < 0.55:
        return {
            "type": "array",
            "items": _schema(draw, depth - 1),
            **draw.choice(({}, {"minItems": 1}, {"uniqueItems": True})),
        }
    if depth and roll < 0.65:
        return {draw.choice(("anyOf", "oneOf", "allOf")): [_schema(draw, 0), _schema(draw, depth - 1)]}
    return draw.choice(
        (
            {"type": "string"},
            {"type": draw.choice(("number", "integer", "boolean", "null", "object", "array"))},
            {"type": ["string", "null"]},
            {"type": "string", "minLength": draw.randint(1, 3)},
            {"type": "string", "pattern": draw.choice(("^[A-Z]", r"^\w+$", r"\d", r"^\p{Lu}"))},
            {"type": "string", "format": draw.choice(("date", "email", "date-time", "ipv4", "uri", "uuid", "time"))},
            {"enum": [value(draw, 0), value(draw, 0)]},
            {"const": value(draw, 1)},
            {"type": "number", "minimum": 0, "maximum": 30},
            {"type": "integer", "multipleOf": 2},
            {"not": {"type": "string"}},
            {"minimum": 5},
            {},
        )
    )


_ODD_SCHEMAS: Final = (
    {"type": "objekt"},
    {"minLenght": 3},
    {"properties": {"name": {"typ": "string"}}},
    {"$ref": "#/definitions/n", "definitions": {"n": {"type": "object", "required": ["name"]}}},
    {"$defs": {"n": {"type": "string"}}, "properties": {"name": {"$ref": "#/$defs/n"}}},
    {"type": "array", "items": [{"type": "string"}, {"type": "number"}]},
    {"prefixItems": [{"type": "string"}]},
    {"dependentRequired": {"name": ["age"]}},
    {"dependencies": {"name": ["age"]}},
    {"if": {"required": ["name"]}, "then": {"required": ["age"]}},
    {"propertyNames": {"pattern": "^[a-z]+$"}},
    {"patternProperties": {"^n": {"type": "string"}}, "additionalProperties": False},
    {"contains": {"type": "number"}},
    {"format": "emial"},
    {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
    {"type": "string", "nullable": True},
    {"exclusiveMinimum": 0},
)


def _schema_value(draw: Random) -> Json:
    roll = draw.random()
    if roll < 0.2:
        return None
    if roll < 0.4:
        return draw.choice(_ODD_SCHEMAS)
    made = _schema(draw)
    return json.dumps(made) if draw.random() < 0.15 else made


def _equal(draw: Random) -> Json:
    texts = (draw.choice(SENTENCES), sentence(draw), "yes", "42", "true", "{}", "[]", "{{word}}", "", " ")
    return draw.choice(
        (*texts, 42, 3.14, True, 1e21, value(draw), {"name": value(draw, 0)}, {"name": "{{word}}"}, [], {})
    )


_VALUES: Final[dict[str, Draw]] = {
    "equals": _equal,
    "contains": _text,
    "icontains": _text,
    "starts-with": lambda draw: draw.choice((_text(draw), draw.choice(SENTENCES)[: draw.randint(1, 12)])),
    "contains-any": _list,
    "contains-all": _list,
    "icontains-any": _list,
    "icontains-all": _list,
    "regex": _pattern,
    "is-json": _schema_value,
    "contains-json": _schema_value,
    "is-refusal": lambda draw: None,
    "levenshtein": lambda draw: draw.choice((sentence(draw), _word(draw), "yes, please", "Great job 😀👍 see you")),
    "rouge-n": lambda draw: draw.choice((sentence(draw), draw.choice(SENTENCES), _word(draw), "{{both}}")),
    "bleu": lambda draw: draw.choice(
        (sentence(draw), draw.choice(SENTENCES), [draw.choice(SENTENCES), sentence(draw)])
    ),
    "latency": lambda draw: None,
    "cost": lambda draw: None,
    "guardrails": lambda draw: None,
    "is-valid-openai-tools-call": lambda draw: None,
}
_THRESHOLDS: Final[dict[str, tuple[Json, ...]]] = {
    "levenshtein": (None, 0, 1, 3, 5, 12, 40, 2.5),
    "rouge-n": (None, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
    "bleu": (None, 0.05, 0.2, 0.5, 0.8, 1.0),
    "latency": (80, 100, 1_000, 5_000, 0.5),
    "cost": (0.0001, 0.001, 0.01, 0.05, 1),
}
_SHARE: Final = {"regex": 2.2, "is-json": 2.0, "contains-json": 2.0, "contains": 1.3, "equals": 1.3, "guardrails": 0.2}
_FEW: Final = {"latency": 0.4, "cost": 0.4, "is-refusal": 0.1, "is-valid-openai-tools-call": 0.1}


def assertion(draw: Random, kind: str) -> Json:
    made: dict[str, Json] = {"type": f"not-{kind}" if draw.random() < 0.4 else kind}
    if (found := _VALUES[kind](draw)) is not None:
        made["value"] = found
    if kind in _THRESHOLDS and (least := draw.choice(_THRESHOLDS[kind])) is not None:
        made["threshold"] = least
    return made


def _vars(draw: Random) -> dict[str, str]:
    made = {
        "word": _word(draw),
        "other": _word(draw),
        "both": f"{_word(draw)}, {_word(draw)}",
        "q": draw.choice(REFUSALS),
    }
    if draw.random() < 0.1:
        made["word"] = ""
    return made


def _set(draw: Random) -> Case:
    """A set, or a case with a threshold, over kinds whose scores are 0 or 1."""
    kinds = ("contains", "icontains", "contains-any", "starts-with", "latency")
    inner = [
        {**assertion(draw, draw.choice(kinds)), **draw.choice(({}, {"weight": 2}, {"weight": 0.5}))}
        for _ in range(draw.randint(2, 4))
    ]
    least = draw.choice((None, 0.3, 0.5, 0.75, 1))
    limit = {} if least is None else {"threshold": least}
    if draw.random() < 0.5:
        return {"vars": _vars(draw), "assert": inner, **limit}
    beside = [assertion(draw, "contains")] if draw.random() < 0.4 else []
    return {"vars": _vars(draw), "assert": [{"type": "assert-set", "assert": inner, **limit}, *beside]}


def cases(draw: Random, count: int) -> list[Case]:
    """So many different ones: every kind in its share, then sets."""
    found: dict[str, Case] = {}
    shares = {kind: _SHARE.get(kind, _FEW.get(kind, 1.0)) for kind in _VALUES}
    each = (count - count // 12) / sum(shares.values())
    for kind, share in shares.items():
        for made in _different(partial(_one, draw, kind), max(2, round(each * share))):
            found[json.dumps(made, sort_keys=True)] = made
    while len(found) < count:
        made = _set(draw)
        found[json.dumps(made, sort_keys=True)] = made
    return list(found.values())


def _one(draw: Random, kind: str) -> Case:
    return {"vars": _vars(draw), "assert": [assertion(draw, kind)]}


def _different(make: Callable[[], Case], count: int) -> Iterator[Case]:
    """So many whose assertions differ, or as many as there seem to be."""
    seen: set[str] = set()
    for _ in range(60 * count):
        made = make()
        key = json.dumps(made["assert"], sort_keys=True)
        if key not in seen:
            seen.add(key)
            yield made
        if len(seen) == count:
            return
