"""The deployment's settings: read from context, every wrong one named with its remedy."""

import json
from pathlib import Path

import pytest

from infra.config import ConfigError, DeploymentConfig, read_config
from promptlane.domain.enrolment.floor import Floor

KEY = "arn:aws:kms:eu-west-1:123456789012:key/12345678-90ab-cdef-1234-567890abcdef"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "prompts").mkdir()
    return tmp_path


def test_without_any_setting_the_defaults_hold(root: Path) -> None:
    assert read_config({"@aws-cdk/core:flag": True}, root=root) == DeploymentConfig(prompts_dir=root / "prompts")


def test_text_from_the_command_line_means_the_same_as_json(root: Path) -> None:
    as_text = {"promptlane:trial": "true", "promptlane:time_scale": "0.5", "promptlane:resolution_seconds": "10"}
    as_json = {"promptlane:trial": True, "promptlane:time_scale": 0.5, "promptlane:resolution_seconds": 10}
    assert read_config(as_text, root=root) == read_config(as_json, root=root)
    assert read_config(as_json, root=root).trial is True


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("name", "Prompt Lane"),
        ("name", "p" * 16),
        ("name", "pl"),
        ("name", "lane-"),
        ("name", "9lane"),
        ("existing_trail", "yes"),
        ("lambda_target", "x86"),
        ("resolution_seconds", 30),
        ("resolution_seconds", True),
        ("time_scale", 0),
        ("time_scale", "nan"),
        ("time_scale", "soon"),
        ("log_retention_days", 8),
        ("reserved_concurrency", -1),
        ("reserved_concurrency", "2.5"),
        ("reconcile_minutes", 0),
        ("drill_hours", 73),
        ("trial", 1),
        ("budget_usd_per_prompt", -5),
        ("subscription_admins", "everybody"),
        ("bypass_exceptions", "arn:aws:iam::*:user/tester"),
        ("bypass_models", "amazon.*-lite"),
        ("bypass_models", []),
        ("bypass_models", ["m" * 99] * 3),
        ("bypass_exceptions", "arn:aws:iam::123456789012:*"),
        ("bypass_exceptions", [f"arn:aws:iam::123456789012:user/tester-{n}" for n in range(12)]),
        ("duty_principals", {"authors": ["arn:aws:iam::123456789012:role/writers"]}),
        ("duty_principals", {"author": ["writers"]}),
        ("duty_principals", "arn:aws:iam::123456789012:role/writers"),
        ("floor", "{"),
        ("prompt_keys", []),
        ("prompt_keys", "alias/prompts"),
        ("prompt_keys", "arn:aws:kms:eu-west-1:123456789012:alias/prompts"),
        ("prompt_keys", [f"{KEY[:-1]}{n}" for n in range(5)]),
        ("on_call", "nobody"),
        ("on_call", []),
        ("retian", "false"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_write(root: Path, setting: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config({f"promptlane:{setting}": value}, root=root)
    message = str(caught.value)
    assert f"promptlane:{setting}" in message
    assert "write" in message or "the settings are" in message


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("aws-prompts", "Systems Manager"),
        ("awsome", "Systems Manager"),
        ("ssm-lane", "Systems Manager"),
        ("my--lane", "CloudTrail"),
        ("xn--lane", "CloudTrail"),
        ("sthree-lane", "S3"),
        ("amzn-s3-demo", "S3"),
    ],
)
def test_a_name_that_aws_refuses_later_is_refused_now_with_who_would(root: Path, name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"promptlane:name is '{name}': {says} .*; write another, such as prompts-"):
        read_config({"promptlane:name": name}, root=root)
    assert read_config({"promptlane:name": "an-aws-s3-lane"}, root=root).name == "an-aws-s3-lane"


def test_who_may_take_on_a_duty_can_be_said_on_the_command_line_too(root: Path) -> None:
    writers = "arn:aws:iam::123456789012:role/writers-*"
    for value in ({"author": [writers]}, f'{{"author": "{writers}"}}'):
        assert read_config({"promptlane:duty_principals": value}, root=root).duty_principals == {"author": (writers,)}


def test_all_wrong_values_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config({"promptlane:trial": "maybe", "promptlane:time_scale": 7, "promptlane:colour": 1}, root=tmp_path)
    message = str(caught.value)
    assert all(word in message for word in ("trial", "time_scale", "colour", "prompts_dir"))


def test_administrators_of_subscriptions_may_be_a_list_or_separated_by_commas(root: Path) -> None:
    arns = ("arn:aws:iam::123456789012:role/deploy-*", "arn:aws:iam::123456789012:user/root")
    assert read_config({"promptlane:subscription_admins": ",".join(arns)}, root=root).subscription_admins == arns
    assert read_config({"promptlane:subscription_admins": list(arns)}, root=root).subscription_admins == arns


def test_keys_of_prompts_are_named_once_each(root: Path) -> None:
    other = KEY.replace("eu-west-1", "us-east-1")
    for given in (f"{KEY}, {other},{KEY}", [KEY, other, KEY]):
        assert read_config({"promptlane:prompt_keys": given}, root=root).prompt_keys == (KEY, other)


def test_people_on_call_are_named_once_each(root: Path) -> None:
    given = "on-call@example.com, Desk@Example.com,desk@example.com"
    assert read_config({"promptlane:on_call": given}, root=root).on_call == ("on-call@example.com", "desk@example.com")


@pytest.mark.parametrize(
    "given", [{"keep_versions": 10}, {"version_quota": 5}, {"keep_versions": 9, "version_quota": 5}]
)
def test_as_many_versions_as_the_quota_allows_cannot_be_kept(root: Path, given: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="write a lower keep_versions"):
        read_config({f"promptlane:{name}": value for name, value in given.items()}, root=root)
    assert read_config({"promptlane:keep_versions": 10, "promptlane:version_quota": 11}, root=root).keep_versions == 10


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"region": "Frankfurt"}, "write a Region's code"),
        ({"inference_profiles": "europe"}, "write one of us, ca, eu, apac"),
        ({"inference_profiles": "eu"}, "Region is not known: write promptlane:region"),
        ({"inference_profiles": "eu", "region": "us-east-1"}, "called from eu-central-1, .* Region is us-east-1"),
    ],
)
def test_profiles_are_of_the_group_of_the_region(root: Path, given: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_config({f"promptlane:{name}": value for name, value in given.items()}, root=root)
    right = {"promptlane:region": "eu-central-1", "promptlane:inference_profiles": "eu"}
    assert read_config(right, root=root).inference_profiles == "eu"


def test_applications_are_named_with_their_prompts(root: Path) -> None:
    given = {"checkout": ["support-assistant", "greeter", "greeter"], "shop_2": ["greeter"]}
    for value in (given, json.dumps(given)):
        assert read_config({"promptlane:applications": value}, root=root).applications == {
            "checkout": ("support-assistant", "greeter"),
            "shop_2": ("greeter",),
        }


@pytest.mark.parametrize(
    "value",
    [
        "checkout",
        "[",
        [],
        {},
        {"Checkout": ["greeter"]},
        {"check-out": ["greeter"]},
        {"checkout": []},
        {"checkout": "greeter"},
        {"checkout": ["gree*"]},
        {"checkout": ["a/b"]},
        {"checkout": [""]},
        {"checkout": [f"p{i}" for i in range(11)]},
        {"checkout": ["x" * 100 + str(i) for i in range(4)]},
        {f"a{i}": ["greeter"] for i in range(41)},
    ],
)
def test_an_application_without_a_name_or_a_prompt_is_refused(root: Path, value: object) -> None:
    with pytest.raises(ConfigError, match=r"promptlane:applications is .*(write|name fewer)"):
        read_config({"promptlane:applications": value}, root=root)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"review": {"quorum": 99}, "colour": "blue"}, r"colour: unknown key.*review\.quorum: 99 must be"),
        ({"review": {"reviewers": [f"{n:050}@example.com" for n in range(40)]}}, "more than 2,000 characters"),
        ([], "must be a mapping"),
    ],
)
def test_a_floor_that_cannot_be_used_is_named_by_field(root: Path, value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=f"promptlane:floor is .*{said}"):
        read_config({"promptlane:floor": value}, root=root)


def test_a_floor_is_read_from_text_too(root: Path) -> None:
    floor = {"review": {"quorum": 2}}
    for value in (floor, json.dumps(floor)):
        assert read_config({"promptlane:floor": value}, root=root).floor == Floor.from_dict(floor)


@pytest.mark.parametrize(
    ("gone", "instead"),
    [
        ("retain", "promptlane:trial=true"),
        ("roll_back_concurrency", "promptlane:reserved_concurrency"),
        ("decide_concurrency", "promptlane:reserved_concurrency"),
    ],
)
def test_a_setting_of_an_earlier_version_says_what_takes_its_place(root: Path, gone: str, instead: str) -> None:
    with pytest.raises(ConfigError, match=f"promptlane:{gone}: write {instead}"):
        read_config({f"promptlane:{gone}": "5"}, root=root)
