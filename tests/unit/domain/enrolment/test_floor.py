"""The platform floor only ever asks more, and names field, value, floor and remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.enrolment.floor import Floor, SuiteFacts, _overlap, mailbox
from promptlane.domain.errors import FloorInvalid
from promptlane.domain.policy import Policy
from promptlane.domain.review.review import acts_as

ARN = "arn:aws:iam::111122223333"
POLICY = Policy.from_dict(
    {
        "review": {
            "quorum": 2,
            "reviewers": [
                {"name": "Alice", "email": "Alice@Example.com", "principals": [f"{ARN}:user/alice"]},
                {"name": "Bob", "email": "bob@example.com", "principals": [f"{ARN}:role/Bob"]},
            ],
        },
        "tests": {"repeats": 3, "min_pass_rate": "90%", "margin": "4%", "inconclusive": "block"},
        "canary": {"steps": [{"weight": "5%", "min_bake": "10m"}, {"weight": "50%", "min_bake": "20m"}]},
        "watch": {"for": "2h"},
    }
)
SUITE = SuiteFacts(30)
EXACT = {
    "review": {"quorum": 2, "reviewers": ["alice@example.com", "*@example.com"], "self_approval": False},
    "tests": {"cases": 30, "repeats": 3, "min_pass_rate": 0.9, "margin": 0.04, "inconclusive": "block"},
    "canary": {"bake": 1800.0, "first_step": 500},
    "watch": {"duration": 7200.0},
}
"""Exactly what the policy has."""


def _less(found: str, least: str) -> str:
    return f"is {found}; the platform floor asks for at least {least}: raise it"


def _more(found: str, most: str) -> str:
    return f"is {found}; the platform floor allows at most {most}: lower it"


RAISED: list[tuple[dict[str, Any], str, str]] = [
    ({"review": {"quorum": 3}}, "review.quorum", _less("2", "3")),
    (
        {"review": {"reviewers": ["bob@example.com"]}},
        "review.reviewers[0].email",
        "'Alice@Example.com' is none of the platform floor's reviewers (bob@example.com): name somebody who is",
    ),
    (
        {"tests": {"cases": 31}},
        "suite.yaml",
        "has 30 cases with inputs of their own; the platform floor asks for at least 31: add cases",
    ),
    ({"tests": {"repeats": 4}}, "tests.repeats", _less("3", "4")),
    (
        {"tests": {"min_pass_rate": "91%"}},
        "tests.min_pass_rate",
        _less("90%", "91%"),
    ),
    ({"tests": {"margin": "3%"}}, "tests.margin", _more("4%", "3%")),
    (
        {"canary": {"bake": "31m"}},
        "canary.steps min_bake, in all,",
        _less("1800 s", "1860 s"),
    ),
    (
        {"canary": {"first_step": "4%"}},
        "canary.steps[0].weight",
        _more("5%", "4%"),
    ),
    ({"watch": {"for": "3h"}}, "watch.for", _less("7200 s", "10800 s")),
]


def test_an_empty_floor_asks_nothing() -> None:
    assert Floor.from_dict({}) == Floor()
    assert Floor().to_dict() == {}
    lax = Policy.from_dict(
        {"review": {"reviewers": [{"name": "n", "email": "n@localhost.x"}], "unattributed": "allow"}}
    )
    assert Floor().breaches(lax, SuiteFacts(0, 1)) == []


def test_what_is_exactly_as_high_is_high_enough_and_is_read_back() -> None:
    floor = Floor.from_dict(EXACT)
    assert floor.breaches(POLICY, SUITE) == []
    assert floor.to_dict() == EXACT
    assert Floor.from_dict(floor.to_dict()) == floor


@pytest.mark.parametrize(("asked", "path", "said"), RAISED, ids=lambda v: next(iter(v)) if isinstance(v, dict) else "")
def test_each_field_binds_alone(asked: dict[str, Any], path: str, said: str) -> None:
    assert Floor.from_dict(asked).breaches(POLICY, SUITE) == [(path, said)]


def test_a_suites_own_repeats_count_in_place_of_the_policys() -> None:
    floor = Floor.from_dict({"tests": {"repeats": 2}})
    assert floor.breaches(POLICY, SuiteFacts(1, 1))[0][0] == "suite.yaml repeats"
    assert floor.breaches(replace(POLICY, tests=replace(POLICY.tests, repeats=1)), SuiteFacts(1, 2)) == []


def test_inconclusive_tests_may_have_to_block() -> None:
    lax = replace(POLICY, tests=replace(POLICY.tests, inconclusive="review"))
    said = [("tests.inconclusive", "is review; the platform floor asks for block: write that")]
    assert Floor.from_dict({"tests": {"inconclusive": "block"}}).breaches(lax, SUITE) == said


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ([], ""),
        ({"reviews": {}}, "reviews"),
        ({"review": 1}, "review"),
        ({"review": {"quorum": -1}}, "review.quorum"),
        ({"review": {"quorum": True}}, "review.quorum"),
        ({"review": {"reviewers": "*@example.com"}}, "review.reviewers"),
        ({"review": {"reviewers": ["example.com"]}}, "review.reviewers"),
        ({"review": {"reviewers": ["*@ex\u0430mple.com"]}}, "review.reviewers"),
        ({"review": {"self_approval": "no"}}, "review.self_approval"),
        ({"canary": {"bake": "soon"}}, "canary.bake"),
        ({"canary": {"first_step": "200%"}}, "canary.first_step"),
        ({"watch": {"forever": True}}, "watch.forever"),
        ({"tests": {"margin": 2}}, "tests.margin"),
    ],
)
def test_a_floor_that_cannot_be_read_is_refused_by_field(data: Any, path: str) -> None:
    with pytest.raises(FloorInvalid) as refused:
        Floor.from_dict(data)
    assert [p for p, _ in refused.value.problems] == [path]


@given(st.sampled_from([0.001, 0.01, 1 / 3, 0.7, 1.0]), st.floats(0, 1e6), st.floats(0, 1e6))
def test_scaling_both_sides_changes_no_answer(factor: float, bake: float, watch: float) -> None:
    floor = Floor.from_dict({"canary": {"bake": 1800.0}, "watch": {"for": 7200.0}})
    step = POLICY.canary.steps[0]
    policy = replace(
        POLICY,
        canary=replace(POLICY.canary, steps=(replace(step, min_bake=bake),)),
        watch=replace(POLICY.watch, duration=watch),
    )
    plain, drill = floor.breaches(policy, SUITE), floor.scaled(factor).breaches(policy.scaled(factor), SUITE)
    assert [path for path, _ in plain] == [path for path, _ in drill]


_NAMES = st.text("ab", min_size=1, max_size=3)
_PRINCIPALS = st.builds(
    lambda kind, name, star: f"arn:aws:{kind}{name}{star}",
    st.sampled_from(
        [
            "iam::111122223333:user/",
            "iam::111122223333:role/",
            "iam::111122223333:role/path/",
            "iam::444455556666:role/",
            "sts::111122223333:assumed-role/",
            "sts::111122223333:assumed-role/a/",
        ]
    ),
    _NAMES,
    st.sampled_from(["", "*"]),
)
_CALLERS = st.builds(
    lambda kind, name: f"arn:aws:{kind}{name}",
    st.sampled_from(["iam::111122223333:user/", "iam::111122223333:role/", "sts::111122223333:assumed-role/a/"]),
    _NAMES,
)


@given(_PRINCIPALS, _PRINCIPALS, _CALLERS)
def test_whoever_may_act_as_two_reviewers_is_seen(one: str, other: str, caller: str) -> None:
    if acts_as(one, caller) and acts_as(other, caller):
        assert _overlap(one, other)
    assert _overlap(one, other) == _overlap(other, one)


def test_different_people_do_not_overlap() -> None:
    assert not _overlap(f"{ARN}:role/Alice", f"{ARN}:role/Bob")
    assert not _overlap(f"{ARN}:role/Al", f"{ARN}:role/Alice")
    assert not _overlap(f"{ARN}:user/a*", f"{ARN}:role/a*")


@pytest.mark.parametrize(
    "same", ["alice@example.com", "ALICE@EXAMPLE.COM", "Alice+x@example.com", "alice@example.com."]
)
def test_one_mailbox_has_many_addresses(same: str) -> None:
    assert mailbox(same) == "alice@example.com"


def test_no_letter_beyond_ascii_becomes_an_ascii_one() -> None:
    assert mailbox("\u212aate@example.com") != mailbox("kate@example.com")
    floor = Floor.from_dict({"review": {"reviewers": ["kate@example.com"]}})
    odd = Policy.from_dict({"review": {"reviewers": [{"name": "K", "email": "\u212aate@example.com"}]}})
    assert "plain address of ASCII letters" in floor.breaches(odd, SUITE)[0][1]
