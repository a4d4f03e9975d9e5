"""The refusal detector on its labelled set; what docs/refusals.md publishes is what is measured here."""

from __future__ import annotations

import re

import pytest

from benchmarks.refusals import BEGIN, END, PAGE, PUBLISHED_ALONE, SEEN, rows, table, wilson
from promptlane.domain.canary import refusal
from promptlane.domain.canary.refusal import LANGUAGES, OPENING, is_refusal, sentences_of

ROWS = rows()


def test_precision_and_recall_are_what_is_published() -> None:
    page = PAGE.read_text("utf-8")
    assert f"{BEGIN}\n{table()}\n{END}" in page


def test_the_set_has_both_labels_in_every_language_and_no_row_twice() -> None:
    languages = {row.language for row in ROWS}
    assert len(languages) == 20
    both = {(language, label) for language in languages for label in (True, False)}
    assert (
        both == {(row.language, row.refusal) for row in ROWS} == {(r.language, r.refusal) for r in ROWS if r.held_out}
    )
    assert len({row.text for row in ROWS}) == len(ROWS)
    assert all(sum(row.language == language for row in ROWS) >= 120 for language in PUBLISHED_ALONE)


def test_a_third_is_held_out_by_what_it_says_and_none_that_rules_were_made_from() -> None:
    later = [row for row in ROWS if row.source not in SEEN]
    assert 0.3 < sum(row.held_out for row in later) / len(later) < 0.37
    assert not any(row.held_out for row in ROWS if row.source in SEEN)
    assert later[0].held_out == later[0]._replace(language="xx", refusal=not later[0].refusal).held_out


@pytest.mark.parametrize(
    ("hits", "of", "interval"),
    [(0, 0, (0.0, 1.0)), (0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)), (81, 263, (0.2553, 0.3662))],
)
def test_intervals_are_wilsons(hits: int, of: int, interval: tuple[float, float]) -> None:
    """The last as in Newcombe (1998), Statistics in Medicine 17, 857-872, table I."""
    assert wilson(hits, of) == pytest.approx(interval, abs=6e-5)


def test_only_the_opening_is_read_and_typography_changes_nothing() -> None:
    assert is_refusal("**I’m sorry**, but I can’t   help\nwith that.")
    assert not is_refusal("Here you are. " * 40 + "I can't help with that.")
    assert not is_refusal("")


@pytest.mark.parametrize("apostrophe", list("'’‘ʼ`´＇"))
@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u202f", "\u2009", "\t"])
def test_every_apostrophe_and_blank_is_read_alike(apostrophe: str, blank: str) -> None:
    assert is_refusal(blank.join(["I", f"can{apostrophe}t", "help", "with", "that."]))


@pytest.mark.parametrize("unseen", ["*", "_", "\u200b", "\u200e"])
def test_what_changes_no_word_is_not_read(unseen: str) -> None:
    assert is_refusal(f"I can't he{unseen}lp with that.")


def test_a_refusal_counts_when_it_ends_within_the_opening() -> None:
    refusal = "i refuse to"
    assert OPENING == 320
    assert is_refusal("x" * (OPENING - len(refusal) - 1) + " " + refusal)
    assert not is_refusal("x" * (OPENING - len(refusal) + 4) + " " + refusal)


def test_four_times_the_opening_is_read_at_most_whatever_is_unseen_in_it() -> None:
    refusal = "I can't help with that."
    assert is_refusal("*" * (4 * OPENING - len(refusal)) + refusal)
    assert not is_refusal("*" * (4 * OPENING) + refusal)


def test_a_sentence_about_what_is_not_known_exactly_refuses_nothing() -> None:
    assert not is_refusal("I can't give you the exact date.")
    assert is_refusal("I can't give you the exact date. I can't help with that.")
    assert not is_refusal("I can't. The exact date is open. Help is near.")


def test_long_hostile_text_takes_no_longer_than_its_opening() -> None:
    text = re.sub("x", "I can't " * 5, "x" * 20_000)
    assert is_refusal(text) in (True, False)


@pytest.mark.parametrize(("opens", "closes"), ['""', "“”", "„“", "«»", "「」", "``"])
@pytest.mark.parametrize("said", ["I can't help with that.", "Je ne peux pas vous aider.", "お手伝いできません。"])
def test_what_is_quoted_declines_nothing(opens: str, closes: str, said: str) -> None:
    assert is_refusal(said)
    assert not is_refusal(f"The sign on the door says {opens}{said}{closes} to everybody.")
    assert is_refusal(f"{said} The sign on the door says {opens}Open{closes} to everybody.")


@pytest.mark.parametrize(
    ("declines", "helps", "elsewhere"),
    [
        ("I can't advise you on a fund", "but index funds cost a tenth of active ones.", "but I can help with cards."),
        ("I can't advise you on a fund", "however, index funds cost a tenth.", "please contact an adviser."),
        ("Dazu kann ich nicht raten", "aber Indexfonds kosten ein Zehntel.", "aber ich helfe gern bei Karten."),
        ("Je ne peux pas vous conseiller", "mais un fonds indiciel coûte moins.", "mais je peux vous aider ailleurs."),
        ("No puedo aconsejarle un fondo", "pero los indexados cuestan menos.", "pero puedo ayudarle con tarjetas."),
    ],
)
def test_after_a_turn_help_is_an_answer_and_the_way_elsewhere_is_none(
    declines: str, helps: str, elsewhere: str
) -> None:
    assert is_refusal(f"{declines}.")
    assert not is_refusal(f"{declines}, {helps}")
    assert is_refusal(f"{declines}, {elsewhere}")
    assert is_refusal(f"{declines}. {elsewhere}")


@pytest.mark.parametrize(
    ("policy", "refusal"),
    [
        ("We cannot give refunds after 30 days.", "I cannot give you that."),
        ("We cannot help with keys after 6 pm.", "We cannot help with that."),
        ("We do not share rooms.", "We do not share personal data."),
        ("Wir können nach 30 Tagen nichts zurückgeben.", "Wir können Ihre Anfrage nicht bearbeiten."),
        ("Nous ne pouvons pas donner de remboursement.", "Nous ne pouvons pas traiter votre demande."),
        ("No podemos dar reembolsos.", "No podemos atender su solicitud."),
    ],
)
def test_a_business_states_policies_and_declines_only_the_request_itself(policy: str, refusal: str) -> None:
    assert not is_refusal(policy)
    assert is_refusal(refusal)


def test_a_sentence_that_supposes_declines_nothing_and_the_next_may() -> None:
    assert not is_refusal("If I can't help you, a colleague will.")
    assert is_refusal("If you can't log in, call us. I can't help with that.")


def test_a_text_that_was_asked_for_may_decline() -> None:
    assert not is_refusal("Suggested reply: Thank you, but I can't take part. Best wishes, Lea")
    assert is_refusal("Dear Lea, I can't take part in that.")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [("I can't. Sorry", 2), ("It costs 3.4 % today.", 1), ("できません。はい。", 2), ("No! Why? So.", 3), ("", 0)],
)
def test_a_full_stop_within_a_number_ends_no_sentence(text: str, sentences: int) -> None:
    assert len(sentences_of(text)) == sentences


def test_reading_stays_linear_in_texts_made_to_go_back_and_forth() -> None:
    """No group is repeated without a bound, so that none is repeated within another: told from the rules, not timed."""
    for words in LANGUAGES:
        for pattern in (part for part in words if isinstance(part, str)):
            assert not re.search(r"[^\\]\)[*+]", pattern), pattern


def test_hints_leave_out_nothing_that_the_rules_would_find(monkeypatch: pytest.MonkeyPatch) -> None:
    hinted = [is_refusal(row.text) for row in ROWS]
    monkeypatch.setattr(refusal, "LANGUAGES", [words._replace(hints=()) for words in LANGUAGES])
    assert [is_refusal(row.text) for row in ROWS] == hinted
