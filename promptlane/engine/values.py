"""Values and thresholds of assertions as a suite writes them, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from promptlane.domain.incoming import odd_places

from .admissible import is_number, pattern_problems, schema_problems
from .assertions import Kind, any_answer_is_near, proves_nothing
from .dataset import DatasetInvalid, decode, parsed_json, parsed_yaml
from .files import not_data
from .listed import listed
from .patterns import foreign
from .suite import Read
from .templates import problems, references

Json = Any
MAX_WHOLE: Final = 1e21
"""From here on JavaScript writes numbers with an exponent."""
LEAST_POWER: Final = -6
"""Below this power of ten, too."""


class _Told(Exception):
    """What is wrong was said; nothing more can be said of this value."""


class Values:
    """Reads them. `problem` takes (path, message) of what is wrong; `read`, where files can be read, reads one."""

    def __init__(self, problem: Callable[[str, str], None], read: Read | None) -> None:
        self.problem, self.read = problem, read

    def both(self, kind: Kind, data: Mapping[str, Json], path: str) -> tuple[Json, float | None]:
        """(value, threshold) of an assertion."""
        try:
            value = self.value(kind, data.get("value"), f"{path}.value")
        except _Told:
            value = None
        threshold = self.threshold(kind, data.get("threshold"), f"{path}.threshold")
        if kind.name == "levenshtein" and isinstance(value, str) and not references(value):
            most = threshold if threshold is not None else float(kind.default or 0)
            if any_answer_is_near(value, most):
                said = f"{most:g} edits make {value[:40]!r} of any word as short, or of nothing"
                self.problem(
                    f"{path}.threshold", f"{said}; a threshold lies below the {len(value)} characters of the text"
                )
        return value, threshold

    def value(self, kind: Kind, value: Json, path: str) -> Json:
        value = self._from_files(kind, value, path)
        if kind.value in ("nothing", "ignored"):
            if value is not None and kind.value == "nothing":
                self.problem(path, f"{kind.name} takes no value")
            return None
        if value is None or (isinstance(value, str | list) and not value):
            if kind.value not in ("schema", "names"):
                self.problem(path, f"{kind.name} needs a value; without one it would prove nothing")
            return None
        self._note((path, problem) for problem in dict.fromkeys(problems(value)))
        found = getattr(self, f"_{kind.value}")(kind, value, path)
        if not references(found) and proves_nothing(kind, found):
            self.problem(path, f"{kind.name} needs a value that is not only space; without one it would prove nothing")
        return found

    def _from_files(self, kind: Kind, value: Json, path: str) -> Json:
        if isinstance(value, list):
            return [self._from_files(kind, one, f"{path}[{i}]") for i, one in enumerate(value)]
        if not isinstance(value, str) or not value.startswith("file://"):
            return value
        text = self.file_text(value, path)
        if text is None:
            raise _Told
        if kind.value in ("schema", "any") and value.rpartition(".")[2].lower() in ("json", "yaml", "yml"):
            return self._plain_data(text, value.removeprefix("file://"), path)
        return text.strip()

    def file_text(self, name: str, path: str) -> str | None:
        """Text of a file that a value names; None, and a problem, where it cannot be had."""
        relative = name.removeprefix("file://")
        if self.read is None:
            self.problem(path, f"names the file {relative!r}, but no files can be read here")
            return None
        if problem := not_data(relative):
            self.problem(path, f"{relative!r} {problem}")
            return None
        try:
            return decode(self.read(relative), relative)
        except OSError as error:
            message = f"{relative!r} cannot be read ({error.strerror or error}); paths are relative to the suite"
            self.problem(path, message)
        except DatasetInvalid as error:
            self.problem(path, str(error))
        return None

    def _plain_data(self, text: str, name: str, path: str) -> Json:
        """JSON or YAML, which all JSON is."""
        try:
            return parsed_json(text)
        except ValueError:
            pass
        try:
            return parsed_yaml(name, text)
        except DatasetInvalid as error:
            self.problem(path, str(error))
            raise _Told from None

    def _note(self, found: Iterable[tuple[str, str]]) -> None:
        for path, message in found:
            self.problem(path, message)

    def _any(self, kind: Kind, value: Json, path: str) -> Json:
        self._note(odd_places(value, path))
        return value if isinstance(value, str | list | Mapping) else text_of(value)

    def _text(self, kind: Kind, value: Json, path: str) -> Json:
        if isinstance(value, bool | int | float):
            value = text_of(value)
        if not isinstance(value, str):
            self.problem(path, f"{kind.name} takes a text, not {type(value).__name__}")
            raise _Told
        return value

    def _pattern(self, kind: Kind, value: Json, path: str) -> Json:
        """One with variables is known whole only once they are filled in, and looked at again then."""
        value = self._text(kind, value, path)
        self._note((path, problem) for problem in (foreign(value) if references(value) else pattern_problems(value)))
        return value

    def _listed(self, kind: Kind, value: Json, path: str) -> Json:
        """A text with variables is parted once they are filled in: they may hold commas."""
        if isinstance(value, str):
            if references(value):
                return value
            try:
                value = listed(value)
            except ValueError as error:
                self.problem(path, str(error))
                raise _Told from None
        return self._texts(kind, value, path)

    def _texts(self, kind: Kind, value: Json, path: str) -> Json:
        texts = value if isinstance(value, list) else [value]
        if not texts or not all(isinstance(v, str | int | float) and str(v) for v in texts):
            self.problem(path, f"{kind.name} takes a text or a list of texts, none of them empty")
            raise _Told
        return [text_of(v) for v in texts]

    def _schema(self, kind: Kind, value: Json, path: str) -> Json:
        if isinstance(value, str):
            value = self._plain_data(value, "the text", path)
        if not isinstance(value, Mapping):
            what = str(value).lower() if isinstance(value, bool) else type(value).__name__
            self.problem(path, f"{kind.name} takes a JSON Schema, a mapping in JSON or YAML, not {what}")
            raise _Told
        self._note(schema_problems(value, path))
        return value

    def _names(self, kind: Kind, value: Json, path: str) -> Json:
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(v, str) and v for v in names):
            self.problem(path, f"{kind.name} takes the name of a tool or a list of names")
            raise _Told
        return names

    def threshold(self, kind: Kind, value: Json, path: str) -> float | None:
        if value is None:
            if kind.threshold == "required":
                self.problem(path, f"{kind.name} needs a threshold, in {kind.unit}")
            return None
        if kind.threshold == "refused":
            self.problem(path, f"{kind.name} takes no threshold; it holds or it does not")
            return None
        if not is_number(value):
            self.problem(path, f"is {value!r}; a threshold is a number")
            return None
        if value < 0 or (value == 0 and not kind.zero_allowed):
            self.problem(path, f"is {value:g}, with which {kind.name} would mean nothing; give one above 0")
        elif kind.most is not None and value > kind.most:
            self.problem(path, f"is {value:g}; scores of {kind.name} end at {kind.most:g}")
        return float(value)


def text_of(value: Json) -> str:
    """A value as text: texts as they are, whole numbers without a fraction, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return _number(value)
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _number(value: float) -> str:
    """A number as JavaScript writes it, and so as promptfoo compares it: digits alone from 1e-6 up to 1e21."""
    if value.is_integer() and abs(value) < MAX_WHOLE:
        return format(Decimal(repr(value + 0.0)), "f").removesuffix(".0")
    digits, _, exponent = json.dumps(value).partition("e")
    if not exponent:
        return digits
    power = int(exponent)
    return format(Decimal(f"{digits}e{power}"), "f") if LEAST_POWER <= power < 0 else f"{digits}e{power:+d}"


def is_multiplied(value: Json) -> bool:
    """Whether a variable makes a case of each of its values: a list of messages, say, is one value."""
    return isinstance(value, list) and not any(isinstance(one, Mapping) for one in value)
