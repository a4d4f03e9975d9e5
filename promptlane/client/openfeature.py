"""An OpenFeature provider: the flag is the prompt, the targeting key the unit, the value its version.

    api.set_provider(PromptlaneProvider(PromptClient()))
    version_arn = api.get_client().get_string_value("support-assistant", fallback_arn, EvaluationContext(user_id))

A string flag resolves to the version's ARN, an integer flag to its number, an object flag to the whole decision.
An evaluation counts nothing, since a flag is no model call. What came of it does, by the tracking API:

    api.get_client().track("support-assistant", EvaluationContext(user_id), TrackingEventDetails(attributes={
        "stop_reason": "end_turn", "text": answer, "input_tokens": 120, "output_tokens": 40, "latency_ms": 900}))

or `{"error": "ThrottlingException"}`; or by `provider.observe(prompt, context)`, as PromptClient.observe().
Needs `pip install promptlane[openfeature]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openfeature.exception import (
    FlagNotFoundError,
    GeneralError,
    OpenFeatureError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from promptlane.domain.errors import PromptlaneError

from .errors import InvalidUnit, UnknownPrompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openfeature.evaluation_context import EvaluationContext
    from openfeature.track import TrackingEventDetails, TrackingValue

    from .decision import Decision
    from .observation import Observation
    from .sync import PromptClient


MAX_GIVEN = 10_000
"""Units of which it is remembered which version they were given last."""


class PromptlaneProvider(AbstractProvider):
    """Resolves flags by PromptClient.route, and counts what is tracked of them on the version that was given."""

    def __init__(self, client: PromptClient) -> None:
        super().__init__()
        self._client = client
        self._given: dict[tuple[str, str], Decision] = {}

    def get_metadata(self) -> Metadata:
        return Metadata("promptlane")

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        decision = self._decide(flag_key, evaluation_context)
        return _details(decision, decision.version_arn)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        decision = self._decide(flag_key, evaluation_context)
        return _details(decision, decision.version)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        decision = self._decide(flag_key, evaluation_context)
        value: Mapping[str, FlagValueType] = {
            "version": decision.version,
            "version_arn": decision.version_arn,
            "track": decision.track,
            "release_id": decision.release_id,
        }
        return _details(decision, value)

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        raise TypeMismatchError(f"{flag_key} is a prompt: ask for a string (ARN), an integer (version) or an object")

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        raise TypeMismatchError(f"{flag_key} is a prompt: ask for a string (ARN), an integer (version) or an object")

    def observe(self, prompt: str, context: EvaluationContext) -> Observation:
        """PromptClient.observe() for the version that this unit was given last, else for the one that it gets now."""
        unit = _unit(prompt, context)
        return self._client.observe(self._given.get((prompt, unit)) or self._decide(prompt, context), unit=unit)

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Count one request of the context's unit, on the version that it was given last. The event is the prompt's
        name; attributes are `error`, or `stop_reason`, `text`, `input_tokens`, `output_tokens`, and `latency_ms`.

        An event of another name is somebody else's, and counts nothing.
        """
        unit = evaluation_context.targeting_key if evaluation_context is not None else None
        if not unit or evaluation_context is None:
            return
        try:
            call = self.observe(tracking_event_name, evaluation_context)
        except OpenFeatureError:
            return
        told = dict(tracking_event_details.attributes) if tracking_event_details else {}
        with call:
            call._request.pause(-_number(told.get("latency_ms")) / 1000)
            if told.get("error"):
                call.failed(Tracked(str(told["error"])))
            else:
                call.response = _response(told)

    def _decide(self, prompt: str, context: EvaluationContext | None) -> Decision:
        unit = _unit(prompt, context)
        try:
            decision = self._client.route(prompt, unit)
            self._given.pop((prompt, unit), None)
            self._given[prompt, unit] = decision
            if len(self._given) > MAX_GIVEN:
                self._given.pop(next(iter(self._given)), None)
            return decision
        except UnknownPrompt as error:
            raise FlagNotFoundError(str(error)) from error
        except InvalidUnit as error:
            raise TargetingKeyMissingError(str(error)) from error
        except PromptlaneError as error:
            raise GeneralError(str(error)) from error


class Tracked(Exception):
    """An error that was tracked; shaped like the SDK's ClientError."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


def _unit(prompt: str, context: EvaluationContext | None) -> str:
    unit = context.targeting_key if context is not None else None
    if not unit:
        raise TargetingKeyMissingError(f"{prompt} is split by unit: give its id as the context's targeting key")
    return unit


def _response(told: Mapping[str, TrackingValue]) -> dict[str, Any]:
    """As Converse would have answered; of a text that is not told it is not known whether it was empty or declined."""
    content: list[dict[str, Any]] = [{"text": str(told["text"])}] if "text" in told else [{"toolUse": {}}]
    usage = {"inputTokens": "input_tokens", "outputTokens": "output_tokens"}
    return {
        "output": {"message": {"content": content}},
        "stopReason": str(told["stop_reason"]) if "stop_reason" in told else None,
        "usage": {ours: int(_number(told[theirs])) for ours, theirs in usage.items() if theirs in told},
    }


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e12 else 0.0


def _details(decision: Decision, value: Any) -> FlagResolutionDetails[Any]:
    return FlagResolutionDetails(
        value=value,
        variant=f"version-{decision.version}",
        reason=Reason.SPLIT if decision.phase != "steady" else Reason.STATIC,
        flag_metadata={"track": decision.track, "release_id": decision.release_id, **(decision.guardrail or {})},
    )
