"""For the tests of applications: static routes, a Bedrock that answers as told, and metrics in a list. No network.

routes = StaticRoutes()
routes.put("greeter", stable=1, canary=2, weight=2500)
bedrock = FakeBedrock({1: "Hello!", 2: RuntimeError("model is down")})
client = fake_client(routes, bedrock)
assert client.converse("greeter", unit="u1", variables={}).text == "Hello!"
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from json import dumps
from typing import TYPE_CHECKING, Any

from promptlane.domain.release.content import content

from .contents import Contents
from .sync import PromptClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Unpack

    from .decision import Decision
    from .metrics import Document
    from .routes import RouteReader
    from .settings import Settings
    from .sync import FeedbackMemory

    Replies = str | Exception | Mapping[Any, Any] | Callable[[Mapping[str, Any]], Any]

FORBIDDEN = ("additionalModelRequestFields", "inferenceConfig", "system", "toolConfig")
"""What Converse refuses beside a prompt's ARN."""


def version_arn(prompt: str, version: int) -> str:
    """A well-formed ARN for a version in a test."""
    letters = "".join(char for char in prompt.upper() if char.isascii() and char.isalnum())
    return f"arn:aws:bedrock:eu-west-1:111122223333:prompt/{letters[:10]:0<10}:{version}"


class StaticRoutes:
    """A route table in memory. Set `down` to an exception to make every read fail; `reads` counts them."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.down: Exception | None = None
        self.reads = 0
        self.contents: dict[str, bytes] = {}

    def put(
        self,
        prompt: str,
        *,
        stable: int,
        canary: int | None = None,
        weight: int = 0,
        previous: int | None = None,
        holdback: int = 0,
        variables: Sequence[str] | None = None,
        salt: str | None = None,
        guardrails: Mapping[int, tuple[str, str]] | None = None,
        holds: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        """Give a prompt a route: in canary when `canary` is given, in watch when `previous` is, else steady.

        `guardrails`: id and version of those that versions have, by the version's number; `holds`: the variant that
        they hold, as Bedrock's GetPrompt gives it, for client.prompt().
        """

        def ref(version: int) -> dict[str, Any]:
            known: dict[str, Any] = {} if variables is None else {"variables": list(variables)}
            if guardrails and version in guardrails:
                known["guardrail"] = dict(zip(("id", "version"), guardrails[version], strict=True))
            body = content([holds[version]]) if holds and version in holds else b""
            fingerprint = hashlib.sha256(body).hexdigest() if body else f"{version:064x}"
            if body:
                self.contents[fingerprint] = body
            return {"version": version, "fingerprint": fingerprint, "arn": version_arn(prompt, version), **known}

        arn = version_arn(prompt, 1).rpartition("/")[2].partition(":")[0]
        newest = canary if canary is not None else stable
        release = f"{arn}-{newest}-1"
        item: dict[str, Any] = {
            "schema": 1,
            "prompt": prompt,
            "prompt_id": arn,
            "stable": ref(stable),
            "weight": weight,
            "holdback": holdback,
            "salt": f"test {release}" if salt is None else salt,
            "release_id": release,
            "revision": self.items.get(prompt, {}).get("revision", 0) + 1,
            "phase": "steady",
        }
        if canary is not None:
            item |= {"canary": ref(canary), "phase": "canary"}
        elif previous is not None:
            item |= {"previous": ref(previous), "phase": "watch"}
        self.items[prompt] = item

    def read(self, prompts: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        self.reads += 1
        if self.down is not None:
            raise self.down
        return {prompt: dict(self.items[prompt]) for prompt in prompts if prompt in self.items}

    def content(self, decision: Decision) -> bytes:
        """The object of the decision's version."""
        return self.contents[decision.fingerprint]

    def read_again(self, prompts: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        return self.read(prompts)

    def name_of(self, prompt: str) -> str | None:
        """The name of a prompt given by id or by an ARN of it."""
        wanted = prompt.rpartition("/")[2].partition(":")[0]
        return next((name for name, item in self.items.items() if item["prompt_id"] == wanted), None)


class FakeBedrock:
    """Answers Converse and ConverseStream. `replies` maps a version number to text, an exception to raise, a whole
    response, or a function of the request that returns one of these. `calls` lists the requests."""

    def __init__(self, replies: Replies = "Hello from the fake.") -> None:
        self.replies = replies
        self.calls: list[Mapping[str, Any]] = []

    def converse(self, **request: Any) -> Mapping[str, Any]:
        return self._reply(request)

    def converse_stream(self, **request: Any) -> Mapping[str, Any]:
        response = self._reply(request)
        if "stream" in response:
            return response
        return {"stream": list(_events(response))}

    def _reply(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls.append(request)
        of_prompt = ":prompt/" in str(request["modelId"])
        forbidden = [name for name in FORBIDDEN if name in request and of_prompt]
        if forbidden:
            raise ValueError(f"Converse refuses {', '.join(forbidden)} beside a prompt's ARN; put them in the prompt")
        told = request["modelId"] if of_prompt else request.get("requestMetadata", {}).get("version", "0")
        version = int(str(told).rpartition(":")[2])
        replies: Any = self.replies
        reply = replies[version] if hasattr(replies, "keys") and version in replies else replies
        if callable(reply) and not isinstance(reply, Exception):
            reply = reply(request)
        if isinstance(reply, Exception):
            raise reply
        return response_of(reply) if isinstance(reply, str) else reply


def response_of(text: str, *, stop_reason: str = "end_turn") -> dict[str, Any]:
    """A Converse response with this text."""
    words = len(text.split())
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": stop_reason,
        "usage": {"inputTokens": 10, "outputTokens": words, "totalTokens": 10 + words},
        "metrics": {"latencyMs": 1},
    }


def _events(response: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield {"messageStart": {"role": "assistant"}}
    for at, block in enumerate(response["output"]["message"]["content"]):
        if "toolUse" in block:
            used = {name: block["toolUse"].get(name, "") for name in ("toolUseId", "name")}
            yield {"contentBlockStart": {"start": {"toolUse": used}, "contentBlockIndex": at}}
        for delta in _deltas(block):
            yield {"contentBlockDelta": {"delta": delta, "contentBlockIndex": at}}
        yield {"contentBlockStop": {"contentBlockIndex": at}}
    yield {"messageStop": {"stopReason": response["stopReason"]}}
    yield {"metadata": {"usage": response["usage"], "metrics": response["metrics"]}}


def _deltas(block: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "toolUse" in block:
        yield {"toolUse": {"input": dumps(block["toolUse"].get("input", {}))}}
    elif "reasoningContent" in block:
        yield {"reasoningContent": {"text": block["reasoningContent"].get("reasoningText", {}).get("text", "")}}
    else:
        words = str(block.get("text", "")).split(" ")
        yield from ({"text": word + " "} for word in words[:-1])
        yield {"text": words[-1]}


class ListSink:
    """Keeps every metric document in `documents`."""

    def __init__(self) -> None:
        self.documents: list[Document] = []

    def emit(self, document: Document) -> None:
        self.documents.append(document)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is held back."""

    def after_fork(self) -> None:
        self.documents = []

    def total(self, metric: str, **dimensions: str) -> tuple[float, int]:
        """(sum, sample count) of a metric under exactly these dimensions, as CloudWatch would answer."""
        found = [
            document.values[metric]
            for document in self.documents
            for directive in document.directives
            if metric in directive.metrics
            for names in directive.dimension_sets
            if {name: document.dimensions[name] for name in names} == dimensions
        ]
        return sum(found), len(found)


def fake_client(routes: RouteReader, bedrock: Any = None, **settings: Unpack[Settings]) -> PromptClient:
    """A PromptClient over these fakes. Takes PromptClient's settings too.

    Receipts are sealed with a test key where `cryptography` is installed; elsewhere there are none."""
    fake = bedrock or FakeBedrock()
    contents = Contents(routes.content, _no_prompts) if isinstance(routes, StaticRoutes) else None
    settings.setdefault("sink", ListSink())
    if find_spec("cryptography"):
        settings.setdefault("receipt_key", "a key for tests")
    return client_over(routes, bedrock=lambda timeout: fake, contents=contents, **settings)


def _no_prompts(decision: Decision) -> Sequence[Mapping[str, Any]]:
    raise LookupError(f"no content was put for version {decision.version}: StaticRoutes.put(…, holds={{…}})")


def client_over(
    routes: RouteReader | None = None,
    *,
    bedrock: Callable[[float], Any] | None = None,
    feedback: FeedbackMemory | None = None,
    contents: Contents | None = None,
    **settings: Unpack[Settings],
) -> PromptClient:
    """A PromptClient by its settings, but for what is given in AWS's place: where routes are read, Bedrock's client by
    the seconds a call may take, the memory of counted receipts, and where it is read what versions hold."""
    settings.setdefault("route_table", "none")
    client = PromptClient(**settings)
    if routes is not None:
        client._routes.reader = routes
    if bedrock is not None:
        client._bedrock = bedrock
    if feedback is not None:
        client._memory = feedback
    if contents is not None:
        client._contents_made = contents
    return client
