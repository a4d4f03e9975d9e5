"""Reviewers' stacks: how many fit, whom a change touches, and what policies are deployed with."""

import json
from collections import Counter
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_kms as kms

from infra.application import add_stacks
from infra.config import ConfigError, DeploymentConfig, read_config
from infra.stacks.reviewers import MOST, STACKS, add_reviewers, place
from promptlane.domain.policy import Policy, Reviewer
from promptlane.domain.review.declared import Declared
from promptlane.domain.review.review import reviewer_key
from promptlane.project import ProjectInvalid
from tests.support.alone import KEPT
from tests.support.synthesized import ROOT, Json, Synthesized, assets, context

EXPORTS = "Fn::ImportValue"


def people(number: int) -> list[Reviewer]:
    return [Reviewer(f"r{n}", f"r{n}@example.com") for n in range(number)]


def templates(found: list[Reviewer], directory: Path) -> dict[str, Json]:
    """By stack, the one that holds the key among them."""
    app = App(context=context(), outdir=str(directory))
    key = kms.Key(Stack(app, "lane-state"), "MessageKey")
    add_reviewers(app, config=KEPT, key=key, people=found)
    app.synth()
    return {p.name.split(".")[0]: json.loads(p.read_text()) for p in directory.glob("lane-*.template.json")}


def test_a_hundred_reviewers_stay_below_half_of_every_limit(tmp_path: Path) -> None:
    made = templates(people(100), tmp_path)
    assert len(made) == STACKS + 1
    kinds: Counter[str] = Counter()
    for template in made.values():
        resources = template.get("Resources", {})
        assert len(resources) < 250
        assert len(json.dumps(template)) < 500_000
        kinds.update(r["Type"] for r in resources.values())
    assert kinds == {
        "AWS::KMS::Key": 1,
        **dict.fromkeys(
            ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SNS::Subscription", "AWS::SSM::Parameter"), 100
        ),
    }


@pytest.mark.parametrize("left", [0, 1, 57])
def test_who_comes_or_goes_moves_nobody_else_and_changes_no_export(tmp_path: Path, left: int) -> None:
    before = templates(people(left), tmp_path / "before")
    after = templates([Reviewer("new", "new@example.com"), *people(left)], tmp_path / "after")
    new, touched = reviewer_key("new@example.com"), f"lane-reviewers-{place('new@example.com')}"
    for stack in before:
        old, now = before[stack].get("Resources", {}), after[stack].get("Resources", {})
        assert {logical: now[logical] for logical in old} == old
        assert all(new in logical for logical in now.keys() - old.keys())
        assert bool(now.keys() - old.keys()) == (stack == touched)
        if stack != "lane-state":
            assert "Outputs" not in before[stack]
            assert "Outputs" not in after[stack]
    # The key's is there for as long as anybody is, and is the same for all.
    assert after["lane-state"]["Outputs"].items() >= before["lane-state"].get("Outputs", {}).items()
    assert len(after["lane-state"]["Outputs"]) == 1


def test_a_topic_is_of_an_address_alone_whatever_its_case_or_its_persons_name(tmp_path: Path) -> None:
    one = templates([Reviewer("Ann", "ann@example.com")], tmp_path / "one")
    assert templates([Reviewer("Ann Lee", "ANN@example.com", ("legal",))], tmp_path / "other") == one


def test_a_stack_that_holds_nobody_has_nothing_that_would_be_deployed(tmp_path: Path) -> None:
    made = templates(people(1), tmp_path)
    assert sum("Resources" in template for template in made.values()) == 2


def test_more_people_than_a_stack_has_room_for_are_refused_with_number_and_remedy() -> None:
    crowd = [Reviewer(f"c{n}", f"c{n}@example.com") for n in range(5_000)]
    crowd = [person for person in crowd if place(person.email) == 3][: MOST + 1]
    key = kms.Key.from_key_arn(Stack(), "Key", "arn:aws:kms:eu-west-1:111122223333:key/1")
    with pytest.raises(ConfigError, match=rf"{MOST + 1} of {MOST + 1} reviewers .* room for {MOST}: declare fewer"):
        add_reviewers(App(), config=KEPT, key=key, people=crowd)
    add_reviewers(App(), config=KEPT, key=key, people=crowd[1:])


def deployed(synthesized: Synthesized) -> dict[str, Json]:
    """The JSON documents that are deployed with the prompts, by what they are."""
    found = {}
    for path in assets(synthesized.directory):
        if path.suffix != ".json" or path.name.endswith(".template.json"):
            continue
        document = json.loads(path.read_text())
        if "review" in document:
            found[",".join(r["name"] for r in document["review"]["reviewers"])] = document
        elif all(isinstance(one, dict) and "email" in one for one in document.values()):
            found["reviewers"] = document
    return found


def test_policies_are_deployed_with_names_alone_and_reviewers_once(synthesized: Synthesized) -> None:
    found = deployed(synthesized)
    declared = Declared.from_dict(found.pop("reviewers"))
    assert [person.name for person in declared.people] == [
        "helpdesk-lead",
        "legal-desk",
        "support-lead",
        "support-quality",
    ]
    assert found.keys() == {"support-lead,support-quality,legal-desk", "helpdesk-lead,support-quality"}
    for document in found.values():
        assert all(r.keys() == {"name", "groups"} for r in document["review"]["reviewers"])
        assert declared.resolve(Policy.from_dict(document)).review.required_groups in ((), ("legal",))


POLICY = "review: {reviewers: [%s], quorum: 1}\nmodels: {allowed: [m]}\n"


def project(parent: Path, name: str, reviewers: str) -> None:
    folder = parent / "prompts" / name
    folder.mkdir(parents=True)
    (folder / "prompt.yaml").write_text(f"{{name: {name}, model: m, template: 'Say {{{{q}}}}', variables: [q]}}")
    (folder / "release.yaml").write_text(POLICY % reviewers)
    (folder / "suite.yaml").write_text("tests: [{vars: {q: x}, assert: [{type: contains, value: x}]}]")


def refused(parent: Path) -> str:
    with pytest.raises(ProjectInvalid) as caught:
        add_stacks(App(), config=DeploymentConfig(prompts_dir=parent / "prompts"))
    return str(caught.value)


ANN = "{name: ann, email: ann@example.com"
ROLE = "arn:aws:iam::111122223333:role"


def test_a_policy_that_names_nobody_who_is_declared_is_refused_by_file_and_line(tmp_path: Path) -> None:
    project(tmp_path, "one", f"{ANN}}}")
    project(tmp_path, "two", "ann, bob")
    said = refused(tmp_path)
    assert "two/release.yaml:1:" in said
    assert "review.reviewers[1]: 'bob' is no reviewer of this deployment; name one of ann" in said


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (
            "ann: {email: ann@example.com}",
            "ann: {email: ann@example.org}",
            "another address or other principals of 'ann'",
        ),
        (
            "ann: {email: ann@example.com}",
            f"ann: {{email: ann@example.com, principals: ['{ROLE}/ann']}}",
            "another address or other principals of 'ann'",
        ),
        ("ann: {email: ann@example.com}", "anna: {email: ANN@example.com}", "'anna' has the email of 'ann'"),
        ("Ann: {email: ann@example.com}", "ann: {email: a@example.com}", "'ann' has the name of 'Ann'"),
    ],
)
def test_one_person_is_one_name_and_one_address_wherever_they_are_declared(
    tmp_path: Path, one: str, other: str, message: str
) -> None:
    def in_place(declaration: str) -> str:
        name, _, rest = declaration.partition(": {")
        return f"{{name: {name}, {rest}"

    project(tmp_path, "one", in_place(one))
    project(tmp_path, "two", in_place(other))
    assert message in refused(tmp_path)
    (tmp_path / "prompts/one/release.yaml").unlink()
    (tmp_path / "reviewers.yaml").write_text(f"{one}\n")
    assert message in refused(tmp_path)


def test_reviewers_yaml_is_read_strictly_with_its_lines(tmp_path: Path) -> None:
    project(tmp_path, "one", "ann")
    (tmp_path / "reviewers.yaml").write_text("ann: {email: ann@example.com}\nbob: {mail: bob@example.com}\n")
    assert "reviewers.yaml:2:1: bob: must have an email" in refused(tmp_path)


def test_the_file_of_reviewers_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    asked = {"promptlane:reviewers_file": "people.yaml"}
    with pytest.raises(ConfigError, match=r"promptlane:reviewers_file: there is no file .*people.yaml"):
        read_config(asked, root=tmp_path)
    (tmp_path / "people.yaml").write_text("ann: {email: ann@example.com}\n")
    assert read_config(asked, root=tmp_path).reviewers == tmp_path / "people.yaml"
    assert read_config({}, root=tmp_path).reviewers == tmp_path / "reviewers.yaml"
    assert DeploymentConfig(prompts_dir=ROOT / "prompts").reviewers == ROOT / "reviewers.yaml"
