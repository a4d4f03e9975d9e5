"""The play: version 1 takes the stage, version 2 is promoted, version 3 is rolled back by its alarm."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local.demo.crowd import Crowd
from local.demo.mailbox import Invitation, Mailbox
from local.demo.observe import Observer
from local.demo.screen import Screen
from promptlane.domain.names import Outcome, Phase, release_id
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, from_iso

Json = Any
REPOSITORY = Path(__file__).resolve().parents[2]
PROMPT = "support-assistant"
REPORT = REPOSITORY / ".local" / "demo-investigation.html"
VERSIONS = {
    1: (REPOSITORY / "prompts" / PROMPT, "First version of the assistant."),
    2: (REPOSITORY / "local/demo/v2", "Answers first, and asks for a missing order number."),
    3: (REPOSITORY / "local/demo/v3", "Stops made-up discounts: turns away questions about vouchers."),
}
_REASONS = {1: "Reads well, and the tests hold.", 2: "Clearer answers; no case got worse.", 3: "Looks safe to me."}


class DemoFailed(RuntimeError):
    """The play did not end as it should; says where and what to look at."""


@dataclass(frozen=True)
class Pace:
    """How long each act may take, in seconds, and how often the stage looks."""

    start: float = 40.0
    review: float = 60.0
    canary: float = 150.0
    rollback: float = 120.0
    end: float = 30.0
    look: float = 0.5

    def times(self, factor: float) -> Pace:
        """The same pace for a slower model."""
        slower = {f: getattr(self, f) * factor for f in ("start", "review", "canary", "rollback", "end")}
        return replace(self, **slower)


class Play:
    """Publishes, reviews and watches, with what the command line, the mailbox and the tables offer."""

    def __init__(
        self,
        screen: Screen,
        *,
        environment: Mapping[str, str],
        observer: Observer,
        mailbox: Mailbox,
        crowd: Crowd,
        versions: Mapping[int, tuple[Path, str]],
        pace: Pace,
        by_alarm: bool,
    ) -> None:
        """`by_alarm`: the bad version must fall to its alarm; with few requests the judge may well be first."""
        self._screen, self._environment = screen, dict(environment)
        self._observer, self._mailbox, self._crowd = observer, mailbox, crowd
        self._versions, self._pace, self._by_alarm = versions, pace, by_alarm
        self._seen: dict[int, int] = {}
        self._releases: dict[int, str] = {}
        self.found: dict[str, Json] = {}
        """What `promptlane investigate` answered about it all, when the play has ended."""

    def run(self) -> dict[str, Json]:
        """Play all acts; what `.local/demo.json` holds. Raises DemoFailed."""
        self._first_version()
        self._crowd.start()
        self._good_version()
        self._bad_version()
        self._screen.begin("Version 2's watch ends, traffic stops")
        self._until("the release of version 2 did not end", self._pace.end, lambda: self._ended(2))
        self._crowd.stop()
        document = self.document()
        self._check(document)
        self._screen.begin(f"promptlane investigate {PROMPT}: what changed, who did it, and what it did to people")
        self.found = self._cli("investigate", PROMPT, "--since", "15m", "--html", str(REPORT))
        self._screen.end()
        return document

    def _first_version(self) -> None:
        self._publish(1)
        self._review(1)
        self._screen.begin("Version 1 is the first: promoted as soon as it is approved")
        self._until("version 1 was not promoted", self._pace.end, lambda: self._ended(1))
        self._expect(1, Outcome.PROMOTED)

    def _good_version(self) -> None:
        self._publish(2)
        self._review(2)
        self._screen.begin("Version 2 on trial: its share grows while it proves harmless")
        self._until("version 2 was not promoted", self._pace.canary, lambda: self._serves(2) or self._ended(2))
        if not self._serves(2):
            self._expect(2, Outcome.PROMOTED)

    def _bad_version(self) -> None:
        self._publish(3)
        self._review(3)
        self._screen.begin("Version 3 on trial: it turns away people whom it should help")
        self._until("version 3 was not rolled back", self._pace.rollback, lambda: self._ended(3))
        self._expect(3, Outcome.ROLLED_BACK)
        if not self._serves(2):
            raise DemoFailed("version 3 was rolled back, but version 2 does not serve everybody again")

    def _publish(self, version: int) -> None:
        folder, why = self._versions[version]
        self._screen.begin(f"promptlane publish {folder.relative_to(REPOSITORY)}")
        said = self._cli("publish", str(folder), "--message", why)
        if said["version"] != version:
            raise DemoFailed(f"publishing made version {said['version']}, not {version}; start from an empty `.local`")
        self._releases[version] = release_id(said["prompt_id"], version)
        self._until(
            f"no release of version {version} started; see the logs of `intake`",
            self._pace.start,
            lambda: self._release(version) is not None,
        )

    def _review(self, version: int) -> None:
        self._screen.begin(f"Version {version}: regression tests, then reviewers approve by email")
        name = self._releases[version]

        def decided() -> bool:
            release = self._release(version)
            if release is not None and (release.state in ("canary", "watch") or release.ended):
                return True
            if any(e.event is Event.REVIEW_DECIDED for e in self._observer.timeline(name)):
                return True
            for invitation in self._mailbox.invitations(name):
                self._approve(invitation, version)
            return False

        self._until(f"the review of version {version} did not end", self._pace.review, decided)
        if self._ended(version) and version != 1:
            self._fail(version, "ended before it got any traffic")

    def _approve(self, invitation: Invitation, version: int) -> None:
        timeline = self._observer.timeline(self._releases[version])
        if not any(e.event is Event.REVIEW_DECIDED for e in timeline):
            self._mailbox.approve(invitation, _REASONS[version])

    def _until(self, otherwise: str, seconds: float, done: Callable[[], bool]) -> None:
        """Look again and again until `done`; DemoFailed with `otherwise` when it takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            self._look()
            if done():
                self._look()
                return
            if time.monotonic() > deadline:
                raise DemoFailed(f"{otherwise} within {seconds:.0f} s; it stands like this: {self._standing()}")
            time.sleep(self._pace.look)

    def _look(self) -> None:
        for version, name in self._releases.items():
            entries = self._observer.timeline(name)
            for entry in entries[self._seen.get(version, 0) :]:
                self._screen.entry(version, entry)
            self._seen[version] = len(entries)
        self._screen.look(self._observer.route(PROMPT), self._crowd.totals(), self._crowd.rate())

    def _standing(self) -> str:
        parts = []
        for version in self._releases:
            release = self._release(version)
            state = "no record" if release is None else f"{release.outcome or release.state} {release.reason}".strip()
            parts.append(f"version {version}: {state}")
        return "; ".join(parts)

    def _release(self, version: int) -> Release | None:
        return self._observer.release(self._releases[version]) if version in self._releases else None

    def _ended(self, version: int) -> bool:
        release = self._release(version)
        return release is not None and release.ended

    def _serves(self, version: int) -> bool:
        route = self._observer.route(PROMPT)
        return route is not None and route.stable.version == version and route.phase is not Phase.CANARY

    def _expect(self, version: int, outcome: Outcome) -> None:
        release = self._release(version)
        if release is None or release.outcome is not outcome:
            self._fail(version, f"should have been {outcome.value.replace('_', ' ')}")

    def _fail(self, version: int, what: str) -> None:
        release = self._release(version)
        found = f"{release.outcome or release.state}: {release.reason}" if release else "no record"
        raise DemoFailed(f"version {version} {what}, but it is {found}")

    def _cli(self, *words: str) -> Json:
        """Type a command as an operator would, and read its JSON."""
        command = [str(Path(sys.executable).with_name("promptlane")), *words, "--json"]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoFailed(f"`promptlane {' '.join(words)}` failed:\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def document(self) -> dict[str, Json]:
        """What `.local/demo.json` holds, of the versions 2 and 3 (version 1 only sets the stage)."""
        releases, rolled_back_after = [], None
        for version in sorted(v for v in self._releases if v > 1):
            release = self._release(version)
            timeline = [
                {"at": e["at"], "event": e["event"], "by": e["by"], "detail": e["detail"]}
                for e in (entry.to_dict() for entry in self._observer.timeline(self._releases[version]))
            ]
            releases.append(
                {
                    "release_id": self._releases[version],
                    "prompt": PROMPT,
                    "version": version,
                    "outcome": str(release.outcome) if release and release.outcome else None,
                    "timeline": timeline,
                }
            )
            rolled_back_after = alarm_to_safe_route(timeline) if version == 3 else rolled_back_after
        totals = self._crowd.totals()
        return {
            "releases": releases,
            "alarm_to_safe_route_seconds": rolled_back_after,
            "requests": {key: totals[key] for key in ("total", "failed", "by_version")},
        }

    def _check(self, document: Mapping[str, Json]) -> None:
        outcomes = {r["version"]: r["outcome"] for r in document["releases"]}
        if outcomes != {2: "promoted", 3: "rolled_back"}:
            raise DemoFailed(f"the releases ended as {outcomes}; 2 should be promoted and 3 rolled back")
        if self._by_alarm and document["alarm_to_safe_route_seconds"] is None:
            raise DemoFailed("version 3 was rolled back, but not by its alarm; see the timeline in .local/demo.json")


def alarm_to_safe_route(timeline: list[dict[str, Json]]) -> float | None:
    """Seconds from the alarm's state change to the route's write; None when no alarm caused the rollback."""
    for entry in timeline:
        detail = entry["detail"]
        if entry["event"] == Event.ROLLED_BACK and detail.get("cause") == "alarm":
            changed_at = (detail.get("evidence") or {}).get("changed_at")
            return None if changed_at is None else round(from_iso(entry["at"]) - float(changed_at), 3)
    return None
