"""reviewers.yaml: who may review, declared once for a deployment, and the policies that name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from promptlane.domain.errors import PolicyInvalid
from promptlane.domain.policy import Policy, Reviewer
from promptlane.domain.review.declared import Declared, resolved
from promptlane.engine.document import Problem, read_document

from .load import POLICY_FILE, ProjectInvalid, PromptProject


def load_reviewers(path: Path) -> Declared:
    """The reviewers of a file, or nobody where there is none; ProjectInvalid lists every problem with its line."""
    if not path.exists():
        return Declared()
    document = read_document(path)
    if document.problems:
        raise ProjectInvalid(document.problems)
    try:
        return Declared.from_dict(document.data)
    except PolicyInvalid as error:
        raise ProjectInvalid([document.problem(where, message) for where, message in error.problems]) from None


def declare(projects: Sequence[PromptProject], declared: Declared) -> Declared:
    """Those and whoever a policy declares in place, with an address.

    ProjectInvalid where two places do not say the same of one person.
    """
    people = {person.name: person for person in declared.people}
    origin = dict.fromkeys(people, "reviewers.yaml")
    problems: list[Problem] = []
    for project in projects:
        for i, reviewer in enumerate(project.policy.review.reviewers):
            if reviewer.by_name:
                continue
            # Groups are the policy's own; only a declaration of all gives groups to all.
            alone = replace(reviewer, groups=())
            first = people.setdefault(reviewer.name, alone)
            place = origin.setdefault(reviewer.name, str(project.directory / POLICY_FILE))
            if _differ(first, alone):
                message = (
                    f"says another address or other principals of {reviewer.name!r} than {place}: declare them once"
                )
                problems.append(_at(project, i, f"{message}, in reviewers.yaml, and name them alone here"))
    if problems:
        raise ProjectInvalid(problems)
    try:
        return Declared.from_dict(Declared(tuple(people.values())).to_dict())
    except PolicyInvalid as error:
        raise ProjectInvalid(
            [
                Problem(origin.get(name, "reviewers.yaml"), f"{name!r} {message}" if name else message)
                for name, message in error.problems
            ]
        ) from None


def resolve(project: PromptProject, declared: Declared) -> PromptProject:
    """The project with the reviewers whom its names stand for; ProjectInvalid."""
    try:
        return replace(project, policy=resolved(project.policy, declared))
    except PolicyInvalid as error:
        document = read_document(project.directory / POLICY_FILE)
        raise ProjectInvalid([document.problem(where, message) for where, message in error.problems]) from None


def by_name(policy: Policy) -> Policy:
    """The policy as it is deployed: whoever is declared in place is named, as if declared with the others."""
    named = tuple(Reviewer(r.name, groups=r.groups) for r in policy.review.reviewers)
    return replace(policy, review=replace(policy.review, reviewers=named))


def _differ(one: Reviewer, other: Reviewer) -> bool:
    same_address = one.email.strip().lower() == other.email.strip().lower()
    return not same_address or set(one.principals) != set(other.principals)


def _at(project: PromptProject, index: int, message: str) -> Problem:
    return read_document(project.directory / POLICY_FILE).problem(f"review.reviewers[{index}]", message)
