"""Names of prompts that are moved, so that a live version is deleted or another prompt is released in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from promptlane.aws.prompts import BedrockPrompts
from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.errors import InvalidInput, PromptlaneError
from promptlane.domain.names import Outcome
from promptlane.domain.release import housekeeping as housekeeping_rules
from promptlane.domain.release.meant import Identity, Standing
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.trigger import PromptChange, ReleaseRequest
from promptlane.fakes import FakeEnrolments, FakePrompts, InMemoryRoutes
from promptlane.lifecycle import admit as admit_module
from promptlane.lifecycle import housekeep as housekeep_module
from promptlane.lifecycle import intake as intake_module
from promptlane.lifecycle.admit import Admission
from promptlane.lifecycle.housekeep import Housekeeping
from promptlane.lifecycle.identities import NamedPrompts
from promptlane.lifecycle.intake import Intake
from promptlane.lifecycle.prompt_watch import PromptWatch
from promptlane.lifecycle.reconcile import Reconciliation
from promptlane.lifecycle.shift import Traffic
from tests.support.attacks import anything, attack, patched, together
from tests.support.cli_desk import Desk
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import POLICY, TRAFFIC, Stage

Json = Any
OTHER_ID, OTHER = "PROMPT0002", "refunds"
DELETED, MOVED = "a live version deleted", "another prompt under a name"


class Shelf(FakePrompts):
    def delete(self, prompt_id: str, version: int) -> None:
        self.alter(prompt_id, version, None)


class Objects(dict[str, bytes]):
    def put(self, key: str, body: bytes, content_type: str = "") -> None:
        self[key] = body

    def get(self, key: str) -> bytes:  # type: ignore[override]
        return self[key]

    def keys(self, prefix: str) -> list[str]:  # type: ignore[override]
        return [key for key in self if key.startswith(prefix)]


class Account(Stage):
    """Two enrolled prompts; the victim serves its version 1, the other its version 6."""

    def __init__(self) -> None:
        super().__init__(served=False, versions=0)
        self.prompts = Shelf()
        self.enrolments = FakeEnrolments({PROMPT: POLICY, OTHER: POLICY})
        self.archive = Objects()
        self.publish_as(ID, PROMPT, 1)
        for number in range(1, 7):
            self.publish_as(OTHER_ID, OTHER, number)
        for name, prompt_id, stable in ((PROMPT, ID, 1), (OTHER, OTHER_ID, 6)):
            ref = self.prompts.version(prompt_id, stable).ref
            self.routes.put(Route(name, prompt_id, ref, release_id=f"{prompt_id}-{stable}-1"), expected=None)
            self.identities.fix(Identity(name, prompt_id, 1.0, f"{prompt_id}-{stable}-1"), expected=None)
            self.ended(prompt_id, name, *range(1, stable + 1))

    def publish_as(self, prompt_id: str, name: str, number: int) -> None:
        self.prompts.publish(PromptDraft(name, "m", ("q",), template=f"{number} {{{{q}}}}"), prompt_id=prompt_id)

    def ended(self, prompt_id: str, name: str, *versions: int) -> None:
        for version in versions:
            self.releases.record_ended(
                Release(f"{prompt_id}-{version}-1", name, 0, "x", state="ended", outcome=Outcome.PROMOTED)
            )

    def swap(self) -> None:
        """The other prompt is renamed away, and the victim takes its name; then fillers are published."""
        self.prompts.rename(OTHER_ID, "refunds-old")
        self.prompts.rename(ID, OTHER)
        for number in range(2, 8):
            self.publish_as(ID, OTHER, number)
        self.ended(ID, PROMPT, *range(2, 8))

    def housekeep(self) -> bool:
        """Whether the version that the victim's applications call is gone afterwards."""
        names = (
            "prompts",
            "enrolments",
            "identities",
            "routes",
            "releases",
            "archive",
            "contents",
            "cursors",
            "notices",
            "clock",
            "log",
        )
        Housekeeping(**self.ports(*names), copies=None, keep=2, quota=100).run()
        return 1 not in self.prompts.versions(ID)


def by_name(*_: Json, **__: Json) -> str:
    """Nothing fixes what a name means: it is looked up."""
    return ""


def nothing(*_: Json, **__: Json) -> dict[int, str]:
    return {}


@attack(
    "a prompt takes the name of another, and housekeeping clears it",
    kind=DELETED,
    without=together(patched(NamedPrompts, "fixed", by_name), patched(housekeep_module, "protected", nothing)),
)
def test_rename_swap() -> bool:
    account = Account()
    account.swap()
    return account.housekeep()


@attack(
    "a prompt takes a name that nothing fixed yet, and housekeeping clears it",
    kind=DELETED,
    without=patched(housekeep_module, "protected", nothing),
)
def test_rename_swap_of_a_name_that_is_not_fixed() -> bool:
    account = Account()
    account.swap()
    with mock.patch.object(NamedPrompts, "fixed", by_name):
        return account.housekeep()


@attack(
    "a route that cannot be read hides what it names",
    kind=DELETED,
    without=patched(Housekeeping, "_protected", nothing),
)
def test_an_unreadable_route() -> bool:
    account = Account()
    for number in range(2, 8):
        account.publish_as(ID, PROMPT, number)
    account.ended(ID, PROMPT, *range(2, 8))

    def unreadable(self: InMemoryRoutes) -> list[Route]:
        raise InvalidInput("the route of 'support' has schema 9")

    with mock.patch.object(InMemoryRoutes, "all", unreadable):
        return account.housekeep()


def released_only(*arguments: Json, **more: Json) -> dict[int, str]:
    kept = _protected(*arguments, **more)
    return {version: why for version, why in kept.items() if not why.startswith("never released")}


_protected = housekeeping_rules.protected


@attack(
    "a version that is used without a release is cleared away by fillers",
    kind=DELETED,
    without=patched(housekeep_module, "protected", released_only),
)
def test_a_version_without_a_record() -> bool:
    account = Account()
    for number in range(2, 8):
        account.publish_as(ID, PROMPT, number)
    account.ended(ID, PROMPT, *range(3, 8))
    route = account.routes.get(PROMPT)
    assert route is not None
    account.routes.put(
        Route(PROMPT, ID, account.prompts.version(ID, 7).ref, release_id=f"{ID}-7-1", revision=2), expected=route
    )
    account.housekeep()
    return 2 not in account.prompts.versions(ID)


# Another prompt under the name


@contextmanager
def _unguarded() -> Iterator[None]:
    with (
        mock.patch.object(NamedPrompts, "fixed", by_name),
        mock.patch.object(NamedPrompts, "demand", anything),
        mock.patch.object(intake_module, "demand_own", anything),
    ):
        yield


def taken(account: Account, prompt: str, version: int, *, explicit: bool = False) -> bool:
    names = ("prompts", "enrolments", "identities", "routes", "releases", "workflow", "clock")
    request = ReleaseRequest(prompt, version, "mallory", explicit, request_id="x")
    return Intake(**account.ports(*names)).take(request).result in ("started", "waiting")


def recreated() -> Account:
    """The victim is deleted, and a prompt of another author has its name."""
    account = Account()
    account.prompts.remove(ID)
    for number in (1, 2):
        account.publish_as("PROMPT0003", PROMPT, number)
    return account


@pytest.mark.parametrize("given", [PROMPT, "PROMPT0003", "arn:aws:bedrock:us-east-1:111122223333:prompt/PROMPT0003"])
@pytest.mark.parametrize("explicit", [False, True], ids=["event", "asked for"])
@attack("a prompt is deleted and made again under its name, and released", kind=MOVED, without=_unguarded)
def test_release_of_a_recreated_prompt(given: str, explicit: bool) -> bool:
    return taken(recreated(), given, 2, explicit=explicit)


@attack("a prompt takes another's name, and its version is released as the other's", kind=MOVED, without=_unguarded)
def test_release_under_a_swapped_name() -> bool:
    account = Account()
    account.prompts.rename(OTHER_ID, "refunds-old")
    account.prompts.rename(ID, OTHER)
    account.publish_as(ID, OTHER, 2)
    return taken(account, ID, 2)


@attack(
    "a released prompt takes an enrolled name that nothing was released under",
    kind=MOVED,
    without=patched(intake_module, "demand_own", anything),
)
def test_release_under_a_fresh_name() -> bool:
    account = Account()
    account.enrolments.deployed["billing"] = POLICY
    account.prompts.rename(ID, "billing")
    account.publish_as(ID, "billing", 2)
    return taken(account, ID, 2)


def admitted(account: Account, name: str, prompt: str) -> bool:
    account.releases.record_ended(Release(name, prompt, 1.0, "mallory"))
    names = (
        *("prompts", "enrolments", "identities", "tags", "routes", "releases"),
        *("directory", "quarantine", "contents", "clock"),
    )
    try:
        Admission(
            **account.ports(*names), check_suite=lambda suite, variables: ([], SuiteFacts(1)), floor=Floor()
        ).admit(name)
    except PromptlaneError:
        return False
    return True


def unexplained() -> Account:
    account = recreated()
    policy = POLICY.from_dict({**POLICY.to_dict(), "prompt_id": "PROMPT0003"})
    account.enrolments.deployed[PROMPT] = policy
    return account


@attack(
    "a release that intake never saw is of another prompt",
    kind=MOVED,
    without=patched(admit_module, "fixed_id", by_name),
)
def test_admission_of_another_prompt() -> bool:
    return admitted(recreated(), "PROMPT0003-2-1", PROMPT)


@attack(
    "a deployment gives a name to another prompt, and says nothing of why",
    kind=MOVED,
    without=patched(admit_module, "fixed_id", by_name),
)
def test_a_change_without_a_reason() -> bool:
    return admitted(unexplained(), "PROMPT0003-2-1", PROMPT)


@pytest.mark.parametrize("then", ["renamed", "swapped"])
@pytest.mark.parametrize("step", ["shift", "promote"])
@attack(
    "traffic moves although the name was moved after the review",
    kind=MOVED,
    without=patched(Standing, "demand", anything),
)
def test_traffic_after_a_renaming(then: str, step: str) -> bool:
    stage = Stage()
    release = stage.approved(2)
    if step == "promote":
        stage.serve(1, canary=stage.ref(2), weight=500, phase="canary", release_id=release.release_id)
    stage.prompts.rename(ID, "support-old")
    if then == "swapped":
        stage.prompts.publish(PromptDraft(PROMPT, "m", template="mine"), prompt_id="PROMPT0003")
    traffic = Traffic(**stage.ports(*TRAFFIC))
    try:
        moved = traffic.shift(RELEASE, 0) if step == "shift" else traffic.promote(RELEASE)
    except PromptlaneError:
        return False
    return moved.result == "done"


# What people type


def written(folder: Path) -> None:
    folder.mkdir()
    (folder / "prompt.yaml").write_text(
        "name: greeter\nmodel: amazon.nova-lite-v1:0\nvariables: [name]\ntemplate: 'Mine: {{name}}.'\n"
    )


def deleted_desk() -> Desk:
    """The prompt that the name means was deleted; another has its name where `taken`."""
    desk = Desk()
    desk.serve(desk.publish())
    desk.prompts.drafts.clear()
    desk.prompts.remove(ID)
    return desk


@attack(
    "publishing makes a deleted prompt again under its name",
    kind=MOVED,
    without=patched(NamedPrompts, "find", lambda self, prompt: None),
)
def test_publication_of_a_deleted_prompt(tmp_path: Path) -> bool:
    written(folder := tmp_path / f"greeter-{len(list(tmp_path.iterdir()))}")
    return deleted_desk().type("publish", str(folder), "--message", "again").exit_code == 0


@attack(
    "an operator asks for the release of a prompt that took the name",
    kind=MOVED,
    without=together(
        patched(NamedPrompts, "find", lambda self, prompt: "PROMPT0003"), patched(NamedPrompts, "demand", anything)
    ),
)
def test_asking_for_a_release_under_a_moved_name() -> bool:
    desk = deleted_desk()
    for text in ("One {{name}}", "Two {{name}}"):
        draft = PromptDraft("greeter", "m", ("name",), template=text)
        FakePrompts.publish(desk.prompts, draft, prompt_id="PROMPT0003")
    desk.type("release", "greeter", "2", "--wait", "0")
    return bool(desk.queue.requests)


class Agent:
    """Bedrock, where somebody named a prompt as another's id."""

    def get_paginator(self, _: str) -> Agent:
        return self

    def paginate(self, **_: Json) -> list[dict[str, Json]]:
        mine = {"id": "MALLORY001", "name": ID}
        return [{"promptSummaries": [mine]}, {"promptSummaries": [{"id": ID, "name": PROMPT}]}]


def whoever_comes_first(self: BedrockPrompts, wanted: str) -> tuple[str, str]:
    summaries = (s for page in self._agent.get_paginator("list_prompts").paginate() for s in page["promptSummaries"])
    return next((s["id"], s["name"]) for s in summaries if wanted in (s["id"], s["name"]))


@attack(
    "a prompt calls itself what is another's id",
    kind=MOVED,
    without=patched(BedrockPrompts, "find", whoever_comes_first),
)
def test_a_name_that_is_an_id() -> bool:
    return BedrockPrompts(Agent()).find(ID) != (ID, PROMPT)


# What people are told


def watching(account: Account) -> PromptWatch:
    named = NamedPrompts(**account.ports("prompts", "enrolments", "identities", "routes"))
    return PromptWatch(named=named, **account.ports("watched", "notices", "clock"))


@pytest.mark.parametrize("tells", ["everything", "ids", "nothing"])
@attack(
    "a name is moved and nobody is told",
    kind="renamings unnoticed",
    without=patched(PromptWatch, "on_change", lambda self, change: []),
)
def test_a_renaming_is_told(tells: str) -> bool:
    account = Account()
    account.prompts.rename(ID, "elsewhere")
    seen = {
        "everything": PromptChange("e1", "UpdatePrompt", ID, "elsewhere", 0, "mallory"),
        "ids": PromptChange("e1", "UpdatePrompt", ID, "", 0, "mallory"),
        "nothing": PromptChange("e1", "UpdatePrompt", "", "", 0, "mallory"),
    }[tells]
    watching(account).on_change(seen)
    return not [body for _, body in account.notices.sent if "mallory" in body]


@attack(
    "the event of a deletion is lost",
    kind="renamings unnoticed",
    without=patched(PromptWatch, "look", lambda self, prompt: None),
)
def test_a_lost_event() -> bool:
    account = recreated()
    names = ("prompts", "enrolments", "identities", "watched", "notices", "tags", "routes", "releases", "workflow")
    Reconciliation(
        **account.ports(*names, "queue", "cursors", "clock", "log"),
        wind_up=lambda name, why: None,
        restored=lambda prompt: None,
    ).run()
    return not account.notices.sent


@attack(
    "a live version is deleted by hand and nobody is told",
    kind="renamings unnoticed",
    without=patched(PromptWatch, "_version_gone", lambda self, prompt, change: False),
)
def test_a_version_deleted_by_hand() -> bool:
    account = Account()
    watching(account).on_change(PromptChange("e2", "DeletePrompt", ID, "", 1, "mallory"))
    return not account.notices.sent
