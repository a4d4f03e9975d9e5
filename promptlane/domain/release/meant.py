"""Which Bedrock prompt an enrolled name means.

Nothing documents that a prompt's name is unique, and whoever may edit prompts can give it to another one. So the id
that a name means is fixed once, and only a deployment changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from promptlane.domain.errors import InvalidInput

from .release import Release

Json = Any


class AnotherPrompt(InvalidInput):
    """The name stands for another prompt than the one that was fixed, or for none."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The prompt that a name means, since `at` (epoch seconds), as the first release under it fixed it.

    `before`: the id that the name meant until a deployment changed it, for `reason`.
    """

    prompt: str
    prompt_id: str
    at: float
    release_id: str
    before: str = ""
    reason: str = ""

    def to_item(self) -> dict[str, Json]:
        return asdict(self)

    @classmethod
    def from_item(cls, item: Mapping[str, Json]) -> Identity:
        return cls(
            prompt=str(item["prompt"]),
            prompt_id=str(item["prompt_id"]),
            at=float(item["at"]),
            release_id=str(item["release_id"]),
            before=str(item.get("before") or ""),
            reason=str(item.get("reason") or ""),
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of the prompt that a name means. `named`: what it is called now, None where it is gone; `holder`: the
    id of the prompt that has the name now, of several all, "" where none has."""

    prompt: str
    prompt_id: str
    named: str | None
    holder: str

    @property
    def sound(self) -> bool:
        return self.named == self.prompt

    @property
    def what(self) -> str:
        """What is wrong, as a sentence without its end."""
        fixed = f"{self.prompt!r} means prompt {self.prompt_id}, which "
        fixed += "was deleted" if self.named is None else f"is called {self.named!r} now"
        several = " and " in self.holder
        others = f"; {'prompts' if several else 'prompt'} {self.holder} {'have' if several else 'has'} its name"
        return fixed + (others if self.holder else "")

    @property
    def remedy(self) -> str:
        deployed = (
            f"a deployment says which prompt is meant (`prompt_id` and `prompt_id_reason` in "
            f"prompts/{self.prompt}/release.yaml)"
        )
        return deployed if self.named is None else f"the prompt has its name back, or {deployed}"

    @property
    def key(self) -> str:
        """Tells this state from others; "" for a sound one."""
        return "" if self.sound else f"{self.prompt_id}/{self.named or ''}/{self.holder}"

    def demand(self) -> None:
        """Raise AnotherPrompt unless the name means what it is fixed to."""
        if not self.sound:
            raise AnotherPrompt(f"{self.what}: nothing of it is released, published or deleted until {self.remedy}")


def demand(prompt: str, prompt_id: str, *, fixed: str) -> None:
    """Raise AnotherPrompt where `prompt_id` is not what the name is fixed to; `fixed` is "" where nothing is."""
    if fixed and prompt_id != fixed:
        raise AnotherPrompt(
            f"{prompt!r} means prompt {fixed}, and this is prompt {prompt_id}: nothing of it is released, published or "
            f"deleted until a deployment says that it is meant (`prompt_id` and `prompt_id_reason` in "
            f"prompts/{prompt}/release.yaml)"
        )


class ReasonMissing(InvalidInput):
    """A deployment names another prompt for a name, and does not say why."""


def demand_reason(prompt: str, prompt_id: str, reason: str, *, fixed: str) -> None:
    """Raise ReasonMissing where a deployment changes what a name means without a reason; `fixed` "" is for nothing."""
    if fixed not in ("", prompt_id) and not reason.strip():
        raise ReasonMissing(
            f"{prompt!r} meant prompt {fixed} until now: say why it means {prompt_id} (`prompt_id_reason` in "
            f"prompts/{prompt}/release.yaml), or take `prompt_id` back to {fixed}, and deploy again"
        )


def demand_own(prompt: str, prompt_id: str, records: Iterable[Release], *, deployed: str) -> None:
    """Raise AnotherPrompt where the prompt was released under another name, unless a deployment gave it this one."""
    others = sorted({record.prompt for record in records} - {prompt})
    if others and deployed != prompt_id:
        raise AnotherPrompt(
            f"prompt {prompt_id} was released as {others[0]!r} before: it is not released as {prompt!r} until a "
            f"deployment says so (`prompt_id: {prompt_id}` in prompts/{prompt}/release.yaml)"
        )
