"""What an import finds: the suite, what it left and why, and what is for a person to finish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from promptlane.domain.text import shortened

Json = Any
MAX_REASON: Final = 600
MAX_CODE: Final = 4_000


@dataclass(frozen=True, slots=True)
class Left:
    """Something that did not carry over: its places in the file, what it is, and why, with what to do instead."""

    what: str
    why: str
    places: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        return {"what": self.what, "why": self.why, "places": list(self.places)}


@dataclass(frozen=True, slots=True)
class Stub:
    """A check that promptfoo ran as code: the suite names it, and is refused until `promptlane_checks` has it."""

    name: str
    kind: str
    code: str
    places: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        return {"name": self.name, "kind": self.kind, "code": self.code, "places": list(self.places)}


@dataclass(frozen=True, slots=True)
class Imported:
    """A suite as it is to be written.

    `data`: suite.yaml's. `new_files`: case files that are written beside it; `kept_files`: those of the configuration
    that the suite goes on naming. `policy`: lines for `tests` of release.yaml. `cases`: how many the suite has.
    """

    data: Mapping[str, Json]
    cases: int
    new_files: Mapping[str, str] = field(default_factory=dict)
    kept_files: Mapping[str, bytes] = field(default_factory=dict)
    left: tuple[Left, ...] = ()
    stubs: tuple[Stub, ...] = ()
    policy: Mapping[str, str] = field(default_factory=dict)


class Notes:
    """Collects them in the order of the file; the same thing left for the same reason is told once, with its places."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], dict[str, None]] = {}
        self._stubs: dict[tuple[str, str], tuple[str, dict[str, None]]] = {}
        self._models: dict[str, dict[str, list[str]]] = {}

    def leave(self, place: str, what: str, why: str) -> None:
        key = (shortened(what, MAX_REASON), shortened(why, MAX_REASON))
        self._left.setdefault(key, {})[place] = None

    def stub(self, place: str, kind: str, code: str, wanted: str) -> str:
        """The name of the check that stands for this code; the same code has one name."""
        key = (kind, code)
        if key not in self._stubs:
            taken = {name for name, _ in self._stubs.values()}
            name, number = wanted, 1
            while name in taken:
                number += 1
                name = f"{wanted}-{number}"
            self._stubs[key] = (name, {})
        name, places = self._stubs[key]
        places[place] = None
        return name

    def graded_by(self, place: str, setting: str, model: str) -> None:
        """A grader's model, which the policy names once for all cases."""
        self._models.setdefault(setting, {}).setdefault(model, []).append(place)

    def policy(self) -> dict[str, str]:
        """The model that most graders name, by setting; of others it is said that they were left."""
        chosen = {}
        for setting, models in self._models.items():
            most = max(models, key=lambda model: len(models[model]))
            chosen[setting] = most
            for model, places in models.items():
                for place in places if model != most else ():
                    self.leave(place, f"grader {model!r}", f"one model grades a prompt: tests.{setting} is {most!r}")
        return chosen

    @property
    def left(self) -> tuple[Left, ...]:
        return tuple(Left(what, why, tuple(places)) for (what, why), places in self._left.items())

    @property
    def stubs(self) -> tuple[Stub, ...]:
        return tuple(
            Stub(name, kind, shortened(code, MAX_CODE), tuple(places))
            for (kind, code), (name, places) in self._stubs.items()
        )
