"""Publishes an archived version again, as a new number with the same fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from promptlane.domain.errors import Conflict, NotFound, PromptlaneError, Unavailable
from promptlane.domain.ports import Objects, PromptWriter
from promptlane.domain.release.content import fingerprint
from promptlane.domain.release.housekeeping import archive_key, from_archive
from promptlane.domain.release.prompt import PromptVersion

Json = Any


def restore(
    prompts: PromptWriter,
    archive: Objects,
    prompt_id: str,
    version: int,
    *,
    make_room: Callable[[], object] = lambda: None,
) -> PromptVersion:
    """The version that holds the archived content: one that exists with this fingerprint, else a new one.

    `make_room` is called before one is published; it need not succeed, since there may be room.
    The draft is written, published and put back as it was; what somebody else wrote into it meanwhile is left. Raises
    NotFound when the archive has no such version, Conflict when somebody wrote the draft meanwhile: the message says
    what was published.
    """
    key = archive_key(prompt_id, version)
    try:
        copy = from_archive(archive.get(key), key)
    except NotFound:
        raise NotFound(
            f"the archive has no version {version} of prompt {prompt_id} ({key}); `housekeep` archives every version "
            "when a release starts, and once a day"
        ) from None
    for number in reversed(prompts.versions(prompt_id)):
        present = prompts.version(prompt_id, number)
        if present.fingerprint == copy.fingerprint:
            return present
    make_room()
    before = prompts.draft_body(prompt_id)
    description = f"Restored from version {version}" + (f": {copy.description}" if copy.description else "")
    try:
        prompts.write_variants(prompt_id, copy.variants, copy.default_variant)
        published = prompts.publish(prompt_id, description=description[:200])
    except BaseException as error:
        try:
            _put_back(prompts, prompt_id, before, ours=copy.fingerprint)
        except PromptlaneError as second:
            raise type(second)(f"{str(error) or 'it was broken off'}; besides, {second}") from error
        raise
    if fingerprint(published.variants) != copy.fingerprint:
        raise Conflict(
            f"version {published.version} of {prompt_id} was published but does not hold what version {version} held: "
            "somebody wrote the draft at the same time, and it is left as they wrote it. Do not release that version; "
            "run `promptlane restore` again"
        )
    try:
        _put_back(prompts, prompt_id, before, ours=copy.fingerprint)
    except PromptlaneError as error:
        raise type(error)(
            f"version {published.version} of {prompt_id} was published and holds what version {version} held, but "
            f"{error}"
        ) from error
    return published


def _put_back(prompts: PromptWriter, prompt_id: str, before: Mapping[str, Json], *, ours: str) -> None:
    """Write the draft that was found, unless it is there, or somebody wrote another since; raises Conflict then."""
    try:
        present = prompts.draft_body(prompt_id)
        if present == before:
            return
        if fingerprint(present.get("variants", [])) == ours:
            prompts.write_body(prompt_id, before)
            return
    except PromptlaneError as error:
        raise Unavailable(
            f"the draft could not be put back ({error}); it may hold the archived version: look at it before you "
            "publish it"
        ) from error
    raise Conflict("somebody wrote the draft at the same time; it is left as they wrote it")
