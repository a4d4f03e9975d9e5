"""Answers with the JSON object that a prompt describes: its keys, its allowed values, its rules for them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from .reading import Rendered, sentences

_KEY = re.compile(r"^[`\"]?([a-z][a-z0-9_]*)[`\"]?\s*(?:\([^)]*\))?:\s+(.+)$")
_ONE_OF = re.compile(r"\bone of ([a-z_ ,]+(?:or [a-z_]+)?)", re.I)

_CATEGORY = {
    "refund": (
        r"refund|money back|return(?:ed|ing)? (?:it|them|the)|send (?:it|them) back|reimburs|erstatt|"
        r"rückgabe|rembours"
    ),
    "account": r"account|log ?in|sign in|password|locked|two-factor|e-?mail address|konto|compte|mot de passe",
    "billing": r"charged?|invoice|bill(?:ed|ing)?|payment|paid twice|vat|credit card|rechnung|facture",
    "shipping": r"parcel|deliver|shipp|tracking|courier|arriv|lieferung|paket|colis|livraison|customs",
    "product": (
        r"size|fit|waterproof|zip|seam|colour|warranty|instructions for|broke|tore|stove|tent|jacket|"
        r"boots|größe|taille"
    ),
}
_CUES = {
    "hurt": r"hurt|injur|burn(?:ed|t)|hospital|bleeding|dizzy|gas|verletzt|blessé",
    "danger": r"danger|gas|fire|burn(?:ed|t)",
    "taken over": (
        r"taken over|hacked|somebody (?:else )?(?:changed|logged|is using)|not me|"
        r"someone (?:else )?(?:changed|logged|ordered)"
    ),
    "did not spend": (
        r"did not (?:order|buy|authori[sz]e|make)|didn't (?:order|buy|authori[sz]e|make)|unauthori[sz]ed|"
        r"never ordered"
    ),
    "lost": r"lost|never (?:arrived|came)|nothing (?:arrived|came)|missing parcel",
    "damaged": r"damaged|broken|broke|torn|tore|ripped|cracked|leak|kaputt|beschädigt",
    "week late": (
        r"(?:two|three|2|3|four) weeks? (?:late|ago)|(?:since|for) (?:two|three|2|3) weeks|"
        r"more than a week|zwei wochen"
    ),
    "second time": r"second (?:time|message|email)|again\b|third (?:time|message)|still no (?:answer|reply)",
    "praise": r"love|great|thank you|wonderful|fantastic|well done",
    "suggestion": r"suggest|would be nice|idea|you could",
    "general question": r"^(?:do|does|is|are|which|what|how|can) .*\?$",
    "legal action": r"lawyer|legal action|sue\b|court|anwalt|consumer protection",
}
_LANGUAGES = {
    "de": r"\b(?:ich|nicht|und|der|die|das|mein|meine|habe|bitte|wurde|ist)\b",
    "fr": r"\b(?:je|pas|et|le|la|mon|ma|est|vous|bonjour|une|n'ai)\b",
    "es": r"\b(?:yo|no|el|mi|está|pedido|hola|por|una|gracias)\b",
    "en": r"\b(?:i|not|and|the|my|is|please|was|have|you)\b",
}
_INJECTION = re.compile(
    r"\b(?:ignore|forget|disregard)\b.{0,60}?\b(?:reply|answer|respond|say|print|output)\s+(?:only\s+)?(?:with\s+)?[\"']?([^\"'.!\n]+)",
    re.I | re.S,
)


def wanted(prompt: Rendered) -> bool:
    """Whether the instructions ask for JSON."""
    return re.search(r"\bJSON\b", prompt.instructions) is not None


def reply(prompt: Rendered) -> str:
    """The object as text; in a fence and with chatter around it unless the prompt forbids both."""
    text = prompt.instructions
    ticket = prompt.question
    protected = re.search(r"\b(?:data, not instructions|never follow|whatever it (?:asks|says))\b", text, re.I)
    if not protected and (injected := _INJECTION.search(ticket)):
        return injected[1].strip()
    body = json.dumps(_object(prompt, ticket), ensure_ascii=False)
    if re.search(r"\bnothing else\b|\bonly\b[^.]{0,30}\bJSON\b|\bno code fence\b", text, re.I):
        return body
    return f"Here is the result:\n```json\n{body}\n```\nLet me know if you need anything else."


def _object(prompt: Rendered, ticket: str) -> dict[str, Any]:
    described = [(m[1], m[2]) for item in prompt.items if (m := _KEY.match(item))]
    allowed = {key: _values(rest) for key, rest in described if _ONE_OF.search(rest)}
    values = {value for options in allowed.values() for value in options}
    meaning = {key: rest for key, rest in described if key in values}
    keys = [(key, rest) for key, rest in described if key not in values]
    found: dict[str, Any] = {}
    for key, rest in keys:
        found[key] = _value(key, rest, allowed.get(key, []), meaning, ticket, found, prompt.instructions)
    return found


def _values(rest: str) -> list[str]:
    match = _ONE_OF.search(rest)
    return [v.strip() for v in re.split(r",|\bor\b", match[1]) if v.strip()] if match else []


def _value(
    key: str, rest: str, options: list[str], meaning: dict[str, str], ticket: str, found: dict[str, Any], text: str
) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "priority": lambda: _priority(options, meaning, ticket),
        "language": lambda: _language(ticket),
        "needs_human": lambda: _needs_human(text, ticket, found),
        "summary": lambda: _summary(rest, ticket),
    }
    if key in makers:
        return makers[key]()
    if "order" in key:
        number = re.search(r"\b(?:order|bestellung|commande|pedido|#)\D{0,12}(\d{4,10})\b", ticket, re.I)
        return number[1] if number else None
    if options:
        return _category(options, ticket)
    return False if re.search(r"\btrue\b", rest) else None


def _hits(pattern: str, ticket: str) -> int:
    """How often the ticket holds words that begin like the pattern."""
    return len(re.findall(rf"\b(?:{pattern})", ticket, re.I))


def _category(options: list[str], ticket: str) -> str:
    scores = {o: _hits(_CATEGORY[o], ticket) for o in options if o in _CATEGORY}
    best = max(scores, key=lambda o: scores[o], default="")
    if best and scores[best]:
        return best
    return "other" if "other" in options else options[-1]


def _priority(options: list[str], meaning: dict[str, str], ticket: str) -> str:
    """The first value, most pressing first, whose description names something that the ticket shows."""
    for value in ("urgent", "high", "low"):
        rest = meaning.get(value, "")
        if value in options and any(cue in rest and _hits(_CUES[cue], ticket) for cue in _CUES):
            return value
    return "normal" if "normal" in options else options[0]


def _needs_human(text: str, ticket: str, found: dict[str, Any]) -> bool:
    rule = re.search(r"needs_human to true for ([^.]+)", text)
    if rule is None:
        return False
    legal = "legal action" in rule[1] and _hits(_CUES["legal action"], ticket)
    return bool(legal) or str(found.get("priority", "?")) in re.findall(r"[a-z]+", rule[1])


def _language(ticket: str) -> str:
    scores = {code: len(re.findall(pattern, ticket, re.I)) for code, pattern in _LANGUAGES.items()}
    return max(scores, key=lambda code: (scores[code], code == "en"))


def _summary(rest: str, ticket: str) -> str:
    limit = re.search(r"at most (\d+) words", rest)
    first = (sentences(ticket) or [""])[0].split()
    return " ".join(first[: int(limit[1]) if limit else 60])
