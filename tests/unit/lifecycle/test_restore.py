"""A version comes back from the archive: what is written, published and put back, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import Conflict, NotFound, Unavailable
from promptlane.domain.release.housekeeping import archive_key, archived
from promptlane.domain.release.prompt import PromptVersion
from promptlane.fakes.objects import MemoryObjects
from promptlane.lifecycle.restore import restore
from tests.support.prompt import ID

DRAFT = {"name": "greeter", "variants": [{"name": "default", "modelId": "m"}], "defaultVariant": "default"}


def version(number: int, text: str, description: str = "", default: str = "default") -> PromptVersion:
    variants = ({"name": default, "modelId": "m", "templateConfiguration": {"text": {"text": text}}},)
    return PromptVersion(ID, "greeter", number, f"arn:{number}", variants, description, default)


class Press:
    """A prompt whose versions 2 and 3 exist; `done` names what was called."""

    def __init__(self) -> None:
        self.shelf = [version(2, "two"), version(3, "three")]
        self.draft: dict[str, Any] = dict(DRAFT)
        self.done: list[str] = []
        self.broken: dict[str, BaseException] = {}

    def _do(self, prompt_id: str, what: str) -> None:
        assert prompt_id == ID
        self.done.append(what)
        if what in self.broken:
            raise self.broken[what]

    def versions(self, prompt_id: str) -> list[int]:
        assert prompt_id == ID
        return [v.version for v in self.shelf]

    def version(self, prompt_id: str, number: int) -> PromptVersion:
        self._do(prompt_id, f"read {number}")
        return next(v for v in self.shelf if v.version == number)

    def find(self, name_or_id: str) -> tuple[str, str] | None:
        return ID, "greeter"

    def name_of(self, prompt_id: str) -> str | None:
        return "greeter"

    def created_at(self, prompt_id: str) -> float | None:
        return None

    def draft_body(self, prompt_id: str) -> dict[str, Any]:
        assert prompt_id == ID
        return dict(self.draft)

    def write_variants(self, prompt_id: str, variants: Sequence[Mapping[str, Any]], default: str) -> None:
        self._do(prompt_id, "write")
        self.draft |= {"variants": list(variants), "defaultVariant": default}

    def write_body(self, prompt_id: str, body: Mapping[str, Any]) -> None:
        self._do(prompt_id, "put back")
        self.draft = dict(body)

    def publish(self, prompt_id: str, *, description: str) -> PromptVersion:
        self._do(prompt_id, "publish")
        drafted, default = tuple(self.draft["variants"]), self.draft["defaultVariant"]
        self.shelf.append(PromptVersion(ID, "greeter", 4, "arn:4", drafted, description, default))
        return self.shelf[-1]


def archive(*versions: PromptVersion) -> MemoryObjects:
    objects = MemoryObjects()
    for one in versions:
        objects.put(archive_key(ID, one.version), archived(one))
    return objects


ONE = version(1, "one", "Says hello", default="short")


@pytest.mark.parametrize(
    ("description", "told"),
    [
        ("", "Restored from version 1"),
        ("Says hello", "Restored from version 1: Says hello"),
        ("x" * 300, "Restored from version 1: " + "x" * 175),
    ],
)
def test_an_archived_version_is_published_again_and_the_draft_is_as_it_was(description: str, told: str) -> None:
    press = Press()

    published = restore(press, archive(replace(ONE, description=description)), ID, 1)

    assert published == replace(ONE, version=4, arn="arn:4", description=told)
    assert press.done == ["read 3", "read 2", "write", "publish", "put back"]
    assert press.draft == DRAFT


@pytest.mark.parametrize("number", [2, 3])
def test_what_exists_already_is_not_published_again(number: int) -> None:
    press = Press()
    there = press.shelf[number - 2]

    assert restore(press, archive(replace(there, version=1)), ID, 1) == there
    assert "write" not in press.done


def test_a_draft_that_holds_the_archived_version_anyway_needs_no_putting_back() -> None:
    press = Press()
    press.draft |= {"variants": list(ONE.variants), "defaultVariant": "short"}

    assert restore(press, archive(ONE), ID, 1).version == 4
    assert "put back" not in press.done


def test_a_version_that_is_not_in_the_archive_is_named_with_its_key() -> None:
    with pytest.raises(NotFound, match=rf"no version 1 of prompt {ID} \(archive/{ID}/1.json\)"):
        restore(Press(), archive(version(2, "two")), ID, 1)


def test_a_draft_that_somebody_wrote_before_the_publishing_is_left_and_the_version_condemned() -> None:
    press = Press()
    publish, theirs = press.publish, [{"name": "default", "modelId": "other"}]

    def meddled(prompt_id: str, *, description: str) -> PromptVersion:
        press.draft["variants"] = theirs
        return publish(prompt_id, description=description)

    press.publish = meddled  # type: ignore[method-assign]

    with pytest.raises(Conflict, match=rf"version 4 of {ID} was published but does not hold what version 1 held"):
        restore(press, archive(ONE), ID, 1)
    assert (press.draft["variants"], "put back" in press.done) == (theirs, False)


def test_a_draft_that_somebody_wrote_after_the_publishing_is_left_and_what_was_published_is_told() -> None:
    press = Press()
    publish = press.publish

    def then_meddled(prompt_id: str, *, description: str) -> PromptVersion:
        published = publish(prompt_id, description=description)
        press.draft = {"name": "greeter"}
        return published

    press.publish = then_meddled  # type: ignore[method-assign]

    with pytest.raises(Conflict, match=r"version 4 .*holds what version 1 held, but somebody wrote the draft"):
        restore(press, archive(ONE), ID, 1)
    assert press.draft == {"name": "greeter"}


def test_a_draft_that_cannot_be_put_back_is_told_with_what_was_published() -> None:
    press = Press()
    press.broken["put back"] = Unavailable("throttled")

    with pytest.raises(Unavailable, match=r"version 4 .*held, but the draft could not be put back \(throttled\)"):
        restore(press, archive(ONE), ID, 1)


@pytest.mark.parametrize("error", [Unavailable("no answer"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("where", ["write", "publish"])
def test_whatever_breaks_it_off_the_draft_is_put_back(where: str, error: BaseException) -> None:
    press = Press()
    press.broken[where] = error

    with pytest.raises(type(error)) as raised:
        restore(press, archive(ONE), ID, 1)
    assert raised.value is error
    assert press.draft == DRAFT


@pytest.mark.parametrize(
    ("error", "says"),
    [(Unavailable("no answer"), "no answer; besides, "), (KeyboardInterrupt(), "it was broken off; besides, ")],
)
def test_where_that_fails_too_both_are_told(error: BaseException, says: str) -> None:
    press = Press()
    press.broken = {"publish": error, "put back": Unavailable("throttled")}

    with pytest.raises(Unavailable, match=rf"^{says}.*could not be put back \(throttled\)") as raised:
        restore(press, archive(ONE), ID, 1)
    assert raised.value.__cause__ is error


def test_where_somebody_else_wrote_the_draft_before_it_broke_off_it_is_left_to_them() -> None:
    press = Press()

    def meddled(prompt_id: str, *, description: str) -> PromptVersion:
        press.draft = {"name": "greeter", "variants": [{"name": "theirs"}]}
        raise Unavailable("no answer")

    press.publish = meddled  # type: ignore[method-assign]

    with pytest.raises(Conflict, match=r"^no answer; besides, somebody wrote the draft"):
        restore(press, archive(ONE), ID, 1)
    assert press.draft["variants"] == [{"name": "theirs"}]


def test_room_is_made_before_the_draft_is_touched_and_only_where_something_is_published() -> None:
    press = Press()
    asked: list[list[str]] = []

    restore(press, archive(version(2, "two")), ID, 2, make_room=lambda: asked.append(list(press.done)))
    assert asked == []
    press.done.clear()
    restore(press, archive(ONE), ID, 1, make_room=lambda: asked.append(list(press.done)))
    assert asked == [["read 3", "read 2"]]
    assert "write" in press.done
