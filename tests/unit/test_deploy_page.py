"""docs/deploy.md is followed literally: every command, option, target and setting on it exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import typer.main
from botocore import xform_name

from infra.config import PREFIX, SETTINGS
from promptlane.cli.app import app
from promptlane.domain.model_regions import GROUPS, missing

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text()
CDK = {"bootstrap", "deploy", "destroy", "diff", "synth"}
CDK_OPTIONS = {"-c", "--all", "--require-approval"}


def commands() -> list[str]:
    """Lines of shell blocks, and commands in the text that begin as the page's tools do."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", "").splitlines() if line.strip()]
    return lines + re.findall(r"`((?:make|npx|promptlane|aws) [^`\n]+)`", PAGE)


NAMED = (["publish"], ["approve"], ["investigate"])
"""Commands that the text only names."""


def words(line: str) -> list[str]:
    found = shlex.split(line, comments=True)
    while found and re.fullmatch(r"[A-Z_]+=.*", found[0]):
        found.pop(0)
    return found


def of(tool: str) -> list[list[str]]:
    found = [words(line) for line in commands()]
    return [line[1:] for line in found if line and line[0] == tool]


def test_every_command_is_of_a_tool_that_this_file_checks() -> None:
    tools = {line[0] for command in commands() if (line := words(command))}
    assert tools == {"make", "npx", "promptlane", "aws", "export"}


@pytest.mark.parametrize("given", of("promptlane"), ids=" ".join)
def test_promptlane_has_the_command_and_takes_what_it_is_given(given: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    rest = list(given)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    assert not rest or not hasattr(command, "commands"), f"no command {rest[0]}"
    if rest or given not in NAMED:
        command.make_context("promptlane", rest)  # raises for what it does not take, and for what it lacks


def test_what_promptlane_does_not_take_would_be_found() -> None:
    wrongs = (["reviewers", "annoy"], ["publish", "-m", "why"], ["status", "--forever"], ["upload", "x"])
    for wrong in wrongs:
        with pytest.raises(Exception, match=r"no command|Missing parameter|No such option"):
            test_promptlane_has_the_command_and_takes_what_it_is_given(wrong)


@pytest.mark.parametrize("given", of("make"), ids=" ".join)
def test_make_has_the_target(given: list[str]) -> None:
    makefiles = [ROOT / "Makefile", *ROOT.glob("*/Makefile.inc"), *ROOT.glob("*/*/Makefile.inc")]
    targets = {target for file in makefiles for target in re.findall(r"^([a-z0-9-]+):", file.read_text(), flags=re.M)}
    assert given[0] in targets


@pytest.mark.parametrize("given", of("npx"), ids=" ".join)
def test_the_cdk_has_the_command_and_promptlane_the_setting(given: list[str]) -> None:
    assert given[0] == "cdk"
    assert given[1] in CDK
    assert {word for word in given if word.startswith("-")} <= CDK_OPTIONS
    for setting in (given[i + 1] for i, word in enumerate(given) if word == "-c"):
        name, _, value = setting.partition("=")
        assert name.removeprefix(PREFIX) in SETTINGS, setting
        SETTINGS[name.removeprefix(PREFIX)](value)  # raises for a value that synth would refuse


@pytest.mark.parametrize("given", of("aws"), ids=" ".join)
def test_aws_has_the_operation_and_its_options(given: list[str]) -> None:
    service, operation, *options = given
    model = botocore.session.get_session().get_service_model(service)
    shapes = {xform_name(name, "-"): model.operation_model(name).input_shape for name in model.operation_names}
    members = shapes[operation].members if shapes[operation] else {}
    known = {"--" + xform_name(name, "-") for name in members}
    assert {option for option in options if option.startswith("--")} <= known


def test_every_setting_on_the_page_exists() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", PAGE[PAGE.index("| setting |") : PAGE.index("## 5.")], flags=re.M)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    named |= set(re.findall(rf"{PREFIX}([a-z_]+)", PAGE))
    assert len(named) > 15
    assert named - {"enrolled"} <= SETTINGS.keys()


def test_the_regions_of_the_page_are_those_that_synth_knows() -> None:
    listed = re.search(r"Nova Lite is in eight Regions itself \((.*?)\)", PAGE, flags=re.S)
    assert listed
    regions = re.findall(r"[a-z]{2}(?:-[a-z]+)+-[0-9]", listed[1])
    assert len(regions) == 8
    assert [region for region in regions if missing("amazon.nova-lite-v1:0", region)] == []
    assert [group for group in GROUPS if f"`{group}`" not in PAGE] == []
