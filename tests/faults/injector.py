"""One fault at one AWS call of our functions; without one, the calls are recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError

Json = Any
EVENT: Final = "event"
"""The "service" of a delivery: an event that AWS hands to a function at least once."""


class Kind(StrEnum):
    """What goes wrong with a call. Every one of them is something that AWS documents, or that a network does."""

    FAILED = "failed"
    """Refused with a 500; nothing was done."""
    LATE = "answered late"
    """Done, and the answer took half a minute."""
    NEVER = "answered never"
    """Done, and the answer was lost."""
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    """The function is gone, before or after what the call does."""
    TWICE = "delivered twice"
    """The SDK sent it again after a lost answer, and the caller hears what the second one came to; or the event came
    twice."""


OF_CALLS: Final = tuple(Kind)
OF_EVENTS: Final = (Kind.TWICE,)
LATE_BY: Final = 30.0


class Killed(BaseException):
    """The process of the function is gone: nothing catches it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it was recorded: by which function, to which service, which operation."""

    function: str
    service: str
    operation: str

    def __str__(self) -> str:
        return f"{self.function}: {self.service}.{self.operation}"


_ONCE_BY_TOKEN: Final = {("dynamodb", "TransactWriteItems")}
"""The SDK sends a token with these, by which AWS knows the second for the first."""


@dataclass
class Injector:
    """The fault `kind` at call number `at` (from 0; -1 for none). `later(seconds)` moves the clock."""

    later: Callable[[float], None]
    at: int = -1
    kind: Kind = Kind.FAILED
    function: str = ""
    """Who runs now; "" while what surrounds the functions does, whose calls are its own."""
    calls: list[Call] = field(default_factory=list)

    def of(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        """What a call comes to."""
        if not self.function:
            return call()
        self.calls.append(Call(self.function, service, operation))
        if len(self.calls) - 1 != self.at:
            return call()
        return self._faulty(service, operation, call)

    def twice(self, mode: str) -> bool:
        """Whether the event of the function that is about to run comes twice."""
        self.calls.append(Call(self.function, EVENT, mode))
        return len(self.calls) - 1 == self.at

    def _faulty(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if self.kind is Kind.FAILED:
            code = {"s3": "InternalError", "sns": "InternalError"}.get(service, "InternalServerError")
            raise ClientError(
                {"Error": {"Code": code, "Message": "a fault"}, "ResponseMetadata": {"HTTPStatusCode": 500}}, operation
            )
        if self.kind is Kind.KILLED_BEFORE:
            raise Killed
        if self.kind is Kind.TWICE and (service, operation) in _ONCE_BY_TOKEN:
            return call()
        answer = call()
        if self.kind is Kind.TWICE:
            return call()
        if self.kind is Kind.LATE:
            self.later(LATE_BY)
            return answer
        if self.kind is Kind.KILLED_AFTER:
            raise Killed
        raise ReadTimeoutError(endpoint_url=f"https://{service}.example")

    @contextmanager
    def between(self) -> Iterator[None]:
        """Every call of a boto3 client goes through here."""
        sent = BaseClient._make_api_call

        def through(client: BaseClient, operation: str, params: Mapping[str, Json]) -> Any:
            service = client.meta.service_model.service_name
            # A copy for each: botocore puts a stream in the place of a body, which is empty the second time.
            return self.of(service, operation, lambda: sent(client, operation, dict(params)))

        with patch.object(BaseClient, "_make_api_call", through):
            yield


class Through:
    """A stand-in for a client, whose calls go through the injector as those of real clients do."""

    def __init__(self, injector: Injector, service: str, inner: Any) -> None:
        self._injector, self._service, self._inner = injector, service, inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in ("meta", "exceptions") or not callable(found):
            return found
        if name == "get_paginator":
            return lambda operation: _Pages(self, operation)
        return lambda *args, **kwargs: self._injector.of(self._service, name, lambda: found(*args, **kwargs))

    def pages(self, operation: str, arguments: Mapping[str, Json]) -> list[Json]:
        pages = self._inner.get_paginator(operation)
        return list(self._injector.of(self._service, operation, lambda: list(pages.paginate(**arguments))))


class _Pages:
    def __init__(self, client: Through, operation: str) -> None:
        self._client, self._operation = client, operation

    def paginate(self, **arguments: Json) -> list[Json]:
        return self._client.pages(self._operation, arguments)
