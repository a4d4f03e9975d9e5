"""Whatever a configuration holds, it is imported as a suite that loads, or refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput
from promptlane.engine.imported.config import imported
from promptlane.engine.imported.defaults import Usual
from promptlane.engine.imported.found import Imported
from promptlane.engine.imported.graders import bedrock_model, graders
from promptlane.engine.imported.list import list_text
from promptlane.engine.imported.sources import Reads
from promptlane.engine.parse import parse

Json = Any
FILES = {"a.csv": b"q,__expected\nx,contains:x\n", "b.yaml": b"- {vars: {q: 1}}\n", "c.jsonl": b"[1]\n"}


def read(name: str) -> bytes:
    if name not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[name]


def brought(data: Json) -> Imported:
    return imported(data, reads=Reads(read, read, lambda pattern: sorted(FILES)), usual=Usual())


WORDS = st.sampled_from(
    [
        *("contains", "not-equals", "is-json", "javascript", "assert-set", "llm-rubric", "latency", "file://a.csv", ""),
        *("b.yaml", "c.jsonl", "*.csv", "gone.csv", "{{q}}", "{{ q | x }}", "#/assertionTemplates/t"),
        "bedrock:amazon.nova-lite-v1:0",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from([0.5, 1e400]) | WORDS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2), max_leaves=5
)


def some(**fields: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Mappings with some of these keys, mostly with what belongs there."""
    return st.fixed_dictionaries({}, optional={key: inner | VALUES for key, inner in fields.items()})


def assertions(depth: int) -> st.SearchStrategy[Json]:
    """Lists of assertions, some of them sets."""
    inner = assertions(depth - 1) if depth else VALUES
    return st.lists(
        some(
            **{"type": WORDS, "value": VALUES, "assert": inner, "$ref": WORDS, "transform": WORDS, "provider": VALUES},
            threshold=LEAVES,
            weight=LEAVES,
            metric=WORDS,
        ),
        max_size=3,
    )


ASSERTS = assertions(2)
OPTIONS = some(provider=VALUES, transform=WORDS, disableDefaultAsserts=st.booleans(), prefix=WORDS)
TEST = some(
    **{"vars": st.dictionaries(st.sampled_from(["q", "w"]), VALUES, max_size=2), "assert": ASSERTS, "options": OPTIONS},
    metadata=some(id=LEAVES, tags=VALUES, critical=LEAVES),
    threshold=LEAVES,
    id=LEAVES,
    path=WORDS,
    messages=VALUES,
)
CONFIG = some(
    tests=st.lists(TEST | WORDS, max_size=3) | WORDS,
    defaultTest=TEST | WORDS,
    scenarios=st.lists(some(config=st.lists(TEST, max_size=2), tests=st.lists(TEST, max_size=2)), max_size=2),
    assertionTemplates=st.dictionaries(st.sampled_from(["t"]), some(type=WORDS, value=VALUES), max_size=1),
    evaluateOptions=VALUES,
    providers=VALUES,
    extensions=VALUES,
)


@example({"scenarios": [{"config": [{"assert": 1}]}]})
@given(CONFIG | VALUES)
def test_anything_is_imported_or_refused_with_a_sentence(data: Json) -> None:
    try:
        found = brought(data)
    except InvalidInput as error:
        if not str(error).strip():
            pytest.fail("refused without a sentence")
        return

    def written(name: str) -> bytes:
        return found.new_files[name].encode() if name in found.new_files else found.kept_files[name]

    suite = parse(found.data, read=written)
    assert len(suite.cases) == found.cases > 0
    assert suite.checks <= {stub.name for stub in found.stubs}
    assert brought(data) == found
    assert list_text(found, "c") == list_text(found, "c")


def test_models_of_bedrock_are_known_by_their_provider() -> None:
    known = {
        "bedrock:amazon.nova-lite-v1:0": "amazon.nova-lite-v1:0",
        "bedrock:converse:anthropic.claude-3-5-sonnet-20240620-v1:0": "anthropic.claude-3-5-sonnet-20240620-v1:0",
        "bedrock:us.anthropic.claude-sonnet-4-20250514-v1:0": "us.anthropic.claude-sonnet-4-20250514-v1:0",
        "bedrock:embeddings:cohere.embed-multilingual-v3": "cohere.embed-multilingual-v3",
        "bedrock:arn:aws:bedrock:eu-west-1:111122223333:inference-profile/eu.amazon.nova-pro-v1:0": (
            "arn:aws:bedrock:eu-west-1:111122223333:inference-profile/eu.amazon.nova-pro-v1:0"
        ),
        "openai:gpt-4o": "",
        "bedrock:": "",
        "bedrock:a model": "",
        "bedrock-agent:ABCDEFGHIJ": "",
        "file://grader.py": "",
    }
    assert {provider: bedrock_model(provider) for provider in known} == known
    assert [*graders({"text": "a", "embedding": {"id": "b"}, "config": {}})] == [("judge", "a"), ("embedder", "b")]
    assert [*graders("openai:embedding:x")] == [("embedder", "openai:embedding:x")]
    assert [*graders(7)] == []
