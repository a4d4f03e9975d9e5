"""The adapters of an investigation against the embedded AWS: the same calls and queries as on AWS."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from promptlane.aws.alarm_history import CloudWatchAlarmHistory
from promptlane.aws.audit_copies import AuditCopies
from promptlane.aws.invocation_log import InsightsLog
from promptlane.aws.metrics import CloudWatchCounts
from promptlane.aws.model_logging import BedrockLogging, ParameterMemory
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.trail import CloudTrailHistory
from promptlane.aws.trail_files import TrailFiles
from promptlane.domain.errors import InvalidInput, Unavailable
from promptlane.domain.investigation.queries import SAVED
from promptlane.domain.investigation.sources import LoggingState
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.timeline import Event, TimelineEntry, compare_copies
from promptlane.domain.trail import CALL_EVENTS, CONTROL_EVENTS, OBSERVATION_EVENTS, Window
from promptlane.fakes import InMemoryReleases
from promptlane.lifecycle.model_logging import switch_back, switch_on
from tests.support.investigation_case import SORRY, record
from tests.support.prompt import ID, RELEASE

Client = Callable[[str], Any]
GROUP = "/promptlane/invocations"
PROFILE = "arn:aws:bedrock:us-east-1:111122223333:inference-profile/"


@pytest.fixture
def window() -> Window:
    return Window(time.time() - 3600, time.time() + 5)


@pytest.fixture
def log(client: Client) -> InsightsLog:
    """Records of versions 1 and 2, one without metadata, one cut short, one with its body in S3."""
    logs, s3, bedrock = client("logs"), client("s3"), client("bedrock")
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName="s")
    bedrock.put_model_invocation_logging_configuration(
        loggingConfig={"cloudWatchConfig": {"logGroupName": GROUP, "roleArn": "arn:aws:iam::111122223333:role/x"}}
    )
    bucket = "bodies-" + str(time.time_ns())
    s3.create_bucket(Bucket=bucket)
    now = time.time() - 60
    now -= max(0.0, now % 300 - 280)  # all records within one of the five minutes that saved queries count by
    large = record(2, now, "A very long question", SORRY)
    body = large["output"].pop("outputBodyJson")
    large["output"]["outputBodyS3Path"] = f"s3://{bucket}/data/large.json.gz"
    s3.put_object(Bucket=bucket, Key="data/large.json.gz", Body=gzip.compress(json.dumps(body).encode()))
    lost = record(2, now, "A lost question", SORRY)
    lost["output"] = {"outputBodyS3Path": f"s3://{bucket}/data/none.json.gz"}
    direct = record(1, now, "Direct", "Yes.", requestMetadata=None)
    by_profile = record(1, now, "Direct", "Yes.", requestMetadata=None, modelId=f"{PROFILE}us.amazon.nova-pro-v1:0")
    tested = record(1, now, "A test", "Yes.", requestMetadata={"purpose": "promptlane test"})
    cached = record(1, now, "Question 0", "Here is how.")
    cached["input"] |= {"cacheReadInputTokenCount": 80, "cacheWriteInputTokenCount": 40}
    messages = [
        json.dumps(cached),
        *(json.dumps(record(1, now + k, f"Question {k}", "Here is how.")) for k in range(1, 5)),
        json.dumps(record(2, now, "Where is it?", SORRY)),
        json.dumps(large),
        json.dumps(lost),
        json.dumps(direct),
        json.dumps(by_profile),
        json.dumps(tested),
        json.dumps(record(2, now, "cut", "x"))[:-30],
    ]
    events = [{"timestamp": int((now + k) * 1000), "message": m} for k, m in enumerate(messages)]
    logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=events)
    return InsightsLog(bedrock=bedrock, logs=logs, s3=s3)


def test_calls_are_counted_by_version_and_caller(log: InsightsLog, window: Window) -> None:
    found = log.calls("support-assistant", window)
    groups = {g.version: g for g in found if g.caller}

    assert {v: g.calls for v, g in groups.items()} == {"1": 5, "2": 3}
    assert [(g.version, g.calls) for g in found if not g.caller] == [("2", 1)]  # a record that is cut short is a call
    assert groups["1"].caller.endswith("assumed-role/App/i-1")
    assert (groups["1"].input_tokens, groups["1"].output_tokens, groups["1"].errors) == (100, 45, 0)
    assert window.since < groups["1"].first <= groups["1"].last < window.until


def test_calls_without_metadata_are_those_outside_and_tests_are_not(log: InsightsLog, window: Window) -> None:
    [group] = log.outside(["amazon.nova-lite-v1:0"], ID, window)

    assert (group.calls, group.model, group.version) == (1, "amazon.nova-lite-v1:0", "")
    assert log.outside(["amazon.nova-micro-v1:0"], ID, window) == []
    assert log.outside([], "", window) == []


@pytest.mark.parametrize("model", ["us.amazon.nova-pro-v1:0", f"{PROFILE}us.amazon.nova-pro-v1:0"])
def test_calls_of_an_inference_profile_are_found_by_its_id(log: InsightsLog, window: Window, model: str) -> None:
    assert [g.model for g in log.outside([model], ID, window)] == [f"{PROFILE}us.amazon.nova-pro-v1:0"]


def test_metadata_is_found_in_the_text_of_a_record_whatever_its_keys_order_and_spaces(
    log: InsightsLog, client: Client, window: Window
) -> None:
    """Logs Insights finds 200 fields of a record, and metadata may come after them."""
    odd = record(7, time.time() - 30, 'Say "prompt": "x", "version": "8"', "Yes.", identity=None)
    odd["requestMetadata"] = {"version": "7", "user": "a", "prompt": "support-assistant"}
    put = [{"timestamp": int(time.time() * 1000) - 30_000, "message": json.dumps(odd, separators=(",", ":"))}]
    client("logs").put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=put)

    [group] = [g for g in log.calls("support-assistant", window) if g.version == "7"]

    assert (group.calls, group.track, group.caller) == (1, "", "")
    assert len(log.sample("support-assistant", 7, window).invocations) == 1
    assert log.sample("support-assistant", 8, window).invocations == ()


def test_a_closer_look_finds_the_bad_answer_among_many_good_ones(
    log: InsightsLog, client: Client, window: Window
) -> None:
    now = time.time() - 30
    answers = [SORRY, *["Here is how."] * 30]
    puts = [json.dumps(record(5, now, "I am sorry, I cannot find it", answer)) for answer in answers]
    events = [{"timestamp": int(now * 1000) + k, "message": m} for k, m in enumerate(puts)]
    client("logs").put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=events)

    newest = log.sample("support-assistant", 5, window, most=10).invocations
    closer = log.sample("support-assistant", 5, window, most=10, suspicious=True).invocations

    assert not any(i.bad for i in newest)
    assert [i.answer for i in closer] == [SORRY]


def test_ten_thousand_records_are_counted_and_sampled_up_to_the_bound(
    log: InsightsLog, client: Client, window: Window
) -> None:
    now = int(time.time() * 1000) - 30_000
    messages = [json.dumps(record(6, time.time(), "Q", "A", requestId=str(k))) for k in range(10_000)]
    for first in range(0, 10_000, 1000):
        some = [{"timestamp": now + k, "message": m} for k, m in enumerate(messages[first : first + 1000], first)]
        client("logs").put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=some)

    assert next(g.calls for g in log.calls("support-assistant", window) if g.version == "6") == 10_000
    sampled = log.sample("support-assistant", 6, window).invocations
    assert len(sampled) == 400
    assert "9999" in {i.request_id for i in sampled}


def test_with_logging_off_a_known_group_still_tells_of_before(log: InsightsLog, client: Client, window: Window) -> None:
    client("bedrock").delete_model_invocation_logging_configuration()
    off = InsightsLog(bedrock=client("bedrock"), logs=client("logs"), s3=client("s3"), group=GROUP)

    assert off.state() == LoggingState(False, GROUP)
    assert {g.version for g in off.calls("support-assistant", window)} == {"1", "2"}
    assert log.calls("support-assistant", window) == []


def test_a_failed_query_is_an_error_and_not_an_empty_answer(log: InsightsLog, client: Client, window: Window) -> None:
    class Failing(_Slow):
        def get_query_results(self, **_: Any) -> dict[str, Any]:
            return {"status": "Failed", "results": []}

    failing = InsightsLog(bedrock=client("bedrock"), logs=Failing(), s3=client("s3"))

    with pytest.raises(Unavailable, match="ended as Failed"):
        failing.calls("support-assistant", window)


def test_samples_fetch_large_bodies_and_count_what_is_lost(log: InsightsLog, window: Window) -> None:
    sampled = log.sample("support-assistant", 2, window)

    assert sampled.offloaded_lost == 1
    refused = [i for i in sampled.invocations if "Refusal" in i.bad]
    assert len(refused) == 2
    assert {i.has_text for i in sampled.invocations} == {True, False}


def test_an_empty_window_and_another_prompt_have_no_calls(log: InsightsLog, window: Window) -> None:
    assert log.calls("ticket-triage", window) == []
    assert log.calls("support-assistant", Window(window.until, window.until)) == []
    assert log.calls("support-assistant", Window(1000, 2000)) == []


@pytest.mark.parametrize("query", SAVED, ids=lambda q: q.name)
def test_saved_queries_run(log: InsightsLog, window: Window, query: Any) -> None:
    rows = log.query(query.text, window)

    assert rows, query.name


def test_saved_queries_answer_what_they_promise(log: InsightsLog, window: Window) -> None:
    by_name = {q.name: log.query(q.text, window) for q in SAVED}

    [refusals] = [r for r in by_name["Likely refusals by version"] if r["version"] == "2"]
    assert (refusals["calls"], refusals["refusals"]) == ("3", "1")
    assert float(refusals["percent"]) == pytest.approx(100 / 3)
    cost = {r["version"]: r for r in by_name["Cost by version"]}
    assert cost["1"]["calls"] == "5"
    assert float(cost["1"]["usd"]) == pytest.approx((100 + 40 + 80 / 4) / 1e6 * 0.06 + 45 / 1e6 * 0.24)
    assert float(cost["2"]["usd"]) > 0
    assert len(by_name["Requests outside the split"]) == 2
    who = by_name["Who invoked what"]
    assert sum(int(r["calls"]) for r in who if (r["prompt"], r["version"]) == ("-", "-")) == 3
    assert [r["calls"] for r in who if (r["prompt"], r["version"]) == ("support-assistant", "1")] == ["5"]


def test_without_a_configuration_logging_is_off(client: Client) -> None:
    log = InsightsLog(bedrock=client("bedrock"), logs=client("logs"), s3=client("s3"))

    assert log.state().on is False
    assert log.calls("support-assistant", Window(0, time.time())) == []


def test_a_hostile_prompt_name_is_refused_before_it_is_sent(log: InsightsLog, window: Window) -> None:
    with pytest.raises(InvalidInput):
        log.calls('x" or ispresent(modelId) | limit 1 #', window)


class _Slow:
    """A Logs client whose queries never end."""

    stopped = False

    def start_query(self, **_: Any) -> dict[str, str]:
        return {"queryId": "q"}

    def get_query_results(self, **_: Any) -> dict[str, Any]:
        return {"status": "Running", "results": []}

    def stop_query(self, **_: Any) -> None:
        self.stopped = True


def test_a_query_that_never_ends_is_given_up_and_stopped(log: InsightsLog, client: Client, window: Window) -> None:
    slow = _Slow()
    patient = InsightsLog(bedrock=client("bedrock"), logs=slow, s3=client("s3"), patience=3, sleep=lambda seconds: None)

    with pytest.raises(Unavailable, match="more than 3 s"):
        patient.calls("support-assistant", window)
    assert slow.stopped


def test_the_trail_tells_who_did_what_to_a_prompt(client: Client) -> None:
    prompts = BedrockPrompts(client("bedrock-agent"))
    began = time.time()
    draft = PromptDraft("support-assistant", "amazon.nova-lite-v1:0", ("question",), template="Answer {{question}}")
    prompt_id = prompts.write_draft(draft)
    prompts.write_draft(PromptDraft("other", "amazon.nova-lite-v1:0", (), template="Hi"))
    version = prompts.publish(prompt_id, description="first")
    runtime = client("bedrock-runtime")
    for arn in (version.arn, version.arn.rpartition(":")[0]):
        runtime.converse(modelId=arn, promptVariables={"question": {"text": "Hello?"}})
    runtime.converse(modelId="amazon.nova-lite-v1:0", messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    trail = CloudTrailHistory(client("cloudtrail"))
    window = Window(began, time.time() + 1)

    changes = trail.events(prompt_id, "support-assistant", names=(*CONTROL_EVENTS, *OBSERVATION_EVENTS), window=window)
    calls = trail.events(prompt_id, "support-assistant", names=CALL_EVENTS, window=window)

    assert {e.name for e in changes.events} == {"CreatePrompt", "CreatePromptVersion"}
    assert all(e.arn.startswith("arn:aws:iam::") for e in changes.events)
    assert sorted(e.version for e in calls.events) == [0, 1]
    assert trail.logging() == []
    assert trail.events(prompt_id, "support-assistant", names=("Converse",), window=window, most=1).truncated == (
        "Converse",
    )


def test_renderings_are_read_from_the_trails_own_files(client: Client, account: str, eventually: Any) -> None:
    bucket, began = f"audit-{account}", time.time() - 1
    client("s3").create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    trail = client("cloudtrail")
    trail.create_trail(Name="promptlane", S3BucketName=bucket)
    selectors = [
        {"Name": "all", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]},
        {
            "Name": "rendered",
            "FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.type", "Equals": ["AWS::Bedrock::PromptVersion"]},
            ],
        },
    ]
    trail.put_event_selectors(TrailName="promptlane", AdvancedEventSelectors=selectors)
    trail.start_logging(Name="promptlane")
    prompts, runtime = BedrockPrompts(client("bedrock-agent")), client("bedrock-runtime")
    draft = PromptDraft("support-assistant", "amazon.nova-lite-v1:0", (), template="Hello")
    prompt_id = prompts.write_draft(draft)
    version = prompts.publish(prompt_id, description="first")
    runtime.converse(modelId=version.arn)
    runtime.converse(modelId="amazon.nova-lite-v1:0", messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    files = TrailFiles(client("s3"), bucket, account, "us-east-1")
    window = Window(began, time.time() + 1)

    def told() -> Any:
        answer = files.events(prompt_id, window, models=["amazon.nova-lite-v1:0"])
        return answer if len(answer.events) >= 3 else None

    answer = eventually(told)

    assert sorted((e.name, e.version) for e in answer.events) == [("Converse", 0), ("Converse", 1), ("RenderPrompt", 1)]
    looked_up = CloudTrailHistory(trail).events(prompt_id, "support-assistant", names=CALL_EVENTS, window=window)
    assert {e.event_id for e in looked_up.events} < {e.event_id for e in answer.events}
    assert (answer.truncated, answer.lost, answer.unreadable) == ((), 0, 0)


def test_counts_by_version_come_as_cells(client: Client) -> None:
    cloudwatch = client("cloudwatch")
    minute = time.time() // 60 * 60 - 600
    for version, bad in ((1, 2), (2, 30)):
        cloudwatch.put_metric_data(
            Namespace="Promptlane",
            MetricData=[
                {
                    "MetricName": "Refusal",
                    "Timestamp": datetime.fromtimestamp(minute, UTC),
                    "Values": [0.0, 1.0],
                    "Counts": [100.0 - bad, float(bad)],
                    "Dimensions": [{"Name": "Prompt", "Value": "p"}, {"Name": "Version", "Value": str(version)}],
                }
            ],
        )

    cells = CloudWatchCounts(cloudwatch).cells(
        "p", versions=[1, 2, 3], metrics=["Refusal", "Error"], window=Window(minute - 600, minute + 600), seconds=60
    )

    assert [(c.at, c.version, c.metric, c.requests, c.bad) for c in cells] == [
        (minute, 1, "Refusal", 100, 2),
        (minute, 2, "Refusal", 100, 30),
    ]


def test_alarm_history_is_that_of_the_prompt(client: Client) -> None:
    cloudwatch = client("cloudwatch")
    for name in ("promptlane/p/stable/Refusal", "promptlane/other/stable/Refusal"):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="N",
            MetricName="M",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="too many")
    history = CloudWatchAlarmHistory(cloudwatch, "promptlane")

    changes = history.changes("p", Window(time.time() - 60, time.time() + 60))

    assert {c.alarm for c in changes} == {"promptlane/p/stable/Refusal"}
    assert "ALARM" in {c.new for c in changes}
    assert history.changes("p", Window(0, 1000)) == []


def test_the_history_of_a_deleted_alarm_is_found_too(client: Client) -> None:
    cloudwatch, name = client("cloudwatch"), "promptlane/p/canary/Error"
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="N",
        MetricName="M",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="too many")
    history, window = CloudWatchAlarmHistory(cloudwatch, "promptlane"), Window(time.time() - 60, time.time() + 60)
    before = history.changes("p", window)
    assert len(before) == len(set(before))
    cloudwatch.delete_alarms(AlarmNames=[name])

    assert "ALARM" in {c.new for c in history.changes("p", window) if c.alarm == name}


def test_copies_read_back_in_order_and_the_first_version_counts(client: Client) -> None:
    s3 = client("s3")
    bucket = f"audit-{time.time_ns()}"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    store = InMemoryReleases()
    for k in range(12):
        store.append(TimelineEntry(f"e{k}", "PROMPT0001-1-1", float(k), Event.CANARY_JUDGED))
    entries = store.timeline("PROMPT0001-1-1")
    copies = AuditCopies(s3, bucket)
    for entry in entries:
        copies.put(entry.to_dict())
    time.sleep(1.1)  # S3 dates versions by the second
    other = {**entries[3].to_dict(), "by": "somebody else"}
    assert copies.put(other) is False
    s3.put_object(Bucket=bucket, Key="timeline/PROMPT0001-1-1/000004.json", Body=json.dumps(other).encode())
    s3.delete_object(Bucket=bucket, Key="timeline/PROMPT0001-1-1/000005.json")

    assert [copy.entry for copy in copies.timeline("PROMPT0001-1-1")] == entries
    assert all(0 <= time.time() - copy.at < 600 for copy in copies.timeline("PROMPT0001-1-1"))
    assert copies.kept(ID) == {"PROMPT0001-1-1": set(range(1, 13))}
    assert compare_copies(entries, copies.timeline("PROMPT0001-1-1"), now=12.0).agree == 12
    assert copies.timeline(RELEASE) == []


def test_logging_is_set_up_and_taken_back_on_the_real_interface(client: Client) -> None:
    bedrock, logs = client("bedrock"), client("logs")
    logs.create_log_group(logGroupName=GROUP)
    switch, memory = BedrockLogging(bedrock), ParameterMemory(client("ssm"), "/promptlane/invocation-logging/found")
    wanted = {"cloudWatchConfig": {"logGroupName": GROUP, "roleArn": "arn:aws:iam::111122223333:role/x"}}

    assert switch.read() is None
    switch_on(switch, memory, wanted)
    assert (switch.read() or {})["cloudWatchConfig"]["logGroupName"] == GROUP
    switch_back(switch, memory)
    assert switch.read() is None
    assert memory.load() is None


def test_versions_can_be_deleted_once_and_prompts_never(client: Client) -> None:
    prompts = BedrockPrompts(client("bedrock-agent"))
    draft = PromptDraft("gone", "amazon.nova-lite-v1:0", (), template="Hi")
    prompt_id = prompts.write_draft(draft)
    prompts.publish(prompt_id, description="")
    prompts.publish(prompt_id, description="")

    prompts.delete(prompt_id, 1)
    prompts.delete(prompt_id, 1)

    assert prompts.versions(prompt_id) == [2]
    with pytest.raises(InvalidInput, match="never deleted"):
        prompts.delete(prompt_id, 0)
