"""What comes in from outside is text that can be kept, a name that something could have, a version that is one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput
from promptlane.domain.incoming import (
    MAX_NAME_BYTES,
    mended,
    name,
    odd_places,
    torn,
    torn_problem,
    version_number,
    whole,
)

ANY = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY, inner, max_size=4),
    max_leaves=15,
)


@given(ANY)
def test_a_text_is_torn_exactly_where_it_cannot_be_encoded(text: str) -> None:
    at = torn(text)
    if at < 0:
        assert text.encode().decode() == whole(text, "field") == text
        assert torn_problem(text) == ""
    else:
        text[:at].encode()
        assert 0xD800 <= ord(text[at]) < 0xE000
        with pytest.raises(InvalidInput, match=r"^field holds half a surrogate pair \(U\+D[89A-F]..,"):
            whole(text, "field")


@given(JSON)
def test_data_without_an_odd_place_is_json_that_can_be_stored(data: Any) -> None:
    if not list(odd_places(data)):
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    if not list(odd_places(data, numbers=False)):
        json.dumps(data, ensure_ascii=False).encode()


@given(ANY)
def test_what_is_mended_can_be_kept_and_is_the_same_where_it_could_be_kept_before(text: str) -> None:
    assert torn(mended(text)) < 0
    assert len(mended(text)) == len(text)
    assert mended(text) == text or torn(text) >= 0


def test_every_odd_place_is_named() -> None:
    data = {"a": [1, "\ud800"], "b": {"c": float("inf"), "\udc00": "x"}, "d": (float("nan"), "ok")}
    assert sorted(odd_places(data, "body")) == [
        ("body.a[1]", "holds half a surrogate pair (U+D800, character 1); send it as UTF-8"),
        ("body.b", "a key holds half a surrogate pair (U+DC00, character 1); send it as UTF-8"),
        ("body.b.c", "is inf; write a finite number"),
        ("body.d[0]", "is nan; write a finite number"),
    ]
    assert list(odd_places("\ud800")) == [("", "holds half a surrogate pair (U+D800, character 1); send it as UTF-8")]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "the prompt is ''; give a name, id or ARN"),
        (None, "the prompt is None; give a name, id or ARN"),
        (["p"] * 90, f"the prompt is {str(['p'] * 90)[:60]}…; give a name, id or ARN"),
        ("p" * 2_049, "the prompt has 2,049 bytes; a name, id or ARN has at most 2,048"),
        ("é" * 1_025, "the prompt has 2,050 bytes; a name, id or ARN has at most 2,048"),
        ("a\x00b", r"the prompt 'a\x00b' holds a control character; give a name, id or ARN"),
        ("a\x85", r"the prompt 'a\x85' holds a control character; give a name, id or ARN"),
        ("a\ud800", "the prompt holds half a surrogate pair (U+D800, character 2); send it as UTF-8"),
    ],
    ids=ascii,
)
def test_what_can_be_no_name_is_said(given: object, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        name(given, "the prompt")
    assert str(refused.value) == says


def test_a_name_may_be_as_long_as_a_key() -> None:
    assert name("p" * MAX_NAME_BYTES, "the prompt") == "p" * MAX_NAME_BYTES
    assert name("größe ~", "the prompt") == "größe ~"


@given(st.integers(1, 99_999))
def test_a_version_is_read_from_its_digits(number: int) -> None:
    assert version_number(str(number)) == number


@given(st.text(st.characters(categories=["Nd", "No", "Nl", "Zs", "Pc"]) | st.sampled_from("+-0x1e.")))
def test_nothing_else_is_a_version(text: str) -> None:
    found = version_number(text)
    assert found is None or str(found) == text


@pytest.mark.parametrize(
    "text", ["", "0", "01", "100000", "²", "١", "1_0", " 1", "1 ", "+1", "-1", "1e3", "1.0", "1\n", 1]
)
def test_what_looks_like_a_version_is_none(text: object) -> None:
    assert version_number(text) is None
