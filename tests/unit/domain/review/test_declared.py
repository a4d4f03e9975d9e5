"""Declared reviewers: how they are read, whom the names of a policy stand for, and who left."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import PolicyInvalid
from promptlane.domain.policy import Policy, Reviewer
from promptlane.domain.review.declared import MOST, Declared, resolved

Data = dict[str, Any]
ROLE, OTHER = "arn:aws:iam::111122223333:role/Ana", "arn:aws:iam::111122223333:user/bo"
ANA = Reviewer("Ana", "ana@example.com", ("legal",), (ROLE,))
BO = Reviewer("Bo", "bo@example.com", (), (OTHER,))
BOTH = Declared((ANA, BO))
WRITTEN = {
    "Ana": {"email": "ana@example.com", "groups": ["legal"], "principals": [ROLE]},
    "Bo": {"email": "bo@example.com", "groups": [], "principals": [OTHER]},
}


def policy(*reviewers: Any, **review: Any) -> Policy:
    return Policy.from_dict({"review": {"reviewers": list(reviewers), **review}})


def refused(data: Any) -> list[tuple[str, str]]:
    with pytest.raises(PolicyInvalid) as caught:
        Declared.from_dict(data)
    return caught.value.problems


def unresolved(given: Policy, declared: Declared | None = BOTH) -> list[tuple[str, str]]:
    with pytest.raises(PolicyInvalid) as caught:
        resolved(given, declared)
    return caught.value.problems


def test_reviewers_are_read_by_name_and_written_as_they_are_read() -> None:
    shuffled = dict(reversed(WRITTEN.items()))
    shuffled["Bo"] = {"email": "bo@example.com", "principals": [OTHER]}
    assert Declared.from_dict(shuffled) == BOTH
    assert BOTH.to_dict() == WRITTEN
    assert Declared.from_dict(BOTH.to_dict()) == BOTH
    assert Declared.from_dict(None) == Declared.from_dict({}) == Declared()


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ([ANA.email], "", "must map each reviewer's name"),
        ({"Ana": "ana@example.com"}, "Ana", "must have an email"),
        ({"Ana": {"groups": ["legal"]}}, "Ana", "must have an email"),
        ({"Ana": {"email": "ana"}}, "Ana.email", "is not an email address"),
        ({"Ana": {"email": "ana@example.com", "role": 1}}, "Ana.role", "unknown key"),
        ({"Ana": {"email": "ana@example.com", "name": "Bo"}}, "Ana.name", "unknown key"),
        ({"Ana": {"email": "ana@example.com", "principals": ["Ana"]}}, "Ana.principals", "is not an IAM principal"),
        ({" Ana": {"email": "ana@example.com"}}, " Ana", "without blanks"),
        ({"Ana": WRITTEN["Ana"], "ANA": WRITTEN["Bo"]}, "ANA", "has the name of 'Ana'"),
        ({"Ana": WRITTEN["Ana"], "Bo": {"email": "ANA@example.com"}}, "Bo", "has the email of 'Ana'"),
    ],
)
def test_what_declares_nobody_exactly_once_is_refused(data: Any, path: str, message: str) -> None:
    ((where, said),) = refused(data)
    assert where == path
    assert message in said


def test_more_reviewers_than_there_is_room_for_are_refused_with_the_number() -> None:
    many = {f"r{n}": {"email": f"r{n}@example.com"} for n in range(MOST + 1)}
    assert refused(many) == [("", f"declares {MOST + 1} reviewers; a deployment has room for {MOST}: remove some")]
    del many["r0"]
    assert len(Declared.from_dict(many).people) == MOST


def test_names_in_a_policy_become_the_declared_reviewers() -> None:
    given = policy("Bo", {"name": "Ana", "groups": ["leads"]}, quorum=2, required_groups=["legal", "leads"])
    assert given.review.reviewers == (Reviewer("Bo"), Reviewer("Ana", groups=("leads",)))
    assert Policy.from_dict(given.to_dict()) == given
    found = resolved(given, BOTH)
    assert found == replace(
        given, review=replace(given.review, reviewers=(BO, replace(ANA, groups=("legal", "leads"))))
    )
    assert Policy.from_dict(found.to_dict()) == found


def test_a_reviewer_with_an_address_is_the_declared_one_of_that_address() -> None:
    in_place = {"name": "Ana", "email": "ANA@example.com"}
    assert resolved(policy(in_place), BOTH).review.reviewers == (ANA,)
    assert resolved(policy({**in_place, "principals": [ROLE]}), BOTH).review.reviewers == (ANA,)


@pytest.mark.parametrize(
    ("reviewers", "review", "path", "message"),
    [
        (["Bo", "Cy"], {}, "review.reviewers[1]", "'Cy' is no reviewer of this deployment; name one of Ana, Bo, or"),
        (["bo"], {}, "review.reviewers[0]", "'bo' is no reviewer"),
        (
            [{"name": "Cy", "email": "cy@example.com"}],
            {},
            "review.reviewers[0]",
            "'Cy' <cy@example.com> is no reviewer",
        ),
        ([{"name": "Cy", "email": "bo@example.com"}], {}, "review.reviewers[0]", "is declared as 'Bo' with"),
        (
            [{"name": "Bo", "email": "bo@example.com", "principals": [ROLE]}],
            {},
            "review.reviewers[0]",
            f"is declared as 'Bo' with the principals {OTHER}",
        ),
        ([{"name": "Bo", "groups": ["legal"]}], {}, "review.reviewers[0]", "'Bo' is not in the group 'legal'"),
        (["Bo"], {"required_groups": ["legal"]}, "review.required_groups", "no reviewer is in the group 'legal'"),
        (["Bo", {"name": "B", "email": "bo@example.com"}], {}, "review.reviewers[1]", "is declared as 'Bo'"),
    ],
)
def test_what_names_nobody_who_is_declared_is_refused(
    reviewers: list[Any], review: Data, path: str, message: str
) -> None:
    ((where, said),) = unresolved(policy(*reviewers, **review))
    assert where == path
    assert message in said


def test_where_nobody_was_ever_declared_a_policy_names_nobody_but_by_address() -> None:
    in_place = policy({"name": "Cy", "email": "cy@example.com"})
    assert resolved(in_place, None) is in_place
    assert unresolved(policy("Ana", "Bo"), None) == [
        (
            f"review.reviewers[{i}]",
            f"{name!r} is no reviewer: this deployment declares none; deploy its Pipeline stack first",
        )
        for i, name in enumerate(("Ana", "Bo"))
    ]
    assert "none are declared" in unresolved(policy("Ana"), Declared())[0][1]


def test_whoever_left_or_has_another_address_is_a_reviewer_no_more() -> None:
    assert BOTH.now(ANA) is ANA
    assert BOTH.now(replace(ANA, groups=(), principals=())) is ANA
    assert BOTH.now(replace(ANA, email="ANA@example.com")) is ANA
    assert BOTH.now(replace(ANA, email="ana@example.org")) is None
    assert BOTH.now(replace(ANA, name="Anna")) is None
    assert Declared((BO,)).now(ANA) is None


@given(st.lists(st.integers(0, 9), unique=True, min_size=1), st.integers(0, 9), st.sets(st.integers(0, 9)))
def test_a_policy_resolves_exactly_if_everybody_it_names_is_declared(
    names: list[int], quorum: int, declared: set[int]
) -> None:
    given_ = policy(*(f"r{n}" for n in names), quorum=min(max(quorum, 1), len(names)))
    known = Declared(tuple(Reviewer(f"r{n}", f"r{n}@example.com") for n in sorted(declared)))
    if set(names) <= declared:
        assert [r.email for r in resolved(given_, known).review.reviewers] == [f"r{n}@example.com" for n in names]
    else:
        assert [p for p, _ in unresolved(given_, known)] == [
            f"review.reviewers[{i}]" for i, n in enumerate(names) if n not in declared
        ]
