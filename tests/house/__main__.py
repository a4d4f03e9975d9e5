"""`make house`: the order of the code in one table. Exits 1 if a rule is broken, and says which in red.

`--broken` prints nothing but broken rules: `make lint`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from tests.house.report import Row, rows

ROOT = Path(__file__).resolve().parents[2]


def table(found: Iterable[Row], *, coloured: bool) -> str:
    lines = [f"{'':<48}{'count':>7}{'at most':>9}"]
    for row in found:
        most = "" if row.allowed is None else str(row.allowed)
        line = f"{row.what:<48}{row.count:>7}{most:>9}{'  broken' if row.broken else ''}".rstrip()
        lines.append(f"\033[31m{line}\033[0m" if row.broken and coloured else line)
        lines += [f"    {detail}" for detail in row.details]
    return "\n".join(lines)


def main() -> int:
    found = rows(ROOT)
    broken = [row for row in found if row.broken]
    shown = broken if sys.argv[1:] == ["--broken"] else found
    if shown:
        print(table(shown, coloured=sys.stdout.isatty()))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
