"""Renamings, deletions and re-creations of enrolled prompts are told to people at once, and again when they recur.

An event says that something happened, and who did it; what became of the name is read from Bedrock. `reconcile` looks
every few minutes too, since events may be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptlane.domain.names import prompt_id_of
from promptlane.domain.ports import Clock, Notices, Watched
from promptlane.domain.release.meant import Standing
from promptlane.domain.release.trigger import PromptChange

from .identities import NamedPrompts


@dataclass(frozen=True, kw_only=True)
class PromptWatch:
    """Tells people what became of the prompts that enrolled names mean."""

    named: NamedPrompts
    watched: Watched
    notices: Notices
    clock: Clock

    def on_change(self, change: PromptChange) -> list[str]:
        """Tell of a change, once; the enrolled names that it broke."""
        broken: list[str] = []
        for prompt, meant in self.named.meanings(self.named.enrolments.names()).items():
            if not meant:
                continue
            fixed = meant[0]
            if change.version:
                if change.prompt_id == fixed and self._version_gone(prompt, change):
                    broken.append(prompt)
            elif self._concerns(change, prompt, fixed):
                found = self.named.standing(prompt, fixed)
                if found.sound or self.watched.told(prompt, change.event_id):
                    continue
                self._tell(found, f"{change.did} by {change.by}.", change.event_id)
                self.watched.found(prompt, found.key, self.clock())
                broken.append(prompt)
        return broken

    def look(self, prompt: str) -> Standing | None:
        """How an enrolled name stands now; people are told when that changed. None where nothing is fixed yet."""
        fixed = self.named.fixed(prompt)
        if not fixed:
            return None
        found = self.named.standing(prompt, fixed)
        if found.key != self.watched.state(prompt):
            if not found.sound:
                self._tell(found, "Nothing told who did it: look for UpdatePrompt and DeletePrompt in CloudTrail.")
            self.watched.found(prompt, found.key, self.clock())
        return found

    @staticmethod
    def _concerns(change: PromptChange, prompt: str, fixed: str) -> bool:
        """Whether it may have moved the name: an event of real AWS need not say which name it gave."""
        return change.prompt_id in ("", fixed) or change.named in ("", prompt)

    def _tell(self, found: Standing, how: str, event_id: str = "") -> None:
        """Sent before it is marked: people may be told twice, never not at all."""
        prompt = found.prompt
        again = f"aws bedrock-agent update-prompt --prompt-identifier {found.prompt_id} --name {prompt} ..."
        lines = [
            f"{found.what}.",
            how,
            "",
            "What applications get stays as it is. Nothing of this prompt is released, published or deleted until "
            f"{found.remedy}.",
            *(["", f"To give the name back:  {again}"] if found.named is not None else []),
        ]
        self.notices.publish(f"[Promptlane] {prompt}: its name means another prompt", "\n".join(lines))
        if event_id:
            self.watched.tell(prompt, event_id, self.clock())

    def _version_gone(self, prompt: str, change: PromptChange) -> bool:
        """Somebody deleted one version of an enrolled prompt: serious where the route names it."""
        serves = self._serves(prompt, change)
        if not serves or self.watched.told(prompt, change.event_id):
            return False
        self.notices.publish(
            f"[Promptlane] {prompt}: version {change.version} was deleted",
            f"Version {change.version} of {prompt}, which the route names as {' and '.join(serves)}, was deleted by "
            f"{change.by}.\nApplications that are sent to it fail.\n\n"
            f"promptlane rollback {prompt} --reason ...       goes back to another version\n"
            f"promptlane restore {prompt} {change.version}      publishes the archived content again",
        )
        self.watched.tell(prompt, change.event_id, self.clock())
        return True

    def _serves(self, prompt: str, change: PromptChange) -> Sequence[str]:
        route = self.named.routes.get(prompt)
        named = ((name, getattr(route, name, None)) for name in ("stable", "canary", "previous"))
        return [
            name
            for name, ref in named
            if ref is not None and ref.version == change.version and prompt_id_of(ref.arn) in ("", change.prompt_id)
        ]
