"""A stack that CloudFormation would not take is refused at synth, with the number and the way out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aws_cdk import App, CfnResource, Stack

from infra.application import synth
from infra.config import ConfigError
from infra.limits import RESOURCES, TEMPLATE_BYTES
from tests.support.synthesized import ROOT, context


def app(folder: Path, **stacks: tuple[int, str]) -> App:
    """For each stack, how many resources it has, and what the first says."""
    made = App(context=context(), outdir=str(folder))
    for name, (resources, says) in stacks.items():
        stack = Stack(made, name.replace("_", "-"), analytics_reporting=False)
        for number in range(resources):
            text = {"DisplayName": says} if number == 0 else {}
            CfnResource(stack, f"R{number}", type="AWS::SNS::Topic", properties=text)
    return made


def test_a_stack_that_cloudformation_takes_is_synthesized(tmp_path: Path) -> None:
    written = synth(app(tmp_path, promptlane_runtime=(RESOURCES, "x")))
    assert (written / "promptlane-runtime.template.json").stat().st_size < TEMPLATE_BYTES


def test_all_stacks_beyond_a_limit_are_named_with_the_number_and_the_way_out(tmp_path: Path) -> None:
    made = app(tmp_path, promptlane_runtime=(RESOURCES + 1, "x"), promptlane_prompt_a=(1, "x" * TEMPLATE_BYTES))
    with pytest.raises(ConfigError) as refused:
        synth(made)
    prompt, runtime = str(refused.value).splitlines()
    assert re.fullmatch(
        r"the stack promptlane-prompt-a has 1,000,\d{3} bytes of template, and CloudFormation takes 1,000,000: "
        r"let this prompt's release.yaml watch fewer metrics of its own",
        prompt,
    )
    assert runtime.startswith(
        "the stack promptlane-runtime has 501 resources, and CloudFormation takes 500: name fewer applications in"
    )


def test_the_app_synthesizes_nowhere_else() -> None:
    assert re.findall(r"\bsynth\w*\(.*", (ROOT / "app.py").read_text()) == ["synth(app)"]
