"""What the domain needs from the outside world. Adapters are in `promptlane.aws`, fakes in `promptlane.fakes`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .names import Track
from .policy import Policy
from .release.meant import Identity
from .release.prompt import PromptVersion, VersionRef
from .release.quarantine import Quarantine
from .release.release import Release, Waiting
from .release.route import Route
from .release.timeline import ChainHead, LockedCopy, TimelineEntry

Json = Any
Clock = Callable[[], float]
"""Epoch seconds."""


class RouteStore(Protocol):
    """The route table: one item per prompt."""

    def get(self, prompt: str) -> Route | None:
        """The route, read consistently; None for a prompt that was never promoted. Raises Unavailable."""

    def all(self) -> list[Route]:
        """Every route, read consistently. Raises InvalidInput when one cannot be read, Unavailable."""

    def put(self, route: Route, *, expected: Route | None) -> None:
        """Write `route` if epoch, revision and release id of the stored one are those of `expected` (None: none is).

        Raises Conflict when it moved, Unavailable when the table does not answer.
        """


class ReleaseStore(Protocol):
    """The release table: records, locks, waiting versions, timelines."""

    def start(self, release: Release, entry: TimelineEntry) -> None:
        """Take the prompt's lock, put the new record and its first entry, all or nothing.

        Raises AlreadyExists when the record exists, Conflict when another release holds the lock.
        """

    def get(self, release_id: str) -> Release:
        """The record; NotFound when there is none."""

    def find(self, release_id: str) -> Release | None:
        """The record, or None."""

    def record_ended(self, release: Release, *entries: TimelineEntry) -> None:
        """Put the record of a release that ended before it could take the lock; AlreadyExists when there is one."""

    def update(self, release: Release, *entries: TimelineEntry) -> Release:
        """Write the record with the next revision and append the entries, all or nothing; returns what was written.

        `release.revision` must be the stored one, else Conflict.
        """

    def append(self, entry: TimelineEntry) -> bool:
        """Append to the release's timeline; False when an entry with this id is there already."""

    def owed(self, release_id: str = "") -> list[TimelineEntry]:
        """Entries for which people were not told yet (`notice.is_told`), of one release or of all, oldest first.

        They are owed from the very write that appends them.
        """

    def told(self, entry: TimelineEntry) -> None:
        """People were told of it; nothing happens where that was known already."""

    def timeline(self, release_id: str) -> list[TimelineEntry]:
        """All entries in order."""

    def head(self, release_id: str) -> ChainHead | None:
        """The head of the timeline's chain; None when nothing was ever appended."""

    def written(self, release_id: str) -> dict[str, int]:
        """The revisions of the route that the release's timeline tells of, by the ids of its entries. One call."""

    def of_prompt(self, prompt_id: str) -> list[Release]:
        """All releases of a prompt, oldest version and attempt first."""

    def holder(self, prompt_id: str) -> str | None:
        """The release that holds the prompt's lock."""

    def unlock(self, prompt_id: str, release_id: str) -> None:
        """Free the lock if this release holds it; else nothing happens."""

    def wait(self, waiting: Waiting) -> bool:
        """Record a version as waiting; False when it waits already."""

    def waiting(self, prompt_id: str) -> list[Waiting]:
        """The waiting versions, oldest version first."""

    def stop_waiting(self, prompt_id: str, version: int) -> None:
        """Forget a waiting version."""

    def newest(self, prompt_id: str) -> Release | None:
        """The release of the newest version, of its last attempt; None for a prompt that had none."""

    def busy(self, prompt_ids: Sequence[str], *, since: float) -> set[str]:
        """Those with a release in flight, or with a version that began to wait since then. A call for 50 prompts."""

    def at_enrolment(self, prompt_id: str, newest: int, now: float) -> int:
        """The newest version when this prompt was first seen as enrolled; `newest` is recorded the first time."""


class OlderQuarantine(Protocol):
    """The contents of a prompt that were rolled back longer ago than its route holds, by the prompt's name.

    A content that is on the route as well does no harm: whoever asks looks at the route first, then here, since a
    content is put here before it leaves the route.
    """

    def keep(self, prompt: str, entries: Quarantine) -> None:
        """Put them; one that is there already from the same or a later rollback stays as it is. Raises Unavailable."""

    def alike(self, prompt: str, ref: VersionRef) -> Quarantine:
        """Those that are alike this content at six digits and were not lifted, read consistently."""

    def all(self, prompt: str) -> Quarantine:
        """Every one that was not lifted, read consistently."""

    def lift(self, prompt: str, ref: VersionRef, *, by: str) -> None:
        """This very content got traffic again in the release `by`. One that was rolled back again since stays."""


@dataclass(frozen=True, slots=True)
class PromptSummary:
    """What a list says of a prompt. `updated_at`: when its draft was written last, epoch seconds.

    Whether publishing a version counts as an update is not documented: it is a sign of change, and no proof of none.
    """

    prompt_id: str
    name: str
    updated_at: float


class PromptReader(Protocol):
    """Bedrock Prompt Management, for reading."""

    def version(self, prompt_id: str, version: int) -> PromptVersion:
        """One immutable version; NotFound when it does not exist."""

    def versions(self, prompt_id: str) -> list[int]:
        """The numbers of all versions, oldest first. When one was published, only events tell: `createdAt` does not."""

    def find(self, name_or_id: str) -> tuple[str, str] | None:
        """(prompt id, name) of a prompt given by name, id or ARN; None when there is none.

        What is the id of a prompt means that one, whatever another prompt calls itself. Raises AmbiguousName for a name
        that several prompts have.
        """

    def name_of(self, prompt_id: str) -> str | None:
        """What this prompt is called now; None when it is gone."""

    def created_at(self, prompt_id: str) -> float | None:
        """When the prompt was created, epoch seconds; None when it is gone, or Bedrock does not say."""


class PromptLister(PromptReader, Protocol):
    """Bedrock Prompt Management, for who looks at many prompts."""

    def listed(self) -> list[PromptSummary]:
        """Every prompt of the account: as many calls as there are pages, so once in a run."""


class Identities(Protocol):
    """The prompt ids that enrolled names mean."""

    def get(self, prompt: str) -> Identity | None:
        """What was fixed for a name, read consistently; None where nothing is yet."""

    def of(self, prompts: Sequence[str]) -> dict[str, Identity]:
        """Those of these names that are fixed, read consistently. A call for 100 names."""

    def fix(self, identity: Identity, *, expected: Identity | None) -> None:
        """Fix it where the stored one is still `expected` (None: none is stored); else Conflict."""


class Cursors(Protocol):
    """Where runs that take turns stopped."""

    def get(self, run: str) -> str:
        """The name after which to go on; "" to begin at the first."""

    def put(self, run: str, after: str) -> None:
        """Note it."""


class Watched(Protocol):
    """What people were told of renamings and deletions of an enrolled prompt."""

    def told(self, prompt: str, event_id: str) -> bool:
        """Whether they were told of this event."""

    def tell(self, prompt: str, event_id: str, at: float) -> None:
        """They were."""

    def state(self, prompt: str) -> str:
        """The key of the state that was found last; "" for a sound one."""

    def found(self, prompt: str, state: str, at: float) -> None:
        """This state was found."""


class DraftReader(PromptReader, Protocol):
    """Bedrock Prompt Management, for reading drafts too; what a draft holds is evidence, and never released."""

    def draft_variants(self, prompt_id: str) -> Sequence[Mapping[str, Json]]:
        """The variants that DRAFT holds now; NotFound when the prompt does not exist."""


class PromptWriter(PromptReader, Protocol):
    """Bedrock Prompt Management, for authors."""

    def draft_body(self, prompt_id: str) -> dict[str, Json]:
        """The draft's fields as an update takes them."""

    def write_variants(self, prompt_id: str, variants: Sequence[Mapping[str, Json]], default: str) -> None:
        """Replace the draft's variants; its other fields are kept."""

    def write_body(self, prompt_id: str, body: Mapping[str, Json]) -> None:
        """Replace the draft by what `draft_body` gave."""

    def publish(self, prompt_id: str, *, description: str) -> PromptVersion:
        """Snapshot the draft as the next version."""


class PromptDeleter(PromptLister, Protocol):
    """Bedrock Prompt Management, for the only one that may delete."""

    def delete(self, prompt_id: str, version: int) -> None:
        """Delete one numbered version, never the prompt; one that is gone already is fine."""


class Objects(Protocol):
    """Objects of the report bucket, by key."""

    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        """Write one."""

    def get(self, key: str) -> bytes:
        """Read one; NotFound."""

    def keys(self, prefix: str) -> Iterable[str]:
        """Keys that begin so, in order."""


class Contents(Protocol):
    """What versions hold, as applications read it: an object by the prompt's name and the version's fingerprint."""

    def put(self, prompt: str, fingerprint: str, content: bytes) -> bool:
        """Write one; False where there is one already, which stays as it is."""

    def kept(self, prompt: str) -> Collection[str]:
        """The fingerprints of which there is one."""


class LockedCopies(Protocol):
    """The copies of timeline entries in the Object-Locked bucket."""

    def put(self, entry: Mapping[str, Json]) -> bool:
        """Copy one entry; False when it has a copy already."""

    def kept(self, prompt_id: str) -> Mapping[str, Collection[int]]:
        """The numbers of the copied entries, by release."""

    def numbers(self, release_id: str) -> Collection[int]:
        """The numbers of the copied entries of one release."""

    def timeline(self, release_id: str) -> list[LockedCopy]:
        """The copied entries of a release, in order."""


class Enrolments(Protocol):
    """The prompts that have a release.yaml, with their deployed policy and suite."""

    def names(self) -> Sequence[str]:
        """Names of all enrolled prompts."""

    def enrolled(self, prompt: str) -> bool:
        """Whether this prompt is enrolled."""

    def deployed_id(self, prompt: str) -> str:
        """The prompt id that the deployment names for it; "" where it names none, or the name is not enrolled."""

    def deployed_ids(self, prompts: Sequence[str]) -> dict[str, str]:
        """`deployed_id` of those of these names for which a deployment names one. A call for 100 names."""

    def deployed_hashes(self, prompt: str) -> tuple[str, str] | None:
        """SHA-256s of the policy and the suite that are deployed; None where the name is not enrolled."""

    def capture(self, prompt: str) -> tuple[str, str]:
        """Copy the deployed policy and suite to where no later deployment changes them; their SHA-256s."""

    def policy(self, sha256: str) -> Policy:
        """A captured policy."""

    def pin(self, policy: Policy) -> str:
        """Keep a policy as releases read it; its SHA-256. The same policy is kept once."""

    def suite(self, sha256: str) -> dict[str, object]:
        """A captured suite, as plain data."""


class EnrolmentTags(Protocol):
    """The tag by which IAM tells what applications may render from the account's other prompts."""

    def tag(self, version_arn: str) -> None:
        """Put the tag on a version and on its prompt; both stay tagged when done twice. NotFound when one is gone."""

    def tagged(self, version_arn: str) -> bool:
        """Whether version and prompt both carry this deployment's tag. NotFound when one is gone."""

    def elsewhere(self, version_arn: str) -> str:
        """The other deployment whose tag the version's prompt carries; "" without one. NotFound when it is gone."""


@dataclass(frozen=True, slots=True)
class RedAlarm:
    """A fuse alarm that stands in ALARM; `since` is when it changed to that, epoch seconds."""

    track: Track
    metric: str
    since: float


class Turns(Protocol):
    """One release at a time runs its tests, where an account has few concurrent executions."""

    def take(self, release_id: str, now: float, until: float) -> bool:
        """False while another release has the turn, and its `until` is not over. Who has it may take it again."""
        ...

    def give_back(self, release_id: str) -> None:
        """Nothing happens where another release has it."""
        ...


class FuseAlarms(Protocol):
    """The state of a prompt's fuse alarms."""

    def red(self, prompt: str) -> list[RedAlarm]:
        """The prompt's alarms that are in ALARM now. Raises Unavailable."""


class Workflow(Protocol):
    """Step Functions executions of releases, which are named by release id."""

    def start(self, release_id: str, payload: dict[str, object]) -> str:
        """Start the execution and return its ARN; one that exists already counts as started."""

    def status(self, release_id: str) -> str | None:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED; None when there is no such execution."""

    def stop(self, release_id: str, reason: str) -> None:
        """Stop the execution if it runs."""


class IntakeQueue(Protocol):
    """The queue before `intake`."""

    def request(self, prompt: str, version: int, *, requested_by: str, explicit: bool) -> None:
        """Ask for a release. `explicit` allows another attempt; without it only a first attempt is started."""


class Unrelayed(Protocol):
    """Where entries are set aside that nobody could be told of."""

    def put(self, key: str, why: str) -> None:
        """Name the item, and say why; an alarm tells people."""


class Notices(Protocol):
    """Messages to people."""

    def publish(self, subject: str, body: str, *, id: str = "") -> None:
        """Send an email to everybody who subscribed to the deployment's notices.

        `id`: of a notice that may be sent again, so that whoever gets it twice sees one.
        """
