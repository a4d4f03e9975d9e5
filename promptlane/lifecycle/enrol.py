"""Enrols prompts, changes what counts for them, and gives them up, as stacks ask by their custom resources.

CloudFormation is the only witness of who asks: a request counts while the stack that it names really is being created,
updated or deleted, and says about one of its resources what CloudFormation shows of it. What the request says beyond
that is taken from nobody else: the floor comes from the deployment, bytes are compared with their hashes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from promptlane.domain.enrolment.deadline import too_short
from promptlane.domain.enrolment.enrolment import (
    MOST_POLICY,
    MOST_SUITE,
    RESOURCE_TYPE,
    Asked,
    Claim,
    Configuration,
    Enrolment,
    Mark,
    physical_id,
)
from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.enrolment.ports import ConfigStore, Register, Shown
from promptlane.domain.errors import (
    BelowFloor,
    InvalidInput,
    NotApplicable,
    PolicyInvalid,
)
from promptlane.domain.policy import Policy
from promptlane.domain.ports import Clock, Identities, RouteStore
from promptlane.domain.release.meant import demand_reason
from promptlane.domain.review.declared import resolved
from promptlane.domain.review.ports import Directory
from promptlane.domain.review.sessions import shared_sessions

from .identities import fixed_id
from .stack_requests import Witness, settled

Json = Any
SuiteReader = Callable[[dict[str, object]], SuiteFacts]
"""A suite as plain data -> what the floor asks about. SuiteInvalid."""
_GONE: Final = ("DELETE_COMPLETE", "DELETE_SKIPPED")


@dataclass(frozen=True, kw_only=True)
class Enrolling:
    """What enrolling asks and writes, of one deployment. `late`: how late CloudTrail may tell of an edit, seconds."""

    deployment: str
    register: Register
    witness: Witness
    config: ConfigStore
    floor: Floor
    identities: Identities
    routes: RouteStore
    late: float
    read_suite: SuiteReader
    directory: Directory
    clock: Clock

    def enrol(self, asked: Asked) -> str:
        """Carry out a Create or an Update; what was done, in a sentence.

        Raises Unauthorized for what no stack is really asking, NotApplicable for a name of another stack and for a
        request that newer ones have overtaken, BelowFloor and InvalidInput for what is asked. Nothing is half-done.
        """
        status = self.witness.confirmed(asked, RESOURCE_TYPE)
        return settled(lambda: self._enrol(asked, status))

    def give_up(self, asked: Asked) -> str:
        """Carry out a Delete; a name or a claim that is not this resource's stays as it is."""
        if self.register.get(asked.name) is None:
            return f"{asked.name} is not enrolled"
        self.witness.confirmed(asked, RESOURCE_TYPE)
        return settled(lambda: self._give_up(asked))

    def _enrol(self, asked: Asked, status: str) -> str:
        current, says = self.register.get(asked.name), _said(asked)
        mine = current.claim_of(asked.resource) if current and current.owner == asked.stack else None
        if current and mine == current.counts and says.same_content(mine.says):
            return f"{asked.name} is enrolled with this policy and suite already"
        if self.register.done(asked.name, asked.request):
            raise NotApplicable(
                f"this request was carried out already, and {asked.name} has changed since; nothing was done"
            )
        if current and current.owner != asked.stack:
            self._given_up(current)
        if mine and _overtaken(asked, mine):
            raise NotApplicable(
                f"this update of {asked.name} starts from a policy and suite that no longer count: it is an old one, "
                "or the release table was restored. If it is meant, remove the prompt from the stack, deploy, put it "
                "back and deploy again"
            )
        # A rollback that failed would leave the stack stuck. `admit` holds what it brings back to the floor.
        back = "ROLLBACK" in status and mine is not None and says.same_content(mine.before)
        policy = self._checked(asked.name, says, current, back=back)
        claim = Claim(
            asked.resource,
            says,
            mine.says if mine else None,
            policy.prompt_id or None,
            policy.prompt_id_reason or None,
        )
        new = current or Enrolment(asked.name, asked.stack, (), revision=0)
        if new.owner != asked.stack:
            new = replace(new, owner=asked.stack, claims=())
        self.register.put(new.claimed(claim), Mark(asked, self.clock()))
        return f"{asked.name} is enrolled"

    def _give_up(self, asked: Asked) -> str:
        current = self.register.get(asked.name)
        if current is None or current.owner != asked.stack or current.claim_of(asked.resource) is None:
            return f"{asked.name} is not enrolled by this resource; nothing was done"
        if self.register.done(asked.name, asked.request):
            return "this request was carried out already; nothing was done"
        mark = Mark(asked, self.clock())
        left = current.without(asked.resource)
        if left is None:
            self.register.drop(current, mark)
            return f"{asked.name} is no longer enrolled; its history stays"
        self.register.put(left, mark)
        return f"{asked.name} stays enrolled by {left.counts.resource}"

    def _checked(self, name: str, says: Configuration, current: Enrolment | None, *, back: bool) -> Policy:
        """The policy, after both were fetched, read, held against the deployment's rules (unless they are brought
        `back`) and copied to where releases read them."""
        policy_body = self.config.fetch(says.policy, MOST_POLICY)
        suite_body = self.config.fetch(says.suite, MOST_SUITE)
        policy = Policy.from_dict(_json(policy_body, says.policy.uri))
        suite = self.read_suite(_json(suite_body, says.suite.uri))
        if not back:
            try:
                known = resolved(policy, self.directory.declared())
            except PolicyInvalid as error:
                raise PolicyInvalid([(f"{name}: {path}", message) for path, message in error.problems]) from None
            if breaches := self.floor.breaches(known, suite):
                raise BelowFloor([(f"{name}: {path}", message) for path, message in breaches])
            shared = shared_sessions(known.review.reviewers, self.deployment)
            if problems := [*shared, *too_short(policy, self.late)]:
                raise PolicyInvalid([(f"{name}: {path}", message) for path, message in problems])
            self._demand_reason(name, policy, current)
        self.config.keep(says.policy.sha256, policy_body)
        self.config.keep(says.suite.sha256, suite_body)
        return policy

    def _demand_reason(self, name: str, policy: Policy, current: Enrolment | None) -> None:
        """Raises InvalidInput for another prompt than the name means, or was deployed to mean, without a reason."""
        fixed = fixed_id(name, self.identities, self.routes) or (current and current.counts.prompt_id) or ""
        demand_reason(name, policy.prompt_id or fixed, policy.prompt_id_reason, fixed=fixed)

    def _given_up(self, current: Enrolment) -> None:
        """Raises NotApplicable while the owner still has it. A stack that is gone, and a resource that left its stack,
        have given it up; what cannot be told has not."""
        status = self.witness.asked_again(partial(self.witness.stacks.status, current.owner))
        if status is None or status in _GONE:
            return
        for claim in current.claims:
            shown = self.witness.asked_again(partial(self.witness.stacks.resource, current.owner, claim.resource))
            if shown and _holds(shown, current.name):
                raise NotApplicable(
                    f"{current.name} is enrolled by the stack {current.owner} (resource {claim.resource}), and no "
                    "other stack may take it: remove it there and deploy that stack first, or give this prompt "
                    "another name"
                )


def _holds(shown: Shown, name: str) -> bool:
    """Whether a resource still is what enrols the prompt; while it changes, it is."""
    return shown.status.endswith("_IN_PROGRESS") or (
        shown.status not in _GONE and shown.kind == RESOURCE_TYPE and shown.physical == physical_id(name)
    )


def _overtaken(asked: Asked, mine: Claim) -> bool:
    """Whether an update starts from what no longer counts."""
    return asked.old is not None and not any(c.same_content(mine.says) for c in (asked.old, _said(asked)))


def _said(asked: Asked) -> Configuration:
    if asked.says is None:
        raise InvalidInput("policy and suite are missing: name uri and sha256 of both")
    return asked.says


def _json(body: bytes, uri: str) -> dict[str, Json]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput(f"{uri} is not a JSON object; deploy it by the Promptlane construct, which writes it")
    return found
