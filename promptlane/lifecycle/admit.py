"""The first step of a release: what exactly is released, under which policy, and whether it can be at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.errors import AdmissionRefused, AmbiguousName, KeyDenied, NotFound, PolicyInvalid
from promptlane.domain.model_regions import missing
from promptlane.domain.names import ENROLLED_TAG, prompt_id_of
from promptlane.domain.policy import Policy
from promptlane.domain.ports import (
    Clock,
    Contents,
    Enrolments,
    EnrolmentTags,
    Identities,
    OlderQuarantine,
    PromptReader,
    ReleaseStore,
    RouteStore,
)
from promptlane.domain.release.content import content, is_exactly
from promptlane.domain.release.meant import (
    AnotherPrompt,
    Identity,
    ReasonMissing,
    demand,
    demand_own,
    demand_reason,
)
from promptlane.domain.release.prompt import PromptVersion, static_problems
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.declared import resolved
from promptlane.domain.review.ports import Directory

from .identities import fixed_id, holder, remade, standing

SuiteCheck = Callable[[dict[str, object], frozenset[str]], tuple[list[str], SuiteFacts]]
"""(suite as plain data, the template's variables) -> what does not fit, and what the platform floor asks about."""


_ENROLLED_ELSEWHERE = (
    f"the prompt carries the tag {ENROLLED_TAG}={{other}}: that deployment releases it, and its metrics and what "
    "applications may render are one for both. Remove its stack there and the tag from the prompt, or enrol another "
    "prompt here (docs/deploy.md)"
)


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What an admission asks and writes."""

    prompts: PromptReader
    enrolments: Enrolments
    identities: Identities
    tags: EnrolmentTags
    routes: RouteStore
    releases: ReleaseStore
    directory: Directory
    quarantine: OlderQuarantine
    contents: Contents
    check_suite: SuiteCheck
    floor: Floor
    clock: Clock

    def admit(self, release_id: str) -> Release:
        """Capture policy and suite, bind the fingerprints of candidate and stable, run the static checks.

        The platform floor binds here too: it may have been raised since the policy was enrolled. What the release
        captured holds until it ends, whatever the floor becomes meanwhile. Names in the policy become the
        reviewers whom the deployment declares now.
        What is admitted is tagged before it is recorded as such: IAM lets applications to no version without the tag.
        So is its content put where applications read it, under its fingerprint.
        Raises AdmissionRefused with every problem. Run twice, it returns what the first run bound.
        """
        release = self.releases.get(release_id)
        if release.state != "started":
            return release
        enrolled_sha256, suite_sha256 = self.enrolments.capture(release.prompt)
        policy, policy_sha256 = self._captured(enrolled_sha256)
        try:
            version = self.prompts.version(release.prompt_id, release.version)
        except (NotFound, KeyDenied) as error:
            raise AdmissionRefused([("version", str(error))]) from error
        identity, fixed = self._identity(release, policy)
        route = self.routes.get(release.prompt)
        lost = remade(self.prompts, route, release.prompt_id)  # then there is nothing to compare with any more
        problems = [("version", p) for p in static_problems(version, allowed_models=policy.allowed_models)]
        if unknown := missing(version.model, version.arn.split(":")[3]):
            problems.append(("version", f"{unknown}: publish a version with a model that is there"))
        if other := self.tags.elsewhere(version.arn):
            problems.append(("version", _ENROLLED_ELSEWHERE.format(other=other)))
        unfit, facts = self.check_suite(self.enrolments.suite(suite_sha256), version.variables)
        problems += [("suite", p) for p in unfit]
        problems += self.floor.breaches(policy, facts)
        problems += [("version", p) for p in self._route_problems(release, version, route, lost)]
        if problems:
            raise AdmissionRefused(problems)
        if identity != fixed:
            self.identities.fix(identity, expected=fixed)
        self.tags.tag(version.arn)
        self.contents.put(release.prompt, version.fingerprint, content(version.variants))
        stable = route.stable if route and not lost else None
        admitted = replace(
            release,
            state="admitted",
            description=version.description,
            candidate=version.ref,
            stable=stable,
            policy_sha256=policy_sha256,
            suite_sha256=suite_sha256,
        )
        detail = {
            "version": version.version,
            "fingerprint": version.fingerprint,
            "arn": version.arn,
            "description": version.description,
            "stable": stable.version if stable else None,
            "stable_fingerprint": stable.fingerprint if stable else None,
            "policy": policy_sha256,
            "suite": suite_sha256,
            "enrolled_policy": enrolled_sha256,
        }
        entry = TimelineEntry(f"{release_id}/admitted", release_id, self.clock(), Event.ADMITTED, detail=detail)
        return self.releases.update(admitted, *self._replaced(identity, release_id), entry)

    def _captured(self, enrolled_sha256: str) -> tuple[Policy, str]:
        """The enrolled policy with its reviewers as they are declared now, and its SHA-256. AdmissionRefused."""
        enrolled = self.enrolments.policy(enrolled_sha256)
        try:
            policy = resolved(enrolled, self.directory.declared())
        except PolicyInvalid as error:
            raise AdmissionRefused(error.problems) from error
        return policy, enrolled_sha256 if policy == enrolled else self.enrolments.pin(policy)

    def _identity(self, release: Release, policy: Policy) -> tuple[Identity, Identity | None]:
        """(the prompt that the name means from now on, what was fixed before). AdmissionRefused for another prompt."""
        name, prompt_id = release.prompt, release.prompt_id
        identity = self.identities.get(name)
        before = fixed_id(name, self.identities, self.routes)
        try:
            demand(name, prompt_id, fixed=policy.prompt_id or before)
            demand_own(name, prompt_id, self.releases.of_prompt(prompt_id), deployed=policy.prompt_id)
            standing(self.prompts, name, prompt_id).demand()
            if not (policy.prompt_id or before):
                holder(self.prompts, name)  # nothing says yet which of several prompts of this name is meant
        except (AnotherPrompt, AmbiguousName) as error:
            raise AdmissionRefused([("prompt_id", str(error))]) from error
        if identity is not None and identity.prompt_id == prompt_id:
            return identity, identity
        try:
            demand_reason(name, prompt_id, policy.prompt_id_reason, fixed=before)
        except ReasonMissing as error:
            raise AdmissionRefused([("prompt_id_reason", str(error))]) from error
        changed = before not in ("", prompt_id)
        why = {"before": before, "reason": policy.prompt_id_reason} if changed else {}
        return Identity(name, prompt_id, self.clock(), release.release_id, **why), identity

    def _replaced(self, identity: Identity, release_id: str) -> list[TimelineEntry]:
        """The entry of the first release under a new prompt id."""
        if identity.release_id != release_id or not identity.before:
            return []
        detail = {"prompt_id": identity.prompt_id, "before": identity.before, "reason": identity.reason}
        return [TimelineEntry(f"{release_id}/replaced", release_id, identity.at, Event.PROMPT_REPLACED, detail=detail)]

    def _route_problems(self, release: Release, version: PromptVersion, route: Route | None, lost: bool) -> list[str]:
        if route is None:
            return []
        alike = [ref for ref in route.named if ref.version == version.version]
        if any(not ref.is_version(version.prompt_id, version.version) for ref in alike):
            return [
                f"version {version.version} of another prompt is served under this name, and metrics are told apart by "
                "number: publish it once more, as the next version"
            ]
        if not lost and served_already(self.prompts, route, version):
            return [
                f"its content is what stable version {route.stable.version} serves already; there is nothing to release"
            ]
        barred = route.barred(version.ref, self.quarantine.alike(release.prompt, version.ref))
        if barred and not release.explicit:
            return [
                f"its content was rolled back in release {barred.get('release_id')}; "
                f"if it shall be tried again, say so: promptlane release {release.prompt} {release.version}"
            ]
        return []


def served_already(prompts: PromptReader, route: Route, version: PromptVersion) -> bool:
    """Whether stable holds exactly this content; of a stable version known by the first schema, Bedrock is asked.

    One that cannot be read any more counts as another content: then tests and people decide.
    """
    if is_exactly(route.stable.fingerprint, version.variants):
        return True
    if route.stable.rounded or not route.stable.may_hold(version.ref):
        return False
    try:
        stable = prompts.version(prompt_id_of(route.stable.arn) or route.prompt_id, route.stable.version)
    except NotFound:
        return False
    return stable.fingerprint == version.fingerprint
