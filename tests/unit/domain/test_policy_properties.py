"""Whatever a release.yaml holds, it is read or refused. Field by field: test_policy.py."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import PolicyInvalid
from promptlane.domain.policy import Policy

LEAST: dict[str, Any] = {"review": {"reviewers": [{"name": "Prompt review", "email": "prompt-review@example.com"}]}}


def refused(data: Any) -> list[str]:
    """The paths of the problems; none when the policy is read."""
    try:
        Policy.from_dict(data)
    except PolicyInvalid as error:
        return [path for path, _ in error.problems]
    return []


def with_section(name: str, **fields: Any) -> dict[str, Any]:
    return {**LEAST, name: fields}


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 20_000) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(["review", "models", "tests", "canary", "watch", "fuse", "request"]), anything)
def test_whatever_a_section_holds_it_is_read_or_refused(section: str, value: Any) -> None:
    data = {**LEAST, section: value}
    if not refused(data):
        policy = Policy.from_dict(data)
        assert Policy.from_dict(policy.to_dict()) == policy


@given(st.sampled_from(["steps", "guard_metrics", "alpha", "ladder", "undecided"]), anything)
def test_whatever_the_canary_section_holds_it_is_read_or_refused(key: str, value: Any) -> None:
    found = refused(with_section("canary", **{key: value}))
    assert all(path.startswith("canary") for path in found)
