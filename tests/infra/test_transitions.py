"""Everyday edits deploy: no export in use changes, and no name is taken twice."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.stack_player import Account, Refused
from tests.support.synthesized import Synthesized
from tests.support.transitions import BASE, SHORTLIST, Assemblies, Variant, play

Json = Any
TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "fixed"}}


@pytest.fixture(scope="module")
def assemblies(tmp_path_factory: pytest.TempPathFactory, synthesized: Synthesized) -> Assemblies:
    return Assemblies(tmp_path_factory.mktemp("transitions"), base=synthesized.directory)


@pytest.mark.parametrize("variant", SHORTLIST, ids=lambda v: v.name.replace(" ", "-"))
def test_an_everyday_edit_deploys_and_can_be_taken_back(assemblies: Assemblies, variant: Variant) -> None:
    assert assemblies.of(variant) != assemblies.of(BASE), "the edit changes nothing"
    play(assemblies, variant)


def stack(value: str = "a", *, using: str = "", **resources: Json) -> Json:
    template: Json = {"Resources": resources or {"Topic": {"Type": "AWS::SNS::Topic"}}}
    if value:
        template["Outputs"] = {"Out": {"Value": value, "Export": {"Name": "shared"}}}
    if using:
        template["Resources"]["User"] = {"Type": "AWS::SSM::Parameter", "Properties": {"Value": using}}
    return template


USER = {"Resources": {"U": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": {"Fn::ImportValue": "shared"}}}}}
NOBODY = {"Resources": {"U": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": "none"}}}}


class TestThePlayer:
    """What it refuses; else the edits above would hold for nothing."""

    @pytest.mark.parametrize(("after", "says"), [(stack("b"), "cannot be updated"), (stack(""), "cannot be deleted")])
    def test_an_export_in_use_stays_also_where_the_same_deployment_takes_its_use_away(
        self, after: Json, says: str
    ) -> None:
        account = Account()
        account.deploy({"one": stack(), "two": USER})
        with pytest.raises(Refused, match=f"Export shared {says} as it is in use by two"):
            account.deploy({"one": after, "two": NOBODY})

    def test_an_export_may_go_after_its_use(self) -> None:
        account = Account()
        account.deploy({"one": stack(), "two": USER})
        account.update("two", NOBODY)
        account.update("one", stack(""))

    def test_an_export_of_what_is_replaced_changes(self) -> None:
        before: Json = stack("", Topic={"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "a"}})
        before["Outputs"] = {"Out": {"Value": {"Ref": "Topic"}, "Export": {"Name": "shared"}}}
        after = copy.deepcopy(before)
        after["Resources"]["Topic"]["Properties"]["TopicName"] = "b"
        account = Account()
        account.deploy({"one": before, "two": USER})
        with pytest.raises(Refused, match="cannot be updated"):
            account.update("one", after)

    def test_nobody_exports(self) -> None:
        with pytest.raises(Refused, match="No export named shared found"):
            Account().deploy({"two": USER})

    def test_a_name_moves_to_another_stack_only_after_it_was_given_up(self) -> None:
        account = Account()
        account.deploy({"one": stack("", Topic=TOPIC), "two": NOBODY})
        with pytest.raises(Refused, match="'fixed' already exists"):
            account.update("two", stack("", Topic=TOPIC))
        account.update("one", NOBODY)
        account.update("two", stack("", Topic=TOPIC))

    def test_a_name_moves_to_no_other_logical_id(self) -> None:
        account = Account()
        account.update("one", stack("", Topic=TOPIC))
        with pytest.raises(Refused, match="already exists"):
            account.update("one", stack("", Other=TOPIC))

    def test_a_replacement_under_the_same_name_collides(self) -> None:
        account = Account()
        account.update("one", stack("", Topic=TOPIC))
        fifo = {**TOPIC, "Properties": {"TopicName": "fixed", "FifoTopic": True}}
        with pytest.raises(Refused, match="already exists"):
            account.update("one", stack("", Topic=fifo))

    def test_what_was_retained_keeps_its_name(self) -> None:
        account = Account()
        account.update("one", stack("", Topic={**TOPIC, "DeletionPolicy": "RetainExceptOnCreate"}))
        account.update("one", NOBODY)
        with pytest.raises(Refused, match="it was retained"):
            account.update("one", stack("", Topic=TOPIC))

    def test_a_stack_whose_export_is_in_use_cannot_be_deleted(self) -> None:
        account = Account()
        account.deploy({"one": stack(), "two": USER})
        with pytest.raises(Refused, match="cannot be deleted"):
            account.delete("one")
        account.delete("two")
        account.delete("one")

    def test_a_logical_id_keeps_its_type(self) -> None:
        account = Account()
        account.update("one", stack("", Topic=TOPIC))
        with pytest.raises(Refused, match="Update of resource type is not permitted"):
            account.update("one", stack("", Topic={"Type": "AWS::SQS::Queue"}))
