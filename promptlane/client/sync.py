"""PromptClient: what applications hold, one per process.

Importing this module loads next to nothing; what a client needs is loaded when the first one is made or used.
"""

from __future__ import annotations

import os
from time import monotonic, time
from zlib import crc32

from promptlane.domain.errors import InvalidInput, Unavailable
from promptlane.domain.incoming import name
from promptlane.domain.split import MAX_UNIT_BYTES, mix

from .errors import InvalidReceipt, InvalidUnit
from .processes import clients, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol, overload

    from .answer import Answer, StreamedAnswer
    from .calls import Caller
    from .contents import Contents
    from .decision import Decision
    from .metrics import Sink
    from .observation import Observation
    from .request import Request
    from .session import Session
    from .version import VersionData

    class FeedbackMemory(Protocol):
        """Remembers whose feedback was counted, by `Receipt.voice`."""

        def first(self, voice: str, *, keep_seconds: float) -> bool: ...


_NAMES = 20_000  # prompts whose names by id are known


class PromptClient:
    """Splits traffic over a prompt's versions, calls Bedrock, and counts what came of it. Thread-safe; fork-safe.

    Everything is an argument, an environment variable, or has a default:

    - `route_table` (PROMPTLANE_ROUTE_TABLE), `region`, `session` (a boto3 session), `refresh` seconds between reads.
    - `fallback` (PROMPTLANE_FALLBACK_ROUTES, JSON): version ARN by prompt, served when no route was ever read;
      with `#<guardrail id>:<its version>` behind it where the version has a guardrail.
    - `timeout`: seconds a request may take, all tries together; set the same in the policy's `request.timeout`.
      `slow_after`: from when it counts as slow.
    - `shield`: answer from stable when a canary call fails; `breaker_errors` in a row send this process's canary
      traffic to stable for `breaker_cooldown` seconds.
    - `receipt_kms_key` (PROMPTLANE_RECEIPT_KMS_KEY, the deployment's) or `receipt_key` (PROMPTLANE_RECEIPT_KEY, your
      own secret), several parted by blanks, the newest last, or a function that gives them, which is asked again when a
      receipt's key is unknown; `feedback_table` (PROMPTLANE_FEEDBACK_TABLE): so that a duplicate counts once.
    - `version_bucket` (PROMPTLANE_VERSION_BUCKET): where prompt() reads what versions hold; without it, Bedrock.
    - `resolution` (PROMPTLANE_RESOLUTION): the deployment's metric resolution in seconds. `sink`: where metrics go;
      by default EMF on standard output in Lambda, and PutMetricData in the background elsewhere.
    """

    def __init__(
        self,
        *,
        route_table: str | None = None,
        region: str | None = None,
        session: Any = None,
        refresh: float = 2.0,
        fallback: Mapping[str, str] | None = None,
        timeout: float = 28.0,
        slow_after: float = 10.0,
        shield: bool = True,
        shield_reserve: float = 10.0,
        breaker_errors: int = 5,
        breaker_cooldown: float = 30.0,
        receipt_key: str | Callable[[], str] | None = None,
        receipt_kms_key: str | Callable[[], str] | None = None,
        feedback_table: str | None = None,
        version_bucket: str | None = None,
        resolution: int | None = None,
        sink: Sink | None = None,
    ) -> None:
        from .forks import unbroken

        with unbroken():
            from .aws import Aws, FeedbackTable, LastVoices, RouteTable
            from .breaker import Breaker
            from .decision import fallbacks
            from .forsaken import Forsaken
            from .receipt_keys import Allowance, keys_of
            from .routes import Routes

        env = os.environ.get
        if timeout <= 0 or slow_after <= 0:
            raise InvalidInput(f"timeout={timeout!r} and slow_after={slow_after!r} are seconds, above 0")
        self._aws = Aws(region=region, session=session)
        table = route_table or env("PROMPTLANE_ROUTE_TABLE")
        if not table:
            raise InvalidInput(
                "no route table: pass route_table=..., or set PROMPTLANE_ROUTE_TABLE to the deployment's (stack output "
                "RouteTable)"
            )
        self._timeout = timeout
        self._slow_after = slow_after
        self._reserve = shield_reserve
        self._shield = shield
        self._bedrock: Callable[[float], Any] = self._aws.bedrock
        self._breaker = Breaker(threshold=breaker_errors, cooldown=breaker_cooldown)
        self._resolution = int(env("PROMPTLANE_RESOLUTION") or 60) if resolution is None else resolution
        self._sink_used = sink
        self._keys = keys_of(
            self._aws,
            secret=receipt_key or ("" if receipt_kms_key else env("PROMPTLANE_RECEIPT_KEY", "")),
            kms_key=receipt_kms_key or env("PROMPTLANE_RECEIPT_KMS_KEY", ""),
        )
        self._names: dict[str, str] = {}
        self._strangers = Allowance()
        memory = feedback_table or env("PROMPTLANE_FEEDBACK_TABLE")
        self._memory: FeedbackMemory = FeedbackTable(self._aws, memory) if memory else LastVoices()
        self._routes = Routes(
            RouteTable(self._aws, table),
            refresh=refresh,
            fallback=fallbacks(env("PROMPTLANE_FALLBACK_ROUTES")) if fallback is None else fallback,
            on_stale=self._stale,
        )
        self._live = self._routes.live
        self._forsaken = Forsaken()
        self._version_bucket = version_bucket or env("PROMPTLANE_VERSION_BUCKET", "")
        self._contents_made: Contents | None = None
        self._caller_made: Caller | None = None
        self._fresh_lock()
        clients().add(self)

    def _fresh_lock(self) -> None:
        from threading import RLock

        self._process = os.getpid()
        self._lock = RLock()  # as all others: a handler of signals may come amid what its own thread does

    def _own(self) -> None:
        """Where a server forked without telling Python of it, as uWSGI may."""
        if self._process != os.getpid():
            self.after_fork()

    def __reduce__(self) -> str:
        raise TypeError("a PromptClient stays in its process: make one in the other, by the same settings")

    def after_fork(self) -> None:
        """Called in forked children by itself: routes stay, threads, locks, connections and unsent metrics go."""
        self._fresh_lock()
        self._aws.after_fork()
        self._routes.after_fork()
        self._breaker.after_fork()
        self._forsaken.after_fork()
        if self._keys is not None:
            self._keys.after_fork()
        if self._contents_made is not None:
            self._contents_made.after_fork()
        if self._sink_used is not None:
            self._sink_used.after_fork()

    def route(self, prompt: str, unit: str) -> Decision:
        """Which version this unit gets now. Under a microsecond once the prompt's route is held.

        Raises InvalidUnit, UnknownPrompt, RouteUnavailable, UnsupportedRoute.
        """
        try:
            live = self._live[prompt]
            data = unit.encode()
        except (KeyError, AttributeError, TypeError, UnicodeEncodeError):
            return self._route_slowly(prompt, unit)
        if 0 < len(data) <= MAX_UNIT_BYTES and (
            live.since < time() < live.until or self._routes.fresh(live, monotonic(), time())
        ):
            if live.split:
                return live.low if mix((crc32(data) * live.k1, live.k2)) < live.threshold else live.high
            return live.low
        return self._route_slowly(prompt, unit)

    def _route_slowly(self, prompt: str, unit: str) -> Decision:
        data = unit_bytes(unit)
        name(prompt, "prompt")
        self._own()
        live = self._routes.current(prompt)
        return live.low if mix((crc32(data) * live.k1, live.k2)) < live.threshold else live.high

    def converse(
        self,
        prompt: str,
        *,
        unit: str,
        variables: Mapping[str, str] | None = None,
        messages: Sequence[Mapping[str, Any]] = (),
        guardrail: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer of the version that this unit gets.

        Raises what route() raises, InvalidVariables before anything is sent, and ModelCallFailed.
        """
        load()
        from promptlane.domain.canary.outcome import of_response

        from .answer import Answer
        from .calls import Call

        call = Call("converse", variables, messages, guardrail, metadata)
        request, caller = self._request(self.route(prompt, unit), unit), self._caller()
        response = caller.call(request, call)
        outcome = of_response(response, latency_ms=request.elapsed_ms(), slow_after_ms=request.slow_after_ms)
        caller.count(request, outcome)
        request.over(outcome)
        decision = request.answered_by
        return Answer(response, decision, shielded=decision is not request.decided, receipt=self._receipt(request))

    def converse_stream(
        self,
        prompt: str,
        *,
        unit: str,
        variables: Mapping[str, str] | None = None,
        messages: Sequence[Mapping[str, Any]] = (),
        guardrail: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> StreamedAnswer:
        """As converse(), piece by piece: iterate over the result."""
        load()
        from .answer import StreamedAnswer
        from .calls import Call

        call = Call("converse_stream", variables, messages, guardrail, metadata)
        request, caller = self._request(self.route(prompt, unit), unit), self._caller()
        stream = caller.call(request, call)["stream"]
        return StreamedAnswer(request, caller, call, stream=stream, sign=self._receipt)

    def prompt(self, prompt: str, *, unit: str, variables: Mapping[str, str] | None = None) -> VersionData:
        """What the version of this unit holds, its variables filled in: for agents, which call the model themselves.

        Waits for S3 when a version is first read. A canary that cannot be read, or does not take these variables, is
        served as stable; what has another fingerprint never is. Counts nothing: observe() does. Raises what route()
        raises, InvalidVariables, and VersionUnreadable.
        """
        load()
        from .version import serve

        unit_bytes(unit)
        decided = self.route(prompt, unit)
        return serve(decided, self._contents().variant, unit, variables or {}, shield=self._shield, sign=self._sign)

    if TYPE_CHECKING:

        @overload
        def observe(self, decision: Decision, *, unit: str, slow_after: float | None = None) -> Observation: ...
        @overload
        def observe(
            self, decision: VersionData, *, unit: str | None = None, slow_after: float | None = None
        ) -> Session: ...

    def observe(
        self, decision: Decision | VersionData, *, unit: str | None = None, slow_after: float | None = None
    ) -> Observation | Session:
        """Count what the application does itself: no shield, no breaker. One call, with decision.request():

            with client.observe(decision, unit=unit) as call:
                call.response = bedrock.converse(**decision.request(variables))

        A stream is counted at its end: read it from `call.response["stream"]`, in the block or after it. Or a whole
        session with the version that prompt() gave, as one request, slow from `slow_after` seconds on:

            with client.observe(version) as session:
                session.add(bedrock.converse(**version.request()))
        """
        load()
        from .decision import Decision

        if isinstance(decision, Decision):
            from .observation import Observation

            unit_bytes(unit := unit or "")
            return Observation(self._request(decision, unit), self._receipt)
        from .session import Session

        if unit is not None and unit != decision.unit:
            raise InvalidUnit(f"this version was given for another unit; ask prompt() for {unit!r}")
        request = self._request(decision.decided, decision.unit)
        if slow_after is not None:
            request.slow_after_ms = slow_after * 1000
        return Session(decision, request, self._receipt)

    def feedback(self, receipt: str, *, positive: bool) -> bool:
        """Count feedback on the answer that the receipt came with; False when feedback of this unit was counted before.

        It counts once for each unit and hour in which its answers began, and for two days after them. Raises
        InvalidReceipt, InvalidInput when no receipt key is configured, and Unavailable when the key or one of
        the tables cannot be reached: the receipt stays good, try again.
        """
        load()
        from . import metrics
        from .receipts import DAY, FRESH, WINDOW, check_fresh, head_of, unseal

        if self._keys is None:
            raise InvalidInput(
                "no receipt key: set PROMPTLANE_RECEIPT_KMS_KEY or PROMPTLANE_RECEIPT_KEY, as the one who answered had"
            )
        now = time()
        head = head_of(receipt, now=now)
        prompt = self._name_of(head.prompt_id)
        found = unseal(receipt, head, self._keys.named(prompt, head), prompt, now=now)
        check_fresh(found, now=now)
        # As long as another answer of the same window may bring some.
        if not self._memory.first(found.voice, keep_seconds=FRESH + WINDOW + DAY):
            return False
        for document in metrics.feedback(found, negative=not positive, now=now):
            self._sink().emit(document)
        return True

    @property
    def schemas(self) -> tuple[int, tuple[int, ...]]:
        """(the schema of routes that this client knows, those of the routes it has read): for logs and support."""
        from .decision import SCHEMA

        return SCHEMA, tuple(sorted({schema for schema, _ in self._routes.met}))

    def flush(self) -> None:
        """Send the metrics that are held back."""
        self._own()
        self._forsaken.count()
        self._sink().flush()

    def close(self) -> None:
        """Send the metrics that are held back and stop their thread. Happens by itself at exit."""
        self._own()
        self._forsaken.count()
        if self._sink_used is not None:
            self._sink_used.close()

    def __enter__(self) -> PromptClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _contents(self) -> Contents:
        if self._contents_made is None:
            from .contents import contents_of

            with self._lock:
                self._contents_made = self._contents_made or contents_of(self._aws, self._version_bucket)
        return self._contents_made

    def _sign(self, data: VersionData) -> str | None:
        request = self._request(data.decided, data.unit)
        request.answered_by = data.decision
        return self._receipt(request)

    def _request(self, decision: Decision, unit: str) -> Request:
        from .request import Request

        if self._keys is not None:
            self._keys.newest(decision.prompt, wait=0.0)  # fetched while the model answers
        sink = self._sink()
        self._forsaken.count()
        return Request(decision, unit, sink, slow_after=self._slow_after, forsaken=self._forsaken)

    def _caller(self) -> Caller:
        if self._caller_made is None:
            from .calls import Caller

            self._caller_made = Caller(
                self._bedrock, self._breaker, timeout=self._timeout, reserve=self._reserve, shield=self._shield
            )
        return self._caller_made

    def _sink(self) -> Sink:
        self._own()
        if self._sink_used is None:
            with self._lock:
                if self._sink_used is None:
                    self._sink_used = self._make_sink()
        return self._sink_used

    def _make_sink(self) -> Sink:
        from .forks import unbroken

        with unbroken():
            if os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
                from .emf import EmfSink

                return EmfSink(resolution=self._resolution)
            from .cloudwatch import CloudWatchSink

            return CloudWatchSink(self._aws, resolution=self._resolution)

    def _stale(self, prompt: str, age: float) -> None:
        load()
        from . import metrics

        self._sink().emit(metrics.stale_route(prompt, age, now=time()))

    def _receipt(self, request: Request) -> str | None:
        by = request.answered_by
        key = None if self._keys is None else self._keys.newest(by.prompt, wait=1.0)
        if key is None:
            return None
        from .receipts import mark, prompt_id_of, seal

        self._note_name(prompt_id_of(by.version_arn), by.prompt)
        unit = mark(request.decided.salt, request.unit)
        return seal(key, by, group=request.group, started_at=request.started_at, unit=unit) or None

    def _name_of(self, prompt_id: str) -> str:
        """The name of the prompt that a receipt is of, which whoever gave us the receipt may have made up."""
        if name := self._names.get(prompt_id):
            return name
        if self._strangers.over():
            raise Unavailable("the receipt cannot be checked now: too many of unknown prompts came; try again later")
        try:
            name = self._routes.reader.name_of(prompt_id)
        except Exception as error:
            raise Unavailable(
                f"the receipt cannot be checked now: the prompt {prompt_id} was not found out "
                f"({type(error).__name__}: {error}); it stays good, try again"
            ) from error
        if not name:
            self._strangers.spend()
            raise InvalidReceipt(f"the receipt is of a prompt that has no route here: {prompt_id}")
        self._note_name(prompt_id, name)
        return name

    def _note_name(self, prompt_id: str, name: str) -> None:
        if len(self._names) >= _NAMES:
            self._names.clear()
        self._names[prompt_id] = name


def unit_bytes(unit: str) -> bytes:
    """The unit's bytes; InvalidUnit when it is no text, empty, too long, or no Unicode."""
    if not isinstance(unit, str):
        raise InvalidUnit(f"the unit is {type(unit).__name__}; give the user's or session's id as text, with str()")
    if not unit:
        raise InvalidUnit("the unit is empty; give the user's or session's id (a random one splits by request)")
    try:
        data = unit.encode()
    except UnicodeEncodeError:
        raise InvalidUnit("the unit holds half a surrogate pair; decode it properly first") from None
    if len(data) > MAX_UNIT_BYTES:
        raise InvalidUnit(f"the unit has {len(data):,} bytes; at most {MAX_UNIT_BYTES:,}: give an id, not a document")
    return data
