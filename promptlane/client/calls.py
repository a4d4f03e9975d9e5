"""One request from decision to answer: the calls to Bedrock, the shield, and what is counted when.

refused     what no version could take raises InvalidInput before anything is counted
assigned    counted first, on the version that the split decided for
shielded    the breaker is open: stable answers, counted as Shielded, neither as a canary nor as a stable request
called      the call's outcome is counted once, on the version that was called
fell back   a canary call failed: one canary error; stable answers, and that call is counted nowhere
invalid     Bedrock does not accept the request: the release's other version is asked. If it does not either, the
            request counts for neither; if it does, that was an error of the version that the split decided for
"""

from __future__ import annotations

import os
from time import monotonic, sleep, time
from typing import NamedTuple

from promptlane.domain.canary.outcome import CallOutcome, error_type, invalid, of_error
from promptlane.domain.split import group, half

from . import metrics, sent
from .decision import check_guardrail
from .errors import InvalidVariables, ModelCallFailed, RequestRefused

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
    "ValidationException": "Bedrock does not accept this request: check the length of variables and messages, and the "
    "error's reason; where it accepts none at all, the prompt has changed or its guardrail is gone: "
    "`promptlane diff {prompt}` shows it",
    "ParamValidationError": "the SDK does not send this request: the error's reason names the argument",
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
        sent.check(messages=self.messages, guardrail=self.guardrail, metadata=self.metadata)
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
        "_held",
        "_sink",
        "answered_by",
        "decided",
        "group",
        "half",
        "slow_after_ms",
        "started",
        "started_at",
        "unit",
    )

    def __init__(self, decision: Decision, unit: str, sink: Sink, *, slow_after: float) -> None:
        self.decided = decision
        self.answered_by = decision
        self.unit = unit
        found = group(decision.salt, unit)
        self.group = "" if decision.phase == "steady" else found
        self.half = half(found)
        self._sink = sink
        self.slow_after_ms = slow_after * 1000
        self._counted = False
        self._held: CallOutcome | None = None
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
        self.count(self._failed(error, time_to_first_token_ms))

    def hold_error(self, error: BaseException) -> None:
        """Whose error it is, the other version tells: `settle` says it."""
        if not self._counted:
            self._held = self._failed(error)

    def settle(self, *, everybodys: bool) -> bool:
        """Count the error that was held, or, if it is `everybodys`, the request as invalid. Whether one was held."""
        held, self._held = self._held, None
        if held is None:
            return False
        if everybodys:
            self.count_invalid()
        else:
            self.count(held)
        return True

    def count_invalid(self) -> None:
        """The request counts for no version: Bedrock does not accept it."""
        if not self._counted:
            self._counted = True
            self._sink.emit(metrics.invalid(self.decided, now=time()))

    @property
    def compared(self) -> bool:
        """Whether the version that the split decided for is being compared with another."""
        return self.decided.phase != "steady"

    def _failed(self, error: BaseException, first_ms: float | None = None) -> CallOutcome:
        took = {"latency_ms": self.elapsed_ms(), "slow_after_ms": self.slow_after_ms}
        return of_error(error, **took, time_to_first_token_ms=first_ms)


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
        """The SDK's response from whoever answers; InvalidInput before anything is counted, else ModelCallFailed."""
        call.check()
        wrong = self._admit(request, call)
        if wrong is None:
            try:
                return self._attempt(request, call)
            except Exception as error:  # noqa: BLE001 - whatever failed is counted, then raised or shielded
                wrong = error
        return self.fall_back(request, wrong, call)

    def fall_back(self, request: Request, error: Exception, call: Call) -> Any:
        """Another version's response to a request that failed; else the failure, typed.

        Counts the failure, but for one that may be the request's own: of a stream, only its first event tells.
        """
        decision = request.answered_by
        if invalid(error):
            other = self._second(request)
            if other is not None:
                request.hold_error(error)
            elif not self.settle(request, everybodys=True):
                self._refused(request, error)
        else:
            self.settle(request, everybodys=False)
            request.count_error(error)
            other = self._instead(request)
            if decision.track == "canary":
                self._breaker.record(decision.prompt, decision.release_id, request.half, error=True)
        if other is None:
            raise failure(decision, error) from error
        request.answered_by = other
        try:
            response = self._attempt(request, call)
        except Exception as second:
            self.settle(request, everybodys=invalid(second))
            if invalid(error) and isinstance(second, InvalidVariables):
                raise failure(decision, error) from error  # the other version has other variables: it was not asked
            raise failure(other, second) from second
        if call.operation == "converse":
            self.settle(request, everybodys=False)
        return response

    def settle(self, request: Request, *, everybodys: bool) -> bool:
        """As Request.settle; the breaker hears of what was the canary's error."""
        decided = request.decided
        held = request.settle(everybodys=everybodys)
        if held and not everybodys and decided.track == "canary":
            self._breaker.record(decided.prompt, decided.release_id, request.half, error=True)
        return held

    def _instead(self, request: Request) -> Decision | None:
        """Who answers in place of a canary that failed."""
        in_time = request.elapsed_ms() < self._timeout * 1000
        return request.answered_by.instead if self._shield and in_time else None

    def _second(self, request: Request) -> Decision | None:
        """Who is asked whether it is the request that Bedrock does not accept, or the version that it went to."""
        if not self._shield or request.answered_by is not request.decided or self.left(request) <= 0:
            return None
        if request.decided.instead is None and self.left(request) < self._reserve:
            return None  # no time was kept for it
        return request.decided.second

    def _refused(self, request: Request, error: Exception) -> None:
        """Count what nobody else was asked about.

        Stable's own units in canary, and everybody's in steady state: nobody's error. But a version that could have
        been told from another and was not (no shield, no time left) has it counted, on either track alike, so that
        the comparison is fair and a version that takes nothing is seen.
        """
        decided = request.decided
        unasked = not self._shield or decided.second is not None
        if request.compared and unasked:
            request.count_error(error)
            if decided.track == "canary" and request.answered_by is decided:
                self._breaker.record(decided.prompt, decided.release_id, request.half, error=True)
        else:
            request.count_invalid()

    def succeeded(self, request: Request, *, error: bool) -> None:
        """Tell the breaker about a canary call that was answered."""
        if request.answered_by.track == "canary":
            decided = request.decided
            self._breaker.record(decided.prompt, decided.release_id, request.half, error=error)

    def left(self, request: Request) -> float:
        return self._timeout - (monotonic() - request.started)

    def _admit(self, request: Request, call: Call) -> Exception | None:
        """Count the assignment and choose who answers; the error that already fails the canary call, if one does.

        Variables that fit neither version are the caller's mistake: raised before anything is counted.
        """
        decided, variables = request.decided, call.variables or {}
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
    kind = RequestRefused if invalid(error) else ModelCallFailed
    return kind(f"{decision.prompt} was not answered: {code}; {remedy}", code=code, reason=str(error))
