"""Findings of cdk-nag that are accepted."""

import pytest
from constructs import Construct

from infra.constructs.accepted import accept_finding, finding_text
from tests.support.alone import accepted, alone
from tests.support.synthesized import Json


def test_a_finding_is_accepted_for_one_construct_with_its_reason() -> None:
    stack = alone()
    one = Construct(stack, "One")
    Construct(stack, "Other")
    accept_finding(one, "IAM5[Resource::*]", "It knows no resources.")
    (entry,) = one.node.metadata
    assert (entry.type, entry.data) == (
        "aws:cdk:acknowledged-rules",
        {"Annotation::AwsSolutions-IAM5[Resource::*]": "It knows no resources."},
    )
    assert accepted(stack) == {("Alone/One", "AwsSolutions-IAM5[Resource::*]")}


@pytest.mark.parametrize(
    ("resolved", "text"),
    [
        ("arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/*"),
        ({"Ref": "Table"}, "<Table>"),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "<Table.Arn>"),
        ({"Fn::ImportValue": "state:Bucket"}, "state:Bucket"),
        ({"Fn::Sub": "arn:${AWS::Partition}:s3:::${Name}"}, "arn:<AWS::Partition>:s3:::<Name>"),
        ({"Fn::Join": ["/", [{"Ref": "Bucket"}, {"Fn::GetAtt": ["Key", "Id"]}, "*"]]}, "<Bucket>/<Key.Id>/*"),
    ],
)
def test_an_arn_reads_as_cdk_nag_writes_it(resolved: Json, text: str) -> None:
    assert finding_text(resolved) == text


@pytest.mark.parametrize("resolved", [{"Fn::Select": [0, "x"]}, {"Fn::Sub": ["${A}", {"A": "b"}]}])
def test_an_arn_that_cdk_nag_would_write_otherwise_is_refused(resolved: Json) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(resolved))} cannot be named"):
        finding_text(resolved)
