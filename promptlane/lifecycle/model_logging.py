"""Sets up model invocation logging for an account that may have its own already, and takes it back as it was.

The setting is one per account and Region. A configuration that is not ours is never overwritten; what was found is
kept, so that a deletion restores exactly that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

from promptlane.domain.errors import PromptlaneError

Json = Any
Configuration = Mapping[str, Json]
_DELIVERED: Final = "DataDeliveryEnabled"
_TEXT: Final = f"text{_DELIVERED}"
"""Delivered unless it is switched off; images, embeddings, video and audio only if they are switched on."""


class ForeignLogging(PromptlaneError):
    """The account logs model invocations already, in another way than ours."""


class LoggingSwitch(Protocol):
    """Bedrock's setting."""

    def read(self) -> Configuration | None:
        """The present configuration, None when logging is off."""

    def write(self, configuration: Configuration) -> None:
        """Replace it."""

    def clear(self) -> None:
        """Switch logging off."""


class Memory(Protocol):
    """Remembers what was found before we wrote, and what we wrote."""

    def load(self) -> Mapping[str, Json] | None:
        """None when nothing was written yet, else {"found", "ours", "replaced"}.

        The configuration that was found, or None; the one we wrote; those of ours that it was to replace, for as long
        as one of them may still be in place.
        """

    def keep(self, remembered: Mapping[str, Json]) -> None:
        """Remember."""

    def forget(self) -> None:
        """Forget."""


def switch_on(switch: LoggingSwitch, memory: Memory, wanted: Configuration) -> str:
    """Log as `wanted`; what was done, in a sentence. Raises ForeignLogging and changes nothing where others log.

    Safe to repeat at any point: what was found, and what is about to be written, is remembered before it is.
    """
    present, remembered = switch.read(), memory.load()
    ours = _ours(remembered)
    if present is not None and all(_differ(present, known) for known in (wanted, *ours)):
        raise ForeignLogging(
            "this account already logs model invocations in this Region "
            f"({describe(present)}), and Promptlane does not overwrite that. Either deploy with "
            "-c promptlane:invocation_logging=off (investigations then read that log group where it is in CloudWatch), "
            "or delete that configuration first (aws bedrock delete-model-invocation-logging-configuration)"
        )
    # A configuration that equals ours without our memory of it is somebody's own: it is what a deletion restores.
    found = remembered["found"] if remembered is not None else dict(present) if present is not None else None
    settled = {"found": found, "ours": dict(wanted)}
    if present is not None and not _differ(present, wanted):
        memory.keep(settled)
        return "model invocation logging is as wanted already"
    memory.keep({**settled, "replaced": [dict(known) for known in ours if known != wanted]})
    switch.write(wanted)
    memory.keep(settled)
    return "model invocation logging is on"


def switch_back(switch: LoggingSwitch, memory: Memory) -> str:
    """Restore what was found; what was done, in a sentence. A configuration that others made meanwhile stays."""
    present, remembered = switch.read(), memory.load()
    if remembered is None:
        return "nothing of ours to take back"
    said = "somebody changed model invocation logging meanwhile; it was left as it is"
    if present is not None and not all(_differ(present, known) for known in _ours(remembered)):
        if found := remembered["found"]:
            switch.write(found)
            said = f"model invocation logging is as it was found ({describe(found)})"
        else:
            switch.clear()
            said = "model invocation logging is off, as it was found"
    elif present is None:
        said = "model invocation logging is off already"
    memory.forget()
    return said


def describe(configuration: Configuration) -> str:
    """Where a configuration logs to."""
    group = (configuration.get("cloudWatchConfig") or {}).get("logGroupName")
    bucket = (configuration.get("s3Config") or {}).get("bucketName")
    places = [f"log group {group}"] * bool(group) + [f"bucket {bucket}"] * bool(bucket)
    return " and ".join(places) or "to nowhere"


def _ours(remembered: Mapping[str, Json] | None) -> list[Configuration]:
    """Every configuration that we may have left in place."""
    return [remembered["ours"], *remembered.get("replaced", [])] if remembered else []


def _differ(present: Configuration, other: Configuration) -> bool:
    """Whether `present`, as Bedrock tells it, is another configuration than one that was written.

    What kinds of data are delivered counts for the kinds that `other` names: what nobody named, Bedrock may fill in.
    """
    kinds = {kind for kind in other if kind.endswith(_DELIVERED)}
    return bool(_told(present, kinds) != _told(other, kinds))


def _told(configuration: Configuration, kinds: Collection[str]) -> Json:
    """A configuration without what AWS fills in or leaves out: empty parts, and deliveries that are as when absent."""
    places = {k: v for k, v in configuration.items() if not k.endswith(_DELIVERED)}
    delivered = {kind: bool(configuration.get(kind, kind == _TEXT)) for kind in kinds}
    return {**_filled(places), **delivered}


def _filled(value: Json) -> Json:
    """Without empty parts, at any depth."""
    if not isinstance(value, Mapping):
        return value
    parts = {k: _filled(v) for k, v in value.items()}
    return {k: v for k, v in parts.items() if v not in (None, {}, "")}
