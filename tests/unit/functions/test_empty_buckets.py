"""The custom resource that empties a trial's bucket, over S3."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import Context, World, real

Json = Any
BUCKET = "trial-bucket"


@pytest.fixture(autouse=True)
def _answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: contextlib.nullcontext())


@pytest.fixture
def s3(world: World) -> Any:
    client = real("s3")
    client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    client.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "promptlane-trial", "Value": "true"}]})
    statement = {"Sid": "Ours", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
    client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    for key in ("a", "a", "b"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    client.delete_object(Bucket=BUCKET, Key="b")
    return client


def asked(world: World, kind: str = "Delete", *left: int, **more: Json) -> dict[str, Json]:
    event = {
        "RequestType": kind,
        "ResponseURL": "https://cloudformation.example/answer",
        "ResourceProperties": {"BucketName": BUCKET},
        **more,
    }
    return dict(world.function("empty_buckets", PARTITION="aws").handle(event, Context(*(left or (600_000,)))))


def versions(s3: Any) -> int:
    found = s3.list_object_versions(Bucket=BUCKET)
    return len(found.get("Versions", [])) + len(found.get("DeleteMarkers", []))


def test_every_version_and_every_marker_goes_and_nobody_can_add_one(world: World, s3: Any) -> None:
    answer = asked(world)
    assert (answer["Status"], answer["Data"]["Said"]) == ("SUCCESS", f"4 objects of {BUCKET} deleted")
    assert versions(s3) == 0
    ours, closed = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert ours["Sid"] == "Ours"
    assert (closed["Effect"], closed["Action"], closed["Resource"]) == (
        "Deny",
        "s3:PutObject",
        f"arn:aws:s3:::{BUCKET}/*",
    )
    s3.delete_bucket(Bucket=BUCKET)


def test_asked_twice_it_closes_once(world: World, s3: Any) -> None:
    asked(world)
    asked(world)
    assert len(json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]) == 2


def test_a_bucket_of_a_deployment_that_is_kept_from_now_on_is_left_alone(world: World, s3: Any) -> None:
    s3.delete_bucket_tagging(Bucket=BUCKET)
    assert asked(world)["Status"] == "SUCCESS"
    assert versions(s3) == 4


def test_a_bucket_that_is_gone_keeps_no_stack_from_going(world: World, s3: Any) -> None:
    assert asked(world, PhysicalResourceId="never-made")["Status"] == "SUCCESS"
    assert versions(s3) == 4


def test_of_a_bucket_in_another_ones_place_the_old_one_is_emptied(world: World, s3: Any) -> None:
    answer = asked(world, ResourceProperties={"BucketName": "new"}, PhysicalResourceId=BUCKET)
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", BUCKET)
    assert versions(s3) == 0


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_nothing_is_deleted_before_the_stack_is(world: World, s3: Any, kind: str) -> None:
    answer = asked(world, kind, PhysicalResourceId="old")
    assert (answer["Status"], answer["PhysicalResourceId"], versions(s3)) == ("SUCCESS", BUCKET, 4)


def test_when_time_is_up_it_says_that_there_is_more(world: World, s3: Any) -> None:
    answer = asked(world, "Delete", 29_000)
    assert answer["Status"] == "FAILED"
    assert "delete the stack again" in answer["Reason"]
    assert versions(s3) == 4


def test_what_s3_keeps_is_named(world: World, s3: Any) -> None:
    kept = {"Key": "a", "Code": "AccessDenied", "Message": "Object is WORM protected"}

    class Keeping:
        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def delete_objects(self, **request: Json) -> Json:
            assert request["BypassGovernanceRetention"] is True
            return {"Errors": [kept]}

    world.services["s3"] = Keeping()
    answer = asked(world)
    assert answer["Status"] == "FAILED"
    assert "such as a: AccessDenied Object is WORM protected" in answer["Reason"]


def test_what_it_may_not_ask_is_no_bucket_that_is_gone(world: World, s3: Any) -> None:
    class Refusing:
        meta = s3.meta

        def get_bucket_tagging(self, **_: Json) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "may not"}}, "GetBucketTagging")

    world.services["s3"] = Refusing()
    assert asked(world)["Status"] == "FAILED"
