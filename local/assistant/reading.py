"""Takes a rendered prompt apart: what is instruction, what is data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

QUESTION = ("question", "ticket", "message", "query", "request", "input")
CONTEXT = ("context", "retrieved_context", "facts", "documents", "knowledge")
CUSTOMER = ("customer", "customer_name", "name", "user")

_DATA = "|".join((*QUESTION, *CONTEXT, *CUSTOMER, "channel"))
_TAG = re.compile(rf"<({_DATA})>(.*)</\1>", re.S)
_LABEL = re.compile(rf"^({_DATA})[ ]?:[ \t]*(.*?)(?=^(?:{_DATA})[ ]?:|\Z)", re.S | re.M | re.I)
_MARKER = re.compile(r"<!--\s*assistant:(.*?)-->", re.S)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


@dataclass(frozen=True)
class Rendered:
    """A prompt as the assistant understands it. `items`: one instruction each, in order, on one line."""

    items: tuple[str, ...]
    fields: dict[str, str] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=dict)

    @property
    def instructions(self) -> str:
        return "\n".join(self.items)

    @property
    def question(self) -> str:
        return self._first(QUESTION)

    @property
    def context(self) -> str:
        return self._first(CONTEXT)

    @property
    def customer(self) -> str:
        return self._first(CUSTOMER)

    def _first(self, names: tuple[str, ...]) -> str:
        return next((self.fields[name] for name in names if name in self.fields), "")


def read(system: str, messages: list[dict[str, str]]) -> Rendered:
    """Instructions and data of a call. Text without marked data is instruction, but for what the user said last.

    What the user says after a marked question is the question of now: the conversation went on.
    """
    users = [message["text"] for message in messages if message["role"] == "user"]
    marked = [i for i, said in enumerate(users) if any(name in _data(said)[1] for name in QUESTION)]
    said_since = users[marked[-1] + 1 :] if marked else []
    users = users[: marked[-1] + 1] if marked else users
    text = "\n\n".join([system, *users])
    settings = {k: v for marker in _MARKER.findall(text) for k, v in _settings(marker)}
    rest, fields = _data(_MARKER.sub("", text))
    if not any(name in fields for name in QUESTION):
        head, last = ("\n\n".join([system, *users[:-1]]), users[-1]) if users else (system, "")
        if not head.strip() and "\n\n" in last.strip():
            head, last = last.strip().rsplit("\n\n", 1)
        rest, fields = _data(_MARKER.sub("", head))
        fields["question"] = last.strip()
    if said_since and said_since[-1].strip():
        fields = {name: held for name, held in fields.items() if name not in QUESTION}
        fields["question"] = said_since[-1].strip()
    return Rendered(tuple(_items(rest)), fields, settings)


def _data(text: str) -> tuple[str, dict[str, str]]:
    fields: dict[str, str] = {}

    def keep(match: re.Match[str]) -> str:
        fields.setdefault(match[1].lower(), match[2].strip())
        return "\n"

    # Question first: tags that a customer wrote into it are part of the question.
    for name in (*QUESTION, *CONTEXT, *CUSTOMER):
        text = re.sub(rf"<({name})>(.*)</\1>", keep, text, count=1, flags=re.S)
    text = _TAG.sub(keep, text)
    return _LABEL.sub(keep, text), fields


def _settings(marker: str) -> list[tuple[str, float]]:
    return [(name, float(value)) for name, value in re.findall(r"(error_rate|latency_ms)\s*=\s*([0-9.]+)", marker)]


def _items(text: str) -> list[str]:
    items: list[str] = []
    open_item = False
    for raw in text.splitlines():
        stripped = _BULLET.sub("", raw).strip()
        if not stripped:
            open_item = False
        elif open_item and not _BULLET.match(raw):
            items[-1] += " " + stripped
        else:
            items.append(stripped)
            open_item = True
    return items


def sentences(text: str) -> list[str]:
    """Sentences and lines of a text, without bullets."""
    lines = (_BULLET.sub("", line).strip() for line in text.splitlines())
    return [s.strip() for line in lines for s in re.split(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])", line) if s.strip()]


_STOP = frozenset(
    re.findall(
        r"\S+",
        "a about after all also am an and any are as at be been before but by can can't cannot could d did do "
        "does doing don't for from get got had has have he her hers him his how i i'd i'll i'm i've if in "
        "into is it its just know ll may me might more my need no not now of on one only or our out please re "
        "s say should so some still t tell than thank thanks that the their them then there these they this "
        "those to too until up us ve very want was we were what when where which while who why will with "
        "would yes yet you your yours hello hi hey long much many ",
    )
)
_ALIKE = {
    "refund": "money reimburse reimbursement",
    "deliver": "package packet parcel delivery shipment ship shipping arrive arrival come came sent send",
    "sign": "login log logged signin",
    "price": "cost",
    "cancel": "cancellation",
    "order": "bought purchase buy",
    "pay": "paid payment pay",
    "invoice": "invoices bill receipt",
    "email": "mail e-mail",
    "damage": "broken torn ripped broke",
    "forget": "forgot forgotten",
    "exchange": "exchange swap",
    "twice": "twice double",
    "track": "track whereabouts",
    "voucher": "voucher coupon",
}
"""Words that mean the same to a customer, by the stem that stands for them."""
_SAME = {word: stem for stem, words in _ALIKE.items() for word in words.split()}


def stems(text: str) -> list[str]:
    """Content words of a text in a rough normal form, so that `refunds` meets `refunded`."""
    return [_stem(word) for word in re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", text.lower()) if word not in _STOP]


def _stem(word: str) -> str:
    if word in _SAME:
        return _SAME[word]
    for ending, least in (("ing", 6), ("ied", 5), ("ies", 5), ("ed", 5), ("es", 6), ("s", 4), ("e", 5), ("y", 6)):
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    return _SAME.get(word, word)
