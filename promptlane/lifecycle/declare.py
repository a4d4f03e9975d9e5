"""Declares a deployment's reviewers, as its own Pipeline stack asks by its custom resource.

No other stack may: whoever declares reviewers says who approves. CloudFormation gives a stack's name to one stack
alone, and the function that does this is part of that one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from promptlane.domain.enrolment.declaration import DECLARATION_TYPE, Declaration, DeclarationAsked, Declarations
from promptlane.domain.enrolment.ports import ConfigStore
from promptlane.domain.errors import InvalidInput, NotApplicable, PolicyInvalid, Unauthorized
from promptlane.domain.ports import Clock
from promptlane.domain.review.declared import MOST_BYTES, Declared
from promptlane.domain.review.sessions import shared_sessions

from .stack_requests import Witness, settled


@dataclass(frozen=True, kw_only=True)
class Declaring:
    """What declaring asks and writes, of one deployment, whose Pipeline stack alone may."""

    declarations: Declarations
    witness: Witness
    config: ConfigStore
    deployment: str
    clock: Clock

    @property
    def stack(self) -> str:
        return f"{self.deployment}-pipeline"

    def declare(self, asked: DeclarationAsked) -> str:
        """Carry out a Create or an Update; what was done, in a sentence.

        Raises Unauthorized for another stack and for what no stack is really asking, NotApplicable for a request that
        newer ones have overtaken, InvalidInput for what cannot be read, PolicyInvalid for reviewers whom others may
        act as. Nothing is half-done.
        """
        self._ours(asked)
        status = self.witness.confirmed(asked, DECLARATION_TYPE)
        # A rollback that failed would leave the stack stuck.
        return settled(lambda: self._declare(asked, back="ROLLBACK" in status))

    def give_up(self, asked: DeclarationAsked) -> str:
        """Carry out a Delete, which changes nothing: a resource under another logical id declares them before the old
        one is deleted, and of a deployment that is deleted, nobody is left who could approve."""
        self._ours(asked)
        return "the reviewers stay declared until the stack declares others"

    def _ours(self, asked: DeclarationAsked) -> None:
        name = asked.stack.split(":stack/")[-1].partition("/")[0]
        if name != self.stack:
            raise Unauthorized(
                f"the stack {name} may not declare reviewers; only {self.stack} may: write them in the reviewers.yaml "
                "of the app that deploys it"
            )

    def _declare(self, asked: DeclarationAsked, *, back: bool) -> str:
        current = self.declarations.get()
        if current and current.says.sha256 == asked.says.sha256:
            return f"these {len(current.reviewers.people)} reviewers are declared already"
        if self.declarations.done(asked.request):
            raise NotApplicable("this request was carried out already, and the reviewers changed since")
        if current and asked.old not in ("", current.says.sha256) and not back:
            raise NotApplicable(
                "this update starts from reviewers who no longer count: it is an old one, or the release table was "
                "restored. If it is meant, declare the reviewers who counted last, deploy, and then these"
            )
        declared = self._read(asked)
        if not back and (wrong := shared_sessions(declared.people, self.deployment)):
            raise PolicyInvalid(wrong)
        revision = current.revision if current else 0
        made = Declaration(
            asked.stack, asked.says, declared, current.says.sha256 if current else "", revision=revision + 1
        )
        self.declarations.put(made, expected=revision, request=asked.request, at=self.clock())
        return f"{len(declared.people)} reviewers are declared"

    def _read(self, asked: DeclarationAsked) -> Declared:
        body = self.config.fetch(asked.says, MOST_BYTES)
        try:
            return Declared.from_dict(json.loads(body))
        except (ValueError, RecursionError):
            raise InvalidInput(
                f"{asked.says.uri} is not JSON; deploy it by the Pipeline stack's construct, which writes it"
            ) from None
