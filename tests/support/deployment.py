"""A deployment to test against: the real stacks on an embedded AWS, with prompts whose releases are quick."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from local import deploy
from local.demo import mailbox
from local.demo.mailbox import Mailbox
from local.demo.observe import Observer
from local.running import EmbeddedAws
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry

T = TypeVar("T")
PROMPTS = Path(__file__).resolve().parents[2] / "prompts"
SETTINGS = {
    "promptlane:lambda_target": "host",
    "promptlane:resolution_seconds": "10",
    "promptlane:arrival_seconds": "5",
    "promptlane:trail_late_seconds": "1",
    "promptlane:time_scale": "0.01",
    "promptlane:trial": "true",
    "promptlane:budget_usd_per_prompt": "100",
    "promptlane:on_call": "on-call@example.com",
    "promptlane:applications": json.dumps({"checkout": ["e2e-tested"]}),
}
ROLES = (
    "tested",
    "reviewed",
    "canary",
    "watched",
    "expiring",
    "waiting",
    "redeployed",
    "alarmed",
    "racing",
    "regressed",
    "equal",
    "thin",
    "owned",
    "keyed",
    "foreign",
)
"""One prompt for each role that a test needs, so that tests do not wait for each other's locks."""
JUDGED = ("regressed", "equal", "thin")
"""Roles whose releases the judge decides, in one step."""

STEPS = """\
    - {weight: 10%, min_bake: 5m, max_time: 20d}
    - {weight: 50%, min_bake: 5m, max_time: 20d}
"""
ONE_STEP = "    - {weight: 20%, min_bake: 5m, max_time: 20d}\n"
POLICY = """
review:
  reviewers: [{{name: {role}-review, email: {role}@example.com}}]
  unattributed: allow
  expires_after: {expires}
  remind_before: 1s
models: {{allowed: [amazon.nova-lite-v1:0]}}
tests: {{margin: 20%, min_pass_rate: 50%, max_concurrency: {concurrency}, batch_size: 4}}
canary:
  steps:
{steps}watch: {{for: 10d, holdback: 5%}}
request: {{timeout: 2, slow_after: 1}}
"""
SUITE = """
tests:
""" + "".join(
    f"  - {{vars: {{question: 'Where is order {n}?'}}, assert: [{{type: regex, value: '.+'}}]}}\n" for n in range(40)
)


def draft(role: str, text: str = "") -> PromptDraft:
    """A version of a role's prompt; `text` makes its content another one."""
    return PromptDraft(
        name=f"e2e-{role}",
        model="amazon.nova-lite-v1:0",
        template=f"You answer customers of a shop. {text}\nQuestion: {{{{question}}}}",
        variables=("question",),
    )


def prompt_folders(parent: Path) -> Path:
    """The project's own prompts, and `e2e-<role>/` for every role."""
    shutil.copytree(PROMPTS, parent)
    shutil.copy(PROMPTS.parent / "reviewers.yaml", parent.parent)
    for role in ROLES:
        folder = parent / f"e2e-{role}"
        folder.mkdir(parents=True)
        content = draft(role)
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
        expires, concurrency = ("6s" if role == "expiring" else "1d"), (1 if role == "tested" else 10)
        steps = ONE_STEP if role in JUDGED else STEPS
        policy = POLICY.format(role=role, expires=expires, concurrency=concurrency, steps=steps)
        (folder / "release.yaml").write_text(policy)
        (folder / "suite.yaml").write_text(SUITE)
    _investigated(parent)
    return parent


LAX = """
canary:
  steps: [{weight: 20%, min_bake: 5m, max_time: 20d}]
  guard_metrics: {error: {margin_abs: 50%}, refusal: {margin_abs: 80%, tolerance: 75%}}
fuse: {error: 90%, refusal: 90%}
watch: {for: 10d, holdback: 10%}
request: {timeout: 6, slow_after: 3}
"""


def names_of_stacks(assembly: Path) -> list[str]:
    """Of a synthesized app, whatever they depend on."""
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    return sorted(name for name, made in artifacts.items() if made["type"] == "aws:cloudformation:stack")


def _investigated(parent: Path) -> None:
    """The support assistant under another name, with thresholds so lax that nothing keeps a bad version out."""
    folder = parent / "e2e-investigated"
    shutil.copytree(PROMPTS / "support-assistant", folder)
    content = (folder / "prompt.yaml").read_text()
    (folder / "prompt.yaml").write_text(content.replace("name: support-assistant", "name: e2e-investigated", 1))
    strict = POLICY.format(role="investigated", expires="1d", concurrency=10, steps=STEPS)
    (folder / "release.yaml").write_text(strict[: strict.index("canary:")] + LAX)


class Deployment:
    """The deployed stacks, and what authors, reviewers and operators do to them."""

    def __init__(self, home: Path, *, shared: Path, roles: Sequence[str] = ROLES, keep: bool = False) -> None:
        """`roles`: whose prompts' stacks are deployed. `shared`: a folder in which deployments with equal settings find
        the prompts, and what the first of them synthesized."""
        self.home, self.prompts, self.roles, self.shared = home, shared / "prompts", roles, shared
        self.aws = EmbeddedAws(home=home, auth=True, keep=keep, variables={"PROMPTLANE_ASSISTANT_LATENCY_MS": "20"})
        self.prompt_key = ""
        self.resources: dict[str, Any] = {}
        self.outputs: dict[str, dict[str, str]] = {}
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> Deployment:
        self.aws.start()
        try:
            self.prompt_key = self.key()
            self.deploy()
            self.resources = self._read_resources()
            self.mail = Mailbox(self.home / "mail")
            mailbox.confirm(self.client("sns"), self.mail.confirmations())
            dynamodb = self.aws.session().resource("dynamodb", endpoint_url=self.aws.url)
            self.tables = Observer(
                dynamodb, route_table=self.resources["route_table"], release_table=self.resources["release_table"]
            )
        except BaseException:
            self.aws.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.aws.stop()

    def deploy(self, **settings: str) -> None:
        """`cdk deploy --all` with the test's settings, and others on top."""
        context = {**SETTINGS, "promptlane:prompts_dir": str(self.prompts)}
        context |= {"promptlane:prompt_keys": self.prompt_key}
        context |= {f"promptlane:{name}": value for name, value in settings.items()}
        env, again = self.aws.env(), bool(self.outputs)
        assembly = self.shared / f"cdk.out-{hashlib.sha256(json.dumps(context).encode()).hexdigest()[:8]}"
        self._synthesize(env, context, assembly)
        stacks = [s for s in names_of_stacks(assembly) if not self._left_out(s)]
        self.outputs = deploy.deploy(
            env, context, outputs=self.home / "outputs.json", bootstrap=not again, assembly=assembly, stacks=stacks
        )

    def _synthesize(self, env: dict[str, str], context: dict[str, Any], assembly: Path) -> None:
        """By the first process that comes here; the others wait for it."""
        self.shared.mkdir(exist_ok=True)
        with (self.shared / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.prompts.exists():
                prompt_folders(self.prompts)
            done = assembly.with_name(f"{assembly.name}.done")
            if not done.exists():
                deploy.synth(env, context, assembly=assembly)
                done.touch()

    def _left_out(self, stack: str) -> bool:
        return any(f"-prompt-e2e-{role}-" in stack for role in ROLES if role not in self.roles)

    def key(self) -> str:
        """The ARN of a new key of the account's own; the deployment names one for prompts."""
        return str(self.client("kms").create_key()["KeyMetadata"]["Arn"])

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.aws.client(service)
        return self._clients[service]

    def _read_resources(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for page in self.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/promptlane/resources"):
            for parameter in page["Parameters"]:
                found |= json.loads(parameter["Value"])
        return found

    # what people do

    def publish(self, content: PromptDraft, why: str = "for a test") -> str:
        """Write the draft and publish a version; the id of the release that this must start."""
        from promptlane.aws.prompts import BedrockPrompts

        prompts = BedrockPrompts(self.client("bedrock-agent"))
        version = prompts.publish(prompts.write_draft(content), description=why)
        return f"{version.prompt_id}-{version.version}-1"

    def approve(self, release_id: str) -> None:
        """Every reviewer who was asked approves by the link in the email, once CloudTrail's delay is over.

        An earlier approval waits for `remind`, which comes every five minutes.
        """
        asked = self.wait(lambda: self._asked(release_id), f"no review of {release_id}")[0]
        late = float(SETTINGS["promptlane:trail_late_seconds"])
        time.sleep(max(0.0, asked.detail["authors"]["until"] + late - time.time()))
        for invitation in self.wait(lambda: self.mail.invitations(release_id), f"no invitation for {release_id}"):
            self.mail.approve(invitation, "Looks right.")

    def _asked(self, release_id: str) -> list[TimelineEntry]:
        return [e for e in self.timeline(release_id) if e.event is Event.REVIEW_REQUESTED]

    def promptlane(self, *arguments: str, status: int = 0, role: str = "") -> Any:
        """Run the command line with --json, as root or as somebody with the role of a duty; what it printed."""
        command = [str(Path(sys.executable).with_name("promptlane")), *arguments, "--json"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self.aws.env(), **(self._session(role) if role else {})},
            timeout=60,
        )
        assert done.returncode == status, f"{' '.join(arguments)} exited {done.returncode}:\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def _session(self, role: str) -> dict[str, str]:
        given = self.client("sts").assume_role(RoleArn=self.resources[f"{role}_role"], RoleSessionName="typed")
        names = {
            "AccessKeyId": "ACCESS_KEY_ID",
            "SecretAccessKey": "SECRET_ACCESS_KEY",
            "SessionToken": "SESSION_TOKEN",
        }
        return {f"AWS_{name}": given["Credentials"][key] for key, name in names.items()}

    def shell(self) -> dict[str, str]:
        """The environment of somebody at a terminal."""
        return {**os.environ, **self.aws.env()}

    def stop_execution(self, release_id: str) -> None:
        arn = self.resources["state_machine_arn"].replace(":stateMachine:", ":execution:") + f":{release_id}"
        self.client("stepfunctions").stop_execution(executionArn=arn, cause="stopped by a test")

    def first_version(self, role: str) -> str:
        """Publish, approve and promote the role's first version."""
        release_id = self.publish(draft(role))
        self.approve(release_id)
        self.ended(release_id)
        return release_id

    def in_canary(self, role: str, text: str) -> str:
        """A further version of the role's prompt, on trial."""
        release_id = self.publish(draft(role, text))
        self.approve(release_id)
        self.wait(lambda: self.release(release_id).state == "canary", f"{release_id} did not get into canary")
        return release_id

    # what there is to see

    def route(self, role: str) -> Route | None:
        return self.tables.route(f"e2e-{role}")

    def release(self, release_id: str) -> Release:
        found = self.wait(lambda: self.tables.release(release_id), f"{release_id} has no record")
        assert found is not None
        return found

    def timeline(self, release_id: str) -> list[TimelineEntry]:
        return self.tables.timeline(release_id)

    def ended(self, release_id: str, seconds: float = 60) -> Release:
        try:
            self.wait(lambda: self.release(release_id).ended, f"{release_id} did not end", seconds)
        except AssertionError as error:
            told = "\n".join(f"{entry.at} {entry.event} {entry.detail}" for entry in self.timeline(release_id))
            raise AssertionError(f"{error}\nits timeline is\n{told}") from None
        return self.release(release_id)

    def wait(self, probe: Callable[[], T], otherwise: str, seconds: float = 60) -> T:
        """Call until the result is true; fails with `otherwise` and the end of the log after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (found := probe()):
            if time.monotonic() > deadline:
                log = (self.home / "emulator.log").read_text(errors="replace")[-3000:]
                raise AssertionError(f"{otherwise} within {seconds:.0f} s; the log ends with\n{log}")
            time.sleep(0.2)
        return found
