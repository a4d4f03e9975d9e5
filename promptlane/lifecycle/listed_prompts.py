"""The prompts of the account as one run sees them: listed once, however many of them are asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from promptlane.domain.ports import PromptLister, PromptSummary
from promptlane.domain.release.prompt import PromptVersion


class ListedPrompts:
    """`PromptReader` for one run, which is over within minutes: names and ids come from one list.

    What is not on the list is read itself: a list may lag behind, and nobody is told that a prompt is gone for that.
    """

    def __init__(self, prompts: PromptLister) -> None:
        self._prompts = prompts
        self._lock = threading.Lock()
        self._by_id: Mapping[str, PromptSummary] | None = None

    @property
    def by_id(self) -> Mapping[str, PromptSummary]:
        """Every prompt of the account."""
        with self._lock:
            if self._by_id is None:
                self._by_id = {summary.prompt_id: summary for summary in self._prompts.listed()}
            return self._by_id

    def listed(self) -> list[PromptSummary]:
        return list(self.by_id.values())

    def find(self, name_or_id: str) -> tuple[str, str] | None:
        wanted = name_or_id.rsplit("prompt/", 1)[-1].split(":")[0]
        if wanted in self.by_id:
            return wanted, self.by_id[wanted].name
        named = [summary for summary in self.by_id.values() if summary.name == wanted]
        return (named[0].prompt_id, wanted) if len(named) == 1 else self._prompts.find(name_or_id) if named else None

    def name_of(self, prompt_id: str) -> str | None:
        listed = self.by_id.get(prompt_id)
        return listed.name if listed else self._prompts.name_of(prompt_id)

    def created_at(self, prompt_id: str) -> float | None:
        return self._prompts.created_at(prompt_id)

    def version(self, prompt_id: str, version: int) -> PromptVersion:
        return self._prompts.version(prompt_id, version)

    def versions(self, prompt_id: str) -> list[int]:
        return self._prompts.versions(prompt_id)
