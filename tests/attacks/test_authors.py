"""Whoever wrote a part of what is reviewed wants to approve it: by waiting, by names, by detours of versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from promptlane.aws import trail as aws_trail
from promptlane.domain.errors import InvalidInput
from promptlane.domain.policy import ReviewPolicy
from promptlane.domain.release.meant import Identity
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import first_route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review import attribution, edits
from promptlane.domain.review.attribution import Question
from promptlane.domain.review.edits import Edit, merged
from promptlane.domain.review.visit import Origin
from promptlane.domain.trail import EDITS, TRAIL_KEPT, TrailEvent, is_about
from promptlane.fakes import (
    FakeAlarms,
    FakeEnrolments,
    FakeNotices,
    FakePrompts,
    InMemoryIdentities,
    InMemoryQuarantine,
    InMemoryReleases,
    InMemoryRoutes,
)
from promptlane.fakes.edits import InMemoryEdits
from promptlane.fakes.review import FakeTrail
from promptlane.lifecycle import authors, edit_log
from promptlane.lifecycle.authors import ApprovalCheck, AuthorSearch
from promptlane.lifecycle.edit_log import EditLog, EditSweep
from promptlane.lifecycle.identities import NamedPrompts
from promptlane.lifecycle.shift import Traffic
from promptlane.lifecycle.telling import Telling
from tests.support.attacks import attack, patched
from tests.support.review import ACCOUNT, LEAD, NEW, OLD, PROMPT_ID, QUALITY, UnderReview

KIND = "an author approves an own text"
ALICE = LEAD.principals[0]
"""She is a reviewer, and wrote a part of it."""
BOB = f"arn:aws:iam::{ACCOUNT}:user/bob"
NAME = "support-assistant"


def edit(arn: str, at: float, kind: str = "IAMUser", **more: Any) -> TrailEvent:
    return TrailEvent("UpdatePrompt", at, arn, kind, PROMPT_ID, event_id=f"e{int(at)}", **more)


def publication(number: int, at: float, arn: str = BOB) -> TrailEvent:
    return TrailEvent("CreatePromptVersion", at, arn, "IAMUser", PROMPT_ID, number, event_id=f"p{number}-{int(at)}")


def content(number: int) -> PromptDraft:
    return OLD if number == 1 else replace(NEW, template=f"{number} {{{{customer_name}}}} {{{{question}}}}")


def stage(
    *events: TrailEvent,
    candidate: int = 2,
    stable: int | None = 1,
    holds: dict[int, int] | None = None,
    policy: ReviewPolicy | None = None,
    now: float = 10_000.0,
) -> UnderReview:
    """A release of `candidate` under review. `holds`: versions that hold what another one holds. Alice is enough."""
    world = UnderReview(policy or ReviewPolicy((LEAD, QUALITY), unattributed="allow"), old=content(1), new=content(2))
    for number in range(3, max(candidate, stable or 0) + 1):
        world.prompts.publish(content((holds or {}).get(number, number)), prompt_id=PROMPT_ID)
    started = replace(
        world.releases.get(f"{PROMPT_ID}-2-1"),
        release_id=name(candidate),
        started_at=9_500.0,
        candidate=world.prompts.version(PROMPT_ID, candidate).ref,
        stable=world.prompts.version(PROMPT_ID, stable).ref if stable else None,
        revision=1,
    )
    releases = InMemoryReleases()
    releases.start(started, TimelineEntry("started", started.release_id, 9_500.0, Event.STARTED))
    for part in (world.reviews, world.desk, world.round):
        object.__setattr__(part, "_releases" if part is world.reviews else "releases", releases)
    world.releases = releases
    world.now = now
    world.trail.found[:] = events
    search = AuthorSearch(world.trail, world.edits, world.prompts, releases, world.clock)
    world.desk = replace(world.desk, authors_again=search.again)
    world.round = replace(world.round, authors=search, desk=world.desk)
    return world


def name(candidate: int) -> str:
    return f"{PROMPT_ID}-{candidate}-1"


def alice_approves(world: UnderReview, candidate: int = 2) -> bool:
    """Whether her approval alone approves the release."""
    world.round.ask(name(candidate), round=1, task_token="token")
    if world.releases.get(name(candidate)).ended:
        return False
    request = world.reviews.get(name(candidate))
    assert request is not None
    world.desk.decide_by_identity(
        name(candidate),
        arn=ALICE,
        choice="approve",
        reason="Fine",
        caller=Origin("203.0.113.7"),
        fingerprint=request.candidate.fingerprint,
    )
    return bool(world.releases.get(name(candidate)).approval)


def previous_number(search: AuthorSearch, release: Release, others: Sequence[Release]) -> int:
    return release.version - 1


def stables_number(search: AuthorSearch, release: Release, others: Sequence[Release]) -> int:
    return release.stable.version if release.stable else 0


# --- detours of versions ---------------------------------------------------------------------------------------------


@attack(
    "Alice publishes her text, rejects it herself, and approves it when Bob has published it with a typo mended",
    kind=KIND,
    without=patched(AuthorSearch, "_bound", previous_number),
)
def test_own_rejected_version() -> bool:
    events = (publication(1, 500), edit(ALICE, 2_000), publication(2, 2_100), edit(BOB, 8_000), publication(3, 9_000))
    return alice_approves(stage(*events, candidate=3), 3)


@attack(
    "Alice's version was stable, was rolled back, and comes again in Bob's next one",
    kind=KIND,
    without=patched(AuthorSearch, "_bound", previous_number),
)
def test_rolled_back_in_between() -> bool:
    events = (publication(1, 500), edit(ALICE, 2_000), publication(2, 2_100), edit(BOB, 2_900), publication(3, 3_000))
    again = (edit(BOB, 8_000), publication(4, 9_000))
    return alice_approves(stage(*events, *again, candidate=4, stable=1), 4)


@attack(
    "an older version of Alice's is released again, after a stable version that took her text out",
    kind=KIND,
    without=patched(AuthorSearch, "_bound", stables_number),
)
def test_older_version() -> bool:
    events = (publication(1, 500), edit(ALICE, 2_000), publication(2, 2_100), edit(BOB, 2_900), publication(3, 3_000))
    return alice_approves(stage(*events, candidate=2, stable=3))


@attack(
    "Bob publishes the old content again and then the draft that Alice had written before",
    kind=KIND,
    without=patched(AuthorSearch, "_bound", stables_number),
)
def test_republished_in_between() -> bool:
    events = (publication(1, 500), edit(ALICE, 2_000), edit(BOB, 2_900), publication(3, 3_000))
    put_back = (edit(BOB, 3_001), publication(4, 9_000))
    return alice_approves(stage(*events, *put_back, candidate=4, stable=3, holds={3: 1}), 4)


def as_it_was(
    edits: Sequence[Edit], published: Sequence[Edit], inside: list[Edit], since: float, until: float
) -> tuple[float, list[Edit]]:
    return since, inside


@attack(
    "Bob puts back into the draft what Alice wrote before the version that is stable",
    kind=KIND,
    without=patched(attribution, "_with_older_content", as_it_was),
)
def test_put_back() -> bool:
    events = (publication(1, 500), publication(2, 3_000), publication(3, 9_000))
    world = stage(*events, candidate=3, stable=2)
    for event in (edit(ALICE, 2_000), edit(BOB, 8_000)):
        world.edits.record(PROMPT_ID, Edit(event, event.at + 60, "history", draft="alices text"))
    return alice_approves(world, 3)


@attack(
    "Alice's edit is followed by one of Bob's, who alone would be the last to have written",
    kind=KIND,
    without=patched(attribution, "_within", lambda edits, since, until: sorted(edits, key=lambda e: e.event.at)[-2:]),
)
def test_edit_and_revert_by_another() -> bool:
    return alice_approves(stage(publication(1, 500), edit(ALICE, 8_000), edit(BOB, 8_500), publication(2, 9_000)))


def edited(found: Iterable[Edit]) -> tuple[str, ...]:
    return tuple(e.event.arn for e in found if e.event.name in EDITS)


@attack(
    "Alice publishes what somebody else wrote into the draft between test and publication",
    kind=KIND,
    without=patched(attribution, "_principals", edited),
)
def test_publisher_only() -> bool:
    return alice_approves(stage(publication(1, 500), edit(BOB, 8_990), publication(2, 9_000, ALICE)))


# --- time ------------------------------------------------------------------------------------------------------------

FAR = 3 * TRAIL_KEPT


@attack(
    "Alice edits, and the version is published when CloudTrail has forgotten it",
    kind=KIND,
    without=patched(InMemoryEdits, "edits", lambda self, prompt_id, since=0.0, until=None: []),
)
def test_edit_of_long_ago() -> bool:
    world = stage(publication(2, FAR - 1_000), edit(BOB, FAR - 1_500), now=FAR)
    world.trail.found[:] = [e for e in world.trail.found if e.at > FAR - TRAIL_KEPT]
    for event in (publication(1, 1_000), edit(ALICE, 50_000)):
        world.edits.record(PROMPT_ID, Edit(event, event.at + 60))
    object.__setattr__(world.releases._releases[name(2)], "started_at", FAR - 900)
    return alice_approves(world)


@pytest.mark.parametrize("stable", [None, 1], ids=["a first version", "a later one"])
@attack(
    "Alice edits before the prompt is enrolled, and CloudTrail has forgotten it",
    kind=KIND,
    without=patched(attribution, "_older", lambda begun, complete_since, bound: []),
)
def test_edit_before_enrolment(stable: int | None) -> bool:
    """Nobody can be told, so that the policy's rule asks for one approval more than hers."""
    events = (edit(BOB, FAR - 1_500), publication(2, FAR - 1_000))
    world = stage(*events, stable=stable, policy=ReviewPolicy((LEAD, QUALITY)), now=FAR)
    object.__setattr__(world.releases._releases[name(2)], "started_at", FAR - 900)
    return alice_approves(world)


def at_once(**asked: Any) -> Question:
    return Question(**{**asked, "late": 0.0})


@attack(
    "Alice approves before the event of her edit has arrived, though others have",
    kind=KIND,
    without=patched(authors, "Question", at_once),
)
def test_approval_before_the_event() -> bool:
    world = stage(publication(1, 500), edit(BOB, 8_000), publication(2, 9_000), now=9_100)
    first = alice_approves(world)
    world.trail.found.append(edit(ALICE, 8_500))
    world.now = 9_901
    world.round.look_after()
    return first or bool(world.releases.get(name(2)).approval)


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
@attack(
    "the event of Alice's edit arrives after her approval and before the first shift",
    kind=KIND,
    without=patched(ApprovalCheck, "__call__", lambda self, release: ""),
)
def test_event_after_approval(twice: bool) -> bool:
    world = stage(publication(1, 500), edit(BOB, 8_000), publication(2, 9_000))
    assert alice_approves(world)
    for _ in range(1 + twice):
        world.edits.record(PROMPT_ID, Edit(edit(ALICE, 8_500), world.now))
    routes, release = InMemoryRoutes(), world.releases.get(name(2))
    assert release.stable is not None
    stable = first_route(
        prompt=NAME, prompt_id=PROMPT_ID, candidate=release.stable, release_id=name(1), now=1.0, by="x"
    )
    routes.put(replace(stable, pending=()), expected=None)
    traffic = Traffic(
        routes=routes,
        releases=world.releases,
        prompts=world.prompts,
        enrolments=world.enrolments,
        identities=InMemoryIdentities(),
        quarantine=InMemoryQuarantine(),
        alarms=FakeAlarms(),
        telling=Telling(releases=world.releases, notices=FakeNotices(), clock=world.clock, log=lambda text: None),
        clock=world.clock,
        reopened=ApprovalCheck(world.reviews, world.edits, world.releases, world.clock),
    )
    traffic.shift(name(2), 0)
    route = routes.get(NAME)
    return route is not None and route.canary is not None


@attack(
    "Alice edits in the very second in which stable was published, after it",
    kind=KIND,
    without=patched(attribution, "_within", lambda found, since, until: [e for e in found if since < e.event.at]),
)
def test_second_of_the_bound() -> bool:
    return alice_approves(stage(publication(1, 8_000), edit(ALICE, 8_000), edit(BOB, 8_500), publication(2, 9_000)))


@attack(
    "Alice's edit is stamped a second after the publication that holds it",
    kind=KIND,
    without=patched(attribution, "_SKEW", 0.0),
)
def test_skew_at_the_end() -> bool:
    return alice_approves(stage(publication(1, 500), edit(BOB, 8_500), publication(2, 9_000), edit(ALICE, 9_001)))


@pytest.mark.parametrize(
    ("bound", "created_at"), [("_since", 1e11), ("_since", 9_000.0), ("_until", 0.0)], ids=["future", "near", "past"]
)
@attack(
    "`createdAt` of a version says another time than that of its publication",
    kind=KIND,
    without=lambda bound, created_at: patched(
        attribution, bound, lambda *_: created_at if bound == "_since" else (created_at, True)
    )(),
)
def test_created_at(bound: str, created_at: float) -> bool:
    return alice_approves(stage(publication(1, 500), edit(ALICE, 8_500), edit(BOB, 9_000), publication(2, 9_000)))


def believed(*told: Any, **more: Any) -> Any:
    return replace(merged(*told, **more), unsure=frozenset())


@pytest.mark.parametrize(("at", "sent_by"), [(8_900.0, "AROAEXAMPLE0001:alice"), (8_900.0, "")], ids=["role", "user"])
@attack(
    "Alice sends an event of her own making into the queue: stable was published after her edit",
    kind=KIND,
    without=patched(authors, "merged", believed),
)
def test_forged_publication(at: float, sent_by: str) -> bool:
    world = stage(edit(ALICE, 8_500), edit(BOB, 8_950), publication(2, 9_000))
    world.edits.record(PROMPT_ID, Edit(publication(1, at), at + 60, sent_by=sent_by))
    return alice_approves(world)


# --- names -----------------------------------------------------------------------------------------------------------

CI = f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/support-quality"
SSO = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Mine_1f/support-quality"
ONE_MORE = ReviewPolicy((LEAD, replace(QUALITY, principals=(*QUALITY.principals, CI))))


@pytest.mark.parametrize("kind", ["AssumedRole", "WebIdentityUser"])
@attack(
    "Alice edits by a role's session that she names after another reviewer",
    kind=KIND,
    without=patched(attribution, "_uncertain", lambda arn, events, reviewers: ""),
)
def test_chosen_session_name(kind: str) -> bool:
    world = stage(publication(1, 500), edit(CI, 8_500, kind), publication(2, 9_000), policy=ONE_MORE)
    return alice_approves(replaced(world))


def replaced(world: UnderReview) -> UnderReview:
    """The prompt's creation is known, so that nothing else is in doubt."""
    world.trail.found.insert(0, TrailEvent("CreatePrompt", 400, BOB, "IAMUser", PROMPT_ID))
    return world


@attack(
    "Alice edits as a federated user whom she names after another reviewer",
    kind=KIND,
    without=patched(attribution, "_arns", lambda event: (event.principal,)),
)
def test_federated_user() -> bool:
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/support-quality"
    mine = edit(arn, 8_500, "FederatedUser", issuer=ALICE)
    return alice_approves(stage(publication(1, 500), mine, publication(2, 9_000)))


@attack(
    "Alice edits by a role that only begins like one of IAM Identity Center",
    kind=KIND,
    without=patched(attribution, "_identity_center", lambda event: ":assumed-role/AWSReservedSSO_" in event.arn),
)
def test_role_like_identity_centers() -> bool:
    issuer = f"arn:aws:iam::{ACCOUNT}:role/AWSReservedSSO_Mine_1f"
    events = (publication(1, 500), edit(SSO, 8_500, "AssumedRole", issuer=issuer), publication(2, 9_000))
    return alice_approves(stage(*events, policy=ReviewPolicy((LEAD, QUALITY))))


@pytest.mark.parametrize(
    ("arn", "kind", "more"),
    [
        (BOB, "IAMUser", {"invoked_by": "cloudformation.amazonaws.com"}),
        ("cloudformation.amazonaws.com", "AWSService", {}),
        ("", "AWSAccount", {}),
        (f"arn:aws:iam::{ACCOUNT}:root", "Root", {}),
    ],
    ids=["by CloudFormation", "a service", "no ARN", "root"],
)
@attack(
    "Alice's text is written by an identity that stands for whoever uses it",
    kind=KIND,
    without=patched(attribution, "_doubts_about", lambda found, reviewers: []),
)
def test_identity_of_many(arn: str, kind: str, more: dict[str, str]) -> bool:
    events = (publication(1, 500), edit(arn, 8_500, kind, **more), publication(2, 9_000))
    return alice_approves(stage(*events, policy=ReviewPolicy((LEAD, QUALITY))))


@attack(
    "Alice's call names the prompt by an ARN in the spelling of a path",
    kind=KIND,
    without=patched(aws_trail, "unquote", str),
)
def test_spelling_of_the_prompt() -> bool:
    event = aws_trail.read_event(
        {
            "eventName": "UpdatePrompt",
            "eventTime": "1970-01-01T02:21:40Z",
            "userIdentity": {"type": "IAMUser", "arn": ALICE},
            "requestParameters": {
                "promptIdentifier": f"arn%3Aaws%3Abedrock%3Aeu-west-1%3A{ACCOUNT}%3Aprompt%2F{PROMPT_ID}"
            },
        }
    )
    seen = [event] if is_about(event, PROMPT_ID, NAME) else []
    return alice_approves(stage(publication(1, 500), *seen, edit(BOB, 8_600), publication(2, 9_000)))


# --- keeping an edit out of the record -------------------------------------------------------------------------------


ANOTHER_ID = "PROMPTID99"


class Recorder:
    """What records events. `called`: what the prompt is called while its event arrives; `fixed`: what the enrolled name
    was fixed to; `holder`: whether another prompt carries the enrolled name meanwhile."""

    def __init__(self, *, called: str, fixed: str = "", holder: bool = False, released: bool = False) -> None:
        self.prompts, self.kept, self.releases = FakePrompts(), InMemoryEdits(), InMemoryReleases()
        self.prompts.publish(replace(OLD, name=called), prompt_id=PROMPT_ID)
        if holder:
            self.prompts.publish(replace(OLD, name=NAME), prompt_id=ANOTHER_ID)
        if released:
            self.releases.record_ended(Release(name(1), NAME, 1.0, BOB, state="ended"))
        identities = InMemoryIdentities()
        if fixed:
            identities.fix(Identity(NAME, fixed, 1.0, name(1)), expected=None)
        self.named = NamedPrompts(
            prompts=self.prompts,
            enrolments=FakeEnrolments({NAME: UnderReview().enrolments.deployed[NAME]}),
            identities=identities,
            routes=InMemoryRoutes(),
        )

    def note(self, event: TrailEvent) -> list[Edit]:
        """What is recorded of the reviewed prompt after the event."""
        log = EditLog(
            prompts=self.prompts, named=self.named, releases=self.releases, edits=self.kept, clock=lambda: 9_000.0
        )
        log.note(event)
        return self.kept.edits(PROMPT_ID)

    def sweep(self, *events: TrailEvent) -> list[Edit]:
        """What is recorded of it after CloudTrail's history was copied."""
        trail = FakeTrail(*events)
        EditSweep(named=self.named, trail=trail, edits=self.kept, clock=lambda: 9_000.0, log=lambda said: None).run()
        return self.kept.edits(PROMPT_ID)


def record(event: TrailEvent, *, named: str) -> list[Edit]:
    return Recorder(called=named, released=True, fixed=ANOTHER_ID).note(event)


@attack(
    "Alice renames the prompt for the time of her edit, so that it is none that is enrolled",
    kind=KIND,
    without=patched(edit_log.EditLog, "_was_enrolled", lambda self, prompt_id: False),
)
def test_renamed_for_an_edit() -> bool:
    return record(edit(ALICE, 8_500), named="another") == []


@pytest.mark.parametrize("holder", [False, True], ids=["nobody has its name", "another prompt has its name"])
@pytest.mark.parametrize("fixed", ["", PROMPT_ID], ids=["before any release", "after a release"])
@attack(
    "Alice edits the enrolled prompt under another name, before the history was ever copied",
    kind=KIND,
    without=patched(edit_log.EditLog, "_is_meant", lambda self, prompt_id, exists: False),
)
def test_edited_under_another_name(fixed: str, holder: bool) -> bool:
    return Recorder(called="another", fixed=fixed, holder=holder).note(edit(ALICE, 8_500)) == []


def by_name_now(self: NamedPrompts, prompt: str) -> list[str]:
    found = self.prompts.find(prompt)
    return [found[0]] if found else []


@pytest.mark.parametrize("holder", [False, True], ids=["nobody has its name", "another prompt has its name"])
@attack(
    "Alice keeps the prompt under another name while CloudTrail's history is copied",
    kind=KIND,
    without=patched(NamedPrompts, "every", by_name_now),
)
def test_history_under_another_name(holder: bool) -> bool:
    return Recorder(called="another", fixed=PROMPT_ID, holder=holder).sweep(edit(ALICE, 8_500)) == []


def born(at: float, target: str, arn: str = BOB) -> TrailEvent:
    return TrailEvent("CreatePrompt", at, arn, "IAMUser", target, event_id=f"c{int(at)}")


def any_creation(event: TrailEvent, prompt_id: str, created: float | None) -> bool:
    return True


@pytest.mark.parametrize("target", [NAME, PROMPT_ID], ids=["by the name", "by a name like the id"])
@attack(
    "Alice has a new prompt carry the old one's name for a moment, so that the old one seems to be new",
    kind=KIND,
    without=patched(authors, "is_creation_of", any_creation),
)
def test_creation_of_another_prompt(target: str) -> bool:
    now = TRAIL_KEPT + 100_000
    another = replace(born(now - 5_000, target), by_name=True)
    events = (another, edit(BOB, now - 2_000), publication(2, now - 1_000))
    world = stage(*events, stable=None, now=now, policy=ReviewPolicy((LEAD, QUALITY)))
    world.prompts.created[PROMPT_ID] = 50.0  # her edits of then are older than what CloudTrail tells
    return alice_approves(world)


@attack(
    "Alice creates a prompt of the enrolled name, so that its creator counts as an author of the enrolled one",
    kind=KIND,
    without=patched(edit_log, "is_creation_of", any_creation),
)
def test_creator_of_another_prompt() -> bool:
    place = Recorder(called=NAME)
    place.prompts.created[PROMPT_ID] = 50.0
    return bool(place.note(born(8_500, NAME, arn=ALICE)))


@attack(
    "Alice edits a prompt that carries the enrolled name meanwhile, and names somebody else an author",
    kind=KIND,
    without=patched(FakePrompts, "find", lambda self, given: (PROMPT_ID, NAME)),
)
def test_edit_of_another_prompt() -> bool:
    place = Recorder(called="another", fixed=PROMPT_ID, holder=True)
    return bool(place.note(replace(edit(BOB, 8_500), target=ANOTHER_ID)))


@attack(
    "Alice's call carries so much that its record cannot be stored",
    kind=KIND,
    without=patched(edits, "_bounded", str),
)
def test_event_too_large_to_record() -> bool:
    try:
        return record(replace(edit(ALICE, 8_500), source_ip="9" * 500_000, issuer="x" * 300_000), named=NAME) == []
    except InvalidInput:
        return True


@attack(
    "Alice's event has an id that is not one, so that it takes another's place or none",
    kind=KIND,
    without=patched(edits.Edit, "id", "same"),
)
def test_event_id() -> bool:
    kept = InMemoryEdits()
    for arn in (BOB, ALICE):
        kept.record(PROMPT_ID, Edit(replace(edit(arn, 8_500), event_id="#/" * 3_000), 8_560.0))
    return ALICE not in {e.event.arn for e in kept.edits(PROMPT_ID)}


def test_a_reviewer_who_wrote_nothing_approves_in_each_of_these_worlds() -> None:
    """The stage itself refuses nobody."""
    events = (publication(1, 500), edit(BOB, 8_500), publication(2, 9_000))
    assert alice_approves(stage(*events))
    assert alice_approves(stage(*events, policy=ReviewPolicy((LEAD, QUALITY))))
