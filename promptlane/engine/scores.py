"""Scores of an answer against a reference, as the papers define them that brought them up. All from 0 to 1.

Words are compared in lower case. Tokens of ROUGE are the Penn Treebank's, those of BLEU lie between spaces, as in
promptfoo.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import isfinite, sqrt
from typing import Final

from .kinds import Ungradable

MAX_ORDER: Final = 4


def rouge_1(answer: str, reference: str) -> float:
    """F1 of the words that both have, each as often as both have it (Lin 2004, "ROUGE", section 2)."""
    from nltk.tokenize import TreebankWordTokenizer

    tokenize = TreebankWordTokenizer().tokenize
    mine, theirs = Counter(tokenize(_lower(answer))), Counter(tokenize(_lower(reference)))
    both = (mine & theirs).total()
    return 2 * both / (mine.total() + theirs.total()) if both else 0.0


def bleu(answer: str, references: Sequence[str]) -> float:
    """BLEU (Papineni et al. 2002) of one sentence: orders that the answer is too short for are left out.

    Without smoothing: an order of which nothing is found leaves next to nothing.
    """
    from nltk.translate.bleu_score import sentence_bleu

    words = _lower(answer).split()
    if not words:
        return 0.0
    orders = min(MAX_ORDER, len(words))
    compared = [_lower(reference).split() for reference in references]
    return float(sentence_bleu(compared, words, [1 / orders] * orders, smoothing_function=_unsmoothed))


def _lower(text: str) -> str:
    """In lower case, and a byte order mark, which is no part of a word, as the space that it is to JavaScript."""
    return text.lower().replace("\ufeff", " ")


def _unsmoothed(precisions: Sequence[Fraction], **_: object) -> list[float]:
    """As they are, but for a logarithm of nothing."""
    return [float(precision) or sys.float_info.min for precision in precisions]


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Of the angle between two embeddings, from -1 to 1; 0 where one has no length."""
    if len(a) != len(b) or not len(a):
        raise Ungradable("the embedding model returned vectors of different lengths")
    norm = sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    found = float(sum(x * y for x, y in zip(a, b, strict=True)) / norm) if norm else 0.0
    if not isfinite(found):
        raise Ungradable("the embedding model returned vectors whose numbers are too large, or none")
    return found
