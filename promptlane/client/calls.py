"""One request from decision to answer: the calls to Bedrock, the shield, and what is counted when.

refused     what no version could take raises InvalidInput before anything is counted
assigned    counted first, on the version that the split decided for
shielded    the breaker is open: stable answers, counted as Shielded, neither as a canary nor as a stable request
called      the call's outcome is counted once, on the version that was called
fell back   a canary call failed: one canary error; stable answers, and that call is counted nowhere
invalid     Bedrock does not accept the request: the release's other version is asked. If it does not either, the
            request counts for neither; if it does, that was an error of the version that the split decided for
cancelled   whoever asked left before anything of an answer came: no version's error, and slow if it was by then
"""

from __future__ import annotations

import os
from time import monotonic, sleep
from typing import NamedTuple

from promptlane.domain.canary.outcome import error_type, invalid

from . import sent, tracing
from .decision import check_guardrail
from .errors import InvalidVariables, ModelCallFailed, RequestRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from promptlane.domain.canary.outcome import CallOutcome

    from .breaker import Breaker
    from .decision import Decision
    from .request import Request

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
        request.span = tracing.begin(request.decided, stream=call.operation == "converse_stream")
        try:
            with request.span.current():
                return self._called(request, call)
        except Exception as error:
            request.over(error=error)
            raise
        except BaseException:  # interrupted, or a greenlet that is killed
            request.count_cancelled()
            request.over(cancelled=True)
            raise

    def _called(self, request: Request, call: Call) -> Any:
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
        if request.abandoned and (invalid(error) or error_type(error) in _PASSING):
            request.count_cancelled()  # what another version or a second try would have told is not known
            raise failure(decision, error) from error
        if invalid(error):
            other = self._second(request)
            if other is not None:
                request.hold_error(error)
            elif not self.settle(request, everybodys=True):
                self._refused(request, error)
        else:
            self.settle(request, everybodys=False)
            self.count(request, request.failed(error))
            other = self._instead(request)
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

    def count(self, request: Request, outcome: CallOutcome) -> None:
        """Count what came of the version that the split decided for; of a canary's the breaker hears, too."""
        decided = request.decided
        if request.count(outcome) and decided.track == "canary":
            error = outcome.error_type is not None
            self._breaker.record(decided.prompt, decided.release_id, request.half, error=error)

    def settle(self, request: Request, *, everybodys: bool) -> bool:
        """Count the error that was held, or, if it is `everybodys`, the request as invalid. Whether one was held."""
        held = request.release()
        if held is None:
            return False
        if everybodys:
            request.count_invalid()
        else:
            self.count(request, held)
        return True

    def _instead(self, request: Request) -> Decision | None:
        """Who answers in place of a canary that failed."""
        asked = self._shield and request.elapsed_ms() < self._timeout * 1000 and not request.abandoned
        return request.answered_by.instead if asked else None

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
        if request.compared and (not self._shield or request.decided.second is not None):
            self.count(request, request.failed(error))
        else:
            request.count_invalid()

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
            if error_type(error) not in _PASSING or self.left(request) < self._timeout / 2 or request.abandoned:
                raise
        sleep(0.05 + os.urandom(1)[0] / 2560)
        return operation(**arguments)

    def _limit(self, request: Request) -> float:
        """Seconds this call may wait. One of few values, since each needs an SDK client of its own.

        Whoever answers in another's place has as long as on its own track, where so much is left, and the reserve at
        least: else what it answers its own units would fail here.
        """
        before_reserve = self._timeout - self._reserve
        first = before_reserve if request.decided.phase == "canary" and self._shield else self._timeout
        if request.answered_by is request.decided:
            return first
        left = self.left(request)
        return next((limit for limit in (first, before_reserve) if limit <= left), self._reserve)


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
