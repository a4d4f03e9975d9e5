"""The pages that people copy from are true: examples parse, defaults are the defaults, links lead somewhere."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from promptlane.domain.policy import Policy, Reviewer
from promptlane.domain.review.declared import Declared

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), flags=re.S)


def test_the_policy_page_shows_exactly_the_defaults() -> None:
    example, *_ = blocks("docs/write-a-policy.md", "yaml")
    data = yaml.safe_load(example)
    least = {"review": {"reviewers": data["review"]["reviewers"]}}
    assert Policy.from_dict(data) == Policy.from_dict(least)


def test_the_policy_page_names_every_setting() -> None:
    example, *_ = blocks("docs/write-a-policy.md", "yaml")
    data = yaml.safe_load(example)
    policy = Policy.from_dict(data)
    for section in ("review", "tests", "canary", "watch", "fuse", "request"):
        named = {"duration" if key == "for" else key for key in data[section]}
        assert named == {f.name for f in dataclasses.fields(getattr(policy, section))}, section


def test_the_policy_page_shows_reviewers_with_every_field() -> None:
    _, example, _ = blocks("docs/write-a-policy.md", "yaml")
    found = Declared.from_dict(yaml.safe_load(example))
    assert all(getattr(found.people[0], field.name) for field in dataclasses.fields(Reviewer))


def test_the_policy_page_shows_means_as_they_are_read() -> None:
    *_, example = blocks("docs/write-a-policy.md", "yaml")
    policy = Policy.from_dict({"review": {"reviewers": ["alice"]}, "canary": yaml.safe_load(example)})
    assert [(g.name, g.cap) for g in policy.canary.guard_metrics] == [
        ("Error", None),
        ("CostShare", 0.02),
        ("OutputTokensShare", 800.0),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_that_is_named_is_there(page: Path) -> None:
    folders = "tests|promptlane|functions|infra|local|benchmarks|requirements"
    named = re.findall(rf"`((?:{folders})/[\w./*-]+)`", page.read_text())
    assert [name for name in named if not any(ROOT.glob(name.rstrip("/")))] == []
