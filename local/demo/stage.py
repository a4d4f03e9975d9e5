"""Sets the stage: a fresh embedded AWS, every stack deployed for a fast run, subscriptions confirmed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local import deploy, running, server, up
from local.demo import mailbox as reviewers
from local.demo.cast import CASTS, model_server
from local.demo.crowd import Crowd
from local.demo.mailbox import Mailbox
from local.demo.observe import Observer
from local.demo.play import PROMPT, DemoFailed, Play
from local.demo.screen import Screen
from promptlane.project import load_one

Json = Any
SETTINGS = {
    "promptlane:lambda_target": "host",
    "promptlane:resolution_seconds": "10",
    "promptlane:arrival_seconds": "3",
    "promptlane:trail_late_seconds": "1",
    "promptlane:time_scale": "0.00667",
    "promptlane:reconcile_minutes": "1",
    "promptlane:on_call": "on-call@example.com",
}
"""20 minutes of baking take 8 seconds; counts are complete 3 seconds after the longest request, since the simulated
application sends its metrics every second."""


@contextmanager
def set_stage(screen: Screen, *, port: int = 0, model: str = "scripted", rate: float = 0) -> Iterator[Play]:
    """A play on a deployed embedded AWS, which is stopped at the end. Raises RuntimeError with the remedy."""
    # Files of an embedded AWS that `make up` left running are its own.
    home = server.HOME / "demo" if up.recorded() else server.HOME
    cast = CASTS[model]
    screen.begin("Starting the embedded AWS" + ("" if model == "scripted" else f" and {model}"))
    _forget_mail(home / "mail")
    with model_server(model) as variables, running.EmbeddedAws(port, home=home, variables=variables) as aws:
        environment = {**os.environ, **aws.env()}
        screen.begin("Deploying every stack with the CDK CLI")
        settings = {**SETTINGS, "promptlane:prompts_dir": str(cast.prompts)}
        with (home / "deploy.log").open("w") as log:
            deploy.deploy(
                aws.env(), settings, outputs=home / "outputs.json", say=lambda line: print(line, file=log, flush=True)
            )
        session = aws.session()
        resources = _resources(session, aws.url)
        screen.begin("Reviewers confirm their email subscriptions")
        links = Mailbox(home / "mail").confirmations()
        if not links:
            raise DemoFailed(f"no subscription email arrived in {home / 'mail'}")
        reviewers.confirm(session.client("sns", endpoint_url=aws.url), links)
        environment |= {
            "PROMPTLANE_ROUTE_TABLE": str(resources["route_table"]),
            "PROMPTLANE_FEEDBACK_TABLE": str(resources.get("feedback_table", "")),
            "PROMPTLANE_RESOLUTION": SETTINGS["promptlane:resolution_seconds"],
        }
        request = load_one(cast.prompts / PROMPT).policy.request
        crowd = Crowd(
            environment,
            prompt=PROMPT,
            users=cast.users,
            rate=rate or cast.rate,
            processes=cast.processes,
            threads=cast.threads,
            timeout=request.timeout,
            slow_after=request.slow_after,
        )
        observer = Observer(
            session.resource("dynamodb", endpoint_url=aws.url),
            route_table=str(resources["route_table"]),
            release_table=str(resources["release_table"]),
        )
        try:
            yield Play(
                screen,
                environment=environment,
                observer=observer,
                mailbox=Mailbox(home / "mail"),
                crowd=crowd,
                versions=cast.versions,
                pace=cast.pace,
                by_alarm=cast.by_alarm,
            )
        finally:
            crowd.stop()


def _resources(session: Any, url: str) -> dict[str, Json]:
    """Resource names of every stack, as the command line finds them."""
    found: dict[str, Json] = {}
    pages = session.client("ssm", endpoint_url=url).get_paginator("get_parameters_by_path")
    for page in pages.paginate(Path="/promptlane/resources"):
        for parameter in page["Parameters"]:
            found |= json.loads(parameter["Value"])
    missing = {"route_table", "release_table"} - found.keys()
    if missing:
        raise DemoFailed(f"the stacks wrote no {', '.join(sorted(missing))} to SSM; see deploy.log")
    return found


def _forget_mail(folder: Path) -> None:
    """Emails of an earlier run would be taken for this one's."""
    for path in folder.glob("*.eml"):
        path.unlink()
