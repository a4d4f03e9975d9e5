"""Data as YAML that `document` reads back as it was, and that a person likes to read."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from .document import CORE_SCALARS

Json = Any
WIDTH: Final = 120
_BREAKS: Final = re.compile("[\r\x85\u2028\u2029\ufeff]")
"""What YAML takes for the end of a line, or passes over, unless it is escaped."""


def yaml_text(data: Json) -> str:
    """Keys in their order, texts of several lines as blocks, nothing by alias; the same text every time."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would take for something else than a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style: str | None
    style = '"' if _BREAKS.search(text) else "|" if "\n" in text.strip("\n") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
for _tag, (_pattern, _first) in CORE_SCALARS.items():
    _firsts = [*_first, ""] if _tag == "null" else list(_first)
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}-core", re.compile(_pattern), _firsts)
