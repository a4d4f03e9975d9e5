"""clients/js/src/shared.ts: the words, names and limits that both clients must have alike, written from Python's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from promptlane.client import decision, metrics, order, receipts, sent
from promptlane.domain import names
from promptlane.domain.canary import refusal, refusal_words
from promptlane.domain.metrics import told_by_calls, told_by_halves

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "clients" / "js" / "src" / "shared.ts"


def text() -> str:
    """The file as it should be."""
    values: dict[str, Any] = {
        "ROUTE_SCHEMA": decision.SCHEMA,
        "BELIEVED_AFTER": int(order.BELIEVED_AFTER),
        "MAX_VARIABLES": decision.MAX_VARIABLES,
        "OWN_METADATA": list(sent.OURS),
        "MAX_METADATA": sent.MAX_METADATA,
        "MAX_METADATA_CHARACTERS": sent.MAX_METADATA_CHARACTERS,
        "UNITS": metrics.UNITS,
        "TOLD_BY_CALLS": told_by_calls(),
        "TOLD_BY_HALVES": told_by_halves(),
        "RECEIPT_DAY": receipts.DAY,
        "RECEIPT_MAX_AGE": int(receipts.MAX_AGE),
        "RECEIPT_FRESH": int(receipts.FRESH),
        "RECEIPT_WINDOW": int(receipts.WINDOW),
        "RECEIPT_FORMAT": receipts.FORMAT,
        "RECEIPT_KEY_CONTEXT": names.RECEIPT_CONTEXT,
        "REFUSAL_OPENING": refusal.OPENING,
        "CASEFOLD": {c: c.casefold() for c in map(chr, range(0x110000)) if c.casefold() != c.lower()},
        "REFUSAL_LANGUAGES": [words._asdict() for words in refusal.LANGUAGES],
    }
    kinds = {"UNITS": "Record<string, string>", "CASEFOLD": "Record<string, string>", "REFUSAL_LANGUAGES": "Words[]"}
    lines = [
        "// Written by `python -m tests.conformance --write` from the Python client: edit it there.",
        "",
        "/** The words of one language, or of several that are near: Python's regular expressions. */",
        "export interface Words {",
        *(f"  {name}: {'string[]' if name == 'hints' else 'string'};" for name in refusal_words.Words._fields),
        "}",
        "",
    ]
    for name, value in values.items():
        kind = f": {kinds[name]}" if name in kinds else ""
        if isinstance(value, list) and name == "REFUSAL_LANGUAGES":
            rows = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in value)
            lines.append(f"export const {name}{kind} = [\n{rows},\n];")
        else:
            lines.append(f"export const {name}{kind} = {json.dumps(value, ensure_ascii=False)};")
    return "\n".join(lines) + "\n"


def write() -> None:
    SHARED.write_text(text(), encoding="utf-8")
