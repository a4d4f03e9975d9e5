"""Numbers are hashed and shown as they are; what an older schema rounded is known again and vouches for no change."""

from __future__ import annotations

import json
import math
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.content import (
    MAX_DEPTH,
    canonical_json,
    canonical_variants,
    fingerprint,
    is_content_of,
    is_exactly,
    rounded_fingerprint,
    rounding,
    vouches,
)
from promptlane.domain.release.diff import compare, unified
from promptlane.domain.release.prompt import PromptVersion, VersionRef, static_problems
from tests.support.generated import details, json_values

whole = st.integers(-(10**40), 10**40)
finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = whole | finite | st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-1e9, max_value=1e9)
singles = st.floats(allow_nan=False, allow_infinity=False, width=32)


def fields(number: Any) -> list[dict[str, Any]]:
    return [{"modelId": "m", "additionalModelRequestFields": {"limit": number}}]


def warmth(number: Any, name: str = "temperature") -> list[dict[str, Any]]:
    return [{"modelId": "m", "inferenceConfiguration": {"text": {name: number}}}]


def tool(limit: Any) -> list[dict[str, Any]]:
    spec = {"name": "pay", "inputSchema": {"json": {"properties": {"amount": {"maximum": limit}}}}}
    return [{"templateConfiguration": {"chat": {"toolConfiguration": {"tools": [{"toolSpec": spec}]}}}}]


def nested(levels: int) -> Any:
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"a": inner}
    return inner


def decimal(number: Any) -> Decimal:
    """The number by its digits: what a float is written as, not the binary fraction behind it."""
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


@given(numbers, numbers)
def test_two_numbers_share_a_fingerprint_when_they_are_the_same_number(one: Any, other: Any) -> None:
    assert (fingerprint(fields(one)) == fingerprint(fields(other))) == (decimal(one) == decimal(other))


@given(numbers)
def test_a_number_is_the_same_from_json_from_yaml_and_from_dynamodb(number: Any) -> None:
    (shown,) = canonical_variants(fields(number))
    text = canonical_json(shown)

    assert canonical_variants(json.loads(f"[{text}]")) == [shown]
    assert fingerprint(json.loads(f"[{text}]", parse_float=Decimal, parse_int=Decimal)) == fingerprint(fields(number))
    assert decimal(shown["additionalModelRequestFields"]["limit"]) == decimal(number)


@given(singles, st.sampled_from(["temperature", "topP"]))
def test_a_setting_is_what_a_32_bit_float_keeps_of_it(kept: float, name: str) -> None:
    (shown,) = canonical_variants(warmth(kept, name))
    written = shown["inferenceConfiguration"]["text"][name]

    assert struct.unpack("<f", struct.pack("<f", written))[0] == kept
    assert fingerprint(warmth(written, name)) == fingerprint(warmth(Decimal(repr(kept)), name))
    assert fingerprint(warmth(kept, name)) == fingerprint(warmth(written, name))
    assert len(repr(float(written)).replace("-", "").split("e")[0].replace(".", "").strip("0")) <= 9


@given(singles, singles)
def test_settings_that_a_32_bit_float_tells_apart_are_apart(one: float, other: float) -> None:
    assert (fingerprint(warmth(one)) == fingerprint(warmth(other))) == (one == other)


@pytest.mark.parametrize("written", [0.2, 0.20000000298023224, Decimal("0.2"), Decimal("0.20000000298023224")])
def test_what_bedrock_gives_back_for_a_setting_is_what_was_written(written: Any) -> None:
    assert canonical_variants(warmth(written)) == warmth(0.2)
    assert fingerprint(fields(0.20000000298023224)) != fingerprint(fields(0.2)), "elsewhere nothing keeps 32 bits"
    assert fingerprint(warmth(400_000_001, "maxTokens")) != fingerprint(warmth(400_000_000, "maxTokens"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (fields(123456789012), fields(123456999999)),
        (tool(1_000_000), tool(1_000_004)),
        (fields(2**53), fields(2**53 + 1)),
        (fields(0.1234561), fields(0.1234562)),
        (fields(1), fields(True)),
        (fields(1), fields("1")),
        (fields(0), fields(False)),
        (fields(0), fields(None)),
        (warmth(0.7), warmth(0.7000001)),
        ([{"toolSet": {}}], [{}]),
        ([{"metadata": [{"key": "promptlane:guardrail", "value": "g:1"}]}], [{}]),
    ],
)
def test_a_change_changes_the_fingerprint_and_shows(before: Any, after: Any) -> None:
    assert fingerprint(before) != fingerprint(after)
    assert list(unified(compare(before, after)))


def test_the_diff_shows_all_digits() -> None:
    shown = [line for line in unified(compare(tool(1_000_000), tool(1_000_004))) if line[0] in "-+"]

    assert [(line[0], line.split()[-1]) for line in shown] == [("-", "1000000"), ("+", "1000004")]


def test_cache_points_are_content_wherever_they_stand() -> None:
    point = {"cachePoint": {"type": "default"}}

    def chat(system: Any = (), content: Any = (), tools: Any = ()) -> list[dict[str, Any]]:
        message = {"role": "user", "content": [{"text": "t"}, *content]}
        body: dict[str, Any] = {"system": [{"text": "s"}, *system], "messages": [message]}
        body["toolConfiguration"] = {"tools": [{"toolSpec": {"name": "pay"}}, *tools]}
        return [{"templateConfiguration": {"chat": body}}]

    text = [{"templateConfiguration": {"text": {"text": "t", **point}}}]
    contents = [chat(), chat([point]), chat(content=[point]), chat(tools=[point]), text]
    contents.append([{"templateConfiguration": {"text": {"text": "t"}}}])

    assert len({fingerprint(c) for c in contents}) == len(contents)
    for content in contents[1:4]:
        assert any("cachePoint" in line for line in unified(compare(contents[0], content)))


def test_labels_of_people_are_no_content_and_empty_parts_are_as_good_as_none() -> None:
    plain = [{"modelId": "m"}]
    empty: dict[str, Any] = {
        "inferenceConfiguration": {},
        "additionalModelRequestFields": {},
        "genAiResource": None,
        "metadata": [],
    }

    assert fingerprint([{**plain[0], **empty}]) == fingerprint(plain)
    assert fingerprint([{**plain[0], "inferenceConfiguration": {"text": {}}}]) == fingerprint(plain)
    assert fingerprint([{**plain[0], "metadata": [{"key": "team", "value": "x"}]}]) == fingerprint(plain)


def templated(kind: str, **body: Any) -> list[dict[str, Any]]:
    return [{"modelId": "m", "templateConfiguration": {kind: body}}]


@pytest.mark.parametrize(
    ("kind", "without", "empty"),
    [
        ("text", {"text": "t"}, {"inputVariables": []}),
        ("chat", {"messages": [{"role": "user", "content": []}]}, {"inputVariables": [], "system": []}),
        ("chat", {"system": [{"text": "s"}]}, {"messages": []}),
        ("chat", {"system": [{"text": "s"}]}, {"toolConfiguration": {}}),
        ("chat", {"system": [{"text": "s"}]}, {"toolConfiguration": {"tools": []}}),
    ],
)
def test_an_empty_list_is_as_good_as_none_whether_bedrock_drops_or_adds_it(
    kind: str, without: dict[str, Any], empty: dict[str, Any]
) -> None:
    bare, full = templated(kind, **without), templated(kind, **without, **empty)
    settled = {"text": {"maxTokens": 5, "stopSequences": []}}

    assert fingerprint(bare) == fingerprint(full)
    assert not compare(bare, full) or not any(section.changed for section in compare(bare, full))
    assert fingerprint([{**bare[0], "inferenceConfiguration": settled}]) == fingerprint(
        [{**full[0], "inferenceConfiguration": {"text": {"maxTokens": 5}}}]
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (fields([]), fields({})),
        (templated("chat", later=[]), templated("chat")),
        (
            templated("chat", messages=[{"role": "user", "content": []}]),
            templated("chat", messages=[{"role": "user"}]),
        ),
        (templated("text", inputVariables=[{"name": "a"}]), templated("text", inputVariables=[])),
        (
            [{"inferenceConfiguration": {"text": {"stopSequences": [""]}}}],
            [{"inferenceConfiguration": {"text": {"stopSequences": []}}}],
        ),
        (
            templated("chat", toolConfiguration={"tools": [], "toolChoice": {"any": {}}}),
            templated("chat", toolConfiguration={"tools": []}),
        ),
    ],
)
def test_what_is_not_known_to_be_an_empty_list_is_content(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)
    assert any(section.changed for section in compare(one, other))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (math.nan, "which is no number in JSON"),
        (-math.inf, "which is no number in JSON"),
        (Decimal("sNaN"), "which is no number in JSON"),
        (10**401, "more than 400 digits"),
        (Decimal("1e999999999"), "more than 400 digits"),
        (Decimal("1e-999999999"), "more than 400 digits"),
        (Decimal("0.12345678901234567890123"), "more digits than a JSON reader keeps"),
        ({1: "a", "1": "b"}, "two members whose names are the same text"),
        ("\ud800", r"U\+D800"),
        ({"\udfff": 1}, r"U\+DFFF"),
        (b"bytes", "holds a bytes"),
        (nested(MAX_DEPTH + 1), f"more than {MAX_DEPTH} levels"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(value: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        fingerprint(fields(value))


def test_what_the_first_schema_could_not_hash_bears_no_old_fingerprint() -> None:
    assert rounded_fingerprint(fields(10**400)) == ""
    assert rounded_fingerprint(fields(math.nan)) == ""
    assert not is_content_of("", fields(10**400))
    assert not vouches("", fields(10**400))


OLD = "9945ef6720c50b5db64e4941794dc09c8ad84dc3989435f1e5a59dbb29efca0c"
"""What the first schema gave for the version below, as it lies in routes and archives."""
LISTED = "eb30894d05a899293ba1119c0bcc8c24a240dcc0f539d827d18c1d8875b60791"
"""What the present schema gave for it while empty lists still counted."""
VERSION = [
    {
        "name": "default",
        "modelId": "m-é",
        "templateType": "TEXT",
        "templateConfiguration": {"text": {"text": "Hi {{b}} {{a}}", "inputVariables": [{"name": "b"}, {"name": "a"}]}},
        "inferenceConfiguration": {"text": {"temperature": 0.2, "maxTokens": 400, "stopSequences": []}},
    }
]


def test_a_fingerprint_of_the_first_schema_is_known_again() -> None:
    assert rounded_fingerprint(VERSION) == OLD
    assert is_content_of(OLD, VERSION)
    assert vouches(OLD, VERSION)
    assert fingerprint(VERSION) != OLD
    assert rounding(OLD, VERSION) == ""


def test_a_fingerprint_that_counted_empty_lists_is_known_again_and_vouches_for_the_very_content() -> None:
    other = [{**VERSION[0], "modelId": "m"}]

    assert LISTED not in (fingerprint(VERSION), OLD)
    assert is_exactly(LISTED, VERSION)
    assert is_content_of(LISTED, VERSION)
    assert vouches(LISTED, VERSION)
    assert not any(known(LISTED, other) for known in (is_exactly, is_content_of, vouches))
    assert not is_exactly(OLD, VERSION)
    assert not is_exactly("", VERSION)


@given(details)
def test_a_stored_fingerprint_of_either_schema_is_of_its_content(content: dict[str, Any]) -> None:
    for stored in (fingerprint([content]), rounded_fingerprint([content])):
        assert is_content_of(stored, [content])
        assert not is_content_of(stored, [{**content, "more": 1}])
        assert not vouches(stored, [{**content, "more": 1}])
    assert vouches(fingerprint([content]), [content])


@given(numbers, numbers)
def test_an_old_fingerprint_vouches_only_for_what_was_shown(approved: Any, served: Any) -> None:
    old = rounded_fingerprint(fields(approved))
    assume(old)

    if vouches(old, fields(served)):
        shown = float(f"{float(approved):.6g}")  # what people read on the page
        assert decimal(served) == decimal(shown)


@pytest.mark.parametrize("served", [1_000_004, 999_999.6, Decimal("1000000.4")])
def test_content_that_is_alike_at_six_digits_bears_the_old_fingerprint_and_is_not_vouched_for(served: Any) -> None:
    old = rounded_fingerprint(tool(1_000_000))

    assert is_content_of(old, tool(served))
    assert not vouches(old, tool(served))
    assert "numbers were shown at six digits" in rounding(old, tool(served))
    assert vouches(old, tool(1_000_000))


@given(json_values, json_values)
def test_references_of_one_schema_tell_contents_apart_exactly(one: Any, other: Any) -> None:
    def ref(value: Any) -> VersionRef:
        return PromptVersion("ABCDEFGHIJ", "support", 1, "arn:1", [{"f": value}]).ref

    a, b = ref(one), ref(other)
    assert a.may_hold(b) == b.may_hold(a) == (a.fingerprint == b.fingerprint)
    old = VersionRef(1, b.at_six_digits, "arn:1")
    assert a.may_hold(old) == old.may_hold(a) == (a.rounded == b.rounded)


def test_a_version_with_parts_that_the_sdk_cannot_read_is_refused_by_their_names() -> None:
    unread = {**VERSION[0], "templateConfiguration": {"SDK_UNKNOWN_MEMBER": {"name": "video"}}}

    problems = static_problems(PromptVersion("ABCDEFGHIJ", "support", 4, "arn:4", [unread]))
    assert problems[0].startswith("version 4 holds video, which this deployment's AWS SDK cannot read")
    problems = static_problems(PromptVersion("ABCDEFGHIJ", "support", 4, "arn:4", [VERSION[0], VERSION[0]]))
    assert problems == ["version 4 has 2 variants; leave one and publish again"]
