"""Makes every call of the matrix under every role, with IAM enforced, and notes what was let through."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, ParamValidationError

from local.access.calls import ROLES, ROWS, Row, Target
from local.running import EmbeddedAws

Json = Any
Observed = Literal["allowed", "denied"]
_DENIED = (
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AccessDeniedByResourcePolicy",
    "403",
    "UnauthorizedOperation",
    "Forbidden",
    "AuthorizationErrorException",
)


class Forbidden(Exception):
    """An API answered 403 to a signed request."""


@dataclass(frozen=True)
class Finding:
    """One cell of the matrix."""

    role: str
    row: Row
    observed: Observed

    @property
    def expected(self) -> Observed:
        return "allowed" if self.role in self.row.may else "denied"

    def to_dict(self) -> dict[str, str]:
        return {
            "role": self.role,
            "action": f"{self.row.action} ({self.row.says})",
            "expected": self.expected,
            "observed": self.observed,
        }


class Caller:
    """Somebody who took on a role."""

    def __init__(self, aws: EmbeddedAws, role_arn: str) -> None:
        answer = aws.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="access-proof")["Credentials"]
        self._credentials = {
            "aws_access_key_id": answer["AccessKeyId"],
            "aws_secret_access_key": answer["SecretAccessKey"],
            "aws_session_token": answer["SessionToken"],
        }
        self._aws = aws
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._aws.client(service, **self._credentials)
        return self._clients[service]

    def post(self, url: str, body: Json) -> int:
        """The HTTP status of a signed POST; Forbidden when the API refuses the identity."""
        session = boto3.Session(region_name="us-east-1", **self._credentials)
        request = AWSRequest("POST", url, data=json.dumps(body).encode(), headers={"content-type": "application/json"})
        SigV4Auth(session.get_credentials().get_frozen_credentials(), "execute-api", "us-east-1").add_auth(request)
        sent = urllib.request.Request(url, data=request.data, headers=dict(request.headers), method="POST")
        try:
            with urllib.request.urlopen(sent, timeout=30) as answered:
                return int(answered.status)
        except urllib.error.HTTPError as answer:
            with answer:
                said = answer.read()
            # Our own functions say why in `title`; API Gateway's refusal has nothing but a message.
            if answer.code in (401, 403) and b'"title"' not in said:
                raise Forbidden(url) from None
            return answer.code


def prove(aws: EmbeddedAws, target: Target, rows: Sequence[Row] = ROWS) -> Iterator[Finding]:
    """Every role and row. A call that fails for another reason than permission was let through."""
    for role in ROLES:
        caller = Caller(aws, target.resources[f"{role}_role"])
        for row in rows:
            yield Finding(role, row, observe(caller, target, row))


def observe(caller: Caller, target: Target, row: Row) -> Observed:
    try:
        row.call(caller, target)
    except Forbidden:
        return "denied"
    except ParamValidationError:
        raise  # never sent: the call itself is wrong, and shows nothing
    except ClientError as error:
        said = error.response.get("Error", {})
        if said.get("Code") in _DENIED or "not authorized to perform" in str(said.get("Message")):
            return "denied"
    return "allowed"


def prepare(aws: EmbeddedAws, resources: dict[str, Json], name: str = "access-subject") -> Target:
    """An enrolled prompt and another one, with one version each, made as root; and a task that waits for its answer.

    The tags are those that `admit` puts on the versions that it lets in, and on their prompts.
    """
    agent = aws.client("bedrock-agent")
    enrolled, draft = _published(agent, name)
    other, _ = _published(agent, f"{name}-other")
    for arn in (enrolled, enrolled.rpartition(":")[0]):
        agent.tag_resource(resourceArn=arn, tags={"promptlane:enrolled": "promptlane"})
    mailer = aws.client("lambda").get_function_configuration(FunctionName=resources["request_review_function"])
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix="promptlane-pipeline-Relay")["logGroups"]
    records = aws.client("ssm").get_parameters_by_path(Path="/promptlane/reviewers")["Parameters"]
    reviewer = json.loads(records[0]["Value"])
    found = {
        "draft": draft,
        "reviewer_topic": reviewer["topic"],
        "reviewer_email": reviewer["email"],
        "task_token": "no-such-token",
        "review_key": mailer["Environment"]["Variables"]["REVIEW_KEY_ID"],
        "relay_log_group": groups[0]["logGroupName"],
    }
    return Target(enrolled, other, {**resources, **found})


def _published(agent: Any, name: str) -> tuple[str, Json]:
    """(ARN of the first version, draft) of a new prompt."""
    variant = {
        "name": "default",
        "modelId": "amazon.nova-lite-v1:0",
        "templateType": "TEXT",
        "templateConfiguration": {"text": {"text": "Answer. {{question}}", "inputVariables": [{"name": "question"}]}},
    }
    draft = {"name": name, "variants": [variant], "defaultVariant": "default"}
    made = agent.create_prompt(**draft)
    version = agent.create_prompt_version(promptIdentifier=made["id"])
    return version["arn"] if version["arn"].endswith(":1") else f"{version['arn']}:1", draft


def table(findings: Sequence[Finding]) -> str:
    """The matrix as Markdown: rows are actions, columns roles."""
    cells = {(f.role, id(f.row)): f for f in findings}
    lines = [f"| what | action | {' | '.join(ROLES)} |", "|---|---|" + "---|" * len(ROLES)]
    for row in ROWS:
        found = [cells[role, id(row)] for role in ROLES]
        shown = [
            ("yes" if f.observed == "allowed" else "no") + ("" if f.observed == f.expected else " **?**") for f in found
        ]
        lines.append(f"| {row.says} | `{row.action}` | {' | '.join(shown)} |")
    return "\n".join(lines)
