"""Constructs, each alone in a stack."""

import pytest
from aws_cdk.assertions import Template

from tests.support.alone import alone


@pytest.fixture(scope="session", autouse=True)
def first_synth() -> None:
    """A process's first synth loads what all later ones need: no construct's test is measured by that."""
    Template.from_stack(alone())
