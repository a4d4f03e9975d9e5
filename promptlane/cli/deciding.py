"""`approve`, `reject`, `pause`, `resume`, `advance`, `rollback`: what people decide, under their IAM identity."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from promptlane.domain import incoming
from promptlane.domain.errors import Conflict, InvalidInput, NotApplicable, NotFound, Unavailable
from promptlane.domain.names import CONSOLE, parse_release_id
from promptlane.domain.release.diff import compare, unified

from .deployment import Deployment
from .operations import Unreachable
from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

Json = Any


_DONE: Final = {
    "approve": "Approved",
    "reject": "Rejected",
    "pause": "Paused",
    "resume": "Resumed",
    "advance": "Advancing",
}


def approve(session: Session, subject: str, *, reason: str, fingerprint: str, as_json: bool) -> None:
    """Show everything that an approval lets through, ask where somebody can be asked, and approve exactly that.

    With `fingerprint` nothing is shown: it says what was read elsewhere. The service refuses another one than that of
    the version under review.
    """
    release = in_flight(session.deployment, subject)
    said, shown = _said(reason), {}
    if not fingerprint:
        fingerprint, lines = _under_review(session.deployment, release)
        shown = {"fingerprint": fingerprint, "shown": lines}
        if not as_json:
            session.console.print("\n".join([*lines, "", f"{release}: fingerprint {fingerprint}"]))
            if sys.stdin.isatty() and input("Approve exactly this? Type yes: ").strip().lower() != "yes":
                raise NotApplicable("nothing was approved")
    body = {"reason": said, "fingerprint": fingerprint}
    _post_decision(session, release, "approve", body, as_json=as_json, more=shown)


def _under_review(deployment: Deployment, release: str) -> tuple[str, list[str]]:
    """The fingerprint of the version under review, and all that it changes, as lines of a unified diff."""
    request = deployment.reviews.get(release)
    if request is None:
        raise NotFound(f"release {release} has no review; `promptlane status` shows where it is")
    brief = deployment.briefs.get(release, request.round)
    found = request.candidate.fingerprint
    if not brief.shows(found, request.stable_fingerprint):
        raise Conflict(f"the record of the review of {release} is not of the versions under review; tell an auditor")
    return found, list(unified(compare(brief.stable_variants, brief.candidate_variants)))


def decide(session: Session, subject: str, verb: str, *, reason: str, as_json: bool) -> None:
    """POST a reviewer's rejection, or what an operator wants of a canary; the service applies the rules to both."""
    release = in_flight(session.deployment, subject)
    _post_decision(session, release, verb, {"reason": _said(reason)}, as_json=as_json)


def _post_decision(
    session: Session,
    release: str,
    verb: str,
    body: Mapping[str, str],
    *,
    as_json: bool,
    more: Mapping[str, Json] | None = None,
) -> None:
    path, named = verb, "operation"
    if verb in ("approve", "reject"):
        body, path, named = {"decision": verb, **body}, "decision", "decision"
    answer = session.deployment.operations.post("releases", release, path, body=body)
    document = {"release_id": release, named: verb, **(more or {}), **answer}

    def show(console: Console) -> None:
        from .terminal import bold

        console.print(bold(f"{_DONE[verb]} release {{}}.", release).append(_sentence(answer)))

    session.emit(document, as_json=as_json, show=show)


def rollback(session: Session, prompt: str, *, reason: str, to: int | None, function: str, as_json: bool) -> None:
    """Restore the safe route: through the operations API, or the function itself when that cannot be reached.

    `to`: the version to go back to, in place of the one that the route remembers.
    """
    incoming.name(prompt, "the prompt")
    wish = {"reason": _said(reason), **({"to": to} if to else {})}
    if function:
        alias = function if function.endswith(f":{CONSOLE}") else f"{function}:{CONSOLE}"
        deployment = Deployment("", {"roll_back_console": alias})
        answer, way = _invoked(deployment, prompt, wish), "function"
    else:
        # Only the prompt's name is needed: Bedrock is not asked, it may be what is down.
        deployment = session.deployment
        name = name_without_bedrock(deployment, prompt)
        if to:
            _check_exists(deployment, name, to)
        try:
            answer, way = deployment.operations.post("prompts", name, "rollback", body=wish), "api"
        except (Unreachable, NotFound) as error:
            if isinstance(error, NotFound) and "operations_url" in deployment.resources:
                raise
            answer, way = _invoked(deployment, name, wish), "function"
    result = str(answer.get("result"))
    if result not in ("rolled_back", "already"):
        raise NotApplicable(f"{prompt} was not rolled back ({result}): {answer.get('reason')}")

    def show(console: Console) -> None:
        from .terminal import bold

        done = "was rolled back already" if result == "already" else "rolled back"
        console.print(bold(f"{{}} {done}: everybody gets version {{}}.", prompt, answer.get("stable")))
        if way == "function":
            console.print("The operations API did not answer; the roll_back function was invoked directly.")

    session.emit({**answer, "prompt": prompt, "way": way}, as_json=as_json, show=show)


def in_flight(deployment: Deployment, subject: str) -> str:
    """The release id that is meant: one as given, or the release in flight of a prompt."""
    try:
        parse_release_id(subject)
    except InvalidInput:
        prompt_id, name = deployment.prompt(subject)
        holder = deployment.releases.holder(prompt_id)
        if holder is None:
            raise NotApplicable(
                f"no release of {name} is in flight; `promptlane history {name}` lists those that ended"
            ) from None
        return holder
    return subject


def name_without_bedrock(deployment: Deployment, prompt: str) -> str:
    """A name is taken as it is; an id or ARN needs Bedrock to be told its name."""
    if deployment.routes.get(prompt) is not None:
        return prompt
    return deployment.prompt(prompt)[1]


def _check_exists(deployment: Deployment, name: str, version: int) -> None:
    """Refuse to go back to a version that was deleted; where Bedrock does not answer, the operator knows better."""
    route = deployment.routes.get(name)
    try:
        if route is not None:
            deployment.prompts.version(route.prompt_id, version)
    except NotFound as error:
        raise NotApplicable(
            f"version {version} of {name} is gone, and every call of it would fail ({error}); "
            f"`promptlane restore {name} {version}` publishes its content again"
        ) from error
    except Unavailable:
        return


def _invoked(deployment: Deployment, prompt: str, wish: Mapping[str, Json]) -> dict[str, Json]:
    payload = {"prompt": prompt, **wish, "cause": "operator", "by": deployment.caller}
    return dict(deployment.invoke("roll_back_console", payload))


def _said(reason: str) -> str:
    if not reason.strip():
        raise InvalidInput("--reason is empty; say in a sentence why, it is kept in the timeline")
    return reason.strip()


def _sentence(answer: Mapping[str, Json]) -> str:
    text = answer.get("why") or answer.get("message") or answer.get("reason") or ""
    return f" {text}" if text else ""
