"""Each kind of disturbance once, in one process, with AWS in memory and clocks moved by hand: some seconds.

    python -m tests.soak.smoke <empty folder>

Prints what is wrong as JSON. After each change of the route the clocks go on by more than a route's greatest age, so
that the very next request must be decided by what the route names then: the bound is none at all.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.soak import notes
from tests.soak.bedrock import Called, ScriptedModel, response
from tests.soak.clocks import Clocks, real_time
from tests.soak.expected import COMPARED, Cell
from tests.soak.history import History
from tests.soak.judge import Evidence, Verdict, judge, trail
from tests.soak.notes import Notes
from tests.soak.script import Reply, pieces
from tests.soak.writer import RouteWriter

PROMPTS = ["greeter", "support"]
LATER = 20.0
"""Seconds by which the clocks are moved on: more than the greatest age of a route."""


class Refused(Exception):
    """Shaped like the SDK's ClientError."""

    def __init__(self, code: str, message: str = "as it was told") -> None:
        super().__init__(f"An error occurred ({code}): {message}")
        self.response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}


class Store:
    """Routes and feedback in memory, as DynamoDB's client shows them."""

    class exceptions:  # noqa: N801 - as the SDK names it
        class ConditionalCheckFailedException(Exception):
            """There is such an item."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.voices: set[str] = set()
        self.away = False

    def get_item(self, **given: Any) -> dict[str, Any]:
        self._answer()
        item = self.items.get(given["Key"]["prompt"]["S"])
        return {} if item is None else {"Item": _attribute(item)["M"]}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        self._answer()
        ((table, wanted),) = RequestItems.items()
        names = [key["prompt"]["S"] for key in wanted["Keys"]]
        return {"Responses": {table: [_attribute(self.items[name])["M"] for name in names if name in self.items]}}

    def query(self, **given: Any) -> dict[str, Any]:
        self._answer()
        wanted = given["ExpressionAttributeValues"][":id"]["S"]
        return {"Items": [{"prompt": {"S": n}} for n, item in self.items.items() if item["prompt_id"] == wanted]}

    def put_item(self, **given: Any) -> None:
        self._answer()
        voice = given["Item"]["receipt"]["S"]
        if voice in self.voices:
            raise self.exceptions.ConditionalCheckFailedException
        self.voices.add(voice)

    def _answer(self) -> None:
        if self.away:
            raise ConnectionError("the table is away")


class Keys:
    """KMS in memory; `newest` is the key that a process which starts now is told of."""

    def __init__(self) -> None:
        self.newest = "first"
        self._made: dict[bytes, tuple[str, Any, bytes]] = {}

    def generate_data_key(self, **given: Any) -> dict[str, Any]:
        plain, wrapped = os.urandom(32), os.urandom(184)
        self._made[wrapped] = (given["KeyId"], given["EncryptionContext"], plain)
        return {"Plaintext": plain, "CiphertextBlob": wrapped}

    def decrypt(self, **given: Any) -> dict[str, Any]:
        key, context, plain = self._made.get(given["CiphertextBlob"], ("", None, b""))
        if context != given["EncryptionContext"]:
            raise Refused("InvalidCiphertextException")
        if key != given["KeyId"]:
            raise Refused("IncorrectKeyException")
        return {"Plaintext": plain}


class CloudWatch:
    """Counts by cell; refuses a request that holds a point out of its time, whole, as CloudWatch does."""

    def __init__(self) -> None:
        self.counted: Counter[Cell] = Counter()
        self.deaf = False

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803
        for datum in MetricData:
            if not -14 * 86_400 < float(datum["Timestamp"]) - real_time() < 2 * 3600:
                raise Refused(
                    "InvalidParameterValue", "The parameter MetricData.member.1.Timestamp must specify a time"
                )
        for datum in MetricData:
            of = {one["Name"]: one["Value"] for one in datum["Dimensions"]}
            if set(of) in ({"Prompt", "Version"}, {"Prompt", "Track"}):
                by, counts = of.get("Version") or of["Track"], datum["Counts"]
                sums = {"n": sum(counts), "sum": sum(v * c for v, c in zip(datum["Values"], counts, strict=True))}
                for kind, value in sums.items():
                    if (datum["MetricName"], kind) in COMPARED and value:
                        self.counted[Cell(of["Prompt"], by, datum["MetricName"], kind)] += value  # type: ignore[arg-type]
        if self.deaf:
            from botocore.exceptions import ReadTimeoutError

            raise ReadTimeoutError(endpoint_url="https://monitoring.test")


class Model(ScriptedModel):
    """Bedrock's client in memory."""

    def converse(self, **request: Any) -> dict[str, Any]:
        return response(self._good(request, "converse").text)

    def converse_stream(self, **request: Any) -> dict[str, Any]:
        return {"stream": self._events(self._good(request, "converse-stream"))}

    def _good(self, request: dict[str, Any], operation: str) -> Reply:
        found = self.answer(request["modelId"], operation, request)
        if found.bad in ("stall", "reset"):
            raise ConnectionError("as the script says")
        if found.bad == "error":
            raise Refused(found.code)
        return found

    @staticmethod
    def _events(found: Reply) -> Iterator[dict[str, Any]]:
        yield {"messageStart": {"role": "assistant"}}
        if found.bad == "breaks_early":
            raise Refused("modelStreamErrorException")
        said, whole = pieces(found.text), response(found.text)
        for piece in said[: len(said) // 2] if found.bad else said:
            yield {"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}}
        if found.bad == "breaks_late":
            raise Refused("internalServerException")
        if not found.bad:
            yield {"messageStop": {"stopReason": whole["stopReason"]}}
            yield {"metadata": {"usage": whole["usage"], "metrics": whole["metrics"]}}


class Session:
    def __init__(self, **services: Any) -> None:
        self._services = services

    def client(self, service: str, *, config: Any) -> Any:
        return self._services[service.replace("-", "_")]


class Handed:
    """Receipts of all processes in one list."""

    def __init__(self) -> None:
        self._held: deque[tuple[str, dict[str, Any]]] = deque(maxlen=50)

    def give(self, receipt: str, told: dict[str, Any]) -> None:
        self._held.append((receipt, told))

    def take(self) -> tuple[str, dict[str, Any]] | None:
        return self._held.popleft() if self._held else None


class Smoke:
    def __init__(self, folder: Path, clocks: Clocks, seed: int) -> None:
        from promptlane.client import AsyncPromptClient, PromptClient
        from tests.soak.traffic import Traffic

        self.folder = folder
        self.clocks = clocks
        self.store, self.keys, self.cloudwatch, self.model = Store(), Keys(), CloudWatch(), Model()
        self.writer = RouteWriter(
            lambda item: self.store.items.__setitem__(item["prompt"], item),
            lambda prompt: self.store.items.__delitem__(prompt),
            seed,
        )
        self.model.harmful = self.writer.harmful
        for prompt in PROMPTS:
            self.writer.add(prompt)
        self.client = PromptClient(
            route_table="routes",
            feedback_table="feedback",
            receipt_kms_key=lambda: self.keys.newest,
            session=Session(dynamodb=self.store, kms=self.keys, cloudwatch=self.cloudwatch, bedrock_runtime=self.model),
            breaker_errors=2,
        )
        self.face = AsyncPromptClient(self.client)
        self.notes = Notes(folder, 0, clocks)
        self.outages: list[tuple[float, float]] = []
        self.traffic = Traffic(self.client, self.notes, prompts=PROMPTS, slot=0, seed=seed, remote=Handed())
        self.traffic.process, self.traffic.random = 0, random.Random(seed)

    def later(self) -> None:
        """A while after, by one clock: that one says so is enough."""
        self.clocks.move(monotonic=LATER)

    def requests(self, number: int = 12) -> None:
        for _ in range(number):
            self.traffic.one()

    async def tasks(self) -> None:
        await asyncio.gather(*(self.traffic.one_async(self.face) for _ in range(20)))

    def run(self) -> Verdict:
        self.requests()
        asyncio.run(self.tasks())
        self._release()
        self._outage()
        self._restore()
        self._remake()
        self.keys.newest = "second"
        self.requests(30)
        self._clocks()
        self._fork()
        self._lost_answer()
        self.requests()
        self.client.close()
        return self._judged()

    def _release(self) -> None:
        """Canaries of which one does harm, their promotion or rollback, and watches."""
        for _ in range(12):
            for prompt in PROMPTS:
                self.writer.step(prompt)
            self.later()
            self.requests(6)

    def _outage(self) -> None:
        began = real_time()
        self.store.away = True
        self.later()
        self.requests()
        self.writer.step(PROMPTS[0])
        self.requests()
        self.store.away = False
        self.later()
        self.outages.append((began, real_time()))
        self.requests()

    def _restore(self) -> None:
        def meanwhile(seconds: float) -> None:
            self.later()
            self.requests(4)

        self.writer.restore(PROMPTS[0], emptied=True, wait=meanwhile, mend=1.0)
        self.later()
        self.requests()

    def _remake(self) -> None:
        self.writer.remake(PROMPTS[1], gone=self.model.gone.add, wait=lambda seconds: self.requests(4), after=1.0)
        self.later()
        self.requests()

    def _clocks(self) -> None:
        """Each clock alone; as in a freeze, one goes on while a route changes, and the other stands."""
        for off in (1800.0, 3 * 3600.0, -1.7e9):
            self.clocks.set_wall(off)
            self.requests(6)
            self.client.flush()
        self.clocks.set_wall(0.0)
        self.requests(6)
        self.writer.step(PROMPTS[0])
        self.clocks.set_wall(LATER)
        self.requests()
        self.writer.step(PROMPTS[1])
        self.clocks.move(monotonic=LATER)
        self.requests()
        self.clocks.set_wall(0.0)

    def _fork(self) -> None:
        """The child has the parent's unsent counts in its memory, and must leave them to it."""
        self.requests(4)
        pid = os.fork()
        if pid == 0:
            self.traffic.process, self.traffic.random = 1, random.Random(1)
            self.model.calls.clear()
            self.cloudwatch.counted.clear()
            self.requests(6)
            self.client.close()
            told = {"calls": self.model.calls, "counted": [[*c, n] for c, n in self.cloudwatch.counted.items()]}
            (self.folder / "child.json").write_text(json.dumps(told))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        self.notes.write("reaped", child=pid, exit="os._exit", status=status, hung=False)
        told = json.loads((self.folder / "child.json").read_text())
        self.model.calls += [Called(*call) for call in told["calls"]]
        self.child_counted = Counter({Cell(*row[:4]): row[4] for row in told["counted"]})

    def _lost_answer(self) -> None:
        """CloudWatch takes what it gets, and nobody hears of it."""
        self.cloudwatch.deaf = True
        self.client.flush()
        self.requests()
        self.client.flush()
        self.cloudwatch.deaf = False

    def _judged(self) -> Verdict:
        lines = list(notes.read(self.folder))
        history = History(self.writer.written, bound=0.0, outages=self.outages, unsettled=self.writer.unsettled)
        counted = self.cloudwatch.counted + self.child_counted
        evidence = Evidence(lines, self.model.calls, history, counted)
        verdict = judge(evidence)
        for problem in verdict.problems[:5]:
            print(problem, *trail(evidence, problem.id) if problem.id else (), sep="\n  ", file=sys.stderr)
        return verdict


def _attribute(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"M": {name: _attribute(inner) for name, inner in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [_attribute(inner) for inner in value]}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def main(folder: Path, seed: int = 1) -> int:
    clocks = Clocks(folder / "0.clocks")
    clocks.install()
    verdict = Smoke(folder, clocks, seed).run()
    found = {
        kind: verdict.number(kind) for kind in ("unanswered", "wrong_version", "miscounted", "receipts", "children")
    }
    print(json.dumps({"requests": verdict.requests, **found, **verdict.beneath}))
    return any(found.values())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
