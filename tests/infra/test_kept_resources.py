"""What holds releases, approvals and proofs: how each is encrypted, kept and found again."""

import json

from tests.support.alone import plain
from tests.support.synthesized import Json, Synthesized


def whole(synthesized: Synthesized, kind: str, *, but: tuple[str, ...] = ("Tags",)) -> dict[str, Json]:
    """(deletion policy, properties) of every resource of a type in the State and Audit stacks, by logical id."""
    found = {}
    for stack, logical, properties in synthesized.resources(kind):
        if stack in ("state", "audit"):
            kept = synthesized.templates[stack]["Resources"][logical].get("DeletionPolicy")
            found[plain(logical)] = (kept, {k: plain(v) for k, v in properties.items() if k not in but})
    return found


def text(name: str) -> Json:
    return {"AttributeName": name, "AttributeType": "S"}


def key(name: str, kind: str = "HASH") -> Json:
    return {"AttributeName": name, "KeyType": kind}


RESTORABLE = {
    "BillingMode": "PAY_PER_REQUEST",
    "DeletionProtectionEnabled": True,
    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
}


def test_tables_are_encrypted_restorable_and_kept_but_for_the_marks_of_feedback(synthesized: Synthesized) -> None:
    assert whole(synthesized, "AWS::DynamoDB::Table", but=("Tags", "ResourcePolicy")) == {
        "Routes": (
            "RetainExceptOnCreate",
            {
                **RESTORABLE,
                "AttributeDefinitions": [text("prompt"), text("prompt_id")],
                "KeySchema": [key("prompt")],
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": "by_id",
                        "KeySchema": [key("prompt_id")],
                        "Projection": {"ProjectionType": "KEYS_ONLY"},
                    }
                ],
                "SSESpecification": {"SSEEnabled": True},
            },
        ),
        "Releases": (
            "RetainExceptOnCreate",
            {
                **RESTORABLE,
                "AttributeDefinitions": [text("pk"), text("sk")],
                "KeySchema": [key("pk"), key("sk", "RANGE")],
                "SSESpecification": {"KMSMasterKeyId": "<DataKey.Arn>", "SSEEnabled": True, "SSEType": "KMS"},
                "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
            },
        ),
        "Feedback": (
            "Delete",
            {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [text("receipt")],
                "KeySchema": [key("receipt")],
                "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
            },
        ),
    }


def bucket(encryption: Json, *rules: Json, **more: Json) -> tuple[str, Json]:
    return "RetainExceptOnCreate", {
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
        "LifecycleConfiguration": {"Rules": [{**rule, "Status": "Enabled"} for rule in rules]},
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        ),
        **more,
    }


def under(key: str, *, bucket_key: bool) -> Json:
    by_default = {"KMSMasterKeyID": f"<{key}.Arn>", "SSEAlgorithm": "aws:kms"}
    return {"BucketKeyEnabled": bucket_key, "ServerSideEncryptionByDefault": by_default}


def test_buckets_are_private_encrypted_and_kept_for_as_long_as_they_should(synthesized: Synthesized) -> None:
    versioned = {"VersioningConfiguration": {"Status": "Enabled"}}
    parts = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
    locked = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Days": 365, "Mode": "COMPLIANCE"}}}
    old = {**parts, "Id": "OldVersions", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}}
    assert whole(synthesized, "AWS::S3::Bucket") == {
        "Reports": bucket(under("DataKey", bucket_key=True), old, **versioned),
        "Versions": bucket(under("DataKey", bucket_key=True), old, **versioned),
        "Trails": bucket(
            under("Key", bucket_key=False),
            {
                **parts,
                "Id": "AfterRetention",
                "ExpirationInDays": 395,
                "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
            },
            {"Id": "EmptyMarkers", "ExpiredObjectDeleteMarker": True},
            **versioned,
            ObjectLockEnabled=True,
            ObjectLockConfiguration=locked,
        ),
        "InvocationsLargeBodies": bucket(
            under("Key", bucket_key=False), {"Id": "AsLongAsTheLog", "ExpirationInDays": 90}
        ),
    }


def test_keys_are_rotated_and_kept_and_links_are_signed_by_one_that_cannot_be(synthesized: Synthesized) -> None:
    assert whole(synthesized, "AWS::KMS::Key", but=("Tags", "KeyPolicy", "Description")) == {
        "DataKey": ("RetainExceptOnCreate", {"EnableKeyRotation": True}),
        "MessageKey": ("RetainExceptOnCreate", {"EnableKeyRotation": True}),
        "ReceiptKey": ("RetainExceptOnCreate", {"EnableKeyRotation": True}),
        "ReviewKey": ("RetainExceptOnCreate", {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}),
        "Key": ("RetainExceptOnCreate", {"EnableKeyRotation": True}),
    }


def test_the_trail_records_management_events_and_rendered_versions_under_validation(synthesized: Synthesized) -> None:
    def only(**wanted: str) -> list[Json]:
        return [{"Field": field.replace("__", "."), "Equals": [value]} for field, value in wanted.items()]

    assert whole(synthesized, "AWS::CloudTrail::Trail") == {
        "Trail": (
            None,
            {
                "TrailName": "promptlane",
                "S3BucketName": "<Trails>",
                "KMSKeyId": "<Key.Arn>",
                "IsLogging": True,
                "EnableLogFileValidation": True,
                "IncludeGlobalServiceEvents": True,
                "IsMultiRegionTrail": False,
                # Where CloudTrail knows no data events of prompts it refuses the whole trail: they are added later.
                "AdvancedEventSelectors": [
                    {"Name": "Management events", "FieldSelectors": only(eventCategory="Management")}
                ],
            },
        )
    }
    ((_, renders, properties),) = synthesized.resources("Custom::RenderEvents")
    assert properties["ManagementEvents"] == "true"
    output = synthesized.templates["audit"]["Outputs"]["RenderEvents"]["Value"]
    assert output == {"Fn::GetAtt": [renders, "Said"]}


def test_the_secret_that_stacks_of_the_first_version_import_is_still_exported(synthesized: Synthesized) -> None:
    """An export in use can be neither changed nor removed: without it, an upgrade would fail."""
    exported = json.dumps(synthesized.templates["state"]["Outputs"])
    assert "ExportsOutputRefReceiptSecret" in exported
    generated = {"ExcludePunctuation": True, "PasswordLength": 64}
    assert whole(synthesized, "AWS::SecretsManager::Secret", but=("Tags", "Description")) == {
        "ReceiptSecret": ("RetainExceptOnCreate", {"GenerateSecretString": generated})
    }


def test_every_log_is_kept_for_as_long_as_the_deployment_says(synthesized: Synthesized) -> None:
    days = {p["RetentionInDays"] for _, _, p in synthesized.resources("AWS::Logs::LogGroup")}
    assert days == {90}


NAMES = ("Name", "LogGroupName", "TableName", "BucketName", "TopicName", "QueueName", "FunctionName", "RoleName")
RETAINING = {"Retain", "RetainExceptOnCreate"}


def test_what_is_kept_has_no_name_that_the_next_deployment_needs(synthesized: Synthesized) -> None:
    """Neither a failed create, which keeps nothing, nor a deployment that was removed is in the next one's way."""
    kept = {
        (stack, logical): resource
        for stack, template in synthesized.templates.items()
        for logical, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") in RETAINING or resource.get("UpdateReplacePolicy") in RETAINING
    }
    assert len(kept) > 20
    for place, resource in kept.items():
        if resource["Type"] == "AWS::Lambda::LayerVersion":
            continue  # each version has a number of its own
        assert resource.get("DeletionPolicy") == "RetainExceptOnCreate", place
        for name in {*NAMES, f"{resource['Type'].rpartition(':')[2]}Name"}:
            given = resource.get("Properties", {}).get(name)
            assert given is None or "AWS::StackId" in json.dumps(given), f"{place} is kept under the name {given}"
