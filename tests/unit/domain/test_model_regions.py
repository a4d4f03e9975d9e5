"""Which model is called by which name in which Region."""

import pytest

from promptlane.domain.model_regions import GROUPS, missing, parted, profiled

LITE, EMBED = "amazon.nova-lite-v1:0", "amazon.titan-embed-text-v2:0"


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (LITE, ("", LITE)),
        (f"eu.{LITE}", ("eu", LITE)),
        (f"us-gov.{LITE}", ("us-gov", LITE)),
        (f"arn:aws:bedrock:eu-west-1::foundation-model/{LITE}", ("", LITE)),
        (f"arn:aws:bedrock:eu-west-1:111122223333:inference-profile/eu.{LITE}", ("eu", LITE)),
        (f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{LITE}", ("", LITE)),
        ("anthropic.claude-x", ("", "anthropic.claude-x")),
    ],
)
def test_a_model_is_parted_from_its_group(model: str, found: tuple[str, str]) -> None:
    assert parted(model) == found


@pytest.mark.parametrize("kind", ["application-inference-profile", "provisioned-model", "imported-model"])
def test_of_what_only_the_account_knows_nothing_is_said(kind: str) -> None:
    arn = f"arn:aws:bedrock:eu-central-1:111122223333:{kind}/eu.{LITE}"
    assert parted(arn) == ("", arn)
    assert not missing(arn, "eu-central-1")


@pytest.mark.parametrize(
    ("model", "region"),
    [
        (LITE, "us-east-1"),
        (LITE, "eu-west-2"),
        (f"us.{LITE}", "us-east-1"),
        (f"eu.{LITE}", "eu-central-1"),
        (f"ca.{LITE}", "ca-central-1"),
        (f"apac.{LITE}", "ap-south-1"),
        (EMBED, "eu-central-1"),
        (LITE, "xx-nowhere-1"),  # newer than the list
        (LITE, ""),
        (f"jp.{LITE}", "ap-northeast-1"),
        ("anthropic.claude-x", "eu-central-1"),
    ],
)
def test_what_a_region_offers_or_nobody_knows_passes(model: str, region: str) -> None:
    assert missing(model, region) == ""


@pytest.mark.parametrize(
    ("model", "region", "offered"),
    [
        (LITE, "eu-central-1", f"eu-central-1 does not offer {LITE}; it offers eu.{LITE}"),
        (f"us.{LITE}", "eu-central-1", f"it offers eu.{LITE}"),
        (f"eu.{LITE}", "eu-west-2", f"it offers {LITE} itself"),
        (f"eu.{LITE}", "us-east-1", f"it offers {LITE} itself and us.{LITE}"),
        (f"eu.{EMBED}", "eu-central-1", f"it offers {EMBED} itself"),
        (LITE, "af-south-1", "neither itself nor by an inference profile; elsewhere: ap-northeast-1, "),
        (LITE, "us-gov-east-1", "us-gov-west-1, us."),
    ],
)
def test_what_a_region_lacks_is_said_with_what_there_is(model: str, region: str, offered: str) -> None:
    assert offered in missing(model, region)


def test_a_model_goes_by_a_profile_only_where_the_region_needs_one() -> None:
    assert profiled(LITE, "eu", "eu-central-1") == f"eu.{LITE}"
    assert profiled(LITE, "eu", "eu-north-1") == LITE
    assert profiled(EMBED, "eu", "eu-central-1") == EMBED
    assert profiled("anthropic.claude-x", "eu", "eu-central-1") == "anthropic.claude-x"
    assert profiled(f"us.{LITE}", "eu", "eu-central-1") == f"us.{LITE}"
    assert profiled(LITE, "us", "eu-central-1") == LITE
    assert profiled(LITE, "", "eu-central-1") == LITE


def test_what_a_group_offers_can_be_called_in_each_of_its_regions() -> None:
    for group, regions in GROUPS.items():
        for region in regions:
            assert not missing(profiled(LITE, group, region), region), (group, region)
