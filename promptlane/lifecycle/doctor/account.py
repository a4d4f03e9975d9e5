"""What the checks read of an account, and of the deployment in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from promptlane.domain.ports import Enrolments, PromptReader, ReleaseStore, RouteStore

Json = Any


@dataclass(frozen=True, slots=True)
class Stack:
    """`drift` as CloudFormation last saw it: IN_SYNC, DRIFTED, NOT_CHECKED, UNKNOWN."""

    name: str
    status: str
    drift: str = "NOT_CHECKED"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a stack: its ids in the template and in AWS."""

    logical: str
    physical: str


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    enabled: bool
    failed: float
    """Invocations that failed within the last day."""


@dataclass(frozen=True, slots=True)
class Trail:
    """`problem`: the latest error of its delivery. `management`: it has management events that write; `renders`: it
    has renderings of prompt versions."""

    name: str
    logging: bool
    problem: str
    management: bool
    renders: bool


@dataclass(frozen=True, slots=True)
class Alarm:
    name: str
    state: str
    since: float
    acts: bool
    """Whether it tells anybody: its actions are on, and there are some."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """An event source mapping of a function."""

    function: str
    state: str
    result: str


@dataclass(frozen=True, slots=True)
class Queue:
    """`dead`: nothing works it off, and what lies in it failed every try."""

    name: str
    visible: int
    dead: bool


@dataclass(frozen=True, slots=True)
class Subscriber:
    protocol: str
    endpoint: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """What a prompt that was made for the check showed before it was deleted again. `refusal` of the version too many;
    `renamed` and `freed`: a new name was seen at once, and the old one could be taken again.
    `twins`: two prompts had one name."""

    published: int
    refusal: str
    numbers_kept: bool
    renamed: bool
    freed: bool
    created_same: bool
    twins: bool


class Account(Protocol):
    """An AWS account in one Region. Every method raises the domain's errors: Unauthorized where it may not look."""

    def stacks(self, deployment: str) -> Sequence[Stack]:
        """The platform's stacks, and those of its prompts."""

    def resources(self, stack: str, kind: str) -> Sequence[Resource]: ...

    def concurrency(self) -> tuple[int, int]:
        """(all concurrent executions of the account, those that no function reserved)."""

    def quotas(self) -> Mapping[str, float]:
        """Bedrock's quotas about prompts, by name."""

    def prompts(self) -> int:
        """How many prompts the Region has."""

    def key_states(self, keys: Sequence[str]) -> Mapping[str, str]: ...

    def rules(self, names: Sequence[str], bus: str) -> Sequence[Rule]:
        """Of the default bus, or of `bus`."""

    def trails(self) -> Sequence[Trail]: ...

    def queues(self, urls: Sequence[str]) -> Sequence[Queue]: ...

    def alarms(self, prefix: str) -> Sequence[Alarm]: ...

    def mappings(self, function: str) -> Sequence[SourceMapping]: ...

    def subscribers(self, topic: str) -> Sequence[Subscriber]: ...

    def model_problem(self, model: str) -> str:
        """Why a model or inference profile cannot be called; empty where it can."""

    def logging(self) -> Mapping[str, Json] | None:
        """Bedrock's model invocation logging; None where it is off."""

    def records(self, group: str) -> Sequence[Mapping[str, Json]]:
        """The newest records in a log group of calls that carry a client's metadata, or a test's."""

    def skew(self) -> float:
        """Seconds by which this machine's clock is ahead of AWS's."""

    def try_prompt(self, name: str, versions: int) -> Trial:
        """Make a prompt, publish so many versions of it and one more, rename it, take its name again; delete all."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What the checks work with. `resources`: names of the deployment's, as its stacks recorded them. `reviewers` gives
    (email, state of the subscription) of each. `version` is that of this program."""

    deployment: str
    resources: Mapping[str, Json]
    account: Account
    enrolments: Enrolments
    fixed: Callable[[str], str | None]
    prompts: PromptReader
    routes: RouteStore
    releases: ReleaseStore
    reviewers: Callable[[], Iterable[tuple[str, str]]]
    now: float
    version: str

    def named(self, name: str) -> str:
        """The name of a resource; "" where the deployment has none."""
        return str(self.resources.get(name) or "")
