"""A subset of the CloudWatch Logs Insights query language: parser and evaluator, without I/O.

Commands: `fields` (with `as`), `display`, `filter`, `parse` (glob or regular expression), `stats … by …`, `sort`,
`limit`, `dedup`; comments after `#`. Expressions: arithmetic, comparisons, `like`, `=~`, `in [...]`, and, or, not.
Functions: abs ceil floor greatest least log sqrt, coalesce isPresent isBlank isEmpty, concat replace strcontains
strlen substr tolower toupper trim, bin datefloor dateceil fromMillis toMillis. Aggregates: avg count count_distinct
earliest latest max min pct median stddev sortsFirst sortsLast sum.

Fields of a JSON message are found by dotted path (`output.usage.0.tokens`), with backticks around names that hold other
characters. Two values compare as numbers when both are numbers. A comparison with an absent field is false, `!=`
included. Everything else is an error (Malformed), never ignored."""

from .commands import run
from .syntax import Malformed
from .values import Record

__all__ = ["Malformed", "Record", "run"]
