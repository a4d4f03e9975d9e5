"""The AWS services that the client calls, through botocore, which is loaded when the first call is made.

botocore is what boto3 makes its clients with: the clients are the same, and a third of the start-up is saved. A boto3
session that the application passes is used as it is.

Timeouts and retries are tuned for a request path: routes give up after a second (an older route is served meanwhile);
a model call is never repeated by the SDK, because a repeat after a timeout would double the longest request; what is
worth repeating, client.converse repeats itself, alike for both tracks. Connections are kept open and reused.
"""

from __future__ import annotations

import threading
from time import time

from promptlane.domain.errors import Unavailable
from promptlane.domain.names import ROUTES_BY_ID, content_key

from .forks import unbroken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from .decision import Decision

MAX_CONNECTIONS = 50
MAX_CONTENT_BYTES = 4 * 1024 * 1024
"""Of one version: Bedrock's prompts are far smaller, and what is cut has another fingerprint."""


class Aws:
    """boto3 clients of one process, made when first used, under one lock, and forgotten in a forked child."""

    def __init__(self, *, region: str | None = None, session: Any = None) -> None:
        self._region = region
        self._given = session
        self.after_fork()

    def after_fork(self) -> None:
        self._lock = threading.RLock()
        self._session = self._given  # one of our own may be locked by a thread that only the parent has
        self._clients: dict[tuple[str, float], Any] = {}

    def client(self, service: str, *, read_timeout: float, attempts: int = 1) -> Any:
        """The client of a service whose reads end after `read_timeout` seconds."""
        key = (service, read_timeout)
        client = self._clients.get(key)
        if client is None:
            with self._lock:
                client = self._clients.get(key)
                if client is None:
                    with unbroken():  # it imports the SDK
                        client = self._clients[key] = self._make(service, read_timeout, attempts)
        return client

    def _make(self, service: str, read_timeout: float, attempts: int) -> Any:
        if self._session is None:
            self._session = _session(self._region)
        from botocore.config import Config

        config = Config(
            connect_timeout=min(2.0, read_timeout),
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=MAX_CONNECTIONS,
            tcp_keepalive=True,
        )
        make = getattr(self._session, "create_client", None) or self._session.client
        return make(service, config=config)

    def bedrock(self, read_timeout: float) -> Any:
        return self.client("bedrock-runtime", read_timeout=read_timeout)


def hang_up(stream: Any, *, reading: bool = False) -> None:
    """End a response's stream, whatever state it is in.

    `reading`: another thread waits for its next event. Closing it would wait for that thread, so the connection is shut
    down, which wakes the thread; that thread closes it. A stream that is not the SDK's ends with its next event.
    """
    from contextlib import suppress

    if reading:
        from socket import SHUT_RDWR, socket

        connection = getattr(getattr(stream, "_raw_stream", None), "_connection", None)
        sock: Any = getattr(connection, "sock", None)
        with suppress(OSError, TypeError):  # a socket's own method: that of a TLS one takes the reader's state away
            socket.shutdown(sock, SHUT_RDWR)
        return
    close = getattr(stream, "close", None)
    if close is not None:
        with suppress(Exception):
            close()


def _session(region: str | None) -> Any:
    """A botocore session whose service models are plain dicts.

    botocore reads its models (1.2 MB for the endpoints alone) into OrderedDicts, which dicts have long replaced: five
    times the parsing, and twice the memory.
    """
    import gzip
    import json

    import botocore.session
    from botocore.loaders import JSONFileLoader

    class PlainLoader(JSONFileLoader):  # type: ignore[misc]
        def load_file(self, file_path: str) -> Any:
            for ending, opened in ((".json", open), (".json.gz", gzip.open)):
                try:
                    with opened(file_path + ending, "rb") as file:
                        return json.loads(file.read())
                except FileNotFoundError:
                    continue
            return None

    session = botocore.session.get_session()
    if region is not None:
        session.set_config_variable("region", region)
    session.get_component("data_loader").file_loader = PlainLoader()
    return session


class RouteTable:
    """Reads routes by GetItem, or BatchGetItem when several are due at once: `read_again` consistently, `read` not."""

    def __init__(self, aws: Aws, table: str) -> None:
        self._aws = aws
        self._table = table

    def read(self, prompts: Iterable[str]) -> Mapping[str, Mapping[str, Any] | Exception]:
        return self._read(prompts, {})

    def read_again(self, prompts: Iterable[str]) -> Mapping[str, Mapping[str, Any] | Exception]:
        return self._read(prompts, {"ConsistentRead": True})

    def _read(self, prompts: Iterable[str], how: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any] | Exception]:
        names = list(prompts)
        dynamodb = self._aws.client("dynamodb", read_timeout=1.0, attempts=2)
        if len(names) == 1:
            item = dynamodb.get_item(TableName=self._table, Key={"prompt": {"S": names[0]}}, **how).get("Item")
            return {} if item is None else {names[0]: plain({"M": item})}
        keys: dict[str, Any] = {self._table: {"Keys": [{"prompt": {"S": name}} for name in names], **how}}
        found: dict[str, Mapping[str, Any] | Exception] = {}
        while keys:
            page = dynamodb.batch_get_item(RequestItems=keys)
            for item in page["Responses"].get(self._table, ()):
                route = plain({"M": item})
                found[route["prompt"]] = route
            left = page.get("UnprocessedKeys") or {}
            if left == keys:
                break
            keys = left
        throttled = {str(key["prompt"]["S"]) for key in keys.get(self._table, {}).get("Keys", ())}
        return {**found, **{name: Unavailable("the route table is throttled") for name in throttled}}

    def name_of(self, prompt: str) -> str | None:
        """The name of a prompt given by id or ARN; None when it is neither, or no route is of such a prompt."""
        prompt_id = prompt.rpartition("prompt/")[2].partition(":")[0] if prompt.startswith("arn:") else prompt
        if not (len(prompt_id) == 10 and prompt_id.isalnum() and prompt_id.isascii()):
            return None
        found = self._aws.client("dynamodb", read_timeout=1.0, attempts=2).query(
            TableName=self._table,
            IndexName=ROUTES_BY_ID,
            KeyConditionExpression="prompt_id = :id",
            ExpressionAttributeValues={":id": {"S": prompt_id}},
        )
        return next((str(item["prompt"]["S"]) for item in found["Items"]), None)


class VersionBucket:
    """Reads what a version holds from the deployment's bucket of versions."""

    def __init__(self, aws: Aws, bucket: str) -> None:
        self._aws = aws
        self._bucket = bucket

    def __call__(self, decision: Decision) -> bytes:
        key = content_key(decision.prompt, decision.fingerprint)
        found = self._aws.client("s3", read_timeout=1.0, attempts=2).get_object(Bucket=self._bucket, Key=key)
        body: bytes = found["Body"].read(MAX_CONTENT_BYTES)
        return body


class PromptVersions:
    """Asks Bedrock what a version holds: one call, since ten a second are for the whole account and Region."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def __call__(self, decision: Decision) -> Sequence[Mapping[str, Any]]:
        prompt_id = decision.version_arn.rpartition("prompt/")[2].partition(":")[0]
        agent = self._aws.client("bedrock-agent", read_timeout=2.0)
        answer = agent.get_prompt(promptIdentifier=prompt_id, promptVersion=str(decision.version))
        variants: Sequence[Mapping[str, Any]] = answer.get("variants") or ()
        return variants


class FeedbackTable:
    """Remembers whose feedback was counted, by a conditional put; entries expire when no other could come.

    The table's key is called `receipt`, after what it held when each receipt counted.
    """

    def __init__(self, aws: Aws, table: str) -> None:
        self._aws = aws
        self._table = table

    def first(self, voice: str, *, keep_seconds: float) -> bool:
        """Whether this unit speaks for the first time in a window (`Receipt.voice`); marks that it did."""
        dynamodb = self._aws.client("dynamodb", read_timeout=1.0, attempts=2)
        try:
            dynamodb.put_item(
                TableName=self._table,
                Item={"receipt": {"S": voice}, "expires_at": {"N": str(int(time() + keep_seconds))}},
                ConditionExpression="attribute_not_exists(receipt)",
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        except Exception as error:
            raise Unavailable(
                f"the feedback was not counted: the feedback table {self._table} was not reached "
                f"({type(error).__name__}: {error}); try again, and check its name and dynamodb:PutItem on it"
            ) from error
        return True


class LastVoices:
    """Whose feedback this process counted, when no feedback table is configured: the last 10,000."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}

    def first(self, voice: str, *, keep_seconds: float) -> bool:
        if voice in self._seen:
            return False
        self._seen[voice] = None
        if len(self._seen) > 10_000:
            self._seen.pop(next(iter(self._seen)), None)
        return True


def plain(value: Mapping[str, Any]) -> Any:
    """The Python value of a DynamoDB attribute value; numbers become int where they are whole, else float."""
    ((kind, content),) = value.items()
    if kind == "M":
        return {name: plain(inner) for name, inner in content.items()}
    if kind == "L":
        return [plain(inner) for inner in content]
    if kind == "N":
        return float(content) if set(content) & set(".eE") else int(content)
    if kind == "NULL":
        return None
    return content
