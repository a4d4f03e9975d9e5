"""Cases per second of our runner and of promptfoo, side by side, against a local model with a fixed latency.

Every measurement is a fresh process, ours and theirs alternating, 1,000 calls (500 cases x 2 prompts, two deterministic
assertions a case, no cache). The rate is taken where both look alike, at the model: calls from the first one's arrival
to the last answer, so start-up does not count; the wall time of the whole process is noted too. Beside them stand bare
threads over http.client, which tell what the machine and the model stub allow at that moment; and the same runner with
conversations, whose turns wait for each other. Writes
`.local/bench/runner.json`. `python -m benchmarks.runner --quick` leaves the repetitions out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import promptfoo as promptfoo_at

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / ".local" / "bench"
LATENCY = 0.05
LEVELS = {4: 240, 32: 500, 128: 500}
"""Cases by concurrency; each is asked twice."""
TURNS = 3
"""Turns after the first answer, in the scenario of conversations."""
ASSERTS = [{"type": "icontains", "value": "refunds"}, {"type": "not-contains", "value": "sorry"}]


@contextmanager
def stub() -> Iterator[str]:
    """The model, in a process of its own; its address."""
    process = subprocess.Popen(
        ["node", str(Path(__file__).with_name("stub.mjs")), str(int(1_000 * LATENCY))],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


def environment(url: str) -> dict[str, str]:
    quiet = {
        "PROMPTFOO_DISABLE_TELEMETRY": "1",
        "PROMPTFOO_DISABLE_UPDATE": "1",
        "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
        "PROMPTFOO_CONFIG_DIR": str(BENCH / "promptfoo-home"),
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": f"{url}/v1",
    }
    aws = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return {**os.environ, **quiet, **aws}


def child(concurrency: int, cases: int, turns: int) -> None:
    """Our side, in its own process: exactly what a release and `promptlane test` run. `turns`: after each answer."""
    from promptlane.aws.models import ConverseModel
    from promptlane.aws.transport import BedrockTransport
    from promptlane.engine.parse import parse
    from promptlane.engine.records import Collector, record_of
    from promptlane.engine.runner import Bench, run_cases
    from promptlane.engine.suite import Case, Turn
    from promptlane.engine.targets import Target

    def target(label: str, text: str) -> Target:
        template = {"text": {"text": text, "inputVariables": [{"name": "question"}]}}
        variant = {"modelId": "amazon.nova-lite-v1:0", "templateType": "TEXT", "templateConfiguration": template}
        return Target.of_draft(label, [variant])

    suite = parse({"defaultTest": {"assert": ASSERTS}, "tests": [{"vars": {"question": "?"}}]})
    asserts = suite.cases[0].asserts
    talk = tuple(Turn(({"text": f"And how about number {turn}?"},), asserts) for turn in range(turns))
    made = (Case(f"case-{i}", {"question": f"When does refund {i} arrive?"}, asserts, turns=talk) for i in range(cases))
    bench = Bench(
        candidate=target("candidate", "Answer briefly. {{question}}"),
        stable=target("stable", "Answer. {{question}}"),
        model=ConverseModel(BedrockTransport.from_environment()),
        concurrency=concurrency,
    )
    collector = Collector((f"case-{i}" for i in range(cases)), repeats=1, absolute=False)
    for run in run_cases(made, bench):
        collector.add(run.case, record_of(run))
    wrong = sum(t.candidate != 1 or t.stable != 1 for t in collector.tallies)
    if wrong or len(collector.tallies) != cases:
        raise SystemExit(f"{wrong} of {len(collector.tallies)} cases went wrong")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024)


def seen(url: str) -> dict[str, float]:
    """What the model saw since it was last asked."""
    with urllib.request.urlopen(url, timeout=10) as response:
        found: dict[str, float] = json.load(response)
    return found


def ours(url: str, concurrency: int, cases: int, turns: int = 0) -> tuple[float, float]:
    """(seconds of the whole process, peak memory in MB)."""
    command = [sys.executable, "-m", "benchmarks.runner", "--child", str(concurrency), str(cases), str(turns)]
    started = time.perf_counter()
    done = subprocess.run(command, env=environment(url), cwd=ROOT, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"our runner failed:\n{done.stderr[-2_000:]}")
    return elapsed, float(done.stdout.split()[-1])


BARE = """
import http.client, sys, threading
host, calls, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
left = iter(range(calls))
def work():
    connection = http.client.HTTPConnection(host)
    while next(left, None) is not None:
        connection.request("POST", "/model/m/converse", body=b"{}", headers={"content-type": "application/json"})
        connection.getresponse().read()
workers = [threading.Thread(target=work) for _ in range(concurrency)]
for worker in workers: worker.start()
for worker in workers: worker.join()
"""


def bare(url: str, concurrency: int, calls: int) -> None:
    """What the machine can do at all now: threads of http.client that sign nothing, check nothing and keep nothing."""
    command = [sys.executable, "-c", BARE, url.removeprefix("http://"), str(calls), str(concurrency)]
    subprocess.run(command, check=True)


def promptfoo(url: str, concurrency: int, cases: int, folder: Path) -> float:
    """Seconds of the whole process."""
    config = {
        "prompts": ["Answer briefly. {{question}}", "Answer. {{question}}"],
        "providers": [{"id": "openai:chat:stub", "config": {"apiBaseUrl": f"{url}/v1"}}],
        "defaultTest": {"assert": ASSERTS},
        "tests": [{"vars": {"question": f"When does refund {i} arrive?"}} for i in range(cases)],
    }
    (folder / "promptfooconfig.json").write_text(json.dumps(config))
    output = folder / "out.json"
    entry = json.loads((promptfoo_at.FOLDER / "package.json").read_text())["bin"]["promptfoo"]
    command = [
        promptfoo_at.node(),
        str(promptfoo_at.FOLDER / entry),
        "eval",
        "-c",
        str(folder / "promptfooconfig.json"),
        "-j",
        str(concurrency),
        "-o",
        str(output),
        "--no-cache",
        "--no-table",
        "--no-progress-bar",
        "--no-write",
    ]
    started = time.perf_counter()
    done = subprocess.run(command, env=environment(url), cwd=folder, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - started
    stats = json.loads(output.read_text())["results"]["stats"] if output.exists() else {}
    if stats.get("successes") != 2 * cases:
        raise RuntimeError(f"promptfoo exited {done.returncode} with {stats}: {(done.stderr or done.stdout)[-800:]}")
    return elapsed


def measure(url: str, repetitions: int) -> dict[str, Any]:
    missing = promptfoo_at.missing()
    levels = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for concurrency, cases in LEVELS.items():
            mine, theirs, floors, walls, their_walls, memory = [], [], [], [], [], []
            for _ in range(repetitions):
                seen(url)
                bare(url, concurrency, 2 * cases)
                floors.append(_rate(seen(url), 2 * cases))
                wall, peak = ours(url, concurrency, cases)
                walls.append(wall)
                memory.append(peak)
                mine.append(_rate(seen(url), 2 * cases))
                if not missing:
                    try:
                        their_walls.append(promptfoo(url, concurrency, cases, folder))
                        theirs.append(_rate(seen(url), 2 * cases))
                    except RuntimeError as error:
                        missing = str(error)
            ideal, own = concurrency / LATENCY, statistics.median(mine)
            other = statistics.median(theirs) if theirs else None
            level = {
                "concurrency": concurrency,
                "calls": 2 * cases,
                "ours_per_s": round(own, 1),
                "promptfoo_per_s": None if other is None else round(other, 1),
                "ideal_per_s": ideal,
                "bare_http_per_s": round(statistics.median(floors), 1),
                "ours_share_of_ideal": round(own / ideal, 3),
                "times_promptfoo": None if other is None else round(own / other, 1),
                "ours_wall_s": round(statistics.median(walls), 2),
                "promptfoo_wall_s": round(statistics.median(their_walls), 2) if their_walls else None,
                "ours_peak_mb": round(max(memory), 1),
                "promptfoo_reason": missing or None,
            }
            levels.append(level)
            print(_line(level), flush=True)
    return {"levels": levels}


def _rate(found: dict[str, float], calls: int) -> float:
    if found["calls"] < calls:
        raise SystemExit(f"the model saw {found['calls']} calls where {calls} were due")
    return found["calls"] / found["seconds"]


def _line(level: dict[str, Any]) -> str:
    other = "not measured" if level["promptfoo_per_s"] is None else f"{level['promptfoo_per_s']:7.1f}/s"
    times = f" ({level['times_promptfoo']}x)" if level["times_promptfoo"] else ""
    return (
        f"concurrency {level['concurrency']:>3}: ours {level['ours_per_s']:7.1f}/s, {level['ours_share_of_ideal']:.1%} "
        f"of {level['ideal_per_s']:.0f} "
        f"(bare {level['bare_http_per_s']:.1f}/s), promptfoo {other}{times}, our peak {level['ours_peak_mb']} MB"
    )


def memory(url: str, turns: int = 0) -> dict[str, float]:
    """Peak memory by number of cases: it must not grow with them."""
    sizes = [cases // (1 + turns) for cases in (500, 5_000)]
    return {str(cases): round(ours(url, 128, cases, turns)[1], 1) for cases in sizes}


def conversations(url: str, repetitions: int) -> dict[str, Any]:
    """The rate at which conversations of four answers are held, each turn waiting for the answer before."""
    levels = []
    for concurrency, cases in LEVELS.items():
        talks = max(concurrency, cases // (1 + TURNS))
        calls = 2 * talks * (1 + TURNS)
        rates, peaks = [], []
        for _ in range(repetitions):
            seen(url)
            peaks.append(ours(url, concurrency, talks, TURNS)[1])
            rates.append(_rate(seen(url), calls))
        rate, ideal = statistics.median(rates), concurrency / LATENCY
        levels.append(
            {
                "concurrency": concurrency,
                "calls": calls,
                "ours_per_s": round(rate, 1),
                "ideal_per_s": ideal,
                "ours_share_of_ideal": round(rate / ideal, 3),
                "ours_peak_mb": round(max(peaks), 1),
            }
        )
        print(f"conversations, {concurrency:>3} at once: {rate:7.1f}/s, {rate / ideal:.1%} of {ideal:.0f}", flush=True)
    return {"answers_each": 1 + TURNS, "levels": levels, "memory_mb_by_cases": memory(url, TURNS)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=3, type=int, metavar=("CONCURRENCY", "CASES", "TURNS"), help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="one repetition")
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    if shutil.which("node") is None:
        raise SystemExit("the model stub needs Node.js 20 or newer; install it and try again")
    BENCH.mkdir(parents=True, exist_ok=True)
    with stub() as url:
        result = measure(url, 1 if options.quick else 3)
        result["memory_mb_by_cases"] = memory(url)
        result["conversations"] = conversations(url, 1 if options.quick else 3)
    result["conditions"] = {
        "latency_s": LATENCY,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "per_s": "calls per second between the first call and the last answer; one call is one case against one prompt",
    }
    path = BENCH / "runner.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"peak memory by cases: {result['memory_mb_by_cases']}")
    print(f"with conversations: {result['conversations']['memory_mb_by_cases']}\nwrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
