"""Tells from its text whether an answer declines the request, in twenty languages.

A refusal is an answer that declines to do what was asked for and says so: "I'm sorry, but I can't help with that."
An answer that regrets and then helps, that says what a business does not do, that quotes somebody who declines, or that
cannot say one thing and says another is none. Only the opening is read, since that is where a refusal stands.

Three questions, in this order (the words of each language are in `refusal_words`):

1. Who declines? The assistant, in the first person ("I can't", "I'd rather not", "beyond my abilities"); a business
   ("we cannot") only where it turns down the request itself or keeps other people's data, not where it states a policy.
2. What of? Not what somebody is quoted with, not what is only supposed ("if I can't …"), not what bounds a service
   ("until", "more than"), not what is merely not known or not seen.
3. What follows? After a turn ("but", "however", a semicolon) comes help, or only the way to somebody else.

docs/refusals.md publishes precision and recall on the labelled set in tests/data/refusals.tsv.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final
from unicodedata import normalize

from .refusal_words import MOST, Words
from .refusal_words_more import MORE

OPENING: Final = 320
"""How many characters of the answer are read."""
LANGUAGES: Final = (*MOST, *MORE)
_HELP: Final = 12
"""Characters after a turn that are more than a courtesy."""

_APOSTROPHES: Final = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'"})
"""Before NFKC, which makes a blank and an accent of `´`; it makes a blank of every other kind of blank."""
_PUNCTUATION: Final = str.maketrans(dict.fromkeys(".,;:!?…()¡¿", " "))
_UNSEEN: Final = re.compile("[*_\u064b-\u0652\u200b-\u200f]")
"""Markdown's emphasis, Arabic vowel signs and zero-width characters: they change no word."""
_CODE: Final = re.compile(r"```.{0,600}?(?:```|$)|`[^`\n]{2,200}`|^ {0,3}>[^\n]*", re.DOTALL | re.MULTILINE)
_QUOTED: Final = re.compile(
    '"[^"]{1,200}"|“[^”“]{1,200}[”“]|„[^“”„]{1,200}[“”]|«[^»]{1,200}»|「[^」]{1,100}」|『[^』]{1,100}』'
)
"""What somebody else says, or what a text is to say."""
_PARAGRAPH: Final = re.compile(r"(?<=[^\s.!?:。！？।])[ \t]*\n[ \t]*\n\s*")
_SENTENCE: Final = re.compile(r"[^.!?。！？।]+(?:[.!?]+(?=[^\s.!?。！？।'\")])[^.!?。！？।]*)*[.!?。！？।]*")
"""A full stop within a word or a number ends none, but CJK's do."""


def is_refusal(text: str) -> bool:
    """Whether the answer's opening declines the request. Empty text is no refusal: nothing was said."""
    opening = _opening(text)
    spaced = f" {opening.translate(_PUNCTUATION)} "
    return any(_may_be(words, spaced) and _declines(opening, words) for words in LANGUAGES)


def _may_be(words: Words, spaced: str) -> bool:
    """Whether the rules of a language can find anything: they are compiled when they first can."""
    if words.hints:
        return any(hint in spaced for hint in words.hints)
    return _pattern(words.letter).search(spaced) is not None


def _opening(text: str) -> str:
    """What is read: in small letters, of one kind of blank and apostrophe, without code and quotations."""
    start = text[: OPENING * 4]
    start = _PARAGRAPH.sub(". ", _CODE.sub(" … ", start))
    start = _UNSEEN.sub("", normalize("NFKC", start.translate(_APOSTROPHES)).casefold())
    start = " ".join(start.split())[:OPENING]
    said = _QUOTED.sub(" … ", start)
    return said if any(c.isalpha() for c in said) else start


def _declines(opening: str, words: Words) -> bool:
    if not _pattern(words.declines).search(opening):
        return _pattern(words.nothing_but).fullmatch(opening.strip(" .!…")) is not None
    if _pattern(words.delivers).search(opening):
        return False
    sentences = sentences_of(opening)
    for at, sentence in enumerate(sentences):
        match = _pattern(words.declines).search(sentence)
        if match is None or _pattern(words.not_meant).search(sentence):
            continue
        if match.lastgroup == "policy" and _pattern(words.bounds).search(sentence):
            continue
        if not _helps(sentence[match.end() :], sentences[at + 1 :], words):
            return True
    return False


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, in order, with what ends them."""
    return [m[0].strip() for m in _SENTENCE.finditer(text)]


def _helps(rest: str, following: list[str], words: Words) -> bool:
    """Whether what comes after the words that decline turns to an answer."""
    turn = _pattern(words.turns).search(rest)
    if turn is not None and _answers(rest[turn.end() :] + " " + " ".join(following), words):
        return True
    for sentence in following[:2]:
        begins = _pattern(words.begins).match(sentence)
        if begins is not None and _answers(sentence[begins.end() :], words):
            return True
    return False


def _answers(said: str, words: Words) -> bool:
    """Whether this says something of the matter: not where else to ask, what else one could do, or no again."""
    first = said.strip(" ,.;:–—-")
    if len(first) < _HELP:
        return False
    start = first[:70]
    return not (_pattern(words.elsewhere).search(start) or _pattern(words.declines).search(start))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compiled when an answer first needs it: a language unseen costs nothing."""
    return re.compile(text)
