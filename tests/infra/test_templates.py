"""What must hold of the resources themselves."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Annotations, Match

from infra.application import add_stacks
from infra.config import ConfigError, DeploymentConfig
from promptlane.cdk import Enrolment, Platform
from promptlane.cdk.platform import prompt_stack_name
from promptlane.domain.enrolment.deadline import too_short
from promptlane.domain.enrolment.enrolment import RESOURCE_TYPE
from promptlane.domain.enrolment.floor import Floor
from promptlane.domain.policy import Policy
from promptlane.lifecycle.copies import LOOKED_BACK
from promptlane.project import ProjectInvalid, load
from tests.support.aws_calls import needed
from tests.support.rendered import Rendered
from tests.support.synthesized import Json, Synthesized, listed, synthesize, text


def table(synthesized: Synthesized, name: str) -> Json:
    _, logical, properties = synthesized.one("AWS::DynamoDB::Table", f"/{name}/")
    return {**properties, "kept": synthesized.templates["state"]["Resources"][logical]["DeletionPolicy"]}


def test_routes_are_found_by_a_prompts_id_and_nothing_else_is_in_that_index(synthesized: Synthesized) -> None:
    (index,) = table(synthesized, "Routes")["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "by_id"
    assert index["KeySchema"] == [{"AttributeName": "prompt_id", "KeyType": "HASH"}]
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


@pytest.mark.parametrize("name", ["Routes", "Releases"])
def test_tables_can_be_restored_and_are_not_deleted_by_mistake(synthesized: Synthesized, name: str) -> None:
    made = table(synthesized, name)
    assert made["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert made["DeletionProtectionEnabled"] is True
    assert made["SSESpecification"]["SSEEnabled"] is True
    assert made["BillingMode"] == "PAY_PER_REQUEST"
    assert made["kept"] == "RetainExceptOnCreate"


def test_the_route_table_depends_on_no_key_of_ours(synthesized: Synthesized) -> None:
    assert "KMSMasterKeyId" not in table(synthesized, "Routes")["SSESpecification"]
    assert "DataKey" in text(table(synthesized, "Releases")["SSESpecification"]["KMSMasterKeyId"])


def test_only_marks_of_feedback_expire(synthesized: Synthesized) -> None:
    """A review request has an attribute `expires_at`, its deadline, and is the record of who approved."""
    for name in ("Routes", "Releases"):
        assert "TimeToLiveSpecification" not in table(synthesized, name)
    assert table(synthesized, "Feedback")["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_only_timeline_inserts_reach_the_relay(synthesized: Synthesized) -> None:
    assert table(synthesized, "Releases")["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    _, _, mapping = synthesized.one("AWS::Lambda::EventSourceMapping", "/Timeline")
    (pattern,) = (json.loads(f["Pattern"]) for f in mapping["FilterCriteria"]["Filters"])
    assert pattern == {"eventName": ["INSERT"], "dynamodb": {"Keys": {"pk": {"S": [{"prefix": "timeline#"}]}}}}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert "Unrelayed" in text(mapping["DestinationConfig"])


def test_a_record_that_cannot_be_relayed_is_tried_for_an_hour_and_blocks_no_longer(synthesized: Synthesized) -> None:
    _, _, mapping = synthesized.one("AWS::Lambda::EventSourceMapping", "/Timeline")
    assert (mapping["MaximumRetryAttempts"], mapping["MaximumRecordAgeInSeconds"]) == (-1, 3600)
    assert mapping["BisectBatchOnFunctionError"] is True
    _, _, alarm = synthesized.one("AWS::CloudWatch::Alarm", "/DeadLettersUnrelayed/")
    assert "relay's log says more" in alarm["AlarmDescription"]
    assert "move them back" not in alarm["AlarmDescription"], "the messages hold no entries"


def test_intake_gets_every_edit_publication_and_deletion_that_succeeded_and_nothing_else(
    synthesized: Synthesized,
) -> None:
    _, _, rule = synthesized.one("AWS::Events::Rule", "/VersionCreated/")
    assert rule["EventPattern"] == {
        "source": ["aws.bedrock", "aws.bedrock-agent"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "eventSource": ["bedrock.amazonaws.com", "bedrock-agent.amazonaws.com"],
            "eventName": ["CreatePrompt", "CreatePromptVersion", "DeletePrompt", "UpdatePrompt"],
            "errorCode": [{"exists": False}],
        },
    }


def test_a_queue_hides_a_message_longer_than_its_function_may_run(synthesized: Synthesized) -> None:
    _, _, queue = synthesized.one("AWS::SQS::Queue", "/Requests/Queue/")
    assert queue["VisibilityTimeout"] >= 6 * synthesized.function("intake")[2]["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5


def test_every_function_is_arm_traced_logged_for_a_while_and_has_its_own_role(synthesized: Synthesized) -> None:
    roles = set()
    for verb in synthesized.verbs():
        stack, _logical, function = synthesized.function(verb)
        assert function["Architectures"] == ["arm64"], verb
        assert function["Runtime"] == "python3.13"
        assert function["TracingConfig"] == {"Mode": "Active"}
        group = function["LoggingConfig"]["LogGroup"]["Ref"]
        assert synthesized.templates[stack]["Resources"][group]["Properties"]["RetentionInDays"] == 90
        roles.add(text(function["Role"]))
    assert len(roles) == len(synthesized.verbs()) >= 18


def test_an_alarm_that_no_rollback_took_ends_where_somebody_is_told(synthesized: Synthesized) -> None:
    _, _, subscription = synthesized.one("AWS::SNS::Subscription", "/RollBack/")
    assert subscription["Protocol"] == "lambda"
    _, letters, _ = synthesized.one("AWS::SQS::Queue", "/DeadAlarms/")
    assert subscription["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": [letters, "Arn"]}
    assert synthesized.function("roll_back")[2]["DeadLetterConfig"]["TargetArn"] == {"Fn::GetAtt": [letters, "Arn"]}
    _, _, alarm = synthesized.one("AWS::CloudWatch::Alarm", "/DeadLettersAlarms/")
    assert letters in text(alarm["Dimensions"])
    assert (alarm["Threshold"], alarm["MetricName"]) == (1, "ApproximateNumberOfMessagesVisible")
    assert "Notices" in text(alarm["AlarmActions"])


def test_people_on_call_get_the_notices(tmp_path: Path, config: DeploymentConfig) -> None:
    made = synthesize(DeploymentConfig(prompts_dir=config.prompts_dir, on_call=("on-call@example.com",)), tmp_path)
    _, topic, _ = made.one("AWS::SNS::Topic", "/Notices/")
    found = [p for _, _, p in made.resources("AWS::SNS::Subscription") if p["Endpoint"] == "on-call@example.com"]
    assert [(p["Protocol"], p["TopicArn"]) for p in found] == [("email", {"Ref": topic})]


def test_dead_executions_are_wound_up(synthesized: Synthesized) -> None:
    _, _, rule = synthesized.one("AWS::Events::Rule", "/ExecutionDied/")
    assert rule["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    assert "ReleaseMachine" in text(rule["EventPattern"]["detail"]["stateMachineArn"])
    assert "WindUp" in text(rule["Targets"][0]["Arn"])


def test_reports_are_private_encrypted_and_versioned(synthesized: Synthesized) -> None:
    _, _, bucket = synthesized.one("AWS::S3::Bucket", "/Reports/")
    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rules[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"


def test_review_links_are_signed_with_a_key_that_leaves_kms_never(synthesized: Synthesized) -> None:
    _, _, key = synthesized.one("AWS::KMS::Key", "/ReviewKey/")
    assert (key["KeySpec"], key["KeyUsage"]) == ("HMAC_256", "GENERATE_VERIFY_MAC")


def test_the_trail_validates_its_files_in_a_locked_bucket(synthesized: Synthesized) -> None:
    ((_, _, trail),) = synthesized.resources("AWS::CloudTrail::Trail")
    assert trail["IsLogging"] is True
    assert trail["EnableLogFileValidation"] is True
    _, _, bucket = synthesized.one("AWS::S3::Bucket", "/Trails/")
    assert bucket["ObjectLockEnabled"] is True
    retention = bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert retention == {"Mode": "COMPLIANCE", "Days": 365}
    # With a bucket key CloudTrail would need kms:Decrypt, which the key's policy does not give it.
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert not encryption.get("BucketKeyEnabled")


def test_what_is_no_longer_locked_goes_and_no_copy_that_went_is_put_again(synthesized: Synthesized) -> None:
    _, _, bucket = synthesized.one("AWS::S3::Bucket", "/Trails/")
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    expiry = rules["AfterRetention"]
    assert expiry["ExpirationInDays"] >= 365 + LOOKED_BACK / 86_400
    assert expiry["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert expiry["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert rules["EmptyMarkers"]["ExpiredObjectDeleteMarker"] is True
    _, _, record = synthesized.one("AWS::SSM::Parameter", "promptlane-audit/Resources/")
    assert '"audit_retention_days":"365"' in text(record["Value"]).replace("\\", "")


def test_review_links_are_signed_by_those_alone_who_mail_them(synthesized: Synthesized) -> None:
    policy = synthesized.one("AWS::KMS::Key", "/ReviewKey/")[2]["KeyPolicy"]["Statement"]
    (deny,) = [s for s in policy if s.get("Sid") == "OnlyMailersSign"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", {"AWS": "*"}, "kms:GenerateMac")
    _names_roles_of(synthesized, deny["Condition"]["ArnNotLike"]["aws:PrincipalArn"], "request_review", "remind")


def _names_roles_of(synthesized: Synthesized, patterns: list[Json], *verbs: str) -> None:
    """Each pattern names the role of one function, and all of them have one."""
    for verb, pattern in zip(verbs, patterns, strict=True):
        prefix = text(pattern).partition(":role/")[2].partition("*")[0]
        assert f"promptlane-pipeline-{synthesized.role_of(verb)}".startswith(prefix)


EMPTYING = {"CloseBuckets", "DeleteObjects"}
WRITING = ["s3:PutObject", "s3:ReplicateObject"]


def test_nobody_but_cloudtrail_may_put_a_log_file(synthesized: Synthesized) -> None:
    policy = synthesized.one("AWS::S3::BucketPolicy", "/Trails/")[2]["PolicyDocument"]["Statement"]
    (deny,) = [s for s in policy if s.get("Sid") == "OnlyCloudTrailWritesLogFiles"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", {"AWS": "*"}, WRITING)
    assert "/AWSLogs/*" in text(deny["Resource"])
    assert deny["Condition"] == {"StringNotEquals": {"aws:PrincipalServiceName": "cloudtrail.amazonaws.com"}}


def test_bedrock_writes_the_large_bodies_of_this_account_alone(synthesized: Synthesized) -> None:
    """Without a bucket key, for the reason that the trail's bucket has none."""
    _, _, bucket = synthesized.one("AWS::S3::Bucket", "/LargeBodies/")
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert not encryption.get("BucketKeyEnabled")
    in_bucket = synthesized.one("AWS::S3::BucketPolicy", "/LargeBodies/")[2]["PolicyDocument"]["Statement"]
    in_key = synthesized.one("AWS::KMS::Key", "promptlane-audit/Key/")[2]["KeyPolicy"]["Statement"]
    for statements, sid, action in (
        (in_bucket, "BedrockWritesLargeBodies", "s3:PutObject"),
        (in_key, "BedrockEncrypts", "kms:GenerateDataKey"),
    ):
        (allow,) = [s for s in statements if s.get("Sid") == sid]
        assert (allow["Principal"], allow["Action"]) == ({"Service": "bedrock.amazonaws.com"}, action)
        assert allow["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert ":bedrock:" in text(allow["Condition"]["ArnLike"]["aws:SourceArn"])


def test_only_relay_and_housekeep_may_put_a_copy_of_a_timeline(synthesized: Synthesized) -> None:
    policy = synthesized.one("AWS::S3::BucketPolicy", "/Trails/")[2]["PolicyDocument"]["Statement"]
    (deny,) = [s for s in policy if s.get("Sid") == "OnlyRelayAndHousekeepCopy"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", {"AWS": "*"}, WRITING)
    assert "/timeline/*" in text(deny["Resource"])
    _names_roles_of(synthesized, deny["Condition"]["ArnNotLike"]["aws:PrincipalArn"], "relay", "housekeep")


def test_a_deployment_that_is_not_kept_can_be_destroyed(tmp_path: Path, config: DeploymentConfig) -> None:
    trial = DeploymentConfig(
        name="trial",
        prompts_dir=config.prompts_dir,
        trial=True,
        existing_trail=True,
        resolution_seconds=10,
        budget_usd_per_prompt=100,
    )
    made = synthesize(trial, tmp_path)
    kept = [
        f"{stack}/{logical}"
        for stack, template in made.templates.items()
        for logical, resource in template["Resources"].items()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
        or resource.get("UpdateReplacePolicy", "Delete") != "Delete"
    ]
    assert kept == []
    assert all(not p.get("DeletionProtectionEnabled") for _, _, p in made.resources("AWS::DynamoDB::Table"))
    # Where a trail of management events exists, ours holds only what that one lacks.
    ((_, _, renders),) = made.resources("Custom::RenderEvents")
    assert renders["ManagementEvents"] == "false"
    windows = {p.get("PendingWindowInDays") for _, _, p in made.resources("AWS::KMS::Key")}
    assert windows == {7}
    _every_bucket_is_emptied_after_whatever_writes_there(made)
    _whoever_empties_may_do_what_it_does_to_these_buckets_alone(made)
    assert "ReservedConcurrentExecutions" not in made.one("AWS::Lambda::Function", "/RollBack/Function/")[2]
    assert {p["StateMachineName"] for _, _, p in made.resources("AWS::StepFunctions::StateMachine")} == {
        "trial-release"
    }


def _every_bucket_is_emptied_after_whatever_writes_there(made: Synthesized) -> None:
    emptied = {(stack, p["BucketName"]["Ref"]) for stack, _, p in made.resources("Custom::EmptiedBucket")}
    buckets = {(stack, logical) for stack, logical, _ in made.resources("AWS::S3::Bucket")}
    assert emptied == buckets
    for stack, logical in buckets:
        assert {"Key": "promptlane-trial", "Value": "true"} in made.templates[stack]["Resources"][logical][
            "Properties"
        ]["Tags"]
    audit = made.templates["audit"]["Resources"]
    by_type = {r["Type"]: r for r in audit.values() if r["Type"] != "Custom::EmptiedBucket"}
    emptiers = {logical for logical, r in audit.items() if r["Type"] == "Custom::EmptiedBucket"}
    for writer in ("AWS::CloudTrail::Trail", "Custom::ModelInvocationLogging"):
        assert emptiers <= set(by_type[writer]["DependsOn"])
    for logical in emptiers:  # CloudFormation takes the function's rights away only when it has emptied
        assert any("PolicyDocument" in audit[d].get("Properties", {}) for d in audit[logical]["DependsOn"])


def _whoever_empties_may_do_what_it_does_to_these_buckets_alone(made: Synthesized) -> None:
    for stack, _, function in made.resources("AWS::Lambda::Function"):
        if not function["Handler"].startswith("functions.empty_buckets."):
            continue
        statements = [s for s in made.grants(function["Role"]["Fn::GetAtt"][0]) if s.get("Sid") in EMPTYING]
        assert {action for s in statements for action in listed(s["Action"])} == needed("empty_buckets"), stack
        buckets = {logical for holder, logical, _ in made.resources("AWS::S3::Bucket") if holder == stack}
        named = {name for name in buckets for s in statements if name in text(s["Resource"])}
        assert named == buckets
        assert all(resource != "*" for s in statements for resource in listed(s["Resource"]))


def test_every_enrolled_prompt_points_at_the_policy_and_suite_that_were_deployed(
    synthesized: Synthesized, config: DeploymentConfig
) -> None:
    projects = load(config.prompts_dir)
    assert projects
    for project in projects:
        stack = prompt_stack_name("promptlane", project.name)
        _, _, value = synthesized.one(RESOURCE_TYPE, f"{stack}/")
        assert value["Name"] == project.name
        assets = json.loads((synthesized.directory / f"{stack}.assets.json").read_text())["files"]
        for part in ("Policy", "Suite"):
            key = Rendered(synthesized).value(stack.removeprefix("promptlane-"), value[part]["uri"]).rsplit("/", 1)[-1]
            (asset,) = [a for a in assets.values() if any(d["objectKey"] == key for d in a["destinations"].values())]
            content = (synthesized.directory / asset["source"]["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == value[part]["sha256"]
            if part == "Policy":
                assert Policy.from_dict(json.loads(content)) == project.policy


def test_a_policy_with_mistakes_stops_the_synth_with_file_and_line(tmp_path: Path, config: DeploymentConfig) -> None:
    source = next(p.parent for p in sorted(config.prompts_dir.glob("*/release.yaml")))
    copy = tmp_path / "prompts" / source.name
    copy.mkdir(parents=True)
    for file in source.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    lines = (copy / "release.yaml").read_text().splitlines()
    (copy / "release.yaml").write_text("\n".join([*lines, "colour: blue", ""]))
    with pytest.raises(ProjectInvalid) as caught:
        add_stacks(App(outdir=str(tmp_path / "out")), config=DeploymentConfig(prompts_dir=tmp_path / "prompts"))
    assert f"release.yaml:{len(lines) + 1}:1" in str(caught.value)
    assert "colour" in str(caught.value)


def test_sessions_of_one_shared_role_are_no_two_reviewers(tmp_path: Path, config: DeploymentConfig) -> None:
    """Whoever may take on the role chooses the session's name: one person could approve as two."""
    copy = tmp_path / "prompts" / "support-assistant"
    shutil.copytree(config.prompts_dir / "support-assistant", copy)
    shutil.copy(config.reviewers, tmp_path)
    session = "arn:aws:sts::123456789012:assumed-role/promptlane-access-ReviewerRoleA1B2-C3/bob"
    reviewers = tmp_path / "reviewers.yaml"
    people = reviewers.read_text()
    named = people.replace("legal-desk: {", f'legal-desk: {{principals: ["{session}"], ')
    assert named != people
    reviewers.write_text(named)
    with pytest.raises(ConfigError, match=r"reviewer 'legal-desk' is named by .*ReviewerRoleA1B2-C3/bob"):
        add_stacks(App(outdir=str(tmp_path / "out")), config=DeploymentConfig(prompts_dir=tmp_path / "prompts"))

    elsewhere = session.replace("promptlane-access-", "AWSReservedSSO_")
    reviewers.write_text(named.replace(session, elsewhere))
    add_stacks(App(outdir=str(tmp_path / "fine")), config=DeploymentConfig(prompts_dir=tmp_path / "prompts"))


def test_a_policy_below_the_platform_floor_stops_the_synth_by_file_and_field(
    tmp_path: Path, config: DeploymentConfig
) -> None:
    floor = Floor.from_dict({"review": {"quorum": 20}, "watch": {"for": "9d"}})
    with pytest.raises(ConfigError) as stopped:
        add_stacks(App(outdir=str(tmp_path / "out")), config=replace(config, floor=floor))
    said = str(stopped.value)
    assert "support-assistant: review.quorum is" in said
    assert "the platform floor asks for at least 20: raise it" in said
    assert said.count("watch.for is") == len(load(config.prompts_dir))


@pytest.mark.parametrize(("expires", "late", "stops"), [("15m", 900, True), ("901s", 900, False), ("15m", 899, False)])
def test_a_review_that_would_expire_before_it_can_be_approved_is_no_policy(
    tmp_path: Path, config: DeploymentConfig, expires: str, late: int, stops: bool
) -> None:
    copy = tmp_path / "prompts" / "support-assistant"
    shutil.copytree(config.prompts_dir / "support-assistant", copy)
    shutil.copy(config.reviewers, tmp_path)
    policy = (copy / "release.yaml").read_text()
    short = policy.replace("expires_after: 2d", f"expires_after: {expires}").replace("before: 6h", "before: 1m")
    assert "1m" in short
    (copy / "release.yaml").write_text(short)
    found = too_short(load(tmp_path / "prompts")[0].policy, late)
    assert bool(found) is stops
    if stops:
        of = DeploymentConfig(prompts_dir=tmp_path / "prompts", trail_late_seconds=late)
        with pytest.raises(ConfigError) as stopped:
            add_stacks(App(outdir=str(tmp_path / "out")), config=of)
        said = str(stopped.value)
        for part in ("support-assistant/release.yaml: review.expires_after is 900 s", "before 900 s", "above 900 s"):
            assert part in said


def test_synth_warns_of_a_suite_that_is_too_small_for_its_margin(config: DeploymentConfig) -> None:
    project, stack = load(config.prompts_dir)[0], Stack(App(), "Small")
    small = replace(project, suite=replace(project.suite, cases=project.suite.cases[:8]))
    Enrolment(stack, "Enrolment", project=small, policy=small.policy, platform=Platform())
    warned = Match.string_like_regexp(f"{project.name}/suite.yaml: 8 cases can never prove a margin")
    Annotations.from_stack(stack).has_warning("/Small/Enrolment", warned)


def test_alarms_that_cost_more_than_allowed_stop_the_synth(tmp_path: Path, config: DeploymentConfig) -> None:
    with pytest.raises(ConfigError, match="budget_usd_per_prompt"):
        synthesize(DeploymentConfig(prompts_dir=config.prompts_dir, budget_usd_per_prompt=0.01), tmp_path)


def test_the_cli_finds_every_stack_by_its_record(synthesized: Synthesized) -> None:
    recorded = {}
    for stack, _, parameter in synthesized.resources("AWS::SSM::Parameter"):
        if "/resources/" in parameter["Name"]:
            recorded[parameter["Name"].rsplit("/", 1)[1]] = text(parameter["Value"])
            assert parameter["Name"] == f"/promptlane/resources/{stack}"
    for stack, names in {
        "state": "route_table release_table feedback_table report_bucket event_bus notices_topic receipt_key",
        "pipeline": "intake_queue_url state_machine_arn operations_url reviews_url roll_back_console",
        "runtime": "gateway_url application_policy metric_resolution",
    }.items():
        assert all(name in recorded[stack] for name in names.split())
