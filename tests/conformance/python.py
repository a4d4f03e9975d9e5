"""What the Python client answers to each case of a conformance file: plain data, as the file holds it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from promptlane.client import PromptClient, calls, emf, receipts
from promptlane.client.answer import StreamedAnswer
from promptlane.client.breaker import Breaker
from promptlane.client.decision import Decision
from promptlane.client.receipt_keys import OwnKeys, Source
from promptlane.client.sync import unit_bytes
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, fake_client, version_arn
from promptlane.domain import split
from promptlane.domain.canary import outcome
from promptlane.domain.canary.refusal import is_refusal
from promptlane.domain.errors import PromptlaneError

Given = Mapping[str, Any]
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "clients" / "conformance"
PROMPT = "greeter"
TIMES = ("Latency", "TimeToFirstToken")
"""Metrics that no two runs have alike."""


class AwsError(Exception):
    """Shaped like botocore's ClientError."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"An error occurred ({code}): {message}")
        self.response = {"Error": {"Code": code, "Message": message}}


def cases(kind: str) -> list[dict[str, Any]]:
    """The cases of a file: `name`, `given`, and the `answer` that is published."""
    document = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    if kind != "refusals":
        found: list[dict[str, Any]] = document["cases"]
        return found
    return [
        {"name": text[:60], "given": text, "answer": told == "1"}
        for text, told in zip(texts(), document["declines"], strict=True)
    ]


def texts() -> list[str]:
    """The texts of the labelled set of refusals, as they stand there."""
    with (ROOT / "tests" / "data" / "refusals.tsv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def split_cases() -> list[dict[str, Any]]:
    """Those of docs/split-vectors.json, in the shape of the others."""
    document = json.loads((ROOT / "docs" / "split-vectors.json").read_text(encoding="utf-8"))
    keys = ("number", "bucket", "group")
    return [
        {"name": f"{v['salt']}, {v['unit']}", "given": v, "answer": {key: v[key] for key in keys}}
        for v in document["vectors"]
    ] + [{"name": f"{v['phase']}, {v['unit']}", "given": v, "answer": v["track"]} for v in document["tracks"]]


def split_of(given: Given) -> Any:
    salt, unit = given["salt"], given["unit"]
    if "phase" in given:
        return split.track(salt, unit, **{name: given[name] for name in ("phase", "weight", "holdback")})
    number = f"{split.number(salt, unit):016x}"
    return {"number": number, "bucket": split.bucket(salt, unit), "group": split.group(salt, unit)}


def outcome_of(given: Given) -> Any:
    took = {"latency_ms": given["latency_ms"], "slow_after_ms": 10_000}
    if "error" in given:
        error = AwsError(**given["error"])
        found = outcome.of_error(error, **took)
        return {"bad": sorted(found.bad), "error_type": found.error_type, "invalid": outcome.invalid(error)}
    found = outcome.of_response(given["response"], **took)
    names = ("error_type", "stop_reason", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    return {"bad": sorted(found.bad), **{name: getattr(found, name) for name in names}}


def request_of(given: Given) -> Any:
    declared = given.get("declared")
    decision = Decision(
        prompt=PROMPT, version=3, version_arn=version_arn(PROMPT, 3), track="canary", release_id="R-3-1",
        variables=declared, guardrail=given.get("own_guardrail"),
    )  # fmt: skip
    sent = {name: given.get(name) for name in ("guardrail", "metadata")}
    messages, variables = given.get("messages", ()), given.get("variables")
    try:
        unit_bytes(given.get("unit", "u"))
        call = calls.Call(given.get("operation", "converse"), variables, messages, **sent)
        call.check()
        return call.arguments(decision)
    except PromptlaneError as error:
        return {"error": type(error).__name__}


def deadline_of(given: Given) -> Any:
    caller = calls.Caller(
        lambda limit: None, Breaker(), timeout=given["timeout"], reserve=given["reserve"], shield=given["shield"]
    )
    decided = SimpleNamespace(phase=given["phase"])
    request: Any = SimpleNamespace(decided=decided, answered_by=object() if given["other"] else decided)
    with patch.object(calls, "monotonic", lambda: given["elapsed"]):
        request.started = 0.0
        return caller._limit(request)


def receipt_of(given: Given) -> Any:
    if "mark" in given:
        return receipts.mark(*given["mark"])
    keys = OwnKeys(Source(given["secret"], "receipt_key"))
    if "seal" in given:
        facts = dict(given["seal"])
        named = {name: facts[name] for name in ("version", "track", "release_id")}
        by = Decision(prompt=given["prompt"], version_arn=version_arn(given["prompt"], facts["version"]), **named)
        key = keys._key(keys._secrets.newest, given["prompt"], given["day"])
        with patch("promptlane.client.receipts.os.urandom", lambda size: bytes.fromhex(given["nonce"])):
            return receipts.seal(key, by, group=facts["group"], started_at=facts["started_at"], unit=facts["unit"])
    try:
        head = receipts.head_of(given["open"], now=given["now"])
        key = keys.named(given["prompt"], head)
        found = receipts.unseal(given["open"], head, key, given["prompt"], now=given["now"])
        receipts.check_fresh(found, now=given["now"])
    except PromptlaneError as error:
        return {"error": type(error).__name__}
    facts = {name: value for name, value in found._asdict().items() if name not in ("id", "prompt")}
    return {**facts, "voice": found.voice}


def answer_of(given: Given) -> Any:
    """A whole request, or several of one client in a row: what came of the last, and all that was counted."""
    routes, sink = StaticRoutes(), ListSink()
    routes.put(PROMPT, salt="s", **given["route"])
    bedrock = FakeBedrock({int(version): _reply(reply) for version, reply in given["replies"].items()})
    settings: dict[str, Any] = given.get("settings", {})
    client = fake_client(routes, bedrock, sink=sink, receipt_key="", **settings)
    found: dict[str, Any] = {}
    for unit in given["units"]:
        found = _asked(client, given, unit)
    called = [str(call["modelId"]).rpartition(":")[2] for call in bedrock.calls]
    lines = {"emf": _lines(sink)} if given.get("emf") else {}
    return {**found, "calls": called, "counted": _counted(sink), **lines}


def _counted(sink: ListSink) -> dict[str, str]:
    """By dimensions (but for the prompt's) each metric's sum and sample count; of times the count alone."""
    found: dict[str, dict[str, tuple[float, int]]] = {}
    for document in sink.documents:
        for directive in document.directives:
            for names in directive.dimension_sets:
                under = " ".join(f"{name}={document.dimensions[name]}" for name in names if name != "Prompt")
                sums = found.setdefault(under, {})
                for metric in directive.metrics:
                    total, count = sums.get(metric, (0.0, 0))
                    sums[metric] = (total + (0 if metric in TIMES else document.values[metric]), count + 1)
    return {
        under: ", ".join(f"{metric} {total:g}/{count}" for metric, (total, count) in sums.items())
        for under, sums in found.items()
    }


def _lines(sink: ListSink) -> list[Any]:
    """The lines of EMF, but for their times."""
    counted = [json.loads(emf.line(document)) for document in sink.documents]
    for line in counted:
        line["_aws"].pop("Timestamp")
        for name in TIMES:
            if name in line:
                line[name] = "some"
    return counted


def _asked(client: PromptClient, given: Given, unit: str) -> dict[str, Any]:
    sent = {name: given[name] for name in ("variables", "messages", "metadata") if name in given}
    came: list[Any] = []
    stream: StreamedAnswer | None = None
    try:
        if "read" not in given:
            answer = client.converse(PROMPT, unit=unit, **sent)
            came = [answer.text]
            return {**_told(answer), "came": came, "stop_reason": answer.stop_reason}
        stream = client.converse_stream(PROMPT, unit=unit, **sent)
        with stream:
            pieces: Iterator[Any] = iter(stream) if given["read"] == "text" else stream.events()
            for piece in pieces:
                came.append(piece if isinstance(piece, str) else next(iter(piece)))
                if len(came) == given.get("leave_after"):
                    break
        return {**_told(stream), "came": came, "stop_reason": stream.stop_reason}
    except PromptlaneError as error:
        code = getattr(error, "code", None)
        return {"error": type(error).__name__, "code": code, "came": came}


def _told(answer: Any) -> dict[str, Any]:
    by = answer.decision
    return {"version": by.version, "track": by.track, "shielded": answer.shielded}


def _reply(reply: Given) -> Any:
    if "error" in reply:
        return AwsError(**reply["error"])
    if "events" in reply:
        return lambda request: {"stream": _events(reply["events"])}
    return reply["text"] if "text" in reply else reply["response"]


def _events(events: list[Any]) -> Iterator[Any]:
    for event in events:
        if "error" in event:
            raise AwsError(**event["error"])
        yield event


ANSWERS: dict[str, Callable[[Any], Any]] = {
    "answers": answer_of,
    "deadlines": deadline_of,
    "outcomes": outcome_of,
    "receipts": receipt_of,
    "refusals": is_refusal,
    "requests": request_of,
}
