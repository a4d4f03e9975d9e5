"""One request from decision to answer: the calls to Bedrock, the shield, and what is counted when.

assigned    counted first, on the version that the split decided for
shielded    the breaker is open: stable answers, counted as Shielded, neither as a canary nor as a stable request
called      the call's outcome is counted once, on the version that was called
fell back   a canary call failed: one canary error; stable answers, and that call is counted nowhere
"""

from __future__ import annotations

import os
from time import monotonic, sleep, time
from typing import NamedTuple

from promptlane.domain.canary.outcome import CallOutcome, error_type, of_error

from . import metrics
from .decision import check_guardrail
from .errors import InvalidVariables, ModelCallFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .breaker import Breaker
    from .decision import Decision
    from .metrics import Sink

_PASSING = frozenset(
    {
        "ThrottlingException",
        "TooManyRequestsException",
        "ServiceUnavailableException",
        "InternalServerException",
        "ModelNotReadyException",
        "EndpointConnectionError",
        "ConnectionClosedError",
        "ConnectTimeoutError",
    }
)
"""Failures that come at once and may be gone the next moment: tried once more, on either track alike."""

_REMEDY = {
    "ResourceNotFoundException": "the version, its model or its guardrail is gone: `promptlane rollback "
    "{prompt}` restores a safe one",
    "AccessDeniedException": "allow bedrock:RenderPrompt on the prompt, bedrock:InvokeModel on its model and "
    "bedrock:ApplyGuardrail on its guardrail",
    "ValidationException": "the version does not accept this request, or its guardrail is gone; `promptlane diff "
    "{prompt}` shows what changed",
    "ThrottlingException": "the model's quota is used up; slow down or raise it",
    "ReadTimeoutError": "raise the client's timeout, or stream the answer",
    "TimeoutError": "raise the client's timeout, or stream the answer",
}


class Call(NamedTuple):
    """What the application sends by one operation of the SDK, whichever version answers."""

    operation: str
    variables: Mapping[str, str] | None
    messages: Sequence[Mapping[str, Any]]
    guardrail: Mapping[str, Any] | None
    metadata: Mapping[str, str] | None

    def check(self) -> None:
        """Raise InvalidInput for what no version could be sent: a caller's mistake, which is counted nowhere."""
        check_guardrail(self.guardrail, stream=self.operation == "converse_stream")

    def arguments(self, decision: Decision) -> dict[str, Any]:
        """The operation's arguments; InvalidVariables when the variables do not fit the decision's version."""
        return decision.request(
            self.variables, messages=self.messages, guardrail=self.guardrail, metadata=self.metadata
        )


class Request:
    """One request under way: which decision answers, and what was counted.

    `group` is empty unless the split is watched; `half` is that of the unit's group, always.
    """

    __slots__ = (
        "_counted",
        "_sink",
        "answered_by",
        "decided",
        "group",
        "half",
        "slow_after_ms",
        "started",
        "started_at",
    )

    def __init__(self, decision: Decision, group: str, half: str, sink: Sink, *, slow_after: float) -> None:
        self.decided = decision
        self.answered_by = decision
        self.group = group
        self.half = half
        self._sink = sink
        self.slow_after_ms = slow_after * 1000
        self._counted = False
        self.started_at = time()
        self.started = monotonic()

    def elapsed_ms(self) -> float:
        return (monotonic() - self.started) * 1000

    def count_assigned(self) -> None:
        self._sink.emit(metrics.assigned(self.decided, self.group, started_at=self.started_at))

    def count_shielded(self) -> None:
        self._counted = True
        stamps = {"started_at": self.started_at, "now": time()}
        for document in metrics.shielded(self.decided, self.group, self.half, **stamps):
            self._sink.emit(document)

    def count(self, outcome: CallOutcome) -> None:
        """Count the outcome on the version decided for, once; what comes later belongs to the fallback."""
        if self._counted:
            return
        self._counted = True
        stamps = {"started_at": self.started_at, "now": time()}
        for document in metrics.finished(self.decided, self.group, self.half, outcome, **stamps):
            self._sink.emit(document)

    def count_error(self, error: BaseException, *, time_to_first_token_ms: float | None = None) -> None:
        took = {"latency_ms": self.elapsed_ms(), "slow_after_ms": self.slow_after_ms}
        outcome = of_error(error, **took, time_to_first_token_ms=time_to_first_token_ms)
        self.count(outcome)


class Caller:
    """Makes the calls of one client, shielded and within time.

    `timeout`: seconds that a whole request may take. While a canary runs, `reserve` seconds of it are kept for stable's
    answer, on both tracks alike, so that neither looks slower or more broken than the other for it.
    """

    def __init__(
        self, bedrock: Callable[[float], Any], breaker: Breaker, *, timeout: float, reserve: float, shield: bool
    ) -> None:
        self._bedrock = bedrock
        self._breaker = breaker
        self._timeout = timeout
        self._reserve = min(reserve, timeout / 2)
        self._shield = shield

    def call(self, request: Request, call: Call) -> Any:
        """The SDK's response from whoever answers; InvalidVariables before anything is sent, else ModelCallFailed."""
        call.check()
        wrong = self._admit(request, call.variables or {})
        if wrong is None:
            try:
                return self._attempt(request, call)
            except Exception as error:  # noqa: BLE001 - whatever failed is counted, then raised or shielded
                wrong = error
        request.count_error(wrong)
        return self.fall_back(request, wrong, call)

    def fall_back(self, request: Request, error: Exception, call: Call) -> Any:
        """Stable's response to a request whose canary call failed (and was counted); else the failure, typed."""
        decision = request.answered_by
        if decision.track == "canary":
            self._breaker.record(decision.prompt, decision.release_id, request.half, error=True)
        stable = decision.instead
        if stable is None or not self._shield or request.elapsed_ms() >= self._timeout * 1000:
            raise failure(decision, error) from error
        request.answered_by = stable
        try:
            return self._attempt(request, call)
        except Exception as second:
            raise failure(stable, second) from second

    def succeeded(self, request: Request, *, error: bool) -> None:
        """Tell the breaker about a canary call that was answered."""
        if request.answered_by.track == "canary":
            decided = request.decided
            self._breaker.record(decided.prompt, decided.release_id, request.half, error=error)

    def left(self, request: Request) -> float:
        return self._timeout - (monotonic() - request.started)

    def _admit(self, request: Request, variables: Mapping[str, str]) -> Exception | None:
        """Count the assignment and choose who answers; the error that already fails the canary call, if one does.

        Variables that fit neither version are the caller's mistake: raised before anything is counted.
        """
        decided = request.decided
        wrong: InvalidVariables | None = None
        try:
            decided.check(variables)
        except InvalidVariables as error:
            if decided.instead is None or not self._shield:
                raise
            decided.instead.check(variables)
            wrong = error
        request.count_assigned()
        if decided.instead is not None and self._shield and self._breaker.is_open(decided.prompt, decided.release_id):
            request.answered_by = decided.instead
            request.count_shielded()
            return None
        return wrong

    def _attempt(self, request: Request, call: Call) -> Any:
        operation = getattr(self._bedrock(self._limit(request)), call.operation)
        arguments = call.arguments(request.answered_by)
        try:
            return operation(**arguments)
        except Exception as error:
            if error_type(error) not in _PASSING or self.left(request) < self._timeout / 2:
                raise
        sleep(0.05 + os.urandom(1)[0] / 2560)
        return operation(**arguments)

    def _limit(self, request: Request) -> float:
        """Seconds this call may wait. One of few values, since each needs an SDK client of its own."""
        decision = request.decided
        if request.answered_by is not decision:
            return self._reserve
        return self._timeout - self._reserve if decision.phase == "canary" and self._shield else self._timeout


def failure(decision: Decision, error: BaseException) -> Exception:
    """The typed error for what the SDK raised; InvalidVariables stays itself.

    Its text may reach an end user, who must not learn the track: it names neither version nor what AWS says of it.
    """
    if isinstance(error, InvalidVariables):
        return error
    code = error_type(error)
    remedy = _REMEDY.get(code, "try again; if it stays, see the error's reason, which is what AWS says").format(
        prompt=decision.prompt
    )
    return ModelCallFailed(f"{decision.prompt} was not answered: {code}; {remedy}", code=code, reason=str(error))
