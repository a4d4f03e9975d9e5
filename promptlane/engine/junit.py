"""Reports as JUnit XML, for CI systems, in what Jenkins, GitLab and GitHub's report actions all read.

One `testsuites` with a `testsuite` for each side that was tested. A failure has its cause in `message`, which is all
that annotations show, and the answer in its text. Times are seconds of answering.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

Json = Any
_FORBIDDEN: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MESSAGE: Final = 300
_COUNTED: Final = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def junit(report: Mapping[str, Json]) -> bytes:
    """One test case per case, and the verdict as one of its own, so that a job turns red exactly when it is no pass.

    A newly failing case is a failure, a missing one an error; one that fails in both versions is skipped, since it says
    nothing of this change, and passed it has not.
    """
    details = {d["case"]: d for shown in report["shown"].values() for d in shown}
    verdict = [] if report["verdict"] == "pass" else [_told("failure", report["verdict"], report["reason"], "verdict")]
    cases = [_case("verdict", report["prompt"], (), None, verdict)]
    for case in report["cases"]:
        detail = details.get(case["case"], {})
        side = detail.get("candidate", {})
        told = [*_outcome(case["change"], case.get("reason", ""), side, absolute=report["absolute"])]
        cases.append(_case(case["case"], report["prompt"], detail.get("tags", ()), case.get("latency_ms"), told))
    name = f"{report['prompt']} {report['candidate']}"
    return _document(report["prompt"], [_suite(name, report["at"], cases)])


def junit_of_sides(document: Mapping[str, Json], matrix: Sequence[Mapping[str, Json]]) -> bytes:
    """A suite for each side of a comparison: a case that does not pass there is a failure, whatever the others do."""
    suites = []
    for i, side in enumerate(document["sides"]):
        cases = []
        for case in matrix:
            found = case["sides"][i]
            told = []
            if found["passed"] is None:
                told = [_told("error", "missing", found["reason"], "missing")]
            elif not found["passed"]:
                told = [_failure(f"passed {found['passes']} of {found['runs']} runs", found)]
            cases.append(_case(case["case"], document["prompt"], case["tags"], found["latency_ms"], told))
        suites.append(_suite(f"{document['prompt']} {side['label']}", document["at"], cases))
    return _document(f"{document['prompt']} compared", suites)


class _Case(NamedTuple):
    """A testcase as XML; `kind` is the element that it holds, empty where it passed."""

    xml: str
    kind: str
    seconds: float


class _Suite(NamedTuple):
    xml: str
    counts: dict[str, int]
    seconds: float


def _outcome(change: str, reason: str, side: Mapping[str, Json], *, absolute: bool) -> Iterator[str]:
    if change == "newly failing":
        yield _failure("failing" if absolute else "newly failing", side)
    elif change == "missing":
        yield _told("error", "missing", reason, "missing")
    elif change == "failing in both":
        yield f"<skipped message={_attribute('fails in both versions, as before')}/>"
    elif change == "flaky" and side.get("passes") is not None:
        yield f"<system-out>{_text('passed {} of {} runs'.format(side['passes'], side['runs']))}</system-out>"


def _failure(what: str, side: Mapping[str, Json]) -> str:
    reasons = [f"{f['type']}: {f['reason']}" for f in side.get("failed", [])]
    body = "\n".join(reasons) + f"\n\n{side.get('output') or ''}"
    return _told("failure", ": ".join([what, *reasons[:1]]), body, what)


def _told(element: str, message: str, body: str, kind: str) -> str:
    said = " ".join(message[:_MESSAGE].split())
    return f"<{element} message={_attribute(said)} type={_attribute(kind)}>{_text(body)}</{element}>"


def _case(name: str, prompt: str, tags: Sequence[str], latency_ms: float | None, told: Sequence[str]) -> _Case:
    """`classname` has two parts, the prompt and its first slice: a dot within one would part it again."""
    parts = (part.replace(".", "_") for part in [prompt, *tags[:1]])
    seconds = (latency_ms or 0.0) / 1000
    head = f"<testcase classname={_attribute('.'.join(parts))} name={_attribute(name)} time={_seconds(seconds)}>"
    kind = told[0][1:].split(" ", 1)[0].split(">", 1)[0] if told else ""
    return _Case("\n".join([head, *told, "</testcase>"]), kind, seconds)


def _suite(name: str, at: float, cases: Sequence[_Case]) -> _Suite:
    counts = {"tests": len(cases)} | {
        counted: sum(case.kind == kind for case in cases) for counted, kind in _COUNTED.items()
    }
    seconds = sum(case.seconds for case in cases)
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    head = f'<testsuite name={_attribute(name)} {_said(counts)} time={_seconds(seconds)} timestamp="{when}">'
    return _Suite("\n".join([head, *(case.xml for case in cases), "</testsuite>"]), counts, seconds)


def _document(name: str, suites: Sequence[_Suite]) -> bytes:
    total = {counted: sum(suite.counts[counted] for suite in suites) for counted in ("tests", *_COUNTED)}
    seconds = sum(suite.seconds for suite in suites)
    head = f"<testsuites name={_attribute(name)} {_said(total)} time={_seconds(seconds)}>"
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', head, *(suite.xml for suite in suites), "</testsuites>"]
    return "\n".join(lines).encode("utf-8", "replace")


def _said(counts: Mapping[str, int]) -> str:
    return " ".join(f'{counted}="{count}"' for counted, count in counts.items())


def _seconds(value: float) -> str:
    return f'"{value:.3f}"'


def _text(value: str) -> str:
    return escape(_FORBIDDEN.sub("�", value))


def _attribute(value: str) -> str:
    return quoteattr(_FORBIDDEN.sub("�", value))
