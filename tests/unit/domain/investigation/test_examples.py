"""Which conversations are shown, and beside which others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.investigation.causes import Contrast
from promptlane.domain.investigation.examples import with_conversations
from promptlane.domain.investigation.findings import Cause, ConversationPair, Investigation, Remedy
from promptlane.domain.investigation.invocation import Invocation
from promptlane.domain.release.prompt import PromptDraft
from tests.support.investigation_case import NAME, T0
from tests.support.known_facts import facts, version

OLD, NEW = "Help {{name}}. Question: {{question}}", "Be firm with {{name}} about: {{question}}!"


def cause(metric: str) -> Cause:
    return Cause("version", "x", (), T0, 3, Contrast(metric, (60, 12), (90, 1), 20.0, 0.001))


def found(*causes: Cause, subject: Cause | None = None, old: str = OLD, new: str = NEW) -> Investigation:
    known = facts(snapshots={2: version(2, old), 3: version(3, new), 4: version(4, "Something else")})
    return Investigation(known, (), causes, (), 2, 3, (), Remedy("", ""), (), subject=subject)


def bad(name: str, question: str, *metrics: str, **changes: Any) -> Invocation:
    sent = NEW.replace("{{name}}", name).replace("{{question}}", question)
    one = Invocation(T0, "", "Converse", "m", "", sent=sent, answer="No.", bad=frozenset(metrics or ("Refusal",)))
    return replace(one, **changes)


def good(name: str, question: str, **changes: Any) -> Invocation:
    sent = OLD.replace("{{name}}", name).replace("{{question}}", question)
    return replace(Invocation(T0 - 9, "", "Converse", "m", "", sent=sent, answer="Yes."), **changes)


def asked(name: str, question: str) -> dict[str, str]:
    return {"name": name, "question": question}


def test_each_conversation_is_beside_the_most_similar_one_and_the_most_similar_pair_comes_first() -> None:
    shoes, order, parcel = (
        bad("Ada", "MY shoes hurt"),
        bad("Bob", "cancel an order now"),
        bad("Eve", "where is my parcel"),
    )
    near, exact, far = good("Ada", "my boots hurt a lot"), good("Bob", "Cancel an order NOW"), good("Cyd", "weather")

    pairs = with_conversations(found(cause("Refusal")), [shoes, parcel, order], [far, near, exact]).pairs

    assert pairs == (
        ConversationPair(order, exact, asked("Bob", "cancel an order now"), asked("Bob", "Cancel an order NOW")),
        ConversationPair(shoes, near, asked("Ada", "MY shoes hurt"), asked("Ada", "my boots hurt a lot")),
        ConversationPair(parcel, near, asked("Eve", "where is my parcel"), asked("Ada", "my boots hurt a lot")),
    )


def test_of_equally_similar_ones_the_first_is_shown() -> None:
    first, second = good("Ada", "boots"), good("Ada", "gloves")
    one, two = bad("Ada", "shoes"), bad("Ada", "hats")

    assert [(p.bad, p.good) for p in with_conversations(found(), [one, two], [first, second]).pairs] == [
        (one, first),
        (two, first),
    ]
    assert with_conversations(found(), [one], [second, first]).pairs[0].good is second
    nothing_alike = bad("Bob", "hats")
    assert with_conversations(found(), [nothing_alike], [second, first]).pairs[0].good is second


def test_alike_is_the_share_of_words_that_both_hold() -> None:
    """Three of four words beat four of nine, and all of one word beat one of two."""
    short, long = good("Ada", "a b c"), good("Ada", "a b c d e f g h")

    assert with_conversations(found(), [bad("Ada", "a b d")], [long, short]).pairs[0].good is short
    same, more = bad("", "", sent="a"), bad("", "", sent="b c d")
    both = with_conversations(found(), [more, same], [good("", "", sent="b c e"), good("", "", sent="a")])
    assert [p.bad for p in both.pairs] == [same, more]


def test_at_most_three_are_shown_and_each_question_once() -> None:
    several = [bad("Ada", f"question {n}") for n in (1, 1, 2, 3, 4)]

    shown = with_conversations(found(), several, []).pairs
    assert shown == tuple(
        ConversationPair(one, None, asked("Ada", f"question {n}"), {})
        for n, one in ((1, several[0]), (2, several[2]), (3, several[3]))
    )
    assert len(with_conversations(found(), several, [], most=9).pairs) == 4
    assert with_conversations(found(), [], [good("Ada", "x")]).pairs == ()


def test_of_a_text_that_is_not_the_templates_the_whole_text_tells() -> None:
    odd, odd_too, same = bad("", "", sent="One two"), bad("", "", sent="Two three four"), bad("", "", sent="One two")
    answered, other = good("", "", sent="three FOUR two"), good("", "", sent="one")

    assert with_conversations(found(), [odd, odd_too, same], [other, answered]).pairs == (
        ConversationPair(odd_too, answered, {}, {}),
        ConversationPair(odd, other, {}, {}),
    )


def test_words_beyond_twenty_thousand_characters_are_not_compared() -> None:
    one = bad("", "", sent=f"{'x' * 19_998} yes")
    cut, whole = good("", "", sent="y"), good("", "", sent="yes")

    assert with_conversations(found(), [one], [whole, cut]).pairs[0].good is cut


def test_a_conversation_without_words_is_like_none() -> None:
    empty, silent = bad("", "", sent=""), good("", "", sent="")

    assert with_conversations(found(), [empty], [silent]).pairs == (ConversationPair(empty, silent, {}, {}),)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (found(cause("Refusal")), ["r", "both"]),
        (found(cause("Error")), ["e", "both"]),
        (found(cause("Refusal"), subject=cause("Error")), ["e", "both"]),
        (found(cause("Slow")), []),
        (found(), ["r", "e", "both"]),
        (found(replace(cause("Error"), contrast=None)), ["r", "e", "both"]),
    ],
)
def test_what_is_shown_is_what_was_counted(answer: Investigation, shown: list[str]) -> None:
    """By the subject, else by the lead; without either, whatever went wrong."""
    metrics = {"r": ["Refusal"], "e": ["Error"], "both": ["Error", "Refusal"]}
    wrong = [bad("Ada", name, *metrics[name]) for name in metrics]
    fine = bad("Ada", "fine", bad=frozenset())

    pairs = with_conversations(answer, [fine, *wrong], []).pairs

    assert [p.bad_variables["question"] for p in pairs] == shown


def test_what_went_well_has_an_answer_that_is_known_and_not_bad() -> None:
    unfit = [
        good("Ada", "shoes", bad=frozenset({"Refusal"})),
        good("Ada", "shoes", has_text=False),
        good("Ada", "shoes", answer=""),
    ]
    fit = good("Cyd", "weather")

    assert with_conversations(found(), [bad("Ada", "shoes")], [*unfit, fit]).pairs[0].good is fit
    assert with_conversations(found(), [bad("Ada", "shoes")], unfit).pairs[0].good is None


def test_of_a_chat_the_last_message_is_what_the_user_sent() -> None:
    draft = PromptDraft(
        NAME, "m", system="Be kind to {{name}}", messages=(("assistant", "Hm"), ("user", "Q: {{question}}"))
    )
    chat = replace(found(), facts=facts(snapshots={3: replace(version(3), variants=draft.variants())}))

    pairs = with_conversations(chat, [bad("", "", sent="Q: where?")], [good("", "", sent="Q: here")]).pairs

    assert [(p.bad_variables, p.good_variables) for p in pairs] == [({"question": "where?"}, {})]


def test_of_a_version_without_any_text_nothing_is_known_of_the_variables() -> None:
    empty = replace(found(), facts=facts(snapshots={3: replace(version(3), variants=[{"name": "default"}])}))

    assert with_conversations(empty, [bad("Ada", "x")], []).pairs[0].bad_variables == {}
