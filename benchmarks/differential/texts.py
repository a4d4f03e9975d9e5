"""Answers as models give them: sentences in several languages, JSON of all sorts, refusals, and what is odd."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any, Final

Json = Any

SENTENCES: Final = (
    "You can return unused items within 30 days of delivery.",
    "The capital of France is Paris, and the capital of Spain is Madrid.",
    "I like green apples and red cherries.",
    "Refunds take 5 to 7 working days to arrive in your account.",
    "Please hold the line while I look at order 4711-B for you!",
    "Is this what you were looking for? Tell me if it is not.",
    "The cat sat on the mat. The cat sat on the mat. The cat sat.",
    'She said: "It costs $12.50 (plus tax), doesn\'t it?"',
    "Café Müller in Zürich öffnet um 8 Uhr; die Straße ist naß.",
    "ÜBER DIE STRASSE GEHEN, BITTE",
    "El niño comió mañana una piña en la montaña.",
    "Je ne sais pas, mais l'été dernier c'était déjà ça…",
    "日本の首都は東京です。",
    "Привет, мир! Как дела?",
    "Great job 😀👍 see you at 10:30 a.m.",
    "yes",
    "No.",
    "42",
    "3.14",
    "1e21",
    "true",
    "null",
    "Step 1: open the box\nStep 2: read the note\n\nDone.",
    "name,age\nAna,31\nBo,28\n",
    "<b>Hello</b> &amp; welcome to <a href='https://example.com/a?b=c'>our shop</a>",
    "https://example.com/returns?order=4711&lang=en",
    "ana.lopez@example.com wrote on 2024-02-29 at 23:59:59Z",
    "def add(a, b):\n    return a + b",
    "SELECT name FROM users WHERE id = 7;",
    "C:\\temp\\file.txt (100%) [ok] {maybe} ^start end$ a|b *x* +1",
)
REFUSALS: Final = (
    "I'm sorry, but I can't help with that request.",
    "As an AI language model, I cannot provide medical advice.",
    "I cannot assist with that.",
    "I won't write that for you.",
    "It would not be appropriate for me to do so.",
    "I am unable to answer this question.",
    "We cannot give refunds after 30 days. You can exchange the item instead.",
    "I don't recommend the larger tent; take the small one.",
    "I'm not able to provide a discount, but here is free shipping.",
    "Sorry for the delay! Your parcel arrives tomorrow.",
)
ODD: Final = (
    "",
    " ",
    "\n",
    "  yes  ",
    "yes\n",
    "\tpadded text\t",
    "\ufeffyes",
    "a\u00a0b",
    "x" * 3_000,
    "{",
    "}{",
    "[]",
    "{}",
)
KEYS: Final = ("name", "age", "tags", "ok", "city", "price")
_LEAVES: Final[tuple[Json, ...]] = (
    *("Ana", "Bo", "Paris", "", "2024-02-29", "2024-02-30", "ana@example.com", "x1", "10.0.0.1"),
    *(0, 1, 7, 31, -2, 2.5, 1.0, 12345678901234567890, True, False, None),
)


@dataclass(frozen=True, slots=True)
class Output:
    """One answer. `calls`: (tool, arguments as JSON text); `blocked`: whether a guardrail intervened."""

    text: str
    latency_ms: int
    cost: float
    blocked: bool = False
    calls: tuple[tuple[str, str], ...] = ()


def value(draw: Random, depth: int = 2) -> Json:
    """Plain data with few keys, so that schemas meet it."""
    roll = draw.random()
    if depth and roll < 0.35:
        return {key: value(draw, depth - 1) for key in draw.sample(KEYS, draw.randint(0, 4))}
    if depth and roll < 0.5:
        return [value(draw, depth - 1) for _ in range(draw.randint(0, 3))]
    return draw.choice(_LEAVES)


def json_text(draw: Random) -> str:
    """JSON as models write it: bare, fenced, in a sentence, and not quite."""
    made = json.dumps({key: value(draw) for key in draw.sample(KEYS, draw.randint(1, 4))}, ensure_ascii=False)
    other = json.dumps(value(draw), ensure_ascii=False, indent=draw.choice((None, 2)))
    return draw.choice(
        (
            made,
            made,
            other,
            f"```json\n{made}\n```",
            f"Here it is: {made}",
            f"First {made} and then {other}.",
            f" {made}\n",
            made[:-1],
            made.replace('"', "'"),
            made.replace('"name"', "name"),
            f"{made}{made}",
            json.dumps([value(draw) for _ in range(3)]),
        )
    )


def sentence(draw: Random) -> str:
    """A sentence, or one that was changed a little."""
    text = draw.choice(SENTENCES)
    words = text.split(" ")
    return draw.choice(
        (
            text,
            text,
            text.upper(),
            text.lower(),
            f"{text} {draw.choice(SENTENCES)}",
            " ".join(words[: max(1, len(words) // 2)]),
            " ".join(draw.sample(words, len(words))),
            text.replace("e", "", 1),
            f"{draw.choice(('Sure! ', 'Well, ', '- '))}{text}",
            text.rstrip(".!?"),
            f"{text}\n",
        )
    )


def outputs(draw: Random, count: int) -> list[Output]:
    """So many different answers, every odd one and every refusal among them."""
    found = dict.fromkeys([*ODD, *REFUSALS, *SENTENCES])
    while len(found) < count - 8:
        found[json_text(draw) if draw.random() < 0.55 else sentence(draw)] = None
    texts = [*list(found)[: count - 8], *(f"Let me look: {name}" for name in ("a", "b", "c", "d", "e", "f", "g", "h"))]
    made = []
    for i, text in enumerate(texts):
        calls = _calls(draw) if i >= count - 8 else ()
        latency, cost = draw.choice((0, 80, 250, 1_000, 8_000)), draw.choice((0.0, 0.0001, 0.002, 0.05))
        made.append(Output(text, latency, cost, draw.random() < 0.2, calls))
    return made


def _calls(draw: Random) -> tuple[tuple[str, str], ...]:
    arguments = draw.choice(('{"city": "Paris"}', '{"city": 7}', "{}", '{"city": "Oslo", "days": 3}', '{"days": 0}'))
    name = draw.choice(("get_weather", "get_weather", "get_weather", "no_such_tool"))
    return ((name, arguments),) * draw.choice((1, 1, 2))


TOOLS: Final = {
    "get_weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city"],
        "additionalProperties": False,
    }
}
