"""The composition root: every adapter that a function or a command uses is made here, when it is first asked for.

An adapter's module is imported when it is made, so that no function waits for another's at its start.
"""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from promptlane.domain.errors import InvalidInput
from promptlane.domain.trail import TRAIL_LATE

from . import clients

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

    from promptlane.domain.canary.counts import BlockStore
    from promptlane.domain.enrolment.floor import Floor
    from promptlane.domain.enrolment.ports import ConfigStore, Register, Stacks
    from promptlane.domain.ports import (
        Contents,
        Cursors,
        Enrolments,
        EnrolmentTags,
        IntakeQueue,
        Notices,
        OlderQuarantine,
        ReleaseStore,
        RouteStore,
        Turns,
        Unrelayed,
        Workflow,
    )
    from promptlane.domain.review.ports import EditStore, ReviewStore, Signer
    from promptlane.domain.trail import Trail
    from promptlane.lifecycle.authors import AuthorSearch
    from promptlane.lifecycle.briefs import Briefs
    from promptlane.lifecycle.drill import Drills
    from promptlane.lifecycle.identities import NamedPrompts
    from promptlane.lifecycle.model_logging import LoggingSwitch, Memory
    from promptlane.lifecycle.render_events import Recording
    from promptlane.lifecycle.review_desk import ReviewDesk
    from promptlane.lifecycle.review_round import ReviewRound
    from promptlane.lifecycle.shift import Traffic
    from promptlane.lifecycle.telling import Telling

    from .alarms import CloudWatchAlarms
    from .audit_copies import AuditCopies
    from .events import EventBus
    from .functions import Functions
    from .identities import DynamoIdentities, DynamoWatched
    from .mail import ReviewerTopics
    from .metrics import CloudWatchCounts
    from .prompts import BedrockPrompts
    from .reports import S3Objects
    from .reviewers import DynamoDeclarations
    from .trial_buckets import TrialBuckets

T = TypeVar("T")
N = TypeVar("N", int, float)


class Composition(ABC):
    """The adapters of one deployment, over the names of its resources."""

    @abstractmethod
    def setting(self, name: str) -> str:
        """The name of a resource, such as `route_table`, or of the `deployment`."""

    @abstractmethod
    def optional(self, name: str) -> str:
        """The name of what a deployment may lack; "" where it does."""

    def number(self, name: str, kind: Callable[[str], N], default: N | None = None) -> N:
        """A number among the settings; without a default it must be set."""
        text = self.optional(name) if default is not None else self.setting(name)
        return default if default is not None and not text else kind(text)

    def _table(self, name: str) -> Any:
        return clients.resource("dynamodb").Table(self.setting(name))

    @cached_property
    def routes(self) -> RouteStore:
        from .routes import DynamoRoutes

        return DynamoRoutes(self._table("route_table"))

    @cached_property
    def releases(self) -> ReleaseStore:
        from .releases import DynamoReleases

        return DynamoReleases(self._table("release_table"))

    @cached_property
    def identities(self) -> DynamoIdentities:
        from .identities import DynamoIdentities

        return DynamoIdentities(self._table("release_table"))

    @cached_property
    def watched(self) -> DynamoWatched:
        from .identities import DynamoWatched

        return DynamoWatched(self._table("release_table"))

    @cached_property
    def named(self) -> NamedPrompts:
        """The prompts that enrolled names mean."""
        from promptlane.lifecycle.identities import NamedPrompts

        return NamedPrompts(
            prompts=self.prompts, enrolments=self.enrolments, identities=self.identities, routes=self.routes
        )

    @cached_property
    def quarantine(self) -> OlderQuarantine:
        """What was rolled back longer ago than the route holds."""
        from .quarantine import DynamoQuarantine

        return DynamoQuarantine(self._table("release_table"))

    @cached_property
    def cursors(self) -> Cursors:
        from .cursors import DynamoCursors

        return DynamoCursors(self._table("release_table"))

    @cached_property
    def blocks(self) -> BlockStore:
        from .blocks import DynamoBlocks

        return DynamoBlocks(self._table("release_table"))

    @cached_property
    def turns(self) -> Turns:
        from .turns import DynamoTurns

        return DynamoTurns(self._table("release_table"))

    @cached_property
    def drills(self) -> Drills:
        from .drills import DynamoDrills

        return DynamoDrills(self._table("release_table"))

    @cached_property
    def reviews(self) -> ReviewStore:
        from .reviews import DynamoReviews

        return DynamoReviews(self._table("release_table"))

    @cached_property
    def declarations(self) -> DynamoDeclarations:
        from .reviewers import DynamoDeclarations

        return DynamoDeclarations(self._table("release_table"))

    @cached_property
    def edits(self) -> EditStore:
        from .edits import DynamoEdits

        return DynamoEdits(self._table("release_table"))

    @cached_property
    def briefs(self) -> Briefs:
        from promptlane.lifecycle.briefs import Briefs

        return Briefs(self.objects)

    @cached_property
    def objects(self) -> S3Objects:
        """The report bucket: tests, the archive of versions."""
        from .reports import S3Objects

        return S3Objects(clients.client("s3"), self.setting("report_bucket"))

    @cached_property
    def contents(self) -> Contents:
        from .contents import S3Contents

        return S3Contents(clients.client("s3"), self.setting("version_bucket"))

    @cached_property
    def audit_copies(self) -> AuditCopies | None:
        """The locked copies of timelines; None where the Audit stack is not deployed."""
        from .audit_copies import AuditCopies

        bucket = self.optional("audit_bucket")
        return AuditCopies(clients.client("s3"), bucket) if bucket else None

    @cached_property
    def prompts(self) -> BedrockPrompts:
        from .prompts import BedrockPrompts

        return BedrockPrompts(clients.client("bedrock-agent"))

    @cached_property
    def enrolments(self) -> Enrolments:
        from .enrolment import DynamoEnrolments

        bucket = self.setting("report_bucket")
        return DynamoEnrolments(table=self._table("release_table"), s3=clients.client("s3"), report_bucket=bucket)

    @cached_property
    def register(self) -> Register:
        from .enrolment import DynamoRegister

        return DynamoRegister(self._table("release_table"))

    @cached_property
    def deployed_config(self) -> ConfigStore:
        from .enrolment import DeployedConfig

        bucket = self.setting("report_bucket")
        return DeployedConfig(clients.client("s3"), account=self.setting("account"), report_bucket=bucket)

    @cached_property
    def stacks(self) -> Stacks:
        from .stacks import CloudFormationStacks

        return CloudFormationStacks(clients.client("cloudformation"))

    @cached_property
    def tags(self) -> EnrolmentTags:
        from .enrolment_tags import BedrockEnrolmentTags

        return BedrockEnrolmentTags(clients.client("bedrock-agent"), self.setting("deployment"))

    @cached_property
    def counts(self) -> CloudWatchCounts:
        from .metrics import CloudWatchCounts

        return CloudWatchCounts(clients.client("cloudwatch"))

    @cached_property
    def alarms(self) -> CloudWatchAlarms:
        from .alarms import CloudWatchAlarms

        return CloudWatchAlarms(clients.client("cloudwatch"), self.setting("deployment"))

    @cached_property
    def workflow(self) -> Workflow:
        from .workflow import StepFunctionsWorkflow

        return StepFunctionsWorkflow(clients.client("stepfunctions"), self.setting("state_machine_arn"))

    @cached_property
    def queue(self) -> IntakeQueue:
        from .queue import SqsIntakeQueue

        return SqsIntakeQueue(clients.client("sqs"), self.setting("intake_queue_url"))

    @cached_property
    def unrelayed(self) -> Unrelayed:
        from .queue import UnrelayedQueue

        return UnrelayedQueue(clients.client("sqs"), self.setting("unrelayed_queue_url"))

    @cached_property
    def notices(self) -> Notices:
        from .notices import SnsNotices

        return SnsNotices(clients.client("sns"), self.setting("notices_topic"))

    @cached_property
    def events(self) -> EventBus:
        from .events import EventBus

        return EventBus(clients.client("events"), self.setting("event_bus"))

    @cached_property
    def functions(self) -> Functions:
        from .functions import Functions

        return Functions(clients.client("lambda"))

    @cached_property
    def signer(self) -> Signer:
        from .signing import KmsSigner

        return KmsSigner(clients.client("kms"), self.setting("review_key_id"))

    @cached_property
    def reviewer_topics(self) -> ReviewerTopics:
        from .mail import ReviewerTopics

        name = self.setting("deployment")
        return ReviewerTopics(sns=clients.client("sns"), ssm=clients.client("ssm"), deployment=name)

    @cached_property
    def model_logging(self) -> tuple[LoggingSwitch, Memory]:
        from .model_logging import BedrockLogging, ParameterMemory

        return BedrockLogging(clients.client("bedrock")), ParameterMemory(
            clients.client("ssm"), self.setting("found_parameter")
        )

    @cached_property
    def trail_selectors(self) -> Recording:
        from .trail_selectors import TrailSelectors

        return TrailSelectors(clients.client("cloudtrail"))

    @cached_property
    def trial_buckets(self) -> TrialBuckets:
        from .trial_buckets import TrialBuckets

        return TrialBuckets(clients.client("s3"), self.setting("partition"))

    @cached_property
    def telling(self) -> Telling:
        from promptlane.lifecycle.telling import Telling

        from .observability import logger

        return Telling(releases=self.releases, notices=self.notices, clock=time.time, log=logger("telling").error)

    # --- steps that two functions take -------------------------------------------------------------------------------

    @cached_property
    def traffic(self) -> Traffic:
        from promptlane.lifecycle.authors import ApprovalCheck
        from promptlane.lifecycle.shift import Traffic

        return Traffic(
            routes=self.routes,
            releases=self.releases,
            prompts=self.prompts,
            enrolments=self.enrolments,
            identities=self.identities,
            quarantine=self.quarantine,
            alarms=self.alarms,
            telling=self.telling,
            clock=time.time,
            reopened=ApprovalCheck(self.reviews, self.edits, self.releases, time.time),
        )

    @cached_property
    def trail(self) -> Trail:
        """CloudTrail's history for what runs on a schedule: it keeps the pace that AWS allows."""
        from .trail import CloudTrailHistory

        return CloudTrailHistory(clients.client("cloudtrail"), remembers=True)

    @cached_property
    def authors(self) -> AuthorSearch:
        from promptlane.lifecycle.authors import AuthorSearch

        from .trail import CloudTrailHistory

        history = CloudTrailHistory(clients.client("cloudtrail"), sleep=None)
        late = self.number("trail_late_seconds", float, TRAIL_LATE)
        return AuthorSearch(history, self.edits, self.prompts, self.releases, time.time, late=late)

    @cached_property
    def desk(self) -> ReviewDesk:
        """Where people decide by their IAM identity, without the key of the signed links."""
        from promptlane.lifecycle.review_desk import ReviewDesk

        from .workflow import StepFunctionsTokens

        return ReviewDesk(
            reviews=self.reviews,
            releases=self.releases,
            tokens=StepFunctionsTokens(clients.client("stepfunctions")),
            clock=time.time,
            authors_again=self.authors.again,
            directory=self.declarations,
        )

    @cached_property
    def review_round(self) -> ReviewRound:
        from promptlane.lifecycle.review_round import ReviewRound

        return ReviewRound(
            reviews=self.reviews,
            releases=self.releases,
            prompts=self.prompts,
            enrolments=self.enrolments,
            briefs=self.briefs,
            signer=self.signer,
            post=self.reviewer_topics,
            notices=self.notices,
            desk=self.desk,
            clock=time.time,
            base_url=self.setting("reviews_url"),
            authors=self.authors,
            tests=self.briefs.verdict,
        )


class Function(Composition):
    """What one function is made of: the names are its environment variables, in capital letters.

    What is missing or malformed is noted in `problems`, so that `wired` can name all of it at once.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables, self.problems = variables, dict[str, str]()

    def setting(self, name: str) -> str:
        if not (text := self.optional(name)):
            self.problems[name] = f"{name.upper()} is not set"
        return text

    def optional(self, name: str) -> str:
        return self._variables.get(name.upper(), "")

    def number(self, name: str, kind: Callable[[str], N], default: N | None = None) -> N:
        """A number; without a default it must be set."""
        text = self.optional(name) if default is not None else self.setting(name)
        try:
            return default if default is not None and not text else kind(text or "0")
        except ValueError:
            self.problems[name] = f"{name.upper()}={text!r} is not a number"
            return kind("0")

    @cached_property
    def floor(self) -> Floor:
        """The deployment's platform floor. One that is not set or cannot be read is never an empty one."""
        from promptlane.domain.enrolment.floor import Floor
        from promptlane.domain.errors import FloorInvalid

        text = self.setting("platform_floor")
        try:
            return Floor.from_dict(json.loads(text or "{}"))
        except (ValueError, FloorInvalid) as error:
            self.problems["platform_floor"] = f"PLATFORM_FLOOR={text!r}: {error}"
            return Floor()


def wired(make: Callable[[Function], T]) -> _lru_cache_wrapper[T]:
    """What a function works with, made once, at its first event. InvalidInput names every variable that is wrong."""

    @cache
    def wire() -> T:
        function = Function(os.environ)
        made = make(function)
        if function.problems:
            raise InvalidInput("the function's environment is wrong: " + "; ".join(function.problems.values()))
        return made

    return wire
