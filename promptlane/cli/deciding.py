"""`approve`, `reject`, `pause`, `resume`, `advance`, `rollback`: what people decide, under their IAM identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from promptlane.domain.errors import InvalidInput, NotApplicable, NotFound
from promptlane.domain.names import parse_release_id

from .deployment import Deployment
from .operations import Unreachable
from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

Json = Any


def decide(session: Session, subject: str, choice: Literal["approve", "reject"], *, reason: str, as_json: bool) -> None:
    """POST the decision; the review's rules are applied by the service, the same as for the page."""
    release = in_flight(session.deployment, subject)
    answer = session.deployment.operations.post(
        "releases", release, "decision", body={"decision": choice, "reason": _said(reason)}
    )
    document = {"release_id": release, "decision": choice, **_plain(answer)}

    def show(console: Console) -> None:
        done = "Approved" if choice == "approve" else "Rejected"
        console.print(f"{done} release [bold]{release}[/].{_sentence(answer)}")

    session.emit(document, as_json=as_json, show=show)


def operate(
    session: Session, subject: str, verb: Literal["pause", "resume", "advance"], *, reason: str, as_json: bool
) -> None:
    """POST what an operator wants of a canary."""
    release = in_flight(session.deployment, subject)
    answer = session.deployment.operations.post("releases", release, verb, body={"reason": _said(reason)})
    document = {"release_id": release, "operation": verb, **_plain(answer)}
    done = {"pause": "Paused", "resume": "Resumed", "advance": "Advancing"}[verb]

    def show(console: Console) -> None:
        console.print(f"{done} release [bold]{release}[/].{_sentence(answer)}")

    session.emit(document, as_json=as_json, show=show)


def rollback(session: Session, prompt: str, *, reason: str, function: str, as_json: bool) -> None:
    """Restore the safe route: through the operations API, or the function itself when that cannot be reached."""
    why = _said(reason)
    if function:
        deployment = Deployment("", {"roll_back_function": function})
        answer, way = _invoked(deployment, prompt, why), "function"
    else:
        # Only the prompt's name is needed: Bedrock is not asked, it may be what is down.
        deployment = session.deployment
        name = _name_without_bedrock(deployment, prompt)
        try:
            answer, way = deployment.operations.post("prompts", name, "rollback", body={"reason": why}), "api"
        except (Unreachable, NotFound) as error:
            if isinstance(error, NotFound) and "operations_url" in deployment.resources:
                raise
            answer, way = _invoked(deployment, name, why), "function"
    result = str(answer.get("result"))
    if result not in ("rolled_back", "already"):
        raise NotApplicable(f"{prompt} was not rolled back ({result}): {answer.get('reason')}")

    def show(console: Console) -> None:
        done = "was rolled back already" if result == "already" else "rolled back"
        console.print(f"[bold]{prompt}[/] {done}: everybody gets version [bold]{answer.get('stable')}[/].")
        if way == "function":
            console.print("The operations API did not answer; the roll_back function was invoked directly.")

    session.emit({**_plain(answer), "prompt": prompt, "way": way}, as_json=as_json, show=show)


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


def _name_without_bedrock(deployment: Deployment, prompt: str) -> str:
    """A name is taken as it is; an id or ARN needs Bedrock to be told its name."""
    if deployment.routes.get(prompt) is not None:
        return prompt
    return deployment.prompt(prompt)[1]


def _invoked(deployment: Deployment, prompt: str, reason: str) -> dict[str, Json]:
    payload = {"prompt": prompt, "reason": reason, "cause": "operator", "by": deployment.caller}
    return dict(deployment.invoke("roll_back_function", payload))


def _said(reason: str) -> str:
    if not reason.strip():
        raise InvalidInput("--reason is empty; say in a sentence why, it is kept in the timeline")
    return reason.strip()


def _plain(answer: Json) -> dict[str, Json]:
    return dict(answer) if isinstance(answer, dict) else {}


def _sentence(answer: Json) -> str:
    said = _plain(answer)
    text = said.get("why") or said.get("message") or said.get("reason") or ""
    return f" {text}" if text else ""
