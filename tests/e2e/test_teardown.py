"""A deployment that failed, or was removed, can be repeated: `make teardown`, since it deploys three times."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.teardown import CannotDestroy, Teardown
from local import deploy
from local.demo import mailbox
from local.demo.mailbox import Mailbox
from local.running import EmbeddedAws
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.lifecycle.render_events import LEFT_OUT
from tests.support.deployment import POLICY, SETTINGS, STEPS, SUITE, draft

pytestmark = pytest.mark.skipif(not os.environ.get("PROMPTLANE_TEARDOWN"), reason="make teardown")
Json = Any
TRUST = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}


class Account:
    """An embedded AWS, and one prompt to deploy there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.aws = EmbeddedAws(home=home, auth=True, variables={"PROMPTLANE_LACKS": "prompt-events"})
        folder = home / "prompts" / "e2e-canary"
        folder.mkdir(parents=True)
        content = draft("canary")
        (folder / "prompt.yaml").write_text(
            json.dumps(
                {
                    "name": content.name,
                    "model": content.model,
                    "template": content.template,
                    "variables": list(content.variables),
                }
            )
        )
        (folder / "release.yaml").write_text(POLICY.format(role="canary", expires="1d", concurrency=10, steps=STEPS))
        (folder / "suite.yaml").write_text(SUITE)

    def client(self, service: str) -> Any:
        return self.aws.client(service)

    def context(self, trial: bool) -> dict[str, Json]:
        prompts = {
            "promptlane:prompts_dir": str(self.home / "prompts"),
            "promptlane:applications": {"shop": ["e2e-canary"]},
        }
        return {**SETTINGS, **prompts, "promptlane:trial": str(trial).lower()}

    def deploy(self, *, trial: bool, bootstrap: bool = False) -> dict[str, dict[str, str]]:
        outputs = self.home / "outputs.json"
        return deploy.deploy(self.aws.env(), self.context(trial), outputs=outputs, bootstrap=bootstrap)

    def destroy(self, *, trial: bool) -> None:
        deploy.destroy(self.aws.env(), self.context(trial), assembly=self.home / "destroyed")

    def teardown(self, said: list[str]) -> None:
        Teardown(name="promptlane", client=self.client, say=said.append).run()

    def left(self) -> dict[str, list[str]]:
        """What there is of a deployment, by kind."""
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        groups = self.client("logs").describe_log_groups()["logGroups"]
        found = {
            "stacks": [s["StackName"] for s in stacks if s["StackStatus"] != "DELETE_COMPLETE"],
            "tables": self.client("dynamodb").list_tables()["TableNames"],
            "buckets": [b["Name"] for b in self.client("s3").list_buckets()["Buckets"]],
            "log groups": [g["logGroupName"] for g in groups],
            "topics": [t["TopicArn"].rpartition(":")[2] for t in self.client("sns").list_topics()["Topics"]],
            "buses": [b["Name"] for b in self.client("events").list_event_buses()["EventBuses"]],
            "machines": [m["name"] for m in self.client("stepfunctions").list_state_machines()["stateMachines"]],
        }
        return {kind: sorted(n for n in names if "promptlane" in n) for kind, names in found.items()}

    def selected(self) -> dict[str, list[Json]]:
        """What each trail records."""
        trails = self.client("cloudtrail")
        names = [trail["Name"] for trail in trails.describe_trails()["trailList"]]
        return {name: trails.get_event_selectors(TrailName=name)["AdvancedEventSelectors"] for name in names}

    def confirm(self) -> None:
        mailbox.confirm(self.client("sns"), Mailbox(self.home / "mail").confirmations())

    def under_review(self, text: str) -> str:
        """A release that waits for people, as it may for days."""
        prompts = BedrockPrompts(self.client("bedrock-agent"))
        version = prompts.publish(prompts.write_draft(draft("canary", text)), description="for a test")
        release = f"{version.prompt_id}-{version.version}-1"
        mail = Mailbox(self.home / "mail")
        deadline = time.monotonic() + 120
        while not mail.invitations(release):
            assert time.monotonic() < deadline, f"{release} did not get under review"
            time.sleep(0.5)
        return release

    def alarm_to_roll_back(self, outputs: dict[str, dict[str, str]]) -> float:
        """Seconds from an alarm until `roll_back` ran, while strangers ask for review pages as fast as they can.

        The embedded AWS throttles no API, so that all ten executions of the account are taken all the time.
        """
        page = f"{outputs['promptlane-pipeline']['ReviewsUrl']}/review/{'x' * 10}-1-1?code=1"
        config = self.client("lambda").get_function_configuration(
            FunctionName=outputs["promptlane-pipeline"]["RollBackFunction"]
        )
        group, over = config["LoggingConfig"]["LogGroup"], threading.Event()

        def flood() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(page, timeout=30).read()

        strangers = [threading.Thread(target=flood, daemon=True) for _ in range(20)]
        for stranger in strangers:
            stranger.start()
        time.sleep(8)
        began = time.time()
        alarm = {"AlarmName": "promptlane/e2e-canary/canary/Error", "NewStateValue": "ALARM", "NewStateReason": "test"}
        self.client("sns").publish(TopicArn=outputs["promptlane-state"]["AlarmsTopic"], Message=json.dumps(alarm))
        logs = self.client("logs")
        try:
            while not logs.filter_log_events(logGroupName=group, startTime=int(began * 1000))["events"]:
                assert time.time() < began + 60, "a flood of review pages kept roll_back from running"
                time.sleep(0.2)
            return time.time() - began
        finally:
            over.set()
            for stranger in strangers:
                stranger.join(timeout=40)

    def releases(self, table: str) -> DynamoReleases:
        return DynamoReleases(self.aws.session().resource("dynamodb", endpoint_url=self.aws.url).Table(table))


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    made = Account(tmp_path_factory.mktemp("teardown"))
    made.aws.start()
    try:
        yield made
    finally:
        made.aws.stop()


def test_whatever_became_of_a_deployment_it_can_be_repeated(account: Account) -> None:
    # A create that fails halfway can simply be tried again, in a deployment that keeps what it has.
    ssm = account.client("ssm")
    ssm.put_parameter(Name="/promptlane/resources/pipeline", Type="String", Value='"in the way"')
    with pytest.raises(deploy.CannotDeploy):
        account.deploy(trial=False, bootstrap=True)
    ssm.delete_parameter(Name="/promptlane/resources/pipeline")
    first = account.deploy(trial=False)
    # One thing that the Region lacks is left out, and said.
    assert first["promptlane-audit"]["RenderEvents"] == LEFT_OUT
    ((_, selectors),) = account.selected().items()
    assert [s["Name"] for s in selectors] == ["Management events"]

    # A release under way, and a policy that somebody attached elsewhere.
    account.confirm()
    release = account.under_review("once")
    iam, policy = account.client("iam"), first["promptlane-runtime"]["ApplicationPolicy"]
    iam.create_role(RoleName="shop", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.attach_role_policy(RoleName="shop", PolicyArn=policy)
    with pytest.raises(CannotDestroy, match=f"detach {policy} from the role shop"):
        account.teardown([])
    iam.detach_role_policy(RoleName="shop", PolicyArn=policy)
    said: list[str] = []
    account.teardown(said)
    assert f"release {release} ended; its prompt is on its safe route" in said
    assert any("can be deleted by nobody within 365 days" in line for line in said)
    ended = account.releases(first["promptlane-state"]["ReleaseTable"]).get(release)
    assert ended.ended

    # What is kept is in nobody's way.
    account.destroy(trial=False)
    kept = account.left()
    assert kept["stacks"] == kept["machines"] == kept["buses"] == []
    assert all(kept[kind] for kind in ("tables", "buckets", "log groups"))
    second = account.deploy(trial=True)
    assert account.alarm_to_roll_back(second) < 30
    assert second["promptlane-state"]["ReleaseTable"] != first["promptlane-state"]["ReleaseTable"]
    account.confirm()
    assert account.under_review("again")

    # A trial leaves nothing behind.
    said.clear()
    account.teardown(said)
    assert said[-1].startswith("this is a trial")
    account.destroy(trial=True)
    assert account.left() == kept
