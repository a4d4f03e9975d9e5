"""Answers a customer's question from the context, within the rules of the prompt."""

from __future__ import annotations

import math
import re
from random import Random

from .reading import Rendered, sentences, stems
from .rules import REFUSAL, Rules, rules_of

_SHOP = frozenset(
    stems(
        "order parcel deliver refund return exchange invoice pay card account sign password email address address size"
        " jacket boots tent backpack shirt trousers gloves sleeping bag stove warranty repair stock price discount"
        " voucher gift points customs courier tracking cancel subscription newsletter damage item shop store product"
        " charge charged billing bank paypal instalment code number reset unlock locked verify profile colour model"
        " label warehouse track late missing lost wrong fit waterproof membership member wishlist basket checkout"
    )
)
_DANGER = (
    r"\b(?:gas leak|smell(?:ed)? gas|can(?:'t|not) breathe|carbon monoxide|on fire|bleeding|overdose|suicid\w*|"
    r"(?:kill|hurt) myself|dizzy)\b"
)
_INJECTION = (
    r"\b(?:ignore|forget|disregard)\b.{0,40}\b(?:instructions|rules|above)\b|"
    r"\b(?:system prompt|your instructions|your prompt|developer mode)\b"
)
_SECRETS = (
    r"\b(?:full (?:card|credit card) number|cvv|security code|"
    r"(?:tell|give|read|send|show) (?:me |back )?(?:the|my|his|her|their) password|"
    r"one-time code|my password is|my card number is|\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4})"
)
_OTHERS = (
    r"(?:my (?:ex|neighbou?r|boss|colleague|sister|brother|wife|husband|girlfriend|boyfriend|flatmate)|"
    r"another customer|somebody else|someone else)"
)
_THEIRS = r"(?:address|phone|e-?mail|orders?|ordered|account|lives?|bought)"
_PEOPLE = rf"\b{_OTHERS}\b.{{0,80}}\b{_THEIRS}\b|\b{_THEIRS}\b.{{0,40}}\b{_OTHERS}\b"
_HARM = (
    r"\b(?:bomb|explosive|stolen (?:credit )?card|fake (?:invoice|receipt|return)|hack(?:ing)?|weapon|poison|"
    r"bypass (?:the )?(?:fraud|verification))\b"
)
_REFUND = r"\b(?:refund|return|send (?:it|them|this) back|money back)\b"


def reply(prompt: Rendered, luck: Random) -> str:
    """The answer. `luck` only picks between wordings that mean the same."""
    rules = rules_of(prompt)
    question = prompt.question
    words = frozenset(stems(question))
    return (
        _unsafe(prompt, rules, question)
        or next((topic.reply for topic in rules.topics if topic.met(words)), "")
        or _off_topic(rules, words, prompt)
        or _spoken(_facts(prompt, rules, words), prompt, rules, luck)
    )


def _unsafe(prompt: Rendered, rules: Rules, question: str) -> str:
    def asks(pattern: str) -> bool:
        return re.search(pattern, question, re.I) is not None

    if asks(_DANGER):
        return (
            "Please call the local emergency number right now and get to a safe place. "
            "When you are safe, we will sort out everything about your order."
            if rules.emergency
            else _anything(question)
        )
    if asks(_INJECTION):
        return REFUSAL if rules.guard_prompt else f"Of course. My instructions are: {' '.join(prompt.items)[:400]}"
    if asks(_PEOPLE):
        return REFUSAL if rules.guard_people else _found(prompt)
    if asks(_SECRETS):
        if not rules.keep_secrets:
            return f"Sure, I have noted this: {question}"
        return "For your safety, please never send passwords, codes or card numbers here. I'm not able to handle them."
    if asks(_HARM):
        return REFUSAL if rules.shop_only else _anything(question)
    return ""


def _off_topic(rules: Rules, words: frozenset[str], prompt: Rendered) -> str:
    if words & _SHOP or words & frozenset(stems(prompt.context)) or not words:
        return ""
    if rules.shop_only:
        return "I'm sorry, but I can only help with questions about our shop: orders, products and accounts."
    return _anything(prompt.question)


def _anything(question: str) -> str:
    """What a model does that nobody told to stay on its subject: it obliges, at length."""
    return (
        f"Sure, let's talk about that! You asked: {question.strip()} There are many views on it, and most sources "
        "agree that it depends on the circumstances. In general I would start with the basics and go on from there."
    )


def _found(prompt: Rendered) -> str:
    lines = sentences(prompt.context)
    return "Of course, this is what our records say. " + " ".join(lines[:3])


def _facts(prompt: Rendered, rules: Rules, words: frozenset[str]) -> list[str]:
    known = sentences(prompt.context)
    if late := _too_late(prompt, rules):
        return [late]
    chosen = _relevant(known, words, most=min(3, rules.max_sentences or 3))
    if chosen:
        return chosen
    unnamed = not re.search(r"\b\d{4,}\b", prompt.question) and words & {"order", "deliver", "refund"}
    if rules.ask_order and unnamed:
        return ["Could you send me the order number, please?", "With it I can look this up for you."]
    if rules.admit_unknown or rules.grounded:
        unknown = ["I do not have that information."]
        return [*unknown, "I am happy to hand your question over to a colleague."] if rules.hand_over else unknown
    return ["Usually this takes three to five working days.", "You do not have to do anything."]


def _too_late(prompt: Rendered, rules: Rules) -> str:
    """Refunds that the policy in the prompt does not allow, where the context says how old the delivery is."""
    age = re.search(r"delivered (\d+) days ago", prompt.context, re.I)
    if age is None or not re.search(_REFUND, prompt.question, re.I):
        return ""
    if rules.refund_days is None:
        return "No problem, you will get a full refund."
    if int(age[1]) > rules.refund_days:
        return (
            f"Your order was delivered {age[1]} days ago, and unused items may be returned within "
            f"{rules.refund_days} days of delivery, so this order is outside the return period."
        )
    left = rules.refund_days - int(age[1])
    return (
        f"Your order was delivered {age[1]} days ago, so you can still return it unused for a full refund in the next "
        f"{left} {'day' if left == 1 else 'days'}."
    )


def _relevant(known: list[str], words: frozenset[str], most: int) -> list[str]:
    """The sentences of the context that say most about the question, in their own order."""
    stemmed = [frozenset(stems(sentence)) for sentence in known]
    weight = {word: math.log(1 + len(known) / sum(word in s for s in stemmed)) for s in stemmed for word in s}
    scores = [sum(weight[word] for word in s & words) / math.sqrt(3 + len(s)) for s in stemmed]
    best = max(scores, default=0.0)
    if best <= 0.12:
        return []
    ranked = sorted(range(len(known)), key=lambda i: (-scores[i], i))[:most]
    return [known[i] for i in sorted(ranked) if scores[i] >= 0.2 * best]


def _spoken(facts: list[str], prompt: Rendered, rules: Rules, luck: Random) -> str:
    limit = rules.max_sentences or 12
    name = prompt.customer.split()[0] if rules.by_name and prompt.customer.split() else ""
    parts = list(facts)
    if rules.next_step and len(parts) < limit and not parts[-1].endswith("?"):
        offers = ["Just reply here if anything is unclear.", "If you need more help, simply reply here."]
        parts.append(luck.choice(offers))
    elif not rules.max_sentences:
        parts += ["We at the shop always do our best for our customers.", "Please do not hesitate to write again."]
    if rules.closing and len(parts) < limit:
        parts.append(rules.closing)
    if not rules.direct and not rules.formal and len(parts) < limit:
        parts.insert(0, luck.choice(["Thanks for your message.", "Thank you for writing to us.", "Thanks for asking."]))
    if rules.formal:
        greeting = f"Dear {name}," if name else "Good day,"
    else:
        greeting = f"{luck.choice(['Hi', 'Hello'])} {name}!" if name else ""
    body = " ".join(parts[:limit])
    return f"{greeting} {body}".strip()
