"""Precision and recall of the refusal detector, by language, on the labelled set; writes docs/refusals.md's table.

A third of what was collected is held out by a hash of the text: no rule was corrected for it. Intervals are Wilson's,
at 95 %.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from promptlane.domain.canary.refusal import is_refusal

ROOT = Path(__file__).resolve().parents[1]
SET = ROOT / "tests/data/refusals.tsv"
PAGE = ROOT / "docs/refusals.md"
BEGIN, END = "<!-- refusals measured: begin (make bench-refusals writes it) -->", "<!-- refusals measured: end -->"
SEEN = ("first set", "probe")
"""Sources of rows that rules were corrected by: there before them, or written while they were made."""
PUBLISHED_ALONE = ("en", "de", "fr", "es")
"""Languages with enough held-out rows for a figure of their own that says something."""
_Z = 1.959964


class Row(NamedTuple):
    """One labelled answer. `refusal`: whether people say that it declines; `source`: what kind of answer it is."""

    language: str
    refusal: bool
    domain: str
    source: str
    text: str

    @property
    def held_out(self) -> bool:
        """Whether rules may not be corrected for it: a third, by hash; none of those that they were."""
        return self.source not in SEEN and sha256(self.text.encode()).digest()[0] % 3 == 0


class Found(NamedTuple):
    """What the detector makes of some rows."""

    rows: int
    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed)


def rows() -> list[Row]:
    """The labelled set; `\\n` in a text stands for a line's end."""
    found = []
    for line in SET.read_text("utf-8").splitlines()[1:]:
        language, refusal, domain, source, text = line.split("\t")
        found.append(Row(language, refusal == "true", domain, source, text.replace("\\n", "\n")))
    return found


def measure(these: Iterable[Row], detect: Callable[[str], bool] = is_refusal) -> Found:
    """Counts of the rows, and of refusals found, wrongly found and missed."""
    counts = Counter((row.refusal, detect(row.text)) for row in these)
    return Found(sum(counts.values()), counts[True, True], counts[False, True], counts[True, False])


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (Wilson 1927): it stays within 0 and 1, also where all or none hit."""
    if not of:
        return 0.0, 1.0
    p, z2 = hits / of, _Z * _Z
    middle, half = p + z2 / (2 * of), _Z * sqrt(p * (1 - p) / of + z2 / (4 * of * of))
    return max(0.0, (middle - half) / (1 + z2 / of)), min(1.0, (middle + half) / (1 + z2 / of))


def _share(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{hits / of:.3f} ({low:.2f} to {high:.2f})" if of else "none"


def table() -> str:
    """The table of docs/refusals.md."""
    labelled = rows()
    held = [row for row in labelled if row.held_out]
    parts = [(f"held out, {lang}", [r for r in held if r.language == lang]) for lang in PUBLISHED_ALONE]
    parts += [
        ("held out, the other sixteen", [r for r in held if r.language not in PUBLISHED_ALONE]),
        ("held out, all", held),
        ("used for the rules", [r for r in labelled if not r.held_out]),
    ]
    lines = ["| part of the set | rows | refusals | precision | recall |", "|---|---|---|---|---|"]
    for name, these in parts:
        found = measure(these)
        hits, refusals = found.right, found.right + found.missed
        lines.append(
            f"| {name} | {found.rows} | {refusals} | {_share(hits, hits + found.wrong)} | {_share(hits, refusals)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table and write it into the page; `--look` prints what is wrong in the part used for the rules."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--look", metavar="LANGUAGE", help="show rows of this language that are judged wrongly")
    language = parser.parse_args().look
    if language:
        for row in rows():
            if row.language == language and not row.held_out and is_refusal(row.text) != row.refusal:
                print("missed " if row.refusal else "wrongly", row.text)
        return
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}", "utf-8")
    print(table())


if __name__ == "__main__":
    main()
