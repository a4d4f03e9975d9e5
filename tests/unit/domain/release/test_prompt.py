"""Drafts, versions, what is hashed of them, and what is wrong with them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import DraftInvalid, InvalidInput
from promptlane.domain.release.content import canonical_json, canonical_variants, fingerprint, rounded_fingerprint
from promptlane.domain.release.prompt import PromptDraft, PromptVersion, VersionRef, static_problems
from tests.support.generated import details, json_values, some, words
from tests.support.prompt import ID

TEXT = {
    "name": "default",
    "modelId": "m-é",
    "templateType": "TEXT",
    "metadata": [{"key": "team", "value": "x"}],
    "genAiResource": None,
    "additionalModelRequestFields": {},
    "templateConfiguration": {"text": {"text": "Hi {{b}} {{a}}", "inputVariables": [{"name": "b"}, {"name": "a"}]}},
    "inferenceConfiguration": {"text": {"temperature": Decimal("0.20"), "maxTokens": 400.0, "stopSequences": []}},
}
HASHED = (
    '[{"inferenceConfiguration":{"text":{"maxTokens":400,"temperature":0.2}},"modelId":"m-é",'
    '"name":"default","templateConfiguration":{"text":{"inputVariables":[{"name":"a"},{"name":"b"}],'
    '"text":"Hi {{b}} {{a}}"}},"templateType":"TEXT"}]'
)


def chat(*texts: str, variables: tuple[str, ...] = (), name: str = "default", model: str = "m") -> dict[str, Any]:
    """A chat variant with a cache point between its blocks; the first text is the system's."""
    system, *messages = texts
    return {
        "name": name,
        "modelId": model,
        "templateConfiguration": {
            "chat": {
                "system": [{"cachePoint": {}}, {"text": system}],
                "messages": [{"role": "user", "content": [{"text": text}, {"cachePoint": {}}]} for text in messages],
                "inputVariables": [{"name": variable} for variable in variables],
            }
        },
    }


def version(*variants: Any, **more: Any) -> PromptVersion:
    return PromptVersion(ID, "support", 3, "arn:3", variants, **more)


def test_what_is_hashed_of_a_version_is_its_canonical_json() -> None:
    assert canonical_json(canonical_variants([TEXT])) == HASHED
    whole = '{"schema":2,"variants":' + HASHED + "}"
    assert fingerprint([TEXT]) == hashlib.sha256(whole.encode()).hexdigest()
    listed = HASHED.replace('400,"temp', '400,"stopSequences":[],"temp')
    assert rounded_fingerprint([TEXT]) == hashlib.sha256(listed.encode()).hexdigest()


@settings(max_examples=25)
@given(json_values)
def test_what_a_model_is_asked_besides_is_hashed_whatever_its_shape(value: Any) -> None:
    (shown,) = canonical_variants([{"additionalModelRequestFields": value}])

    if value in (None, {}, []) and value is not False and value != 0:
        assert shown == {}
    else:
        back = shown["additionalModelRequestFields"]
        assert same(back, value)
    assert fingerprint([{"additionalModelRequestFields": {"k": value}}]) != fingerprint([{}])
    assert canonical_variants(json.loads(canonical_json([shown]))) == [shown], "what is shown is hashed alike"


def same(back: Any, value: Any) -> bool:
    """Whether two JSON values are alike: types, order of lists, keys; whole numbers however they are written."""
    if isinstance(value, dict):
        return back.keys() == value.keys() and all(same(back[k], v) for k, v in value.items())
    if isinstance(value, list):
        return len(back) == len(value) and all(map(same, back, value))
    if isinstance(value, bool) or isinstance(back, bool) or not isinstance(value, int | float):
        return type(back) is type(value) and back == value
    return bool(back == value)


@settings(max_examples=25)
@given(details, details)
def test_fields_that_differ_have_different_fingerprints(one: dict[str, Any], other: dict[str, Any]) -> None:
    hashed = {fingerprint([{"additionalModelRequestFields": fields}]) for fields in (one, other)}

    assert len(hashed) == 2 or same(one, other)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (1, "1"),
        (1.0, "1"),
        (None, "null"),
        ("1", '"1"'),
        (0.123456789, "0.123456789"),
        (0.99999999, "0.99999999"),
        (2**53 + 1, "9007199254740993"),
        (Decimal("1000004.0"), "1000004"),
        (-0.0, "0"),
        ((1, 2), "[1,2]"),
        ({5: 6}, '{"5":6}'),
        (-0.5, "-0.5"),
        (1e30, str(10**30)),
        (5e-324, "5e-324"),
    ],
)
def test_equal_values_are_written_alike_and_others_apart(value: Any, written: str) -> None:
    assert canonical_json(canonical_variants([{"f": [value]}])) == f'[{{"f":[{written}]}}]'


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_know_is_no_content(number: float) -> None:
    with pytest.raises(InvalidInput, match=f"the content holds {number}, which is no number in JSON"):
        fingerprint([{"f": number}])
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(number)


def test_a_template_of_a_kind_that_is_not_known_is_hashed_as_it_is() -> None:
    odd = {"templateConfiguration": {"new": {"x": 1}, "text": "t"}}

    assert canonical_variants([odd, {"templateConfiguration": "t"}]) == [odd, {"templateConfiguration": "t"}]


def test_a_version_is_undescribed_and_has_no_default_variant_unless_it_says_so() -> None:
    assert version(TEXT) == version(TEXT, description="", default_variant="")


def test_what_is_served_is_the_default_variant_else_the_first() -> None:
    one, two, three = chat("a", name="one"), chat("b", name="two"), chat("c", name="three")

    assert version(one, two, three, default_variant="two").variant == two
    assert version(one, two, three, default_variant="four").variant == one
    assert version(one, two, three).variant == one
    assert version({"name": ""}, two).variant == {"name": ""}
    assert version().variant == {}
    assert version(one, {**two, "modelId": "m2"}, default_variant="two").model == "m2"
    assert version({"name": "one"}).model == ""


def test_texts_and_variables_of_a_text_prompt() -> None:
    text = version(TEXT)

    assert text.texts == ["Hi {{b}} {{a}}"]
    assert (text.declared_variables, text.used_variables) == (frozenset("ab"), frozenset("ab"))
    assert version({"templateConfiguration": {"text": {}}}).texts == [""]


def test_texts_and_variables_of_a_chat_prompt() -> None:
    talk = version(chat("Be {{ tone }}", "{{a}} or {{b-2}}", "{{a}}", variables=("a", "c")))

    assert talk.texts == ["Be {{ tone }}", "{{a}} or {{b-2}}", "{{a}}"]
    assert (talk.declared_variables, talk.used_variables) == (frozenset("ac"), frozenset({"tone", "a", "b-2"}))


@pytest.mark.parametrize(
    "config", [None, {}, {"chat": {}}, {"chat": None}, {"chat": {"system": None, "messages": [{"role": "user"}]}}]
)
def test_a_template_without_anything_in_it_has_no_texts_and_no_variables(config: Any) -> None:
    empty = version({"templateConfiguration": config})

    assert (empty.texts, empty.declared_variables, empty.used_variables) == ([], frozenset(), frozenset())


def test_a_reference_to_a_version_binds_its_content_and_tells_its_variables_in_order() -> None:
    many = tuple(f"v{n}" for n in (5, 3, 9, 1, 7, 2))
    ref = version(chat("s", variables=many)).ref

    assert ref == VersionRef(3, fingerprint([chat("s", variables=many)]), "arn:3")
    assert ref.variables == ("v1", "v2", "v3", "v5", "v7", "v9")
    assert replace(ref, variables=None) == ref, "what it declares is in its fingerprint already"


def problems(
    *texts: str, variables: tuple[str, ...] = (), model: str = "m", allowed: tuple[str, ...] = ()
) -> list[str]:
    return static_problems(version(chat(*texts, variables=variables, model=model)), allowed_models=allowed)


MANY = tuple(f"v{n:02}" for n in range(20))


def test_variables_that_are_used_and_declared_apart_are_all_named() -> None:
    assert problems("{{d}} {{c}} {{e}} {{a}}", "{{b}}", variables=("b", "z", "y", "x", "w")) == [
        "the template uses {{a}}, {{c}}, {{d}}, {{e}} but does not declare them; add them to the prompt's variables",
        "the prompt declares {{w}}, {{x}}, {{y}}, {{z}} but its template never uses them; "
        "remove them or write {{name}} where they belong",
    ]


def test_as_many_variables_as_bedrock_allows() -> None:
    def using(names: tuple[str, ...]) -> list[str]:
        return problems("s", " ".join("{{" + name + "}}" for name in names), variables=names)

    assert using(MANY) == []
    assert using((*MANY, "more")) == ["21 variables; Bedrock allows 20"]
    undeclared = " ".join("{{" + name + "}}" for name in (*MANY, "more"))
    assert problems("s", undeclared) == ["21 variables; Bedrock allows 20"]


def test_a_template_is_as_long_as_all_its_texts_together() -> None:
    assert problems("x" * 100_000, "y" * 100_000) == []
    assert problems("x" * 100_000, "y" * 100_001) == [
        "the template has 200,001 characters; at most 200,000 are allowed"
    ]


def test_a_template_is_empty_when_all_its_texts_are_blank() -> None:
    empty = "the template is empty; write one and publish again"

    assert problems(" ", "\n") == [empty]
    assert problems(" ", "x") == []
    assert static_problems(version({"modelId": "m"})) == [empty]


def test_models_are_those_of_the_policy_where_it_names_some() -> None:
    assert problems("s", "x", model="b", allowed=("a", "b")) == []
    assert problems("s", "x", model="c", allowed=("a", "b")) == [
        "model 'c' is not among the policy's models.allowed (a, b); choose one of them, or have the policy changed"
    ]
    assert problems("s", "x", model="", allowed=("a", "b")) == [
        "the version names no model (an agent resource is not supported); choose a modelId"
    ]


def test_a_prompt_that_asks_nothing_is_told_so() -> None:
    (told,) = problems("only a system text")

    assert told.startswith("the prompt has no message of a user")
    assert problems("s", "x") == []


def test_a_version_without_a_variant_is_told_so_and_nothing_else() -> None:
    assert static_problems(version()) == ["version 3 has no variant; add one to the draft and publish again"]


INFERENCE = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 40, "stop_sequences": ["END"]}
SCHEMA = {"inputSchema": {"json": {"type": "object"}}}
TOOLS = [{"toolSpec": {"name": "look", **SCHEMA}}, {"toolSpec": {"name": "pay", **SCHEMA}}]
TALK = {
    "name": "support",
    "description": " Warmer \n",
    "model": "m",
    "system": "Be kind",
    "messages": [{"role": "user", "text": "{{a}}"}, {"role": "assistant", "text": "Yes"}],
    "variables": ["a", "b"],
    "inference": INFERENCE,
    "tools": TOOLS,
    "tool_choice": "any",
    "additional_fields": {"top_k": [5, {"x": None}]},
}


def test_a_chat_prompt_yaml_is_read_whole() -> None:
    assert PromptDraft.from_dict(TALK) == PromptDraft(
        name="support",
        model="m",
        variables=("a", "b"),
        description="Warmer",
        template=None,
        system="Be kind",
        messages=(("user", "{{a}}"), ("assistant", "Yes")),
        inference=INFERENCE,
        tools=tuple(TOOLS),
        tool_choice="any",
        additional_fields={"top_k": [5, {"x": None}]},
    )


def test_a_text_prompt_yaml_needs_only_name_model_and_template() -> None:
    whole = PromptDraft(
        name="support",
        model="m",
        variables=(),
        description="",
        template="Hi",
        system=None,
        messages=(),
        inference={},
        tools=(),
        tool_choice="auto",
        additional_fields={},
    )

    assert PromptDraft.from_dict({"name": "support", "model": "m", "template": "Hi"}) == whole
    assert PromptDraft("support", "m", template="Hi") == whole


def test_a_chat_draft_becomes_bedrocks_variant() -> None:
    assert PromptDraft.from_dict(TALK).variants() == [
        {
            "name": "default",
            "modelId": "m",
            "templateType": "CHAT",
            "templateConfiguration": {
                "chat": {
                    "messages": [
                        {"role": "user", "content": [{"text": "{{a}}"}]},
                        {"role": "assistant", "content": [{"text": "Yes"}]},
                    ],
                    "inputVariables": [{"name": "a"}, {"name": "b"}],
                    "system": [{"text": "Be kind"}],
                    "toolConfiguration": {"tools": TOOLS, "toolChoice": {"any": {}}},
                }
            },
            "inferenceConfiguration": {
                "text": {"temperature": 0.5, "topP": 0.9, "maxTokens": 40, "stopSequences": ["END"]}
            },
            "additionalModelRequestFields": {"top_k": [5, {"x": None}]},
        }
    ]


@pytest.mark.parametrize(
    ("choice", "written"), [(None, {"auto": {}}), ("auto", {"auto": {}}), ("pay", {"tool": {"name": "pay"}})]
)
def test_how_a_tool_is_chosen(choice: str | None, written: dict[str, Any]) -> None:
    (variant,) = PromptDraft.from_dict({**TALK, "tool_choice": choice}).variants()

    assert variant["templateConfiguration"]["chat"]["toolConfiguration"]["toolChoice"] == written


def test_a_draft_that_says_little_becomes_a_variant_without_the_rest() -> None:
    assert PromptDraft("support", "m", ("a",), template="Hi {{a}}").variants() == [
        {
            "name": "default",
            "modelId": "m",
            "templateType": "TEXT",
            "templateConfiguration": {"text": {"text": "Hi {{a}}", "inputVariables": [{"name": "a"}]}},
        }
    ]
    (talk,) = PromptDraft("support", "m", messages=(("user", "Hi"),)).variants()
    assert talk["templateConfiguration"] == {"chat": {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}}


POINT = {"cachePoint": {"type": "default"}}


def test_cache_points_stand_where_prompt_yaml_has_them() -> None:
    tool = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}
    talk = PromptDraft.from_dict(
        {
            "name": "support",
            "model": "m",
            "system": [{"text": "s"}, POINT],
            "messages": [{"role": "user", "content": [{"text": "a"}, POINT, {"text": "b"}]}],
            "tools": [tool, POINT],
        }
    )
    (spoken,) = talk.variants()
    (written,) = PromptDraft.from_dict(
        {"name": "support", "model": "m", "template": "t", "cache_point": True}
    ).variants()

    assert spoken["templateConfiguration"] == {
        "chat": {
            "messages": [{"role": "user", "content": [{"text": "a"}, POINT, {"text": "b"}]}],
            "system": [{"text": "s"}, POINT],
            "toolConfiguration": {"tools": [tool, POINT], "toolChoice": {"auto": {}}},
        }
    }
    assert written["templateConfiguration"] == {"text": {"text": "t", **POINT}}
    for without in ({"system": "s"}, {"messages": (("user", ({"text": "a"}, {"text": "b"})),)}, {"tools": (tool,)}):
        assert replace(talk, **without).fingerprint != talk.fingerprint


def test_the_variant_that_is_replaced_keeps_its_name_and_the_labels_of_people() -> None:
    label, own = {"key": "team", "value": "x"}, {"key": "promptlane:guardrail", "value": "g"}
    draft = PromptDraft("support", "m", template="t")

    (kept,) = draft.variants(like={"name": "Variant1", "metadata": [label, own], "modelId": "other"})

    assert (kept["name"], kept["metadata"], kept["modelId"]) == ("Variant1", [label], "m")
    assert "metadata" not in draft.variants(like={"name": "Variant1", "metadata": [own]})[0]
    assert draft.variants(like={})[0]["name"] == "default"


@settings(max_examples=15)
@given(
    st.builds(
        PromptDraft,
        name=st.just("support"),
        model=words,
        variables=st.just(("a", "b")),
        system=words,
        messages=st.lists(st.tuples(st.sampled_from(["user", "assistant"]), words), min_size=1, max_size=3).map(tuple),
        inference=st.fixed_dictionaries({"top_p": st.floats(0, 1), "max_tokens": st.integers(1, 999)}),
        tools=some(details, 2),
        tool_choice=st.sampled_from(["auto", "any", "look"]),
        additional_fields=details,
    )
)
def test_what_a_draft_holds_is_what_its_version_serves_and_hashes(draft: PromptDraft) -> None:
    published = version(*json.loads(json.dumps(draft.variants())))

    assert published.fingerprint == draft.fingerprint == fingerprint(draft.variants())
    assert (published.model, published.declared_variables) == (draft.model, frozenset("ab"))
    assert published.texts == [draft.system, *(text for _, text in draft.messages)]
    others = [
        replace(draft, system=f"{draft.system}!"),
        replace(draft, tools=(*draft.tools, {})),
        replace(draft, messages=(*draft.messages, ("user", "?"))),
        replace(draft, tool_choice="other"),
        replace(draft, inference={"max_tokens": 1_000}),
        replace(draft, additional_fields={"other field": 1}),
    ]
    assert draft.fingerprint not in {other.fingerprint for other in others}


def faults(data: Any) -> list[tuple[str, str]]:
    with pytest.raises(DraftInvalid) as caught:
        PromptDraft.from_dict(data)
    return caught.value.problems


KEYS = (
    "name, description, model, template, cache_point, system, messages, variables, inference, tools, tool_choice, "
    "additional_fields, guardrail"
)
SETTINGS = "temperature, top_p, max_tokens, stop_sequences"
PLAIN = {"name": "support", "model": "m", "template": "Hi"}
NAMES = "may hold letters, digits, '-' and '_' only, at most 100, and no two marks in a row"
REQUIRED = "is required and must be text"
EITHER = "give `template` (a TEXT prompt) or `messages` and perhaps `system` (a CHAT prompt), not both"
BLOCK = "must be {text: ...} or {cachePoint: {type: default}}"
SPOKEN: dict[str, Any] = {"name": "support", "model": "m", "messages": [{"role": "user", "text": "x"}]}
NO_TOOLS = "chooses among `tools`, and there are none; add them or remove it"
TOOL_FORM = "must be {toolSpec: {name, description, inputSchema: {json: ...}}} or a cache point"
FORM = "must be {role: user | assistant, text: ...}, or `content`, a list of blocks"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (None, [("", "prompt.yaml must hold a mapping with `name`, `model` and `template`")]),
        (
            PLAIN | {"colour": 1, 7: 2},
            [("colour", f"unknown key; known are {KEYS}"), ("7", f"unknown key; known are {KEYS}")],
        ),
        ({"name": 7, "model": " ", "template": "Hi"}, [("name", REQUIRED), ("model", REQUIRED)]),
        ({**PLAIN, "name": "a--b"}, [("name", NAMES)]),
        ({**PLAIN, "name": "a" * 101}, [("name", NAMES)]),
        ({**PLAIN, "description": "d" * 201}, [("description", "Bedrock allows at most 200 characters")]),
        ({"name": "support", "model": "m"}, [("template", EITHER)]),
        ({**PLAIN, "system": ""}, [("template", EITHER)]),
        ({**PLAIN, "messages": [{"role": "user", "text": "x"}]}, [("template", EITHER)]),
        ({**PLAIN, "template": 7}, [("template", "must be text")]),
        (
            {**PLAIN, "tools": [{}]},
            [("tools", "Bedrock takes tools with CHAT prompts only; write `messages` instead of `template`")],
        ),
        ({"name": "support", "model": "m", "messages": "x"}, [("messages", "must be a list of {role, text}")]),
        (
            {
                "name": "support",
                "model": "m",
                "messages": [
                    {"role": "user", "text": "x"},
                    "x",
                    {"role": "system", "text": "x"},
                    {"role": "user", "text": 7},
                    {"role": "assistant", "text": "x"},
                    {"role": "user", "text": "x", "more": 1},
                ],
            },
            [("messages[1]", FORM), ("messages[2]", FORM), ("messages[3]", FORM), ("messages[5]", FORM)],
        ),
        (
            {**SPOKEN, "system": [POINT, {"text": 7}, "s", {**POINT, "text": "t"}], "cache_point": True},
            [
                ("cache_point", "must be true or false, beside `template`; elsewhere it is a block of its own"),
                *((f"system[{i}]", BLOCK) for i in (1, 2, 3)),
            ],
        ),
        (
            {**SPOKEN, "messages": [{"role": "user", "content": "x"}, {"role": "user", "content": []}]},
            [(f"messages[{i}].content", "must be a list of blocks, each {text: ...} or a cache point") for i in (0, 1)],
        ),
        ({**SPOKEN, "system": 7}, [("system", "must be text, or a list of blocks, each {text: ...} or a cache point")]),
        ({**PLAIN, "variables": "ab"}, [("variables", "must be a list of names")]),
        ({**PLAIN, "variables": ["a", 7]}, [("variables", "must be a list of names")]),
        ({**PLAIN, "variables": ["a", "b", "a"]}, [("variables", "names a variable twice")]),
        (
            {**PLAIN, "variables": ["größe", "a-b_c", "a__b", ""]},
            [("variables", f"{name!r}: a name {NAMES}") for name in ("größe", "a__b", "")],
        ),
        ({**SPOKEN, "system": " "}, [("system", "is empty, which Bedrock does not keep; write it, or remove it")]),
        (
            {**SPOKEN, "system": [{"text": ""}]},
            [("system[0]", "is an empty text, which Bedrock refuses; write it, or remove the block")],
        ),
        ({**PLAIN, "tool_choice": "any"}, [("tool_choice", NO_TOOLS)]),
        ({**SPOKEN, "tool_choice": "any", "tools": [POINT]}, [("tool_choice", NO_TOOLS)]),
        (
            {**SPOKEN, "tool_choice": {"any": {}}, "tools": TOOLS},
            [("tool_choice", "must be auto, any or the name of a tool")],
        ),
        (
            {**SPOKEN, "tool_choice": "find", "tools": TOOLS},
            [("tool_choice", "is 'find'; it must be auto, any or the name of a tool (look, pay)")],
        ),
        (
            {**SPOKEN, "tools": [{}, {**TOOLS[0], "x": 1}, {"cachePoint": {"type": "default", "ttl": "1h"}}]},
            [(f"tools[{i}]", TOOL_FORM) for i in (0, 1, 2)],
        ),
        (
            {
                **SPOKEN,
                "tools": [{"toolSpec": {"name": "1a", "inputSchema": {}, "description": "", "strict": 1, "x": 2}}],
            },
            [
                ("tools[0].toolSpec.x", "unknown key; Bedrock keeps name, description, inputSchema, strict"),
                ("tools[0].toolSpec.name", "must begin with a letter; letters, digits and _ follow, at most 63"),
                ("tools[0].toolSpec.inputSchema", "must be {json: a JSON Schema}"),
                ("tools[0].toolSpec.description", "must be text, not empty"),
                ("tools[0].toolSpec.strict", "must be true or false"),
            ],
        ),
        (
            {**PLAIN, "messages": "", "variables": 0, "tools": {}, "inference": [], "additional_fields": False},
            [
                ("messages", "must be a list, not ''"),
                ("variables", "must be a list, not 0"),
                ("tools", "must be a list, not {}"),
                ("inference", "must be a mapping, not []"),
                ("additional_fields", "must be a mapping, not False"),
            ],
        ),
        ({**PLAIN, "inference": ["heat"]}, [("inference", f"must be a mapping of {SETTINGS}")]),
        (
            {**PLAIN, "inference": {"heat": 1, "top_p": 1, "cold": 2}},
            [
                ("inference.heat", f"unknown key; known are {SETTINGS}"),
                ("inference.cold", f"unknown key; known are {SETTINGS}"),
            ],
        ),
    ],
)
def test_every_problem_of_a_prompt_yaml_is_told_with_its_path(data: Any, told: list[tuple[str, str]]) -> None:
    assert faults(data) == told


@pytest.mark.parametrize(
    "data",
    [
        {**PLAIN, "name": "a" * 100, "description": "d" * 200},
        {**PLAIN, "name": "a-b_c-1"},
        {**PLAIN, "variables": None, "inference": None, "messages": None, "tools": None, "description": None},
        {"name": "support", "model": "m", "system": "x"},
        {"name": "support", "model": "m", "messages": [{"role": "user", "text": ""}], "tools": []},
        {**SPOKEN, "tools": [{"toolSpec": {"name": "a" * 64, "strict": True, **SCHEMA}}, POINT]},
    ],
)
def test_a_prompt_yaml_at_its_limits_is_read(data: dict[str, Any]) -> None:
    assert PromptDraft.from_dict(data).name == data["name"]
