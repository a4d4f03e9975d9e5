"""CloudTrail for Bedrock, which the emulator does not record.

Lacking in MiniStack: events of Bedrock calls in AWS's shape, EventBridge delivery, pages in LookupEvents, data events.
Here: other gaps call `record`; LookupEvents answers from what was recorded (and from MiniStack's own recording, if it
is switched on). As on AWS, LookupEvents knows management events only and needs no trail; events reach EventBridge
(source `aws.bedrock`, detail-type `AWS API Call via CloudTrail`), CloudWatch Logs and the trail's bucket only while a
trail is logging and selects them, and read-only events never reach EventBridge. Data events are in the bucket and in
CloudWatch Logs alone. Log files are gzipped JSON below `AWSLogs/<account>/CloudTrail/<region>/YYYY/MM/DD/`, named by
the minute of their delivery, as on AWS; digests of them are not made. EventBridge gets an event at once and the bucket
within seconds; on AWS both take minutes. Of a burst that outruns the bucket only the newest events are kept."""

from __future__ import annotations

import collections
import contextlib
import gzip
import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import cloudtrail, cloudwatch_logs, eventbridge

from local import seams
from local.gaps import callers, log_groups

KEPT = 100_000
FLUSH_SECONDS = 2.0
MOST_WAITING = 20_000
"""Events that may wait for one trail's bucket."""
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
PROMPT_EVENTS = "AWS::Bedrock::PromptVersion"
SENSITIVE = ("variants", "metadata", "inputVariables", "promptVariables")

_management = AccountRegionScopedDict()
_ok, _error = seams.replies(cloudtrail, "_ok"), seams.replies(cloudtrail, "_err")


class _Place(NamedTuple):
    """Where the log files of a trail go."""

    account: str
    region: str
    bucket: str
    prefix: str


_waiting: dict[_Place, collections.deque[str]] = {}
_lock = threading.Lock()


def install() -> None:
    seams.require(cloudtrail, "_trails", "_event_selectors", "_get_event_queue", "_visible_trail_items", "_DISPATCH")
    seams.require(cloudwatch_logs, "_log_groups")
    seams.require(eventbridge, "_ensure_default_bus", "_put_events")
    cloudtrail._DISPATCH["LookupEvents"] = look_up
    for action in ("CreateTrail", "UpdateTrail"):
        cloudtrail._DISPATCH[action] = _with_log_group(cloudtrail._DISPATCH[action])
    _refuse_unknown_data_events()
    seams.keep("management-events", _management)
    seams.ticker(FLUSH_SECONDS, flush, "cloudtrail-files")
    seams.keep("trail-files", _waiting)


def _refuse_unknown_data_events() -> None:
    """As in a Region whose CloudTrail knows no data events of prompts, where PROMPTLANE_LACKS says `prompt-events`:
    whoever selects them, the API or CloudFormation, gets none of what was selected."""

    @seams.replace(cloudtrail, "_put_event_selectors")
    def put(original: Any, body: dict[str, Any]) -> Any:
        lacking = "prompt-events" in os.environ.get("PROMPTLANE_LACKS", "")
        if lacking and PROMPT_EVENTS in json.dumps(body.get("AdvancedEventSelectors") or []):
            return _error(
                "InvalidEventSelectorsException", f"Value {PROMPT_EVENTS} for resources.type is invalid.", 400
            )
        return original(body)

    cloudtrail._DISPATCH["PutEventSelectors"] = cloudtrail._put_event_selectors


def _with_log_group(operation: Any) -> Any:
    """MiniStack forgets which log group a trail writes to."""

    def call(body: dict[str, Any]) -> seams.Response:
        reply: seams.Response = operation(body)
        if reply[0] == 200 and body.get("CloudWatchLogsLogGroupArn"):
            trail = cloudtrail._find_visible_trail(body["Name"])[2]
            for name in ("CloudWatchLogsLogGroupArn", "CloudWatchLogsRoleArn"):
                trail[name] = body.get(name, "")
        return reply

    return call


def record(
    name: str,
    *,
    identity: dict[str, Any],
    request: dict[str, Any] | None,
    response: dict[str, Any] | None = None,
    read_only: bool = False,
    error: tuple[str, str] | None = None,
    resources: list[dict[str, str]] | None = None,
    extra: dict[str, Any] | None = None,
    user_agent: str = "",
    data_event: bool = False,
) -> None:
    """Record one Bedrock API call; `error` is (code, message) of a call that failed."""
    if data_event and not selected("Data", read_only=read_only, resource_type=(resources or [{}])[0].get("type", "")):
        return
    account, region = seams.account(), seams.region()
    event: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "eventSource": "bedrock.amazonaws.com",
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": identity.get("invokedBy", "127.0.0.1"),
        "userAgent": identity.get("invokedBy") or user_agent,
        "requestParameters": _masked(request),
        "responseElements": _masked(response),
        "requestID": seams.new_uuid(),
        "eventID": seams.new_uuid(),
        "readOnly": read_only,
        "eventType": "AwsApiCall",
        "managementEvent": not data_event,
        "recipientAccountId": account,
        "eventCategory": "Data" if data_event else "Management",
    }
    if error:
        event |= {"errorCode": error[0], "errorMessage": error[1], "responseElements": None}
    if resources:
        event["resources"] = resources
    if extra:
        event["additionalEventData"] = extra
    if not data_event:
        _kept().append((time.time(), event))
    _deliver(event, read_only, data_event)


def _kept() -> collections.deque[tuple[float, dict[str, Any]]]:
    queue: collections.deque[tuple[float, dict[str, Any]]] | None = _management.get("events")
    if queue is None:
        queue = _management["events"] = collections.deque(maxlen=KEPT)
    return queue


def _masked(elements: dict[str, Any] | None) -> dict[str, Any] | None:
    """Fields that Bedrock's service model marks as sensitive are hidden in CloudTrail."""
    if elements is None:
        return None
    return {name: HIDDEN if name in SENSITIVE else value for name, value in elements.items()}


def _deliver(event: dict[str, Any], read_only: bool, data_event: bool) -> None:
    category = "Data" if data_event else "Management"
    resource_type = (event.get("resources") or [{}])[0].get("type", "")
    trails = [t for selectors, t in _logging_trails() if _any_selects(selectors, category, read_only, resource_type)]
    if not trails:
        return
    detail = json.dumps(event)
    if not read_only:
        eventbridge._ensure_default_bus()
        entry = {"Source": "aws.bedrock", "DetailType": "AWS API Call via CloudTrail", "Detail": detail}
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
    for trail in trails:
        if group := (trail.get("CloudWatchLogsLogGroupArn") or "").removesuffix(":*").partition(":log-group:")[2]:
            log_groups.write(group, f"{seams.account()}_CloudTrail_{seams.region()}", [detail])
        if bucket := trail.get("S3BucketName"):
            _later(_Place(seams.account(), seams.region(), bucket, trail.get("S3KeyPrefix") or ""), detail)


def _later(place: _Place, detail: str) -> None:
    with _lock:
        _waiting.setdefault(place, collections.deque(maxlen=MOST_WAITING)).append(detail)


def flush() -> None:
    """Write a log file for each place where events wait; what its bucket refuses is logged and lost."""
    with _lock:
        queued = dict(_waiting)
        _waiting.clear()
    for place, details in queued.items():
        with seams.scope(place.account, place.region):
            seams.logged(_put_file, place, details)


def _put_file(place: _Place, details: collections.deque[str]) -> None:
    body = gzip.compress(b'{"Records":[' + ",".join(details).encode() + b"]}")
    now = time.gmtime()
    folder = f"AWSLogs/{place.account}/CloudTrail/{place.region}/{time.strftime('%Y/%m/%d', now)}"
    unique = seams.new_uuid().replace("-", "")[:16]
    name = f"{place.account}_CloudTrail_{place.region}_{time.strftime('%Y%m%dT%H%MZ', now)}_{unique}.json.gz"
    key = f"{place.prefix.strip('/')}/{folder}/{name}".lstrip("/")
    s3 = seams.client("s3")
    with contextlib.suppress(s3.exceptions.ClientError):  # it has none
        if keeps_everybody_out(json.loads(s3.get_bucket_policy(Bucket=place.bucket)["Policy"])):
            return
    s3.put_object(Bucket=place.bucket, Key=key, Body=body, ContentType="application/json", ContentEncoding="gzip")


def keeps_everybody_out(policy: dict[str, Any]) -> bool:
    """Whether a bucket's policy denies everybody, whoever they are, to write. CloudTrail delivers nothing then."""
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and not statement.get("Condition")
        and "s3:PutObject" in str(statement.get("Action"))
        for statement in policy.get("Statement", [])
    )


def _logging_trails() -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
    found = []
    for home, name, trail in cloudtrail._visible_trail_items():
        if trail.get("IsLogging"):
            stored = cloudtrail._event_selectors.get_scoped(seams.account(), home, name)
            found.append((stored or cloudtrail._DEFAULT_EVENT_SELECTORS, trail))
    return found


def selected(category: str, *, read_only: bool, resource_type: str = "") -> bool:
    """Whether a trail that is logging asks for such events (basic or advanced event selectors)."""
    return any(_any_selects(selectors, category, read_only, resource_type) for selectors, _ in _logging_trails())


def _any_selects(selectors: list[dict[str, Any]], category: str, read_only: bool, resource_type: str) -> bool:
    return any(_selects(selector, category, read_only, resource_type) for selector in selectors)


def _selects(selector: dict[str, Any], category: str, read_only: bool, resource_type: str) -> bool:
    if "FieldSelectors" in selector:
        facts = {
            "eventCategory": category,
            "readOnly": str(read_only).lower(),
            "resources.type": resource_type,
            "eventSource": "bedrock.amazonaws.com",
        }
        return all(_field_matches(field, facts) for field in selector["FieldSelectors"])
    if selector.get("ReadWriteType", "All") not in ("All", "ReadOnly" if read_only else "WriteOnly"):
        return False
    if category == "Management":
        return str(selector.get("IncludeManagementEvents", True)).lower() == "true"
    return any(wanted.get("Type") == resource_type for wanted in selector.get("DataResources") or [])


def _field_matches(field: dict[str, Any], facts: dict[str, str]) -> bool:
    fact = facts.get(field.get("Field", ""))
    if fact is None:
        return True  # a field that our events do not carry, such as eventName: not narrowed here
    tests: dict[str, Callable[[list[str]], bool]] = {
        "Equals": lambda values: fact in values,
        "NotEquals": lambda values: fact not in values,
        "StartsWith": lambda values: fact.startswith(tuple(values)),
        "NotStartsWith": lambda values: not fact.startswith(tuple(values)),
        "EndsWith": lambda values: fact.endswith(tuple(values)),
        "NotEndsWith": lambda values: not fact.endswith(tuple(values)),
    }
    return all(test(field[operator]) for operator, test in tests.items() if field.get(operator))


def look_up(body: dict[str, Any]) -> seams.Response:
    """LookupEvents: newest first, one lookup attribute, pages of at most 50."""
    wanted = body.get("LookupAttributes") or []
    if len(wanted) > 1:
        return _error("InvalidLookupAttributesException", "You can only specify one lookup attribute.")
    size = min(int(body.get("MaxResults") or 50), 50)
    start, end = float(body.get("StartTime") or 0), float(body.get("EndTime") or 1e12)
    try:
        skip = int(body.get("NextToken") or 0)
    except ValueError:
        return _error("InvalidNextTokenException", f"Invalid token {body['NextToken']!r}.")
    own = (_summary(at, event) for at, event in list(_kept()) if start <= at <= end)
    stock = (e for e in list(cloudtrail._get_event_queue()) if start <= e["EventTime"] <= end)
    matching = [e for e in (*own, *stock) if all(_attribute_matches(e, attribute) for attribute in wanted)]
    matching.sort(key=lambda e: e["EventTime"], reverse=True)
    page = matching[skip : skip + size]
    for event in page:
        if isinstance(event["CloudTrailEvent"], dict):
            event["CloudTrailEvent"] = json.dumps(event["CloudTrailEvent"])
    more = {"NextToken": str(skip + size)} if skip + size < len(matching) else {}
    return _ok({"Events": page, **more})


def _summary(at: float, event: dict[str, Any]) -> dict[str, Any]:
    resources = [{"ResourceName": r["ARN"], "ResourceType": r["type"]} for r in event.get("resources") or []]
    identifier = (event.get("requestParameters") or {}).get("promptIdentifier")
    if identifier:
        resources.append({"ResourceName": identifier, "ResourceType": "AWS::Bedrock::Prompt"})
    return {
        "EventId": event["eventID"],
        "EventName": event["eventName"],
        "EventSource": event["eventSource"],
        "EventTime": at,
        "Username": callers.user_name(event["userIdentity"]),
        "AccessKeyId": event["userIdentity"].get("accessKeyId", ""),
        "ReadOnly": str(event["readOnly"]).lower(),
        "Resources": resources,
        "CloudTrailEvent": event,
    }


def _attribute_matches(event: dict[str, Any], attribute: dict[str, str]) -> bool:
    key, value = attribute.get("AttributeKey"), attribute.get("AttributeValue")
    if key in ("ResourceName", "ResourceType"):
        return any(resource.get(key) == value for resource in event.get("Resources", []))
    return bool(key and event.get(key, "") == value)
