"""What a unit gets, and the live route it is read from.

A route item is parsed once per revision into ready-made decisions and one threshold, so that a decision at run time
is a hash, a comparison and nothing else. The item's format is promptlane.domain.release.route's; it is read here
again, without that module's imports, and a test keeps the two the same.
"""

from __future__ import annotations

from math import inf

from promptlane.domain.errors import InvalidInput
from promptlane.domain.incoming import torn_problem, version_number
from promptlane.domain.split import BUCKETS, below, keys

from .errors import InvalidVariables, UnsupportedRoute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from promptlane.domain.metrics import PerToken

    from .routes import Moment

SCHEMA = 1
PHASES = ("steady", "canary", "watch")
MAX_VARIABLES = 20
_REFINED = frozenset({"trace", "streamProcessingMode"})
"""What of a guardrailConfig says how a guardrail is applied, not which."""


class Decision:
    """Which version answers. Immutable, shared by all units that get it.

    `version_arn` is what Converse takes as modelId; `track` is "stable", "canary" or "holdback"; `release_id` is the
    release that the route belongs to; `phase` the route's; `instead` is stable's decision when this one is canary's;
    `guardrail` the guardrailConfig that the version was tested and approved with, None where it has none; `per_token`
    what its answers add to means, by metric. `second`: the other version of the release, which is asked when Bedrock
    refuses a request to this one: stable for the canary, and while the release is watched the version before it for
    stable, and the reverse for the holdback.
    """

    __slots__ = (
        "fingerprint",
        "guardrail",
        "instead",
        "per_token",
        "phase",
        "prompt",
        "release_id",
        "revision",
        "salt",
        "second",
        "track",
        "variables",
        "version",
        "version_arn",
    )

    def __init__(
        self,
        *,
        prompt: str,
        version: int,
        version_arn: str,
        track: str,
        release_id: str = "",
        fingerprint: str = "",
        revision: int = 0,
        phase: str = "steady",
        variables: Sequence[str] | None = None,
        salt: str = "",
        instead: Decision | None = None,
        guardrail: Mapping[str, str] | None = None,
        per_token: Mapping[str, PerToken] | None = None,
    ) -> None:
        self.prompt = prompt
        self.version = version
        self.version_arn = version_arn
        self.track = track
        self.release_id = release_id
        self.fingerprint = fingerprint
        self.revision = revision
        self.phase = phase
        self.salt = salt
        self.variables = None if variables is None else frozenset(variables)
        self.instead = instead
        self.guardrail = guardrail
        self.second = instead
        self.per_token: Mapping[str, PerToken] = per_token or {}

    def __repr__(self) -> str:
        return f"<Decision {self.prompt} version {self.version} ({self.track})>"

    def check(self, variables: Mapping[str, str]) -> None:
        """Raise InvalidVariables, naming them, when they do not fit this version."""
        if not isinstance(variables, dict) and not hasattr(variables, "items"):
            raise InvalidVariables(f"variables of {self.prompt} are {type(variables).__name__}; give texts by name")
        wrong = sorted(str(k) for k, v in variables.items() if not isinstance(k, str) or not isinstance(v, str))
        if wrong:
            raise InvalidVariables(f"variables of {self.prompt} must be text; {', '.join(wrong)} is not: use str()")
        for name, value in variables.items():
            if problem := torn_problem(name):
                raise InvalidVariables(f"the name of a variable of {self.prompt} {problem}")
            if problem := torn_problem(value):
                raise InvalidVariables(f"variable {name} of {self.prompt} {problem}")
        if len(variables) > MAX_VARIABLES:
            raise InvalidVariables(f"{len(variables)} variables for {self.prompt}; Bedrock takes {MAX_VARIABLES}")
        if self.variables is None:
            return
        missing = sorted(self.variables - variables.keys())
        unknown = sorted(variables.keys() - self.variables)
        if missing or unknown:
            parts = [f"needs {', '.join(missing)}"] * bool(missing) + [f"has no {', '.join(unknown)}"] * bool(unknown)
            declared = ", ".join(sorted(self.variables)) or "none"
            raise InvalidVariables(
                f"{self.prompt} {' and '.join(parts)}; it declares: {declared}",
                missing=missing,
                unknown=unknown,
            )

    def request(
        self,
        variables: Mapping[str, str] | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] = (),
        guardrail: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The arguments of Converse or ConverseStream, with nothing in them that a prompt resource forbids.

        `messages` are appended to the prompt's. `guardrail` is a guardrailConfig: one that names a guardrail wins over
        the version's own; one that does not (`trace`, `streamProcessingMode`) says how the version's own is applied,
        and nothing where it has none. The four keys of requestMetadata by which invocation logs name the release win
        over `metadata`. InvalidVariables, InvalidInput for what Bedrock would refuse.
        """
        from . import sent

        variables = variables or {}
        self.check(variables)
        sent.check(messages=messages, guardrail=guardrail, metadata=metadata)
        request: dict[str, Any] = {
            "modelId": self.version_arn,
            "promptVariables": {name: {"text": value} for name, value in variables.items()},
            "requestMetadata": {**(metadata or {}), **self.metadata()},
        }
        if messages:
            request["messages"] = list(messages)
        if config := self._guardrail(guardrail):
            request["guardrailConfig"] = config
        return request

    def metadata(self) -> dict[str, str]:
        """The entries of requestMetadata by which invocation logs name the release."""
        release = self.release_id or "none"
        return {"prompt": self.prompt, "version": str(self.version), "track": self.track, "release": release}

    def _guardrail(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        check_guardrail(given)
        if given and "guardrailIdentifier" in given:
            return dict(given)
        return {**self.guardrail, **(given or {})} if self.guardrail else {}


def check_guardrail(given: Mapping[str, Any] | None, *, stream: bool = True) -> None:
    """Raise InvalidInput when a caller's guardrailConfig is half of one. `stream`: whether the answer is streamed."""
    if not given:
        return
    named = given.keys() & {"guardrailIdentifier", "guardrailVersion"}
    if len(named) == 1:
        raise InvalidInput(
            f"guardrail has {named.pop()} alone; give guardrailIdentifier and guardrailVersion, or neither to keep the "
            "version's own guardrail"
        )
    if not named and (unknown := sorted(map(str, given.keys() - _REFINED))):
        raise InvalidInput(
            f"guardrail names no guardrail but has {', '.join(unknown)}; beside guardrailIdentifier and "
            f"guardrailVersion it may hold {', '.join(sorted(_REFINED))}"
        )
    if not stream and "streamProcessingMode" in given:
        raise InvalidInput("guardrail has streamProcessingMode, which is for converse_stream; leave it out here")


class LiveRoute:
    """One revision of a prompt's route, ready to decide by.

    A number below `threshold` gets `low`, any other `high`; both are the same when nothing is split. `barred` are the
    fingerprints that were rolled back, as far as this route and those before it told; `latest` is (epoch, revision) of
    the latest one of them.

    The cache (routes.py) moves the rest. It should be read again from `due` on (monotonic seconds), and outside of
    `due_from` to `due_until` (epoch seconds); between `since` and `until` (epoch seconds) nobody need look further.
    `read` and `tried` are the moments at which the last read of it began, and the last try.
    """

    __slots__ = (
        "barred",
        "due",
        "due_from",
        "due_until",
        "epoch",
        "high",
        "k1",
        "k2",
        "latest",
        "low",
        "read",
        "revision",
        "schema",
        "since",
        "split",
        "stable",
        "threshold",
        "tried",
        "until",
    )
    read: Moment
    tried: Moment

    def __init__(
        self,
        stable: Decision,
        *,
        low: Decision,
        high: Decision,
        threshold: int,
        epoch: int = 0,
        schema: int = SCHEMA,
        barred: frozenset[str] = frozenset(),
    ) -> None:
        self.stable = stable
        self.low = low
        self.high = high
        self.split = low is not high
        self.threshold = threshold
        self.k1, self.k2 = keys(stable.salt)
        self.revision = stable.revision
        self.epoch = epoch
        self.latest = epoch, self.revision
        self.schema = schema
        self.barred = barred
        self.due = self.due_from = self.due_until = self.since = self.until = 0.0


def live_route(prompt: str, item: Mapping[str, Any], *, barred: frozenset[str] = frozenset()) -> LiveRoute:
    """Parse a stored route; UnsupportedRoute when only a newer client can read it, InvalidInput when it is none.

    What it does not know of a route it leaves aside: fields, tracks, and phases, in which everybody gets stable.
    `barred`: fingerprints that get nothing here but what stable gets; InvalidInput where stable is one of them.
    """
    schema = int(item.get("schema", 0))
    if int(item.get("readable_by", schema)) > SCHEMA:
        raise UnsupportedRoute(
            f"the route of {prompt} has schema {schema}, this client knows {SCHEMA}; upgrade promptlane here"
        )
    phase = str(item.get("phase", "steady"))
    revision = int(item["revision"])

    def decide(name: str, track: str, instead: Decision | None = None) -> Decision | None:
        ref = item.get(name)
        if not ref or ref.get("fingerprint") in barred:
            return None
        return Decision(
            prompt=str(item.get("prompt", prompt)),
            version=int(ref["version"]),
            version_arn=str(ref["arn"]),
            track=track,
            release_id=str(item.get("release_id", "")),
            fingerprint=str(ref.get("fingerprint", "")),
            revision=revision,
            phase=phase,
            variables=ref.get("variables"),
            salt=str(item.get("salt", "")),
            instead=instead,
            guardrail=_config(ref.get("guardrail")),
            per_token=_per_token(item, str(ref["version"])) if phase != "steady" else None,
        )

    stable = decide("stable", "stable")
    if stable is None:
        raise InvalidInput(f"the route of {prompt} names no stable version; `promptlane status {prompt}` shows it")
    low = high = stable
    buckets = 0
    if phase == "canary":
        low, buckets = decide("canary", "canary", stable) or stable, int(item.get("weight", 0))
    elif phase == "watch":
        high, buckets = decide("previous", "holdback") or stable, BUCKETS - int(item.get("holdback", 0))
        if high is not stable:
            stable.second, high.second = high, stable
    if buckets in (0, BUCKETS):
        low = high = high if buckets == 0 else low
    return LiveRoute(
        stable,
        low=low,
        high=high,
        threshold=below(buckets),
        epoch=int(item.get("epoch", 0)),
        schema=schema,
        barred=barred.union(item.get("quarantined") or ()),
    )


def _config(named: Mapping[str, Any] | None) -> dict[str, str] | None:
    return {"guardrailIdentifier": str(named["id"]), "guardrailVersion": str(named["version"])} if named else None


def _per_token(item: Mapping[str, Any], version: str) -> dict[str, PerToken]:
    """What is not two numbers from 0 on is left out: no mean is worth a route that cannot be used."""
    found: dict[str, PerToken] = {}
    given = item.get("per_token")
    for metric, of in given.items() if isinstance(given, dict) else ():
        try:
            of_input, of_output = map(float, of[version])
        except (KeyError, TypeError, ValueError):
            continue
        if 0 <= of_input < inf and 0 <= of_output < inf:
            found[str(metric)] = of_input, of_output
    return found


def pinned(prompt: str, fallback: str) -> LiveRoute:
    """A route that gives everybody one version: the fallback when no route was ever read.

    The version's ARN; where the version has a guardrail, `#` and the guardrail's id or ARN, `:` and its version follow.
    """
    version_arn, _, named = fallback.partition("#")
    tail = version_arn.rpartition(":")[2]
    number = version_number(tail)
    if "/" not in version_arn or number is None:
        raise InvalidInput(
            f"the fallback of {prompt} is {fallback!r}; give the ARN of a version, which ends in its number, "
            "for example arn:aws:bedrock:eu-west-1:111122223333:prompt/ABCDEFGHIJ:3"
        )
    identifier, _, of = named.rpartition(":")
    if named and (not identifier or version_number(of) is None):
        raise InvalidInput(
            f"the fallback of {prompt} ends in #{named}; give its guardrail's id and the number of its version, for "
            f"example {version_arn}#gr1234567890:1"
        )
    config = _config({"id": identifier, "version": of}) if named else None
    stable = Decision(prompt=prompt, version=number, version_arn=version_arn, track="stable", guardrail=config)
    return LiveRoute(stable, low=stable, high=stable, threshold=0)


def fallbacks(text: str | None) -> dict[str, str]:
    """The fallbacks that the environment gives, by prompt."""
    if not text:
        return {}
    import json

    try:
        found = json.loads(text)
        return {str(prompt): str(arn) for prompt, arn in found.items()}
    except (ValueError, AttributeError):
        raise InvalidInput(
            f'PROMPTLANE_FALLBACK_ROUTES={text[:80]!r} is not a JSON object such as {{"my-prompt": "arn:...:3"}}'
        ) from None
