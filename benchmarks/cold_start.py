"""Cold starts of functions on the embedded AWS: with byte code beside the sources and without.

    make bench-cold         writes .local/bench/cold.json

Each turn makes the function anew, so that its first call starts an environment, imports the handler with all that it
needs and makes the table that every function works with. What counts is the time of the processor that the process took
until then: neither what else the machine does nor how the embedded AWS unpacks an asset is in it. Three assets take
turns: `runtime` is what was deployed until 0.1 (sources alone, beside an SDK that has its byte code, as the runtime's
has), `sources` our SDK's layer without byte code, `compiled` what is deployed. Figures are milliseconds, medians over
the turns, of this machine's processor: the ratio tells.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.packaging import Packages, function_code, layer
from local.running import EmbeddedAws

OUT = Path(".local/bench/cold.json")
VERBS: dict[str, tuple[Packages, ...]] = {
    "roll_back": ("layer",),
    "judge": ("layer",),
    "run_cases": ("layer", "engine"),
    "gateway": ("receipts",),
}
KINDS = {"runtime": ("sdk",), "sources": (), "compiled": ("sdk", "layer", "engine", "receipts", "code")}
"""What has its byte code in each asset."""
TURNS = 5
_PROBE = """
import time
import {handler}
import promptlane.aws.clients as clients
table = clients.resource("dynamodb").Table("any")
took = 1000 * time.process_time()
def handle(event, context): return took
"""


def zipped(parts: Iterator[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)  # as in CDK's assets
    return buffer.getvalue()


def files(folder: Path, *, compiled: bool) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (compiled or path.suffix != ".pyc"):
            yield path.relative_to(folder).as_posix(), path.read_bytes()


class Functions:
    """Makes them in an embedded AWS; layers once per kind."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._lambda = aws.client("lambda")
        self._layers: dict[tuple[str, bool], str] = {}

    def _layer(self, holds: Packages, compiled: bool) -> str:
        if (holds, compiled) not in self._layers:
            content = zipped(files(layer(holds, target="host"), compiled=compiled))
            made = self._lambda.publish_layer_version(LayerName=f"{holds}-{compiled}", Content={"ZipFile": content})
            self._layers[holds, compiled] = str(made["LayerVersionArn"])
        return self._layers[holds, compiled]

    def first_call(self, verb: str, kind: str) -> float:
        """Milliseconds until a function that was made for it could be called."""
        compiled = KINDS[kind]

        def parts() -> Iterator[tuple[str, bytes]]:
            yield "probe.py", _PROBE.format(handler=f"functions.{verb}.handler").encode()
            yield from files(function_code(verb, target="host"), compiled="code" in compiled)

        name = f"{verb}-{kind}"
        layers = [self._layer(holds, holds in compiled) for holds in ("sdk", *VERBS[verb])]
        self._lambda.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role="arn:aws:iam::000000000000:role/any",
            Handler="probe.handle",
            Code={"ZipFile": zipped(parts())},
            Layers=layers,
            Timeout=30,
            MemorySize=256,
        )
        reply = self._lambda.invoke(FunctionName=name, Payload=b"{}")
        took = reply["Payload"].read()
        assert "FunctionError" not in reply, took
        self._lambda.delete_function(FunctionName=name)
        return float(took)


def main() -> None:
    taken: dict[str, dict[str, list[float]]] = {verb: {kind: [] for kind in KINDS} for verb in VERBS}
    with tempfile.TemporaryDirectory() as home, EmbeddedAws(home=Path(home)) as aws:
        functions = Functions(aws)
        for turn in range(TURNS + 1):
            for verb, kinds in taken.items():
                for kind, times in kinds.items():
                    took = functions.first_call(verb, kind)
                    if turn:  # the first fills the machine's own caches
                        times.append(took)
    result: dict[str, Any] = {
        verb: {kind: round(statistics.median(times)) for kind, times in kinds.items()} for verb, kinds in taken.items()
    }
    result |= {"turns": TURNS, "load_average": os.getloadavg()[0]}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
