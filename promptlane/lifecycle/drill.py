"""The drill: the whole way back is walked, from CloudWatch's alarm to the last write, which is asked for and not made.

Whoever drills sets an alarm that is there for it alone. CloudWatch tells SNS, SNS calls `roll_back`, and that reads the
route, decides, and asks DynamoDB to write under a condition that cannot hold: the answer that it did not hold says that
the write would have been allowed. No traffic moves, whether a release is out or not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from promptlane.domain import incoming
from promptlane.domain.errors import Conflict, InvalidInput, NotApplicable, PromptlaneError, Unavailable
from promptlane.domain.release.route import Rollback, roll_back
from promptlane.domain.release.timeline import from_iso

if TYPE_CHECKING:
    from promptlane.domain.ports import Clock, RouteStore
    from promptlane.domain.release.route import Route

Json = Any
WITHIN: Final = 60.0
"""Seconds within which the way is proven, or broken. CloudWatch and SNS take one or two, a cold function one more."""
AGAIN: Final = 15.0
"""Seconds after which the alarm is set again: another drill may have set it in the same moment, and only a change
counts."""
_EVERY: Final = 0.5
_SPARE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A drill that is asked for. `changed_at`: when the alarm changed, in epoch seconds."""

    prompt: str
    id: str
    changed_at: float


@dataclass(frozen=True, slots=True)
class Drill:
    """What a drill came to. `says`: where the way leads at present, or why it is broken."""

    prompt: str
    id: str
    changed_at: float
    ended_at: float
    proved: bool
    says: str

    @property
    def seconds(self) -> float:
        """From the alarm's change to the proof."""
        return round(max(0.0, self.ended_at - self.changed_at), 3)

    def to_dict(self) -> dict[str, Json]:
        return asdict(self)


class Drills(Protocol):
    """The last drill of each prompt."""

    def last(self, prompt: str) -> Drill | None:
        """None where there was none. Raises Unavailable."""

    def keep(self, drill: Drill) -> bool:
        """In place of an older one; False where a newer one, or this one, is kept already. Raises Unavailable."""


class DrillAlarm(Protocol):
    """The alarm that is there to be set."""

    def trip(self, reason: str) -> None:
        """Set it to ALARM, coming from OK, so that its actions run."""

    def rest(self) -> None:
        """Set it to OK."""


def ask(
    alarm: DrillAlarm,
    drills: Drills,
    prompt: str,
    *,
    id: str,
    clock: Clock,
    sleep: Callable[[float], object],
    within: float = WITHIN,
) -> Drill | None:
    """Set the alarm and wait for what `roll_back` says; None where it says nothing `within` these seconds."""
    reason = json.dumps({"drill": id, "prompt": prompt}, separators=(",", ":"))
    began = tripped = clock()
    alarm.trip(reason)
    try:
        while clock() - began < within:
            found = drills.last(prompt)
            if found is not None and found.id == id:
                return found
            if clock() - tripped >= AGAIN:
                tripped = clock()
                alarm.trip(reason)
            sleep(_EVERY)
        return None
    finally:
        alarm.rest()


@dataclass(frozen=True, kw_only=True)
class DrillRound:
    """A drill of every prompt that has a route, one after the other: they share the alarm."""

    alarm: DrillAlarm
    drills: Drills
    clock: Clock
    sleep: Callable[[float], object]
    new_id: Callable[[], str]
    prompts: Callable[[], list[str]]

    def run(self, *, seconds_left: Callable[[], float]) -> tuple[list[Drill], dict[str, str]]:
        """(proven drills, why each other way is broken). The first that nobody answers is the last: all go that way."""
        proved, broken = list[Drill](), dict[str, str]()
        for prompt in self.prompts():
            if seconds_left() < WITHIN + _SPARE:
                broken[prompt] = "no time was left to drill it"
                continue
            drill = ask(self.alarm, self.drills, prompt, id=self.new_id(), clock=self.clock, sleep=self.sleep)
            if drill is None:
                broken[prompt] = silence(WITHIN)
                break
            if drill.proved:
                proved.append(drill)
            else:
                broken[prompt] = drill.says
        return proved, broken


def silence(within: float) -> str:
    """What it means that nobody answered."""
    return f"no proof came from roll_back within {within:.0f} s of its alarm; look at its log and its subscription"


def read_drill(message: Mapping[str, Json]) -> Asked | None:
    """What the drill alarm's notification asks for; None where it is no change to ALARM. InvalidInput if unreadable."""
    if message.get("NewStateValue") != "ALARM":
        return None
    try:
        told = json.loads(message["NewStateReason"])
        prompt, name = incoming.name(told["prompt"], "the prompt"), incoming.name(told["drill"], "the drill")
        changed_at = from_iso(str(message["StateChangeTime"]).replace("+0000", "+00:00"))
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError, InvalidInput) as error:
        said = "the drill alarm was set without saying what for"
        raise InvalidInput(f"{said} ({error!r}); use promptlane drill") from None
    return Asked(prompt, name, changed_at)


def prove(routes: RouteStore, asked: Asked, *, clock: Clock, keep_trying: Callable[[int], bool]) -> Drill:
    """Do all that a rollback does but its write. What may pass is tried again while `keep_trying(attempt)` says so."""
    attempt = 0
    while True:
        attempt += 1
        try:
            proved, says = _walk(routes, asked.prompt, clock())
        except PromptlaneError as error:
            if isinstance(error, Unavailable) and keep_trying(attempt):
                continue
            proved, says = False, str(error)
        return Drill(asked.prompt, asked.id, asked.changed_at, clock(), proved, says)


def _walk(routes: RouteStore, prompt: str, now: float) -> tuple[bool, str]:
    try:
        route = routes.get(prompt)
    except (KeyError, TypeError, ValueError) as error:
        return False, f"the route of {prompt} cannot be read ({error!r})"
    if route is None:
        return False, f"prompt {prompt!r} has no route: nothing of it is served"
    safe, says = _decided(route, now)
    never = replace(route, revision=-1, release_id="no release")  # no stored route has either
    try:
        routes.put(safe, expected=never)
    except Conflict:
        return True, says
    return False, f"the table wrote the route of {prompt} under a condition that cannot hold; look at it at once"


def _decided(route: Route, now: float) -> tuple[Route, str]:
    """The route that a rollback would write now; the same one where there is nothing to go back to."""
    try:
        safe = roll_back(route, Rollback(cause="operator", reason="a drill", by="a drill"), now=now)
    except NotApplicable as error:
        return route, f"at present there is nothing to go back to: {error}"
    return safe, f"a rollback would leave version {safe.stable.version} to everybody"
