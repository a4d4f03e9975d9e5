"""Recorded edits, in memory."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

from promptlane.domain.review.edits import Edit
from promptlane.domain.trail import Window

from .limits import check_item


class InMemoryEdits:
    """`EditStore` in memory, thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._edits: dict[str, dict[tuple[int, str], Edit]] = {}
        self._watched: dict[str, Window] = {}

    def record(self, prompt_id: str, edit: Edit) -> bool:
        check_item(edit.to_item(), partition_key=f"edits#{prompt_id}")
        with self._lock:
            mine = self._edits.setdefault(prompt_id, {})
            key = (int(edit.event.at), edit.id)
            there = mine.get(key)
            if there is not None:
                if edit.told_by != "history" or there.told_by == "history":
                    return False
                edit = replace(edit, newest=there.newest, draft=there.draft)
            # Through the stored form, so that what cannot be stored cannot pass a test.
            mine[key] = Edit.from_item(edit.to_item())
            return True

    def edits(self, prompt_id: str, since: float = 0.0, until: float | None = None) -> list[Edit]:
        with self._lock:
            found = list(self._edits.get(prompt_id, {}).values())
        first, last = max(int(since), 0), math.inf if until is None else int(until)
        mine = [e for e in found if first <= max(int(e.event.at), 0) <= last]
        return sorted(mine, key=lambda e: e.event.at)

    def watched(self, prompt_id: str) -> Window | None:
        return self._watched.get(prompt_id)

    def watch(self, prompt_id: str, window: Window) -> None:
        self._watched[prompt_id] = window
