"""Data that fetches, hangs or eats memory where it is read: schemas, patterns, answers, and files of cases."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import jsonschema
import pytest
import yaml

from promptlane.aws import models
from promptlane.domain import limits
from promptlane.domain.errors import PromptlaneError
from promptlane.domain.release import prompt, schemas
from promptlane.domain.release.prompt import PromptDraft, PromptVersion, static_problems
from promptlane.domain.suite.answers import Answer, ToolCall
from promptlane.engine import assertions, dataset, document, faults, sandbox
from promptlane.engine import parse as parse_module
from promptlane.engine import schemas as schemas_module
from promptlane.engine.assertions import Grader
from promptlane.engine.kinds import Ungradable
from promptlane.engine.objects import KeptAnswers
from promptlane.engine.parse import parse
from promptlane.engine.records import record_of
from promptlane.engine.runner import Bench, run_cases
from promptlane.engine.suite import Assertion, Case
from promptlane.engine.targets import Target
from promptlane.fakes.objects import MemoryObjects, ScriptedModel
from tests.support.attacks import attack, patched, together

Json = Any
FETCH = "requests and files by way of a schema"
TIME = "data that hangs who reads it"
SIZE = "data that eats memory"
SECRET = "the content of a file"
load = import_module("promptlane.project.load")


@pytest.fixture(autouse=True)
def limits_of_a_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Smaller than in earnest, so that the tests do not wait."""
    monkeypatch.setattr(limits, "EVALUATION_SECONDS", 0.05)
    sandbox._strikes.clear()
    yield
    sandbox._strikes.clear()


def nothing(*_: object, **__: object) -> Iterator[Any]:
    """Instead of a check that tells problems."""
    return iter(())


def evaluated_here(schema: Json, value: Json) -> str:
    """As a schema is evaluated by who gives no thought to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        validator = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)(schema)
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    return "" if error is None else str(error.message)


unguarded_schemas = patched(sandbox, "misfit", evaluated_here)


def _as_it_is(*given: Any) -> Any:
    """The error itself, raised: in place of the sentence with which one run is missing and no other."""
    raise given[-1]


none_apart = together(patched(faults, "unevaluated", _as_it_is), patched(faults, "unread", _as_it_is))


def graded(kind: str, value: Json, answer: Answer, tools: Mapping[str, Json] | None = None, **variables: str) -> str:
    """What the report says of an answer; "passed", or why it was not."""
    made = Assertion(kind.removeprefix("not-"), kind.startswith("not-"), value)
    try:
        found = Grader(tools=tools or {}).assertion(made, Case("case", variables, (made,)), answer)
    except Ungradable as error:
        return f"ungradable: {error}"
    return "passed" if found.passed else found.reason


def accepted(read: Callable[[Json], object], data: Json) -> bool:
    try:
        read(data)
    except (PromptlaneError, dataset.DatasetInvalid):
        return False
    return True


def by_suite(schema: Json, value: Json = 1) -> str:
    return graded("is-json", schema, Answer(json.dumps(value)))


def by_tool(schema: Json, value: Json = 1) -> str:
    return graded("is-valid-tool-call", None, Answer("", tool_calls=(ToolCall("t", value),)), {"t": schema})


def by_text(schema: Json, value: Json = 1) -> str:
    return graded("contains-json", schema, Answer(f"Here: {json.dumps(value)}"))


# --- nothing is fetched ---------------------------------------------------------------------------------------------


@pytest.fixture
def ear() -> Iterator[tuple[str, list[bytes]]]:
    """(URL, what was heard) of a server that answers any request with a schema that tells a secret."""
    heard: list[bytes] = []
    body = json.dumps({"const": SECRET}).encode()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    connection, _ = server.accept()
                    with connection:
                        heard.append(connection.recv(1_000))
                        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        stop.set()
        thread.join()


def draft4(url: str) -> Json:
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "id": f"{url}/base",
        "properties": {"a": {"$ref": "x"}},
    }


REQUESTING: dict[str, Callable[[str], Json]] = {
    "$ref": lambda url: {"$ref": f"{url}/x"},
    "$ref deep within": lambda url: {"allOf": [{"not": {"not": {"$ref": f"{url}/x#/y"}}}]},
    "$ref behind a condition": lambda url: {"if": {"type": "object"}, "then": {"$ref": f"{url}/x"}},
    "$ref of $id": lambda url: {"$id": f"{url}/base/", "$ref": "x.json"},
    "$ref of an inner $id": lambda url: {"allOf": [{"$id": f"{url}/base/", "$ref": "../x.json"}]},
    "$ref without a scheme": lambda url: {"$id": f"{url}/base/", "$ref": url.removeprefix("http:")},
    "$dynamicRef": lambda url: {"$dynamicRef": f"{url}/x#node"},
    "a key's schema": lambda url: {"propertyNames": {"$ref": f"{url}/x"}},
    "draft 4": draft4,
}


@pytest.mark.parametrize("grading", [by_suite, by_tool, by_text], ids=["suite", "tool", "text"])
@pytest.mark.parametrize("way", REQUESTING)
@attack("a schema makes the tests send a request", kind=FETCH, without=unguarded_schemas)
def test_request(way: str, grading: Callable[..., str], ear: tuple[str, list[bytes]]) -> bool:
    url, heard = ear
    heard.clear()
    with suppress(Exception):  # unguarded, the library may fail on what it fetched
        grading(REQUESTING[way](url), {"a": 1})
    return bool(heard)


READING: dict[str, Callable[[str], Json]] = {
    "a file": lambda folder: {"$ref": f"file://{folder}/secret.json"},
    "a file beside $id": lambda folder: {"$id": f"file://{folder}/", "$ref": "secret.json"},
    "a file above $id": lambda folder: {"$id": f"file://{folder}/a/b/", "$ref": "../../secret.json"},
    "a file by $dynamicRef": lambda folder: {"$dynamicRef": f"file://{folder}/secret.json"},
}


@pytest.mark.parametrize("grading", [by_suite, by_tool], ids=["suite", "tool"])
@pytest.mark.parametrize("way", READING)
@attack("a schema has the report show a file", kind=FETCH, without=unguarded_schemas)
def test_file(way: str, grading: Callable[..., str], tmp_path: Path) -> bool:
    (tmp_path / "secret.json").write_text(json.dumps({"const": SECRET}))
    return SECRET in grading(READING[way](str(tmp_path)))


@attack("a case's variable names the file that a schema reads", kind=FETCH, without=unguarded_schemas)
def test_file_named_by_a_variable(tmp_path: Path) -> bool:
    (tmp_path / "secret.json").write_text(json.dumps({"const": SECRET}))
    where = f"file://{tmp_path}/secret.json"
    return SECRET in graded("is-json", {"$ref": "{{where}}"}, Answer("1"), where=where)


FOREIGN: list[Json] = [
    {"$ref": "http://127.0.0.1/x"},
    {"$ref": "file:///etc/hostname"},
    {"$ref": "other.json"},
    {"$id": "file:///etc/", "$ref": "hostname"},
    {"$ref": " #/$defs/a", "$defs": {"a": True}},
    {"$dynamicRef": "http://127.0.0.1/x#a"},
    {"$recursiveRef": "//127.0.0.1/x"},
    {"$schema": "http://127.0.0.1/metaschema"},
    {"$schema": "https://json-schema.org.evil.example/draft/2020-12/schema"},
    {"properties": {"a": {"$schema": "file:///etc/hostname"}}},
]


def _variant(**more: Json) -> Json:
    chat = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}], **more.pop("chat", {})}
    return {"name": "default", "modelId": "m", "templateType": "CHAT", "templateConfiguration": {"chat": chat}, **more}


def _tool(schema: Json) -> Json:
    return {"toolSpec": {"name": "t", "inputSchema": {"json": schema}}}


def _admitted(*variants: Json) -> bool:
    return static_problems(PromptVersion("PROMPT0001", "p", 1, "arn", variants)) == []


@pytest.mark.parametrize("schema", FOREIGN, ids=[json.dumps(s)[:60] for s in FOREIGN])
@attack(
    "a tool whose schema leads outside is admitted",
    kind=FETCH,
    without=patched(schemas, "schema_problems", nothing),
)
def test_foreign_tool(schema: Json) -> bool:
    tools = {"toolConfiguration": {"tools": [_tool({"type": "object"}), _tool({"properties": {"a": schema}})]}}
    return _admitted(_variant(chat=tools))


@pytest.mark.parametrize("schema", FOREIGN, ids=[json.dumps(s)[:60] for s in FOREIGN])
@pytest.mark.parametrize("as_text", [False, True], ids=["as JSON", "as text"])
@attack(
    "an output schema that leads outside is admitted",
    kind=FETCH,
    without=patched(schemas, "schema_problems", nothing),
)
def test_foreign_output_schema(schema: Json, as_text: bool) -> bool:
    held = json.dumps(schema) if as_text else schema
    fields = {"outputConfig": {"textFormat": {"structure": {"jsonSchema": {"name": "a", "schema": held}}}}}
    return _admitted(_variant(additionalModelRequestFields=fields)) or _admitted(_variant(**fields))


@attack(
    "a tool that leads outside stands in a variant that is not the default one",
    kind=FETCH,
    without=together(patched(schemas, "schema_problems", nothing), patched(prompt, "_several", nothing)),
)
def test_foreign_tool_of_another_variant() -> bool:
    tools = {"toolConfiguration": {"tools": [_tool({"$ref": "file:///etc/hostname"})]}}
    return _admitted(_variant(), {**_variant(chat=tools), "name": "other"})


@pytest.mark.parametrize("schema", FOREIGN, ids=[json.dumps(s)[:60] for s in FOREIGN])
@attack(
    "a suite whose schema leads outside is admitted",
    kind=FETCH,
    without=together(
        patched(limits, "schema_problems", nothing),
        patched(sandbox, "schema_error", lambda schema: ""),
        patched(schemas_module, "_passed_over", lambda *_: ""),
    ),
)
def test_foreign_suite(schema: Json) -> bool:
    return accepted(parse, {"tests": [{"assert": [{"type": "contains-json", "value": {"items": schema}}]}]})


@attack(
    "prompt.yaml with a schema that leads outside is published",
    kind=FETCH,
    without=patched(schemas, "schema_problems", nothing),
)
def test_foreign_draft() -> bool:
    given = {
        "name": "p",
        "model": "m",
        "messages": [{"role": "user", "text": "Hello"}],
        "tools": [_tool({"$ref": "http://127.0.0.1/x"})],
    }
    return accepted(PromptDraft.from_dict, given)


# --- nothing hangs --------------------------------------------------------------------------------------------------

patient = patched(limits, "EVALUATION_SECONDS", 1_000.0)
LONG = 0.4
"""Seconds of processor time, after which something that may take 0.05 s counts as hanging."""


def _child_seconds() -> float:
    """Processor time that the child process has used."""
    process = sandbox._child._process
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split() if process else []
    except OSError:
        fields = []
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def hangs(grading: Callable[[], object]) -> bool:
    """Whether it still runs after a time; if so it is ended."""
    sandbox.search("a", "a")
    thread, before = threading.Thread(target=grading), _child_seconds()
    thread.start()
    while thread.is_alive() and _child_seconds() < before + LONG:
        thread.join(0.02)
    if not thread.is_alive():
        return False
    process = sandbox._child._process
    assert process is not None
    process.kill()
    thread.join()
    return True


CATASTROPHE, VICTIM = "^(a|aa)+$", "a" * 200 + "b"
BEYOND = {"patternProperties": {CATASTROPHE: True}}
HANGING: dict[str, tuple[Json, Json]] = {
    "pattern": ({"pattern": CATASTROPHE}, VICTIM),
    "patternProperties": (BEYOND, {VICTIM: 1}),
    "additionalProperties beside it": ({**BEYOND, "additionalProperties": False}, {VICTIM: 1}),
    "unevaluatedProperties beside it": ({**BEYOND, "unevaluatedProperties": False}, {VICTIM: 1}),
    "propertyNames": ({"propertyNames": {"pattern": CATASTROPHE}}, {VICTIM: 1}),
    "not": ({"not": {"pattern": CATASTROPHE}}, VICTIM),
    "draft 4": ({"$schema": "http://json-schema.org/draft-04/schema#", "pattern": CATASTROPHE}, VICTIM),
    "uniqueItems": ({"uniqueItems": True}, [{"a": {"b": i}} for i in range(6_000)]),
    "a doubling at each level": (
        {"$defs": {"n": {"properties": {"a": {"allOf": [{"$ref": "#/$defs/n"}] * 2}}}}, "$ref": "#/$defs/n"},
        json.loads('{"a":' * 30 + "{}" + "}" * 30),
    ),
}


@pytest.mark.parametrize("way", HANGING)
@attack("a schema is looked through without end", kind=TIME, without=patient)
def test_hanging_schema(way: str) -> bool:
    return hangs(lambda: by_tool(*HANGING[way]))


PATTERNS = ["^(a|aa)+$", "^(?:(?:a|aa)+c|(a|aa)+b)$", "^(?=(?:a|aa|aaa)+?b)"]


@pytest.mark.parametrize("pattern", PATTERNS)
@attack("a regular expression is matched without end", kind=TIME, without=patient)
def test_hanging_pattern(pattern: str) -> bool:
    return hangs(lambda: graded("regex", pattern, Answer("a" * 3_000 + "!")))


def _bomb(levels: int, keyword: str = "allOf") -> Json:
    """Schemas of which each refers twice to the next: 2 to the power of `levels` for one value."""
    named = {f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    return {"$defs": {**named, f"d{levels}": {}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize("keyword", ["allOf", "oneOf"])
@attack(
    "schemas refer to one another twice each",
    kind=TIME,
    without=together(patched(limits, "schema_problems", nothing), patient),
)
def test_doubling_schema(keyword: str) -> bool:
    return hangs(lambda: by_suite(_bomb(22, keyword)))


@attack("a slow pattern takes its time again in every case", kind=TIME, without=patched(sandbox, "STRIKES", 1_000))
def test_slow_pattern_again_and_again(monkeypatch: pytest.MonkeyPatch) -> bool:
    tried, ask = list[str](), sandbox._child.ask

    def counted(request: dict[str, Json], seconds: float) -> dict[str, Json]:
        tried.append(request["work"])
        return ask(request, seconds)

    with monkeypatch.context() as patch:
        patch.setattr(sandbox._child, "ask", counted)
        for _ in range(5):
            graded("regex", CATASTROPHE, Answer("a" * 3_000 + "!"))
    return len(tried) == 5


SELF_REFERENCES: dict[str, Json] = {
    "by the root": {"$ref": "#"},
    "in a ring": {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    "by an anchor": {"$anchor": "me", "anyOf": [{"$ref": "#me"}]},
    "by a dynamic anchor": {"$dynamicAnchor": "me", "not": {"$dynamicRef": "#me"}},
    "in a condition": {"if": {"$ref": "#"}, "then": False},
    "percent-encoded": {"$defs": {"a b": {"$ref": "#/%24defs/a%20b"}}, "$ref": "#/$defs/a b"},
    "by an inner $id": {"allOf": [{"$id": "urn:x", "$defs": {"y": {"$ref": "#/$defs/y"}}, "$ref": "#/$defs/y"}]},
}


@pytest.mark.parametrize("way", SELF_REFERENCES)
@attack(
    "a schema that refers to itself ends the batch for all other cases",
    kind=TIME,
    without=together(unguarded_schemas, none_apart),
)
def test_batch_ended(way: str) -> bool:
    case = Case("one", {}, (Assertion("is-valid-tool-call"),))
    variant = _variant(chat={"toolConfiguration": {"tools": [_tool(SELF_REFERENCES[way])]}})
    model = ScriptedModel(lambda request: Answer("", tool_calls=(ToolCall("t", {}),)))
    bench = Bench(candidate=Target("new", "f", variant), stable=None, model=model, concurrency=1)
    try:
        [run] = run_cases([case], bench)
    except BaseException as error:
        if isinstance(error, RecursionError) or type(error).__name__ == "PanicException":
            return True  # which of the two depends on where the stack ends: in Python, or in a map of keys in Rust
        raise
    assert run.candidate[0].passed is None
    return False


@contextmanager
def shallow() -> Iterator[None]:
    """Python's own limit of recursion, which some library of another test may have raised."""
    found = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(found)


class DeepAnswers:
    """Bedrock, whose model calls a tool with an input that is nested deeply."""

    def __init__(self, levels: int) -> None:
        self._deep = b"[" * levels + b"]" * levels

    def post(self, model_id: str, operation: str, body: Mapping[str, Json]) -> tuple[int, str, bytes]:
        tool = b'{"toolUse": {"toolUseId": "1", "name": "t", "input": {"a": ' + self._deep + b"}}}"
        return 200, "", b'{"output": {"message": {"role": "assistant", "content": [' + tool + b"]}}}"


@pytest.mark.parametrize("levels", [5_000, 100_000])
@attack(
    "a model calls a tool with an input so deep that the batch ends when it is kept",
    kind=TIME,
    without=together(
        patched(models, "depth_of", lambda data: 0),
        patched(models, "_too_deep", RecursionError),
        none_apart,
    ),
)
def test_deep_tool_input(levels: int) -> bool:
    case = Case("one", {}, (Assertion("is-valid-tool-call"),))
    variant = _variant(chat={"toolConfiguration": {"tools": [_tool({"type": "object"})]}})
    store = KeptAnswers(MemoryObjects(), fresh_for=60.0)
    bench = Bench(
        candidate=Target("new", "f", variant),
        stable=None,
        model=models.ConverseModel(DeepAnswers(levels)),
        concurrency=1,
        store=store,
    )
    try:
        with shallow():
            [run] = run_cases([case], bench)
            json.dumps(record_of(run))
    except BaseException as error:
        if isinstance(error, RecursionError) or type(error).__name__ == "PanicException":
            return True  # which of the two depends on where the stack ends: in Python, or in a map of keys in Rust
        raise
    assert run.candidate[0].passed is None
    return False


# --- nothing passes because it could not be read --------------------------------------------------------------------


def _read_as_others_do(text: str) -> Json:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from None


@pytest.mark.parametrize("kind", ["not-is-json", "not-equals"])
@attack(
    "an answer is nested so deeply that the assertion it breaks passes",
    kind="what could not be checked counts as a pass",
    without=patched(assertions, "value_of", _read_as_others_do),
)
def test_deep_answer(kind: str) -> bool:
    return graded(kind, [1] if kind == "not-equals" else None, Answer("[" * 100_000 + "]" * 100_000)) == "passed"


@attack(
    "a tool call is checked against a schema that cannot be evaluated",
    kind="what could not be checked counts as a pass",
    without=patched(sandbox, "misfit", lambda schema, value: ""),
)
def test_unreadable_schema() -> bool:
    return by_tool({"$ref": "#/nowhere"}) == "passed"


# --- nothing eats memory --------------------------------------------------------------------------------------------

PATTERN_BOMBS = {
    "alternatives of a hundred kilobytes": "|".join(str(n) for n in range(20_000)),
}


def _child_mib() -> int:
    """The most memory that the child process ever had."""
    process = sandbox._child._process
    status = Path(f"/proc/{process.pid}/status").read_text() if process else "VmHWM: 0"
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


@pytest.mark.parametrize("way", PATTERN_BOMBS)
@attack(
    "a regular expression eats memory or time while it is read",
    kind=SIZE,
    without=together(
        patched(limits, "MAX_PATTERN", 10**12),
        patched(limits, "COMPILE_SECONDS", 0.5),
        patched(limits, "EVALUATION_SECONDS", 0.5),
    ),
)
def test_pattern_bomb(way: str) -> bool:
    """The memory stays bounded by the kernel in either case; here what is refused before it is tried."""
    sandbox.search("a", "a")
    before, started = _child_mib(), time.monotonic()
    said = graded("regex", PATTERN_BOMBS[way], Answer("a"))
    assert said.startswith("ungradable")
    return "at most" not in said and (time.monotonic() - started > 0.05 or _child_mib() > before + 10)


REMEMBERING = "(?:(?:(?:(?:(?:a?){30}){30}){30}){30}){30}"
"""A short pattern, which a matcher that goes back remembers a gigabyte for."""


@attack(
    "a short pattern eats all memory while it is matched",
    kind=SIZE,
    without=together(patched(limits, "EVALUATION_MIB", 3_000), patched(limits, "EVALUATION_SECONDS", 20.0)),
)
def test_pattern_that_remembers() -> bool:
    sandbox._child.end()
    sandbox._strikes.clear()
    said = graded("regex", REMEMBERING, Answer("a" * 100))
    return said == "passed" or _child_mib() > 300


# --- files: aliases, depth, size ------------------------------------------------------------------------------------

FILE_BOMBS = {
    "aliases of aliases": "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{n}: &{n} [{', '.join([f'*{b}'] * 10)}]\n" for b, n in pairwise("abcde")),
    "merge keys": "a0: &a0 {x: 1, y: 2}\n" + "".join(f"a{i + 1}: &a{i + 1}\n  <<: [*a{i}, *a{i}]\n" for i in range(12)),
    "one long text in many places": f'a: &a "{"x" * 50_000}"\nb: [' + "*a, " * 100 + "x]",
    "one long key in many places": "a: &a\n  ? " + "k" * 5_000 + "\n  : [1, 2]\nb: [" + "*a, " * 900 + "x]",
    "siblings": "[" + "[]," * 6_000 + "]",
    "mappings": "[" + "{a: b}," * 2_500 + "]",
}


@contextmanager
def without_limits_of_files() -> Iterator[None]:
    with mock.patch.object(document, "MAX_NODES", 10**9), mock.patch.object(document, "MAX_CHARS", 10**12):
        yield


@pytest.mark.parametrize("libyaml", [True, False], ids=["libyaml", "PyYAML alone"])
@pytest.mark.parametrize("way", FILE_BOMBS)
@attack("a file of YAML means a thousand times of what it holds", kind=SIZE, without=without_limits_of_files)
def test_file_bomb(way: str, libyaml: bool, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Smaller bombs and smaller limits than in earnest, so that the unguarded one does no harm."""
    monkeypatch.setattr(yaml, "__with_libyaml__", libyaml)
    if document.MAX_NODES < 10**9:
        monkeypatch.setattr(document, "MAX_NODES", 5_000)
        monkeypatch.setattr(document, "MAX_CHARS", 1_000_000)
    read = document.parse_document(FILE_BOMBS[way], "suite.yaml")
    monkeypatch.undo()
    return read.data is not None


REFUSED_AT_ONCE = {
    "brackets": "a: " + "[" * 386_000,
    "braces": "{" * 386_000,
    "siblings": "[" + "[]," * 128_000 + "]",
    "dashes": "- " * 190_000 + "x",
    "complex keys": "? " * 190_000 + "x",
    "depth 100,000": "\n".join(" " * i + "a:" for i in range(800)) + " " + "[" * 100_000,
    "doubled 40 times": "a0: &a0 {x: 1}\n" + "".join(f"a{i + 1}: &a{i + 1}\n  <<: [*a{i}, *a{i}]\n" for i in range(40)),
    "merges of empty mappings": "a: &a [" + "{}, " * 2_000 + "{}]\nb:\n" + "  - <<: *a\n" * 2_000,
    "merges that add keys of their own": "b0: &b0 {k: v}\n"
    + "".join(
        f"b{i + 1}: &b{i + 1} {{<<: [*b{i}, *b{i}], " + ", ".join(f"k{i}_{n}: v" for n in range(2**i)) + "}\n"
        for i in range(12)
    ),
    "ten to the power of eight": "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{n}: &{n} [{', '.join([f'*{b}'] * 10)}]\n" for b, n in pairwise("abcdefgh")),
}


@pytest.mark.parametrize("way", REFUSED_AT_ONCE)
def test_a_bomb_of_yaml_is_refused_within_a_second_and_little_memory(way: str) -> None:
    text, before = REFUSED_AT_ONCE[way], time.process_time()
    assert document.parse_document(text, "suite.yaml").data is None
    assert time.process_time() - before < 1
    tracemalloc.start()
    try:
        document.parse_document(text, "suite.yaml")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def yaml_as_it_is(text: str, file: str) -> document.Document:
    return document.Document(file, yaml.safe_load(text))


CASE_FILES: dict[str, bytes] = {
    "deep.json": b"[" * 200_000,
    "deep.jsonl": b'{"vars": ' * 50_000,
    "deep.yaml": b"[" * 20_000,
}


def _plainly_loaded(text: str) -> Json:
    return json.loads(text)


@pytest.mark.parametrize("name", CASE_FILES)
@attack(
    "a file of cases ends the reading with an error that nobody expects",
    kind=SIZE,
    without=together(
        patched(dataset, "parsed_json", _plainly_loaded), patched(document, "parse_document", yaml_as_it_is)
    ),
)
def test_case_file(name: str) -> bool:
    try:
        parse({"tests": name}, read=lambda path: CASE_FILES[name])
    except PromptlaneError as error:
        return name not in str(error)
    except (RecursionError, OverflowError):
        return True
    return False


@pytest.mark.parametrize(
    "values",
    [b"[" + b"[]," * 1_000_000 + b"1]", b'["' + b"x" * 33_554_432 + b'"]'],
    ids=["too many values", "too many bytes"],
)
@attack(
    "a file of cases takes all memory",
    kind=SIZE,
    without=together(patched(dataset, "MAX_VALUES", 10**9), patched(dataset, "MAX_BYTES", 10**9)),
)
def test_large_case_file(values: bytes) -> bool:
    tracemalloc.start()
    try:
        accepted(lambda given: list(dataset.load_rows("cases.json", lambda path: given)), values)
        return tracemalloc.get_traced_memory()[1] > 60_000_000
    finally:
        tracemalloc.stop()


def _nested_sets(levels: int) -> Json:
    return {
        "assertionTemplates": {"t": {"type": "assert-set", "assert": [{"$ref": "#/assertionTemplates/t"}] * levels}},
        "tests": [{"vars": {}, "assert": [{"$ref": "t"}]}],
    }


@attack(
    "an assertion template that holds itself ends the reading",
    kind=SIZE,
    without=together(patched(parse_module, "MAX_SETS", 10**9), patched(parse_module, "MAX_ASSERTIONS", 10**9)),
)
def test_template_of_itself() -> bool:
    try:
        accepted(parse, _nested_sets(1))
    except RecursionError:
        return True
    return False


@attack(
    "a text that all cases share is written out for each",
    kind=SIZE,
    without=patched(parse_module, "MAX_SUITE_CHARS", 10**12),
)
def test_shared_text() -> bool:
    case = {"vars": {"n": [str(n) for n in range(100)]}, "assert": [{"type": "contains", "value": "x"}]}
    return accepted(parse, {"defaultTest": {"vars": {"text": "x" * 700_000}}, "tests": [case]})


OUTSIDE = ["../secret.txt", "sub/../../secret.txt", "link.txt", "linked/secret.txt", "/etc/hostname", "//etc/hostname"]


@pytest.mark.parametrize("name", OUTSIDE)
@attack(
    "a suite takes in a file from outside its folder",
    kind=FETCH,
    without=lambda: mock.patch.object(load, "inside", lambda folder: lambda name: (folder / name).read_bytes()),
)
def test_file_outside(name: str, tmp_path: Path) -> bool:
    folder = tmp_path / "prompt"
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    (tmp_path / "secret.txt").write_text(SECRET)
    for link, target in (("link.txt", tmp_path / "secret.txt"), ("linked", tmp_path)):
        if not (folder / link).is_symlink():
            (folder / link).symlink_to(target)
    case = {"vars": {"text": f"file://{name}"}, "assert": [{"type": "contains", "value": "x"}]}
    return accepted(lambda data: parse(data, read=load.inside(folder)), {"tests": [case]})


@pytest.mark.parametrize("name", ["pipe.csv", "a\0b.csv"])
@attack(
    "a suite names a file that is none, and the reading ends or waits for ever",
    kind=TIME,
    without=lambda: mock.patch.object(load, "inside", lambda folder: lambda name: (folder / name).read_bytes()),
)
def test_file_that_is_none(name: str, tmp_path: Path) -> bool:
    if name == "pipe.csv" and not (tmp_path / name).exists():
        os.mkfifo(tmp_path / name)
    said: list[bool] = []

    def reads() -> None:
        try:
            accepted(lambda data: parse(data, read=load.inside(tmp_path)), {"tests": f"file://{name}"})
        except ValueError:
            return
        said.append(True)

    thread = threading.Thread(target=reads)
    thread.start()
    thread.join(1.0)
    if waits := thread.is_alive():
        os.close(os.open(tmp_path / name, os.O_WRONLY))
        thread.join()
    return waits or not said
