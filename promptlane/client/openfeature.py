"""An OpenFeature provider: the flag is the prompt, the targeting key the unit, the value its version.

    api.set_provider(PromptlaneProvider(PromptClient()))
    version_arn = api.get_client().get_string_value("support-assistant", fallback_arn, EvaluationContext(user_id))

A string flag resolves to the version's ARN, an integer flag to its number, an object flag to the whole decision.
Needs `pip install promptlane[openfeature]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openfeature.exception import FlagNotFoundError, GeneralError, TargetingKeyMissingError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from promptlane.domain.errors import PromptlaneError

from .errors import InvalidUnit, UnknownPrompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openfeature.evaluation_context import EvaluationContext

    from .decision import Decision
    from .sync import PromptClient


class PromptlaneProvider(AbstractProvider):
    """Resolves flags by PromptClient.route; counts nothing, since a flag is no model call."""

    def __init__(self, client: PromptClient) -> None:
        super().__init__()
        self._client = client

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

    def _decide(self, prompt: str, context: EvaluationContext | None) -> Decision:
        unit = context.targeting_key if context is not None else None
        if not unit:
            raise TargetingKeyMissingError(f"{prompt} is split by unit: give its id as the context's targeting key")
        try:
            return self._client.route(prompt, unit)
        except UnknownPrompt as error:
            raise FlagNotFoundError(str(error)) from error
        except InvalidUnit as error:
            raise TargetingKeyMissingError(str(error)) from error
        except PromptlaneError as error:
            raise GeneralError(str(error)) from error


def _details(decision: Decision, value: Any) -> FlagResolutionDetails[Any]:
    return FlagResolutionDetails(
        value=value,
        variant=f"version-{decision.version}",
        reason=Reason.SPLIT if decision.phase != "steady" else Reason.STATIC,
        flag_metadata={"track": decision.track, "release_id": decision.release_id, **(decision.guardrail or {})},
    )
