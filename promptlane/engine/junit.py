"""The report as JUnit XML, for CI systems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

Json = Any
_FORBIDDEN: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Mapping[str, Json]) -> bytes:
    """One test case per case; a newly failing one is a failure, a missing one an error, and the verdict a case of its
    own, so that a CI job turns red exactly when the verdict is not a pass."""
    details = {d["case"]: d for shown in report["shown"].values() for d in shown}
    counts = report["counts"]
    verdict_failed = report["verdict"] != "pass"
    total = len(report["cases"]) + 1
    failures = counts["newly failing"] + verdict_failed
    name = _attribute(f"{report['prompt']} {report['candidate']}")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name={name} tests="{total}" failures="{failures}" errors="{counts["missing"]}">',
        f'<testcase classname={_attribute(report["prompt"])} name="verdict">',
    ]
    if verdict_failed:
        lines.append(f"<failure message={_attribute(report['verdict'])}>{_text(report['reason'])}</failure>")
    lines.append("</testcase>")
    for case in report["cases"]:
        detail = details.get(case["case"], {})
        classname = ".".join([report["prompt"], *detail.get("tags", [])[:1]])
        lines.append(f"<testcase classname={_attribute(classname)} name={_attribute(case['case'])}>")
        if case["change"] == "newly failing":
            side = detail.get("candidate", {})
            why = "\n".join(f"{f['type']}: {f['reason']}" for f in side.get("failed", []))
            body = f"{why}\n\n{side.get('output', '')}"
            lines.append(f'<failure message="newly failing">{_text(body)}</failure>')
        elif case["change"] == "missing":
            lines.append(f'<error message="missing">{_text(case.get("reason", ""))}</error>')
        lines.append("</testcase>")
    lines.append("</testsuite>")
    return "\n".join(lines).encode("utf-8", "replace")


def _text(value: str) -> str:
    return escape(_FORBIDDEN.sub("�", value))


def _attribute(value: str) -> str:
    return quoteattr(_FORBIDDEN.sub("�", value))
