"""`python -m local.demo`: the whole way of two versions, on a fresh embedded AWS, with live traffic."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from local.demo.play import REPORT, DemoFailed
from local.demo.screen import Screen
from promptlane.domain.release.gist import gist
from promptlane.domain.text import one_line

RESULT = Path(__file__).resolve().parents[2] / ".local" / "demo.json"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of the embedded AWS; a free one by default")
    parser.add_argument("--model", choices=["scripted", "smollm2"], default="scripted", help="who answers")
    parser.add_argument("--rate", type=float, default=0, help="questions a second; what suits the model by default")
    options = parser.parse_args(arguments)
    from local.demo.stage import set_stage

    # Ended from outside, it must take the embedded AWS and the traffic down with it, as after Ctrl+C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Screen() as screen:
        try:
            with set_stage(screen, port=options.port, model=options.model, rate=options.rate) as play:
                try:
                    document = play.run()
                    found = play.found
                except DemoFailed:
                    screen.end(failed=True)
                    write(play.document())
                    raise
            write(document)
        except KeyboardInterrupt:
            screen.end(failed=True)
            return 130
        except RuntimeError as failed:
            screen.end(failed=True)
            problem = str(failed)
        else:
            problem = ""
    if problem:
        screen.console.print(f"The demo failed: {problem}", style="red", markup=False)
        return 1
    show(screen, document)
    show_investigation(screen, found)
    screen.console.print(f"\nEverything is in {_short(RESULT)}, the investigation as a page in {_short(REPORT)}.")
    return 0


def _short(path: Path) -> Path:
    return path.relative_to(RESULT.parents[1])


def write(document: dict[str, object]) -> None:
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def show(screen: Screen, document: dict[str, object]) -> None:
    """The timelines of both releases, and the numbers."""
    from rich.text import Text

    releases, requests = document["releases"], document["requests"]
    assert isinstance(releases, list)
    assert isinstance(requests, dict)
    for release in releases:
        good = release["outcome"] == "promoted"
        title = f"\nVersion {release['version']}: {release['outcome'].replace('_', ' ')}  ({release['release_id']})"
        screen.console.print(Text(title, style="bold green" if good else "bold red"))
        for entry in release["timeline"]:
            who = entry["by"].rsplit("/", 1)[-1].rsplit(":", 1)[-1]
            line = Text(f"{entry['at'][11:23]}  ", style="dim", overflow="ellipsis", no_wrap=True)
            line.append(f"{entry['event']:<19}  ", style="default")
            line.append(f"{who[:28]:<28}  ", style="dim")
            line.append(gist(entry["detail"]), style="default")
            screen.console.print(line)
    versions = ", ".join(f"version {v} {n:,}" for v, n in sorted(requests["by_version"].items()))
    seconds = document["alarm_to_safe_route_seconds"]
    undone = "The judge was first" if seconds is None else f"From the alarm to the safe route: [bold]{seconds:.2f} s[/]"
    screen.console.print(
        f"\n{undone}. {requests['total']:,} questions were asked ({versions}), {requests['failed']:,} failed."
    )


def show_investigation(screen: Screen, found: dict[str, Any]) -> None:
    """The first lines of what `promptlane investigate` answered, with a conversation that shows the harm."""
    from rich.text import Text

    screen.console.print(Text(f"\npromptlane investigate {found['prompt']}", style="bold"))
    for sentence in found["summary"]:
        screen.console.print(Text(f"  {sentence}"))
    for pair in found["conversations"][:1]:
        for one, style in ((pair["bad"], "red"), (pair["good"], "green")):
            if one:
                asked = one["variables"].get("question") or one["sent"]
                screen.console.print(Text(f"  asked: {one_line(asked, 200)}", style="dim"))
                screen.console.print(Text(f"    version {one['version']}: {one_line(one['answer'], 300)}", style=style))


if __name__ == "__main__":
    sys.exit(main())
