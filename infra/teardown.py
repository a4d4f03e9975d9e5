"""`make destroy`: what must happen in an account before `cdk destroy --all` can delete every stack.

CloudFormation waits for a state machine's executions, which may take weeks, and deletes no policy that is attached
elsewhere and no stack of a team's own app. So: name what others must take back first; take no more versions in; end
every release under way, which sends its prompt to its safe route; say what stays.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3

from promptlane.domain.keys import ENROLMENT, ENROLMENTS, PROMPT
from promptlane.domain.names import parse_release_id

Json = Any
SETTLED_WITHIN = 180.0
"""Seconds for the releases that were stopped to end."""


class CannotDestroy(Exception):
    """Something must be done by hand first; the message lists all of it."""


@dataclass(frozen=True, kw_only=True)
class Teardown:
    """`client` makes a boto3 client of a service. `say` gets a line for whatever was done."""

    name: str
    client: Callable[[str], Any]
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> None:
        """Raises CannotDestroy before it changed anything, or when a release did not end."""
        resources = self._resources()
        # A policy may be both attached to somebody and their boundary.
        if held := list(dict.fromkeys([*self._foreign_stacks(resources), *self._attached(resources)])):
            raise CannotDestroy("\n".join([f"{self.name} cannot be deleted yet:", *(f"  - {one}" for one in held)]))
        if "state_machine_arn" in resources:
            self._take_no_more(resources)
            self._end_releases(resources)
        self._say_what_stays(resources)

    def _resources(self) -> dict[str, str]:
        found: dict[str, str] = {}
        pages = self.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=f"/{self.name}/resources")
        for page in pages:
            for parameter in page["Parameters"]:
                found |= json.loads(parameter["Value"])
        return found

    def _foreign_stacks(self, resources: dict[str, str]) -> Iterator[str]:
        """Their prompts are enrolled by a function that goes with this deployment: they cannot be deleted after it."""
        if "release_table" not in resources:
            return
        # `cdk destroy --all` deletes those of our own app, whose names begin with the deployment's.
        foreign = {stack for stack in self._stacks() if not _name_of(stack).startswith(f"{self.name}-")}
        for prompt in self._items(resources, ENROLMENTS):
            for enrolment in self._items(resources, f"{ENROLMENT}{prompt['sk']['S']}"):
                owner = enrolment.get("owner", {}).get("S", "")
                if enrolment["sk"]["S"] == "current" and owner in foreign:
                    yield f"destroy the stack {_name_of(owner)} first, in its own app: it enrols {prompt['sk']['S']}"

    def _stacks(self) -> Iterator[str]:
        for page in self.client("cloudformation").get_paginator("describe_stacks").paginate():
            yield from (str(stack["StackId"]) for stack in page["Stacks"])

    def _items(self, resources: dict[str, str], pk: str) -> Iterator[dict[str, Json]]:
        pages = (
            self.client("dynamodb")
            .get_paginator("query")
            .paginate(
                TableName=resources["release_table"],
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": pk}},
                ConsistentRead=True,
            )
        )
        for page in pages:
            yield from page["Items"]

    def _attached(self, resources: dict[str, str]) -> Iterator[str]:
        """IAM deletes no policy that anything but our own roles has."""
        iam = self.client("iam")
        for arn in sorted(value for key, value in resources.items() if key.endswith("_policy")):
            for usage in ("PermissionsPolicy", "PermissionsBoundary"):
                pages = iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn, PolicyUsageFilter=usage)
                for page in pages:
                    for kind in ("Role", "User", "Group"):
                        for entity in page.get(f"Policy{kind}s", []):
                            name = entity[f"{kind}Name"]
                            if not (kind == "Role" and name.startswith(f"{self.name}-access-")):
                                yield f"detach {arn} from the {kind.lower()} {name}"

    def _take_no_more(self, resources: dict[str, str]) -> None:
        """Published versions stay in the queue; what waits for a release that ends does too."""
        functions = self.client("lambda")
        intake = resources["intake_function"]
        for page in functions.get_paginator("list_event_source_mappings").paginate(FunctionName=intake):
            for mapping in page["EventSourceMappings"]:
                functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        deadline = self.clock() + SETTLED_WITHIN
        while self.clock() < deadline:
            page = functions.list_event_source_mappings(FunctionName=intake)
            if all(mapping["State"] == "Disabled" for mapping in page["EventSourceMappings"]):
                self.say("no more versions are taken in")
                return
            self.sleep(2)
        raise CannotDestroy(f"the event source mapping of {intake} is not disabled yet: try again")

    def _end_releases(self, resources: dict[str, str]) -> None:
        states, machine = self.client("stepfunctions"), resources["state_machine_arn"]
        stopped = []
        for page in states.get_paginator("list_executions").paginate(stateMachineArn=machine, statusFilter="RUNNING"):
            for execution in page["executions"]:
                states.stop_execution(
                    executionArn=execution["executionArn"], cause=f"the deployment {self.name} is being removed"
                )
                stopped.append(str(execution["name"]))
        deadline = self.clock() + SETTLED_WITHIN
        left = stopped
        while left := [release for release in left if not self._ended(resources, release)]:
            if self.clock() > deadline:
                raise CannotDestroy(
                    f"these releases were stopped and have not ended: {', '.join(left)}. Look at the log of "
                    f"{resources['wind_up_function']}, or try again"
                )
            self.sleep(2)
        for release in stopped:
            self.say(f"release {release} ended; its prompt is on its safe route")

    def _ended(self, resources: dict[str, str], release: str) -> bool:
        prompt_id, version, attempt = parse_release_id(release)
        key = {"pk": {"S": f"{PROMPT}{prompt_id}"}, "sk": {"S": f"release#{version:05d}#{attempt:03d}"}}
        item = self.client("dynamodb").get_item(TableName=resources["release_table"], Key=key, ConsistentRead=True)
        return bool(item.get("Item", {}).get("state", {}).get("S") == "ended")

    def _say_what_stays(self, resources: dict[str, str]) -> None:
        protected = [
            resources[t] for t in ("route_table", "release_table") if t in resources and self._kept(resources[t])
        ]
        if not protected:
            self.say("this is a trial: nothing of it stays but keys, which KMS deletes after 7 days")
            return
        days = resources.get("audit_retention_days", "365")
        self.say(
            f"what stays: the tables {', '.join(protected)}, buckets, keys, topics and logs. The objects of "
            f"{resources.get('audit_bucket', 'the audit bucket')} can be deleted by nobody within {days} days after "
            "each was written. A new deployment makes its own beside them"
        )

    def _kept(self, table: str) -> bool:
        found = self.client("dynamodb").describe_table(TableName=table)["Table"]
        return bool(found.get("DeletionProtectionEnabled"))


def _name_of(stack: str) -> str:
    """arn:…:stack/<name>/<id>"""
    return stack.split("/")[1]


def main(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "promptlane"
    session = boto3.Session()
    try:
        Teardown(name=name, client=session.client, say=lambda line: print(line, flush=True)).run()
    except CannotDestroy as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
