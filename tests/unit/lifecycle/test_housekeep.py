"""Archiving, deleting and restoring versions."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.housekeeping import archive_key, archived, from_archive
from promptlane.domain.release.prompt import PromptDraft, PromptVersion
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import (
    COPIED_WITHIN,
    Event,
    TimelineEntry,
)
from promptlane.fakes import (
    FakeEnrolments,
    FakeNotices,
    FakePrompts,
    InMemoryCursors,
    InMemoryIdentities,
    InMemoryReleases,
    InMemoryRoutes,
)
from promptlane.fakes.objects import MemoryContents
from promptlane.lifecycle.copies import LOOKED_BACK
from promptlane.lifecycle.housekeep import Housekeeping, Tidied
from promptlane.lifecycle.restore import restore
from tests.support.cli_desk import Desk
from tests.support.locked_copies import Copies
from tests.support.prompt import ID, POLICY

NAME = "greeter"


class Archive:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        self.objects[key] = body

    def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise NotFound(key)
        return self.objects[key]

    def keys(self, prefix: str) -> list[str]:
        return sorted(k for k in self.objects if k.startswith(prefix))


class Shelf(FakePrompts):
    """Versions can go, and the draft can be written; numbers are never used twice, as in Bedrock."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: set[int] = set()
        self.draft: dict[str, Any] = {"name": NAME, "variants": [{"name": "default", "modelId": "m"}]}
        self.meddle: list[dict[str, Any]] | None = None

    def versions(self, prompt_id: str) -> list[int]:
        return [v for v in super().versions(prompt_id) if v not in self.gone]

    def version(self, prompt_id: str, version: int) -> PromptVersion:
        if version in self.gone:
            raise NotFound(f"version {version} is gone")
        return super().version(prompt_id, version)

    def delete(self, prompt_id: str, version: int) -> None:
        self.gone.add(version)

    def draft_body(self, prompt_id: str) -> dict[str, Any]:
        return dict(self.draft)

    def write_variants(self, prompt_id: str, variants: Any, default: str) -> None:
        self.draft = {**self.draft, "variants": list(variants)}

    def write_body(self, prompt_id: str, body: Any) -> None:
        self.draft = dict(body)

    def snapshot(self, prompt_id: str, *, description: str) -> PromptVersion:
        number = max(FakePrompts.versions(self, prompt_id), default=0) + 1
        if self.meddle:
            self.draft = {**self.draft, "variants": self.meddle}
        variants = tuple(self.draft["variants"])
        version = PromptVersion(prompt_id, NAME, number, f"arn:{number}", variants, description)
        self._versions[prompt_id].append(version)
        return version


class _Press:
    """The shelf with an author's `publish`."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shelf, "snapshot" if name == "publish" else name)


class House:
    """A prompt with as many versions as asked for, and its housekeeping."""

    def __init__(self, versions: int, *, keep: int = 4, quota: int = 10) -> None:
        self.shelf, self.archive, self.notices = Shelf(), Archive(), FakeNotices()
        self.routes, self.releases, self.copies = InMemoryRoutes(), InMemoryReleases(), Copies()
        self.cursors, self.contents = InMemoryCursors(), MemoryContents()
        self.now, self.logged = 1000.0, list[str]()
        for number in range(1, versions + 1):
            draft = PromptDraft(NAME, "m", ("name",), template=f"{number} {{{{name}}}}")
            self.shelf.publish(draft, prompt_id=ID)
        self.housekeeping = Housekeeping(
            prompts=self.shelf,
            enrolments=FakeEnrolments({NAME: POLICY}),
            identities=InMemoryIdentities(),
            routes=self.routes,
            releases=self.releases,
            archive=self.archive,
            contents=self.contents,
            cursors=self.cursors,
            copies=self.copies,
            notices=self.notices,
            clock=lambda: self.now,
            keep=keep,
            quota=quota,
            log=self.logged.append,
        )

    def ref(self, version: int) -> Any:
        return self.shelf.version(ID, version).ref

    def serve(self, stable: int, **changes: Any) -> None:
        """Stable is this version; it and all before it have been released."""
        known = {release.version for release in self.releases.of_prompt(ID)}
        ended(self, *(n for n in range(1, stable + 1) if n not in known))
        stored = self.routes.get(NAME)
        route = Route(NAME, ID, self.ref(stable), revision=stored.revision + 1 if stored else 1, **changes)
        self.routes.put(route, expected=stored)

    def run(self) -> Tidied:
        return self.housekeeping.run()

    @property
    def left(self) -> list[int]:
        return self.shelf.versions(ID)


def test_everything_is_archived_before_the_oldest_go() -> None:
    house = House(9)
    house.serve(8)

    done = house.run()

    assert house.left == [6, 7, 8, 9]
    assert done.deleted == [f"{NAME} {n}" for n in (1, 2, 3, 4, 5)]
    assert set(house.archive.objects) == {archive_key(ID, n) for n in range(1, 10)}
    assert house.run() == Tidied()


def test_versions_in_use_stay_whatever_their_age() -> None:
    house = House(9, keep=2)
    house.serve(7, previous=house.ref(1), canary=house.ref(8), weight=100, phase=Phase.CANARY)
    house.releases.wait(Waiting(NAME, ID, 3, 0, "x"))
    flying = Release(f"{ID}-4-2", NAME, 0, "x", stable=house.ref(5))
    house.releases.start(flying, TimelineEntry("a", flying.release_id, 0, Event.STARTED))

    house.run()

    assert house.left == [1, 3, 4, 5, 7, 8, 9]


def ended(house: House, *versions: int, outcome: Outcome = Outcome.REJECTED) -> None:
    for version in versions:
        attempt = 1 + sum(release.version == version for release in house.releases.of_prompt(ID))
        release = Release(f"{ID}-{version}-{attempt}", NAME, 0, "x", state="ended", outcome=outcome)
        house.releases.record_ended(release)


def test_what_was_rolled_back_may_go_and_stays_quarantined_when_it_is_restored() -> None:
    house = House(6, keep=2)
    bad = house.ref(2).fingerprint
    house.serve(6, quarantined={bad: {"version": 2, "release_id": f"{ID}-2-1", "at": 1}})
    ended(house, 2, outcome=Outcome.ROLLED_BACK)

    house.run()

    assert house.left == [5, 6]
    restored = restore(_Press(house.shelf), house.archive, ID, 2)
    route = house.routes.get(NAME)
    assert route is not None
    assert restored.fingerprint in route.quarantined


def test_attempts_newer_than_stable_that_all_ended_do_not_fill_the_shelf() -> None:
    house = House(10, keep=8)
    house.serve(1)
    ended(house, *range(2, 11))
    house.releases.wait(Waiting(NAME, ID, 2, 0, "x"))
    again = Release(f"{ID}-3-2", NAME, 0, "x")
    house.releases.start(again, TimelineEntry("a", again.release_id, 0, Event.STARTED))

    assert house.run().deleted == [f"{NAME} 4", f"{NAME} 5"]
    assert house.left == [1, 2, 3, 6, 7, 8, 9, 10]


def test_a_prompt_that_was_never_promoted_loses_only_what_was_tried_and_is_warned_about() -> None:
    house = House(9, keep=9)

    assert house.run().nearly_full == [NAME]
    assert "version 9: newer than stable, and not released yet" in house.notices.sent[0][1]

    tried = House(9, keep=3)
    ended(tried, *range(1, 9))
    assert tried.run().nearly_full == []
    assert tried.left == [7, 8, 9]


def test_nothing_goes_before_a_first_promotion() -> None:
    house = House(9)

    assert house.run().deleted == []
    assert len(house.archive.objects) == 9


def test_what_is_newer_than_stable_may_still_be_released() -> None:
    house = House(9, keep=2)
    house.serve(2, previous=house.ref(1))

    assert house.run().deleted == []


def test_a_full_shelf_is_announced_with_its_reasons() -> None:
    house = House(9, keep=9)
    house.serve(9, previous=house.ref(8))

    assert house.run().nearly_full == [NAME]
    subject, body = house.notices.sent[0]
    assert "9 of 10 versions" in subject
    assert "version 8: previous" in body


def test_what_is_damaged_in_the_archive_stays_and_is_told() -> None:
    house = House(6, keep=2)
    house.serve(6)
    house.run()
    fresh = House(6, keep=2)
    fresh.serve(6)
    fresh.archive.objects = {k: v.replace(b"1 {{name}}", b"9 {{name}}") for k, v in house.archive.objects.items()}

    done = fresh.run()

    assert fresh.left == [1, 5, 6]
    (failure,) = done.failed
    assert failure.startswith(f"{NAME} 1: archive/{ID}/1.json in the report bucket was altered")
    assert failure in fresh.notices.sent[-1][1]


def test_a_version_that_cannot_be_deleted_hinders_neither_the_others_nor_the_warning() -> None:
    house = House(10, keep=8)
    house.serve(10)
    deletes = house.shelf.delete

    def refused(prompt_id: str, version: int) -> None:
        if version == 1:
            raise Unavailable("throttled")
        deletes(prompt_id, version)

    house.shelf.delete = refused  # type: ignore[method-assign]

    done = house.run()

    assert (done.deleted, done.failed) == ([f"{NAME} 2"], [f"{NAME} 1: throttled"])
    assert done.nearly_full == [NAME]
    assert [subject for subject, _ in house.notices.sent] == [
        f"[Promptlane] {NAME}: 9 of 10 versions",
        "[Promptlane] housekeeping: 1 failed",
    ]


def timeline(house: House, count: int, **fields: Any) -> Release:
    """A release of version 1 with so many entries, the first at time 1000, a second apart; none has a copy."""
    release = Release(f"{ID}-1-1", NAME, 0, "x", **fields)
    entries = [TimelineEntry(f"e{k}", release.release_id, 1000.0 + k, Event.CANARY_JUDGED) for k in range(count)]
    house.releases.record_ended(release, *entries)
    return release


def test_entries_that_the_relay_gave_up_on_get_their_locked_copy() -> None:
    house = House(1)
    name = timeline(house, 3).release_id
    entries = house.releases.timeline(name)
    house.copies.put(entries[1].to_dict())

    house.now = 1000 + COPIED_WITHIN
    assert house.run().copied == [], "the relay is at it"
    house.now += 60
    assert house.run().copied == [f"{name} 1", f"{name} 3"]

    assert [copy.entry for copy in house.copies.timeline(name)] == entries
    assert house.run().copied == []


def test_an_altered_timeline_is_told_and_not_locked_as_if_it_were_true() -> None:
    house = House(1)
    name = timeline(house, 2).release_id
    forged = [replace(e, by="somebody else") for e in house.releases.timeline(name)]
    house.releases.timeline = lambda _: forged  # type: ignore[method-assign,assignment]
    house.now = 5000

    done = house.run()

    assert (done.copied, house.copies.entries) == ([], {})
    assert f"release {name}: the timeline does not hold" in done.failed[0]


def test_copies_that_expired_are_not_put_again() -> None:
    house = House(1)
    timeline(house, 2, state="ended", outcome=Outcome.PROMOTED, ended_at=1002.0)
    house.now = 1002 + LOOKED_BACK + 1

    assert house.run() == Tidied(archived=[f"{NAME} 1"])


def test_one_that_came_into_use_meanwhile_stays() -> None:
    house = House(6, keep=2)
    house.serve(6)
    original = house.archive.get

    def promoted_while_reading(key: str) -> bytes:
        if key == archive_key(ID, 1):
            house.serve(6, previous=house.ref(1))
        return original(key)

    house.archive.get = promoted_while_reading  # type: ignore[method-assign]

    assert house.run().deleted == [f"{NAME} {n}" for n in (2, 3, 4)]
    assert house.left == [1, 5, 6]


@settings(max_examples=60)
@given(st.integers(2, 14), st.integers(2, 10), st.data())
def test_no_interleaving_of_uses_loses_a_version_in_use(versions: int, keep: int, data: st.DataObject) -> None:
    house = House(versions, keep=keep)
    number = st.integers(1, versions)
    stable = data.draw(number)
    previous = data.draw(st.none() | number)
    house.serve(stable, previous=house.ref(previous) if previous else None)
    for waiting in data.draw(st.sets(number, max_size=3)):
        house.releases.wait(Waiting(NAME, ID, waiting, 0, "x"))
    used = {stable, *([previous] if previous else []), *(w.version for w in house.releases.waiting(ID))}

    house.run()

    assert used <= set(house.left)
    assert {n for n in house.left if n > stable} == set(range(stable + 1, versions + 1))
    assert len(house.left) >= min(versions, keep)
    for gone in set(range(1, versions + 1)) - set(house.left):
        body = house.archive.objects[archive_key(ID, gone)]
        assert from_archive(body, "x").version == gone


def test_a_restored_version_has_the_fingerprint_of_the_archived_one_and_the_draft_is_put_back() -> None:
    house = House(6, keep=2)
    house.serve(6)
    wanted = house.shelf.version(ID, 1).fingerprint
    house.run()
    draft = dict(house.shelf.draft)

    published = restore(_Press(house.shelf), house.archive, ID, 1)

    assert (published.version, published.fingerprint) == (7, wanted)
    assert published.description.startswith("Restored from version 1")
    assert house.shelf.draft == draft
    assert restore(_Press(house.shelf), house.archive, ID, 1) == published


def test_a_draft_written_by_somebody_else_between_is_noticed() -> None:
    house = House(6, keep=2)
    house.serve(6)
    house.run()
    house.shelf.meddle = [{"name": "default", "modelId": "other"}]

    with pytest.raises(Conflict, match="Do not release that version"):
        restore(_Press(house.shelf), house.archive, ID, 1)
    assert house.shelf.draft["variants"] == house.shelf.meddle


def tidied() -> House:
    """A house whose version 1 is in the archive alone."""
    house = House(6, keep=2)
    house.serve(6)
    house.run()
    return house


def test_a_draft_written_by_somebody_else_after_the_publishing_is_left_to_them() -> None:
    house = tidied()
    theirs = {**house.shelf.draft, "variants": [{"name": "default", "modelId": "theirs"}]}
    snapshot = house.shelf.snapshot

    def then_edited(prompt_id: str, *, description: str) -> PromptVersion:
        published = snapshot(prompt_id, description=description)
        house.shelf.write_body(prompt_id, theirs)
        return published

    house.shelf.snapshot = then_edited  # type: ignore[method-assign]

    with pytest.raises(Conflict, match=r"version 7 of PROMPT0001 was published and .*left as they wrote it"):
        restore(_Press(house.shelf), house.archive, ID, 1)
    assert house.shelf.draft == theirs


@pytest.mark.parametrize("failing", ["write_variants", "snapshot"])
@pytest.mark.parametrize("done", [True, False], ids=["done though", "not done"])
@pytest.mark.parametrize("broken", [Unavailable("no answer"), KeyboardInterrupt()], ids=repr)
def test_a_restoring_that_fails_midway_puts_the_draft_back(failing: str, done: bool, broken: BaseException) -> None:
    house = tidied()
    draft, works = dict(house.shelf.draft), getattr(house.shelf, failing)

    def fails(*args: Any, **kwargs: Any) -> Any:
        if done:
            works(*args, **kwargs)
        raise broken

    setattr(house.shelf, failing, fails)

    with pytest.raises(type(broken)):
        restore(_Press(house.shelf), house.archive, ID, 1)
    assert house.shelf.draft == draft


def test_a_restoring_that_fails_and_cannot_be_put_back_tells_of_both() -> None:
    house = tidied()

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise Unavailable("no answer")

    house.shelf.snapshot = house.shelf.write_body = fails  # type: ignore[method-assign]

    with pytest.raises(Unavailable, match=r"^no answer; besides, the draft could not be put back \(no answer\)"):
        restore(_Press(house.shelf), house.archive, ID, 1)


def test_a_draft_that_cannot_be_put_back_is_told_with_the_version_that_was_published() -> None:
    house = tidied()

    def fails(prompt_id: str, body: Any) -> None:
        raise Unavailable("no answer")

    house.shelf.write_body = fails  # type: ignore[method-assign]

    with pytest.raises(Unavailable, match=r"version 7 .*was published.*could not be put back \(no answer\)"):
        restore(_Press(house.shelf), house.archive, ID, 1)


def test_a_version_that_was_never_archived_is_named() -> None:
    with pytest.raises(NotFound, match="has no version 3 of prompt PROMPT0001"):
        restore(_Press(House(2).shelf), Archive(), ID, 3)


@given(st.binary(max_size=200))
def test_junk_in_the_archive_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="is no archived version"):
        from_archive(body, "archive/x/1.json")


def test_an_archived_version_reads_back_as_it_was() -> None:
    version = House(1).shelf.version(ID, 1)

    assert from_archive(archived(version), "k").fingerprint == version.fingerprint


def test_restore_at_the_desk() -> None:
    desk = Desk()
    first = desk.publish()
    desk.publish("Greet {{name}} twice.")
    deployment = desk.connect()
    archive = Archive()
    archive.put(archive_key(first.prompt_id, 1), archived(first))
    deployment.__dict__["objects"] = archive
    desk.connect = lambda: deployment  # type: ignore[method-assign]

    document = desk.json("restore", "greeter", "1")

    assert (document["version"], document["published"]) == (1, False)
    assert document["fingerprint"] == first.fingerprint


def test_a_release_that_ended_protects_nothing() -> None:
    house = House(6, keep=2)
    house.serve(6, previous=house.ref(5))
    ended(house, 3)

    house.run()

    assert house.left == [5, 6]


# What keeps a version from being deleted, and what fails


def stays(house: House, number: int) -> None:
    """The version is not deleted, the next one is, nothing counts as failed, and the log says which."""
    done = house.run()

    assert (number in house.left, number + 1 in house.left) == (True, False)
    assert f"{NAME} {number}" not in done.deleted
    assert done.failed == []
    [line] = house.logged
    assert archive_key(ID, number) in line


def test_a_version_whose_archived_copy_cannot_be_found_stays() -> None:
    house = House(6, keep=2)
    house.serve(6)
    house.archive.keys = lambda prefix: [archive_key(ID, 1)]  # type: ignore[method-assign]

    stays(house, 1)


def test_a_version_whose_archived_copy_is_of_another_content_stays() -> None:
    house = House(6, keep=2)
    house.serve(6)
    house.archive.put(archive_key(ID, 1), archived(house.shelf.version(ID, 2)))

    stays(house, 1)


def test_a_version_that_cannot_be_read_is_neither_archived_nor_deleted_and_hinders_no_other() -> None:
    house = House(6, keep=2)
    house.serve(6)
    house.archive.put(archive_key(ID, 1), archived(house.shelf.version(ID, 1)))
    read = house.shelf.version

    def unreadable(prompt_id: str, version: int) -> PromptVersion:
        if version in (1, 2):
            raise Unavailable("throttled")
        return read(prompt_id, version)

    house.shelf.version = unreadable  # type: ignore[method-assign]

    done = house.run()

    assert done.failed == [f"{NAME} 2: throttled", f"{NAME} 1: throttled"]
    assert done.archived == [f"{NAME} {n}" for n in (3, 4, 5, 6)]
    assert (house.left, done.deleted) == ([1, 2, 5, 6], [f"{NAME} 3", f"{NAME} 4"])


def test_everything_that_failed_is_told_in_one_email_and_logged() -> None:
    house = House(2)

    def unreadable(prompt_id: str, version: int) -> PromptVersion:
        raise Unavailable(f"throttled at {version}")

    house.shelf.version = unreadable  # type: ignore[method-assign]
    house.run()

    [(subject, body)] = house.notices.sent
    assert subject == "[Promptlane] housekeeping: 2 failed"
    assert body.splitlines()[1:4] == [f"  {NAME} 1: throttled at 1", f"  {NAME} 2: throttled at 2", ""]
    assert "It tries again tomorrow." in body
    assert [f"{NAME} {n}: throttled at {n}" in line for n, line in enumerate(house.logged, 1)] == [True, True]


def test_a_warning_that_cannot_be_sent_is_told_as_failed() -> None:
    house = House(9, keep=9)
    publish, tried = house.notices.publish, []

    def once(subject: str, body: str, *, id: str = "") -> None:
        tried.append(subject)
        if len(tried) == 1:
            raise Unavailable("no mail")
        publish(subject, body)

    house.notices.publish = once  # type: ignore[method-assign]

    done = house.run()

    assert (done.nearly_full, done.failed) == ([NAME], [f"{NAME}: no mail"])
    assert tried == [f"[Promptlane] {NAME}: 9 of 10 versions", "[Promptlane] housekeeping: 1 failed"]


def test_the_warning_counts_what_is_left_and_says_why_it_stays() -> None:
    house = House(11, keep=9)
    house.serve(11, previous=house.ref(10))

    done = house.run()

    assert (done.deleted, done.nearly_full) == ([f"{NAME} 1", f"{NAME} 2"], [NAME])
    [(subject, body)] = house.notices.sent
    assert subject == f"[Promptlane] {NAME}: 9 of 10 versions"
    assert body.startswith(f"Prompt {NAME} has 9 of 10 versions.")
    assert "\n  version 10: previous\n  version 11: stable\n" in body


def test_a_prompt_that_is_gone_or_fails_keeps_the_others_from_nothing() -> None:
    house = House(6, keep=2)
    house.serve(6)
    house.housekeeping = replace(
        house.housekeeping, enrolments=FakeEnrolments(dict.fromkeys(("absent", "broken", NAME), POLICY))
    )
    get = house.routes.get

    def failing(prompt: str) -> Route | None:
        if prompt == "broken":
            raise Unavailable("throttled")
        return get(prompt)

    house.routes.get = failing  # type: ignore[method-assign]

    done = house.run()

    assert (done.failed, house.left) == (["broken: throttled"], [5, 6])


def test_without_an_audit_bucket_nothing_is_copied() -> None:
    house = House(1)
    timeline(house, 3)
    house.now = 5000
    house.housekeeping = replace(house.housekeeping, copies=None)

    assert house.run() == Tidied(archived=[f"{NAME} 1"])


def test_every_release_gets_its_copies_though_one_has_a_timeline_that_does_not_hold() -> None:
    house = House(3)
    names = [f"{ID}-{version}-1" for version in (1, 2, 3)]
    for version, name in enumerate(names, 1):
        entries = [TimelineEntry(f"{name}/{k}", name, 1000.0 + k, Event.CANARY_JUDGED) for k in range(version)]
        house.releases.record_ended(Release(name, NAME, 0, "x"), *entries)
    of = house.releases.timeline
    house.releases.timeline = lambda release_id: of(release_id)[release_id == names[1] :]  # type: ignore[method-assign]
    house.now = 5000

    done = house.run()

    assert done.copied == [f"{names[0]} 1", *(f"{names[2]} {seq}" for seq in (1, 2, 3))]
    assert [failure.split(":")[0] for failure in done.failed] == [f"release {names[1]}"]


def test_what_routes_name_is_put_where_applications_read_it_once() -> None:
    house = House(3)
    house.serve(2, previous=house.ref(1))

    assert house.run().readable == [f"{NAME} 2", f"{NAME} 1"]
    assert set(house.contents.data) == {f"{NAME}/{house.ref(n).fingerprint}.json" for n in (1, 2)}
    kept = house.contents.data[f"{NAME}/{house.ref(2).fingerprint}.json"]
    assert hashlib.sha256(kept).hexdigest() == house.ref(2).fingerprint
    assert house.run().readable == []


def test_nothing_is_put_under_a_fingerprint_that_its_bytes_do_not_have() -> None:
    house = House(2)
    house.serve(2)
    route = house.routes.get(NAME)
    assert route is not None
    old = replace(house.ref(2), fingerprint=house.ref(2).rounded, rounded="")
    house.routes.put(replace(route, stable=old, revision=route.revision + 1), expected=route)

    assert house.run().readable == []
    assert house.contents.data == {}
