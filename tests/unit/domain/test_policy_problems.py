"""release.yaml is read strictly: every problem at once, each with its path and what to write instead."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import PolicyInvalid
from promptlane.domain.names import FULL
from promptlane.domain.policy import Policy, duration, fraction, share

LEAST: dict[str, Any] = {"review": {"reviewers": [{"name": "Prompt review", "email": "prompt-review@example.com"}]}}


def problems(data: Any) -> dict[str, str]:
    with pytest.raises(PolicyInvalid) as caught:
        Policy.from_dict(data)
    return dict(caught.value.problems)


def refused(data: Any) -> list[str]:
    """The paths of the problems; none when the policy is read."""
    try:
        Policy.from_dict(data)
    except PolicyInvalid as error:
        return [path for path, _ in error.problems]
    return []


def with_section(name: str, **fields: Any) -> dict[str, Any]:
    return {**LEAST, name: fields}


def test_the_least_policy_is_a_reviewer() -> None:
    policy = Policy.from_dict(LEAST)
    assert [s.weight for s in policy.canary.steps] == [500, 2500, 5000]
    assert Policy.from_dict(policy.to_dict()) == policy


def test_every_problem_is_named_at_once() -> None:
    found = problems(
        {
            "review": {"reviewers": [{"name": "A", "email": "a@b.co"}], "quorum": 2, "required_groups": ["legal"]},
            "canary": {"steps": [{"weight": "25%"}, {"weight": "5%"}], "alpha": 0, "speed": "fast"},
            "colour": "blue",
        }
    )
    assert set(found) == {
        "review.quorum",
        "review.required_groups",
        "canary.steps[1].weight",
        "canary.alpha",
        "canary.speed",
        "colour",
    }
    assert "weights must grow" in found["canary.steps[1].weight"]
    assert "known are" in found["colour"]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (None, ""),
        ([], ""),
        ({}, "review"),
        ({"review": {"reviewers": []}}, "review.reviewers"),
        ({"review": {"reviewers": [{"name": "A", "email": "nobody"}]}}, "review.reviewers[0].email"),
        (
            {"review": {"reviewers": [{"name": "A", "email": "a@b.co", "principals": ["somebody"]}]}},
            "review.reviewers[0].principals",
        ),
        ({"review": {"reviewers": [{"name": "A", "email": "a@b.co"}] * 2}}, "review.reviewers"),
        (with_section("canary", steps=[]), "canary.steps"),
        (with_section("canary", steps=[{"weight": "100%"}]), "canary.steps[0].weight"),
        (
            with_section("canary", steps=[{"weight": "5%", "min_bake": "1h", "max_time": "1m"}]),
            "canary.steps[0].max_time",
        ),
        (with_section("canary", steps=[{"weight": "five"}]), "canary.steps[0].weight"),
        (
            with_section("canary", guard_metrics={"error": {"margin_abs": 0, "margin_rel": 0}}),
            "canary.guard_metrics.error",
        ),
        (with_section("canary", guard_metrics={"sadness": {}}), "canary.guard_metrics.sadness"),
        (with_section("canary", guard_metrics={"error": {"required": False}}), "canary.guard_metrics"),
        (with_section("canary", ladder=[1, 2]), "canary.ladder"),
        (with_section("canary", undecided="shrug"), "canary.undecided"),
        (with_section("tests", margin="40 percent"), "tests.margin"),
        (with_section("tests", max_cost_usd=0), "tests.max_cost_usd"),
        (with_section("fuse", error=0), "fuse.error"),
        (with_section("request", timeout=5.0, slow_after=6.0), "request.slow_after"),
        (with_section("watch", holdback="120%"), "watch.holdback"),
    ],
)
def test_bad_input_is_named(data: Any, path: str) -> None:
    assert path in problems(data)


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


def test_durations_and_shares() -> None:
    assert [duration(d) for d in ("90s", "10m", "4h", "2d", 30)] == [90, 600, 14_400, 172_800, 30]
    assert [share(s) for s in ("5%", "0.5%", 2500)] == [500, 50, 2500]
    assert [fraction(f) for f in ("2.5%", 0.1)] == [0.025, 0.1]
    for convert, bad in ((duration, "soon"), (duration, -1), (share, "0.001%"), (share, True), (fraction, 1.2)):
        with pytest.raises(ValueError, match="write for example"):
            convert(bad)


@given(st.floats(0.001, 1))
def test_a_drill_is_the_same_policy_in_less_time(factor: float) -> None:
    policy = Policy.from_dict(LEAST)
    scaled = policy.scaled(factor)
    assert [s.weight for s in scaled.canary.steps] == [s.weight for s in policy.canary.steps]
    assert scaled.canary.steps[0].min_bake == pytest.approx(policy.canary.steps[0].min_bake * factor)
    assert scaled.request == policy.request
    assert all(0 < s.weight < FULL for s in scaled.canary.steps)
