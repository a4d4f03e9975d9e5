"""promptfoo configuration files: what carries over, what is left out and said, and what must be refused.

A release tests the published version with the model it declares, so a file's `prompts` and `providers` have no say;
whatever would change what an assertion means is refused rather than ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from .kinds import did_you_mean

Json = Any
Problem = tuple[str, str]

SUITE_KEYS: Final = ("description", "tests", "defaultTest", "repeats", "at_least", "assertionTemplates")
LEFT_OUT: Final[Mapping[str, str]] = {
    "prompts": "the published version is what is tested",
    "providers": "the version declares its model; the stable version is the comparison",
    "targets": "the version declares its model; the stable version is the comparison",
    "outputPath": "the report goes to the report bucket",
    "sharing": "reports stay in this account",
    "commandLineOptions": "options of promptfoo's command line",
    "env": "no environment is taken from a suite",
    "tags": "tags of the file; cases carry their own",
    "metadata": "metadata of the file; cases carry their own",
    "writeLatestResults": "an option of promptfoo's command line",
    "$schema": "an editor's hint",
}
_REFUSED: Final[Mapping[str, str]] = {
    "scenarios": "write each combination as a test, or give `vars` lists of values, which are multiplied out",
    "derivedMetrics": "metrics are not computed from other metrics; use slices (`tags`)",
    "extensions": "suites are data: code is never taken from them",
    "nunjucksFilters": "suites are data: code is never taken from them",
    "redteam": "red teaming is not part of a regression suite",
    "tracing": "answers carry no trace",
    "assertScoringFunction": "suites are data: code is never taken from them",
}
_TRANSFORMS: Final = ("transform", "transformResponse", "responseTransform", "responseParser", "postprocess")
TEST_KEYS: Final = (
    "id",
    "description",
    "vars",
    "messages",
    "chat",
    "turns",
    "assert",
    "threshold",
    "metadata",
    "tags",
    "critical",
    "repeats",
    "at_least",
    "options",
)
_TEST_REFUSED: Final[Mapping[str, str]] = {
    "assertScoringFunction": "suites are data: code is never taken from them",
    "provider": "the version declares its model",
    "providers": "the version declares its model",
    "prompts": "every case is run against the published version",
    "providerOutput": "an answer that was not given by the model proves nothing",
    "vars_file": "write the path in `vars`",
}
_OPTIONS: Final = ("disableVarExpansion", "disableDefaultAsserts")
_ASSERT_REFUSED: Final[Mapping[str, str]] = {
    "provider": "the policy's judge_model and embedding_model grade",
    "transform": "suites are data: code is never taken from them",
    "contextTransform": "suites are data: code is never taken from them",
    "rubricPrompt": "the judge's instructions are fixed; put the criterion in `value`",
    "config": "registered checks take no configuration",
}
ASSERT_KEYS: Final = ("type", "value", "threshold", "weight", "metric", "assert", "$ref")


def top_level(data: Mapping[str, Json]) -> tuple[list[Problem], list[str]]:
    """(problems, notes) about the keys of the whole file."""
    problems: list[Problem] = []
    notes: list[str] = []
    for key in data:
        if key in SUITE_KEYS:
            continue
        if key in LEFT_OUT:
            notes.append(f"`{key}` is left out: {LEFT_OUT[key]}")
            problems += _changed_answers(data[key], str(key)) if key in ("providers", "targets") else []
        elif key == "evaluateOptions":
            problems += _evaluate_options(data[key], notes)
        else:
            problems.append((str(key), _complaint(key, SUITE_KEYS, _REFUSED)))
    return problems, notes


def _changed_answers(value: Json, path: str) -> Iterator[Problem]:
    """Where a provider rewrites what the model answers before it is asserted on."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, held in inner:
        at = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}"
        if key in _TRANSFORMS:
            yield (
                at,
                "changes the answer before it is asserted on, by code; here assertions see what the model answered",
            )
        else:
            yield from _changed_answers(held, at)


def _complaint(key: Json, known: Sequence[str], refused: Mapping[str, str]) -> str:
    """What is wrong with a key that is not known."""
    if key in refused:
        return f"promptfoo's `{key}` is not supported: {refused[key]}"
    return f"unknown key{did_you_mean(str(key), known)}; known are {', '.join(known)}"


def _evaluate_options(options: Json, notes: list[str]) -> Iterator[Problem]:
    if not isinstance(options, Mapping):
        yield "evaluateOptions", "must be a mapping"
        return
    for key in options:
        if key != "repeat":
            notes.append(f"`evaluateOptions.{key}` is left out: the policy's max_concurrency and retries apply")


def repeats(data: Mapping[str, Json]) -> tuple[str, Json]:
    """(path, value) of the number of repeats, ours or promptfoo's; value None when it is not given."""
    options = data.get("evaluateOptions")
    if "repeats" not in data and isinstance(options, Mapping) and "repeat" in options:
        return "evaluateOptions.repeat", options["repeat"]
    return "repeats", data.get("repeats")


def test_keys(test: Mapping[str, Json], path: str) -> Iterator[Problem]:
    """Keys of a test that are unknown, or whose meaning we could not keep."""
    for key in test:
        if key not in TEST_KEYS:
            yield f"{path}.{key}", _complaint(key, TEST_KEYS, _TEST_REFUSED)
    options = test.get("options")
    if options is None:
        return
    if not isinstance(options, Mapping):
        yield f"{path}.options", "must be a mapping"
        return
    for key in options:
        if key not in _OPTIONS:
            yield (
                f"{path}.options.{key}",
                f"promptfoo's option `{key}` is not supported; supported are {', '.join(_OPTIONS)}",
            )


def assert_keys(assertion: Mapping[str, Json], path: str) -> Iterator[Problem]:
    """Keys of an assertion that are unknown, or whose meaning we could not keep."""
    for key in assertion:
        if key not in ASSERT_KEYS:
            yield f"{path}.{key}", _complaint(key, ASSERT_KEYS, _ASSERT_REFUSED)
