"""Streams as they come over a wire: slow, stalled, cut off. Real SDK clients, a stub that speaks event streams."""

from __future__ import annotations

import functools
import json
import struct
import threading
import time
from binascii import crc32
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from promptlane.client import ModelCallFailed, StreamInterrupted
from promptlane.client.testing import ListSink, StaticRoutes, client_over

Play = Callable[["Wire"], None]

SILENCE = {"ReadTimeoutError", "TimeoutError"}
"""botocore's name and the socket's for the same thing: which comes first is a matter of milliseconds."""


class Wire:
    """One response: events are sent at once, chunk by chunk."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def event(self, kind: str, payload: dict[str, Any]) -> None:
        self._chunk(frame(kind, payload))

    def words(self, *words: str, every: float = 0.0) -> None:
        for word in words:
            self.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}})
            time.sleep(every)

    def stop(self) -> None:
        self.event("messageStop", {"stopReason": "end_turn"})
        usage = {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}
        self.event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})

    def end(self) -> None:
        self._file.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self._file.write(b"%x\r\n" % len(data) + data + b"\r\n")
        self._file.flush()


def frame(kind: str, payload: dict[str, Any]) -> bytes:
    """One message of application/vnd.amazon.eventstream: two lengths, headers, payload, two checksums."""
    named = {":message-type": "event", ":event-type": kind, ":content-type": "application/json"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in named.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + body
    return message + struct.pack(">I", crc32(message))


class Bedrock(ThreadingHTTPServer):
    daemon_threads = True
    play: dict[str, Play]
    gone: threading.Event

    def nothing(self, wire: Wire) -> None:
        """Keep the reader waiting until the test is over."""
        self.gone.wait(20)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bedrock

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        version = self.path.partition("/converse")[0].rpartition("%3A")[2]
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        wire = Wire(self.wfile)
        wire.event("messageStart", {"role": "assistant"})
        try:
            self.server.play[version](wire)
        except OSError:
            """The reader hung up."""

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@functools.cache
def session() -> Any:
    """One whose service model is read: what is timed below is the stream, not the SDK's first client."""
    import boto3

    made = boto3.session.Session("test", "test", region_name="eu-west-1")
    made.client("bedrock-runtime")
    return made


class Streamed:
    def __init__(self, server: Bedrock, **settings: Any) -> None:
        self.server = server
        self.sink = ListSink()
        routes = StaticRoutes()
        routes.put("greeter", stable=1, canary=2, weight=5000)
        self.client = client_over(routes, session=session(), sink=self.sink, **settings)

    def unit(self, track: str) -> str:
        return next(u for u in (f"u{i}" for i in range(99)) if self.client.route("greeter", u).track == track)

    def fuse(self, metric: str, track: str) -> tuple[float, int]:
        return self.sink.total(metric, Prompt="greeter", Track=track)

    def first_token(self, version: int) -> list[float]:
        name = "TimeToFirstToken"
        return [
            d.values[name] for d in self.sink.documents if name in d.values and d.dimensions["Version"] == str(version)
        ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bedrock]:
    made = Bedrock(("127.0.0.1", 0), Handler)
    made.gone = threading.Event()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.server_port}")
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.gone.set()
    made.shutdown()
    thread.join()
    made.server_close()


def whole(wire: Wire) -> None:
    wire.words("from ", "stable")
    wire.stop()
    wire.end()


def test_time_to_first_token_is_the_first_texts_not_the_responses_nor_the_answers(server: Bedrock) -> None:
    def slow(wire: Wire) -> None:
        time.sleep(0.3)
        wire.words("a ", "b ", "c", every=0.1)
        wire.stop()
        wire.end()

    server.play = {"2": slow}
    world = Streamed(server)
    stream = world.client.converse_stream("greeter", unit=world.unit("canary"))
    assert stream.time_to_first_token_ms is None
    assert list(stream) == ["a ", "b ", "c"]
    (first,) = world.first_token(2)
    (latency,) = [d.values["Latency"] for d in world.sink.documents if "Latency" in d.values]
    assert first == stream.time_to_first_token_ms
    assert first >= 300
    assert latency >= first + 200
    assert (stream.stop_reason, stream.usage["outputTokens"]) == ("end_turn", 2)
    assert world.fuse("Error", "canary") == (0, 1)


@pytest.mark.parametrize("track", ["canary", "stable"])
def test_a_model_that_falls_silent_midway_is_given_up_with_the_text_so_far(server: Bedrock, track: str) -> None:
    def silent(wire: Wire) -> None:
        wire.words("half ", "an ")
        server.gone.wait(20)

    server.play = {"1": silent, "2": silent}
    world = Streamed(server, timeout=4.0, shield_reserve=2.0)
    stream = world.client.converse_stream("greeter", unit=world.unit(track))
    with pytest.raises(StreamInterrupted, match="raise the client's timeout") as caught:
        list(stream)
    assert caught.value.text == "half an "
    assert caught.value.code in SILENCE
    assert world.fuse("Error", track) == (1, 1)
    assert len(world.first_token({"stable": 1, "canary": 2}[track])) == 1


def test_a_canary_that_is_silent_before_its_first_text_is_answered_by_stable(server: Bedrock) -> None:
    server.play = {"1": whole, "2": server.nothing}
    world = Streamed(server, timeout=4.0, shield_reserve=2.0)
    with world.client.converse_stream("greeter", unit=world.unit("canary")) as stream:
        assert "".join(stream) == "from stable"
    assert (stream.shielded, stream.decision.version) == (True, 1)
    assert world.fuse("Error", "canary") == (1, 1)
    assert world.fuse("Error", "stable") == world.fuse("Assigned", "stable") == (0, 0)


def test_a_stream_that_is_cut_off_after_its_stop_reason_is_complete(server: Bedrock) -> None:
    def lost(wire: Wire) -> None:
        wire.words("a ", "whole")
        wire.event("messageStop", {"stopReason": "end_turn"})

    server.play = {"2": lost}
    world = Streamed(server)
    stream = world.client.converse_stream("greeter", unit=world.unit("canary"))
    assert (list(stream), stream.stop_reason, stream.usage) == (["a ", "whole"], "end_turn", {})
    assert world.fuse("Error", "canary") == (0, 1)


@pytest.mark.parametrize("whole_events", [True, False])
def test_a_canary_that_breaks_in_its_reasoning_is_answered_by_stable_to_who_saw_nothing_of_it(
    server: Bedrock, whole_events: bool
) -> None:
    def thinks(wire: Wire) -> None:
        delta = {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Let me see."}}}
        wire.event("contentBlockDelta", delta)

    server.play = {"1": whole, "2": thinks}
    world = Streamed(server)
    stream = world.client.converse_stream("greeter", unit=world.unit("canary"))
    if whole_events:
        with pytest.raises(StreamInterrupted, match="after 0 characters"):
            list(stream.events())
    else:
        assert "".join(stream) == "from stable"
    assert stream.shielded is not whole_events
    assert world.fuse("Error", "canary") == (1, 1)


@pytest.mark.parametrize("ended", [True, False], ids=["closed properly", "cut off"])
def test_a_stream_that_ends_before_the_answer_does_is_no_answer(server: Bedrock, ended: bool) -> None:
    def short(wire: Wire) -> None:
        wire.words("half ")
        if ended:
            wire.end()

    server.play = {"1": short}
    world = Streamed(server)
    with pytest.raises(StreamInterrupted) as caught:
        list(world.client.converse_stream("greeter", unit=world.unit("stable")))
    assert caught.value.text == "half "
    assert world.fuse("Error", "stable") == (1, 1)


def test_a_stream_that_trickles_beyond_the_requests_time_is_ended(server: Bedrock) -> None:
    def trickle(wire: Wire) -> None:
        while not server.gone.is_set():
            wire.words("more ", every=0.1)

    server.play = {"1": trickle}
    world = Streamed(server, timeout=3.0, shield=False)
    with pytest.raises(StreamInterrupted, match="TimeoutError; raise the client's timeout"):
        list(world.client.converse_stream("greeter", unit=world.unit("stable")))
    assert world.fuse("Error", "stable") == (1, 1)


def test_a_stable_that_says_nothing_is_an_error_in_time(server: Bedrock) -> None:
    server.play = {"1": server.nothing}
    world = Streamed(server, timeout=0.5)
    with pytest.raises(ModelCallFailed) as caught:
        list(world.client.converse_stream("greeter", unit=world.unit("stable")))
    assert caught.value.code in SILENCE
    assert world.fuse("Error", "stable") == (1, 1)
