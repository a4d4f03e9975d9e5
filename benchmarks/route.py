"""What a decision costs, beside the floor of pure Python and beside the SDKs of others, in one run.

    make bench-route        writes .local/bench/route.json

Cores here are shared, so ours and each SDK take turns, each paired with the floor measured just before and after it:
take the ratios. The nanoseconds are these ratios times the floor's median.
The floor is a whole decision in pure Python (dict lookup, BLAKE2b of salt and unit, compare).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import peers, rollback_seen
from promptlane.client.testing import StaticRoutes, fake_client

OUT = Path(".local/bench/route.json")
NODE_PEERS = Path(".local/bench/peers-node")
UNITS = [f"user-{i:015d}" for i in range(20_000)]
READ_PRICE = 0.125  # USD per million read request units, on demand, us-east-1; half a unit for one GetItem here
Decide = Callable[[str], Any]


def floor() -> Decide:
    """A decision in pure Python, as plain as it can be."""
    routes = {"support-assistant": (b"promptlane-salt-16b.", 500, "canary", "stable")}
    blake2b, number = hashlib.blake2b, int.from_bytes

    def decide(unit: str) -> str:
        salt, weight, canary, stable = routes["support-assistant"]
        bucket = number(blake2b(salt + unit.encode(), digest_size=8).digest(), "big") % 10_000
        return canary if bucket < weight else stable

    return decide


def ours(prompts: int = 1, *, weight: int = 500) -> Decide:
    routes = StaticRoutes()
    for i in range(prompts):
        routes.put(f"prompt-{i}", stable=1, canary=2 if weight else None, weight=weight)
    client = fake_client(routes, refresh=3600)
    for i in range(prompts):
        client.route(f"prompt-{i}", "warm")
    name, route = f"prompt-{prompts // 2}", client.route

    def decide(unit: str) -> Any:
        return route(name, unit)

    return decide


def nanoseconds(decide: Decide, calls: int) -> float:
    units = UNITS[:calls]
    start = time.perf_counter_ns()
    for unit in units:
        decide(unit)
    return (time.perf_counter_ns() - start) / calls


def in_turns(own: Decide, others: list[Decide], reference: Decide, repeats: int) -> list[list[tuple[float, float]]]:
    """For each other, (own, other) as ratios to the floor, once a round. All are held at once and take turns of about
    30 ms: floor, own, floor, other, floor; each is divided by the mean of the two floors around it."""
    calls = {
        decide: max(200, min(len(UNITS), int(3e7 / max(nanoseconds(decide, 200), 1)))) for decide in (own, *others)
    }
    found: list[list[tuple[float, float]]] = [[] for _ in others]
    for _ in range(repeats):
        for other, pairs in zip(others, found, strict=True):
            floors, taken = [nanoseconds(reference, 10_000)], []
            for decide in (own, other):
                taken.append(nanoseconds(decide, calls[decide]))
                floors.append(nanoseconds(reference, 10_000))
            pairs.append((2 * taken[0] / (floors[0] + floors[1]), 2 * taken[1] / (floors[1] + floors[2])))
    return found


def import_ms(repeats: int) -> float:
    """Extra wall time of a bare interpreter that imports the client, without site-packages."""
    root = str(Path(__file__).parents[1])
    extra = []
    for _ in range(repeats):
        taken = []
        for code in ("pass", "import promptlane.client"):
            start = time.perf_counter()
            program = f"import sys; sys.path.insert(0, {root!r}); {code}"
            subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
            taken.append(time.perf_counter() - start)
        extra.append((taken[1] - taken[0]) * 1000)
    return statistics.median(extra)


def bytes_per_route(prompts: int) -> float:
    tracemalloc.start()
    decide = ours(prompts)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert decide("u") is not None
    return used / prompts


def read_cost(rps: float, *, per_process: float = 100.0, refresh: float = 2.0) -> dict[str, float]:
    """Reads per second and USD per million requests: processes in use / refresh, half a read unit each."""
    processes = max(1.0, rps / per_process)
    reads = min(rps, processes / refresh)
    return {"rps": rps, "reads_per_s": reads, "usd_per_million_requests": reads / rps * 0.5 * READ_PRICE}


def reads_counted(seconds: float, refresh: float) -> tuple[int, float]:
    """(reads that one process under full load made, reads by the formula): traffic must not matter."""
    routes = StaticRoutes()
    routes.put("p", stable=1, canary=2, weight=500)
    client = fake_client(routes, refresh=refresh)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        client.route("p", "u")
    return routes.reads, 1 + seconds / refresh


def in_node(repeats: int, *, with_peers: bool) -> dict[str, Any]:
    """The same of the TypeScript client in Node; benchmarks/route.mjs says what it prints."""
    program = ["node", str(Path(__file__).with_suffix(".mjs")), str(NODE_PEERS) if with_peers else "", str(repeats)]
    found: dict[str, Any] = json.loads(subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout)
    ratio = found["ours_ratio"]
    print(
        f"in Node {found['node']}: floor {found['floor_ns']:.0f} ns; ours {ratio['canary']:.2f} x in canary", end=", "
    )
    print(
        f"{ratio['steady']:.2f} x in steady, {ratio['awaited']:.2f} x awaited; FNV-1a alone {found['fnv_ratio']:.2f} x"
    )
    for name, peer in found["peers"].items():
        print(f"{name:28} {peer['ratio']:8.2f} x  {peer['call']}", flush=True)
    return found


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--repeats", type=int, default=15)
    options.add_argument("--processes", type=int, default=50)
    options.add_argument("--no-peers", action="store_true")
    given = options.parse_args()
    reference = floor()
    floor_ns = statistics.median(nanoseconds(reference, 10_000) for _ in range(given.repeats))
    canary = ours()
    others = [] if given.no_peers else list(peers.available())
    turns = in_turns(
        canary, [ours(weight=0), ours(100), ours(10_000), *(p.decide for p in others)], reference, given.repeats
    )
    mine = statistics.median(own for pairs in turns for own, _ in pairs)
    steady, hundred, many, *theirs = (statistics.median(other for _, other in pairs) for pairs in turns)
    print(f"floor {floor_ns:.0f} ns; ours {mine:.2f} x in canary, {steady:.2f} x in steady")
    found_peers = {}
    for peer, ratio, pairs in zip(others, theirs, turns[3:], strict=True):
        beside = statistics.median(own for own, _ in pairs)
        found_peers[peer.name] = {
            "ns": ratio * floor_ns,
            "sdk_version": peer.version,
            "ratio": ratio,
            "ours_beside": beside,
            "times_ours": statistics.median(other / own for own, other in pairs),
            "call": peer.call,
        }
        print(f"{peer.name:28} {ratio:8.2f} x (ours beside it {beside:.2f} x)  {peer.call}", flush=True)
        peer.close()
    memory = {n: bytes_per_route(n) for n in (100, 10_000)}
    counted, formula = reads_counted(3.0, 0.1)
    node = in_node(given.repeats, with_peers=not given.no_peers)
    seen = rollback_seen.measure(processes=given.processes)
    result = {
        "floor_ns": floor_ns,
        "ours_ns": mine * floor_ns,
        "ours_ratio": {"canary": mine, "steady": steady},
        "import_ms": import_ms(given.repeats),
        "peers": found_peers,
        "node": node,
        "rollback_seen_ms": seen,
        "by_prompts": {"ratio": {1: mine, 100: hundred, 10_000: many}, "bytes_per_route": memory},
        "reads": {"counted": counted, "formula": formula, "cost": [read_cost(rps) for rps in (10, 1000, 100_000)]},
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1))
    print(f"import {result['import_ms']:.1f} ms; rollback seen {seen}; reads {counted} (formula {formula:.0f}); {OUT}")


if __name__ == "__main__":
    main()
