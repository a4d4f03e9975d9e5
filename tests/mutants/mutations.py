"""The single changes that can be made to a module: mutmut's operators, and a few for what they leave alone.

Words for people (strings with a blank in them), docstrings, annotations, Protocols, imports, decorators, calls of a log
and what only asserts (`assert`, `zip(strict=True)`) are not changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import libcst as cst
import libcst.matchers as m
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider
from mutmut.mutation import mutators

LEFT_ALONE = (cst.Annotation, cst.Import, cst.ImportFrom, cst.Decorator, cst.TypeAlias, cst.Assert)
NEVER_CALLED = {"len", "isinstance", "cast", "TypeVar", "getLogger", "Logger", "Tracer"}
DOCSTRING = m.SimpleStatementLine(body=[m.Expr(m.SimpleString())])
LOGGED = m.SimpleStatementLine(body=[m.Expr(m.Call(func=m.Attribute(value=m.Name("log"))))])
TYPING_ONLY = m.If(test=m.Name("TYPE_CHECKING") | m.Attribute(attr=m.Name("TYPE_CHECKING")))
NAMES_ALL = m.Assign(targets=[m.AssignTarget(target=m.Name("__all__") | m.Name("TYPE_CHECKING"))])
TYPE_NAMED = m.Assign(
    targets=[m.AssignTarget(target=m.Name(value=m.MatchRegex("_?[A-Z][a-z]\\w*|[A-Z]")))],
    value=m.Name() | m.Subscript() | m.BinaryOperation(operator=m.BitOr()) | m.Call(func=m.Name("TypeVar")),
)
PROTOCOL = m.ClassDef(bases=[m.ZeroOrMore(), m.Arg(value=m.Name("Protocol")), m.ZeroOrMore()])
STRICT = m.Arg(keyword=m.Name("strict"))
EXEMPT = (TYPING_ONLY, PROTOCOL, NAMES_ALL, TYPE_NAMED, DOCSTRING, LOGGED, STRICT)


@dataclass(frozen=True)
class Mutation:
    """One change: `before` stands in the statement on lines `first` to `last`, and becomes `after`.

    `place` is the function or class around it, `code` the text of its line.
    """

    file: str
    line: int
    first: int
    last: int
    place: str
    code: str
    before: str
    after: str
    source: Callable[[], str]
    """The whole module with the change."""

    @property
    def text(self) -> str:
        return f"{self.before} -> {self.after}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What the same change is called after lines have moved."""
        return self.file, self.place, self.code, self.text


def negated(node: cst.If) -> Iterator[cst.If]:
    inner = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(operator=cst.Not(), expression=inner))


def nothing_returned(node: cst.Return) -> Iterator[cst.Return]:
    if node.value is not None and not m.matches(node.value, m.Name("None")):
        yield node.with_changes(value=cst.Name("None"))


def not_done(node: cst.CSTNode) -> Iterator[cst.Pass]:
    yield cst.Pass()


def unfiltered(node: cst.CompFor) -> Iterator[cst.CompFor]:
    for i in range(len(node.ifs)):
        yield node.with_changes(ifs=[*node.ifs[:i], *node.ifs[i + 1 :]])


OPPOSITES = {"min": "max", "max": "min", "all": "any", "any": "all", "sorted": "list"}


def opposite(node: cst.Call) -> Iterator[cst.Call]:
    if isinstance(node.func, cst.Name) and node.func.value in OPPOSITES:
        kept = [a for a in node.args if node.func.value != "sorted" or a.keyword is None]
        yield node.with_changes(func=cst.Name(OPPOSITES[node.func.value]), args=kept)


def other_name(node: cst.BaseString) -> Iterator[cst.SimpleString]:
    """Names that are only strings become others; sentences stay."""
    if not isinstance(node, cst.SimpleString):
        return
    if node.prefix == "" and len(node.quote) == 1 and re.fullmatch(r"\S{2,}", node.raw_value):
        yield node.with_changes(value=f"{node.quote}XX{node.raw_value}{node.quote}")


def arguments(node: cst.Call) -> Iterator[cst.Call]:
    """Each argument as None, and keywords left out: a missing positional one is noticed by any call."""
    for i, arg in enumerate(node.args):
        if m.matches(arg, STRICT):
            continue
        if arg.star == "" and not m.matches(arg.value, m.Name("None")):
            yield node.with_changes(
                args=[*node.args[:i], arg.with_changes(value=cst.Name("None")), *node.args[i + 1 :]]
            )
        if arg.keyword is not None and len(node.args) > 1:
            yield node.with_changes(args=[*node.args[:i], *node.args[i + 1 :]])


REPLACED: dict[object, Callable[..., Iterable[cst.CSTNode]]] = {
    mutators.operator_string: other_name,
    mutators.operator_arg_removal: arguments,
}
OPERATORS: list[tuple[type, Callable[..., Iterable[cst.CSTNode]]]] = [
    *((kind, REPLACED.get(operator, operator)) for kind, operator in mutators.mutation_operators),
    (cst.If, negated),
    (cst.Return, nothing_returned),
    (cst.Raise, not_done),
    (cst.Expr, not_done),
    (cst.CompFor, unfiltered),
    (cst.Call, opposite),
]


def shortened(before: str, after: str, beside: int = 2) -> tuple[str, str]:
    """Both without the many words that they share, but for a few on either side of the difference."""
    old, new = before.split(), after.split()
    same = [a == b for a, b in zip(old, new, strict=False)]
    start = max(0, [*same, False].index(False) - beside)
    back = [a == b for a, b in zip(reversed(old), reversed(new), strict=False)]
    end = max(0, [*back, False].index(False) - beside)
    end = min(end, len(old) - start, len(new) - start)

    def cut(words: list[str]) -> str:
        kept = words[start : len(words) - end]
        return " ".join([*(["…"] if start else []), *kept, *(["…"] if end else [])])

    return cut(old), cut(new)


class _Finder(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, file: str, module: cst.Module) -> None:
        self.file, self.module = file, module
        self.lines = module.code.splitlines()
        self.found: list[Mutation] = []
        self.places: list[cst.FunctionDef | cst.ClassDef] = []
        self.statements: list[cst.SimpleStatementLine | cst.For | cst.If | cst.While | cst.With] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, LEFT_ALONE) or any(m.matches(node, kind) for kind in EXEMPT):
            return False
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in NEVER_CALLED:
            return False
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self.places.append(node)
        if isinstance(node, cst.SimpleStatementLine | cst.For | cst.If | cst.While | cst.With):
            self.statements.append(node)
        for kind, operator in OPERATORS:
            if isinstance(node, kind) and not self._is_ellipsis(node):
                for changed in operator(node):
                    self._add(node, changed)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if self.places and self.places[-1] is original_node:
            self.places.pop()
        if self.statements and self.statements[-1] is original_node:
            self.statements.pop()

    @staticmethod
    def _is_ellipsis(node: cst.CSTNode) -> bool:
        return m.matches(node, m.Expr(m.Ellipsis() | m.SimpleString()))

    def _add(self, node: cst.CSTNode, changed: cst.CSTNode) -> None:
        before, after = (" ".join(self.module.code_for_node(n).split()) for n in (node, changed))
        if isinstance(node, cst.If):  # the whole body is no news
            before, after = (" ".join(self.module.code_for_node(n.test).split()) for n in (node, changed))  # type: ignore[attr-defined]
            before, after = f"if {before}", f"if {after}"
        if before == after:
            return
        before, after = shortened(before, after)
        here = self._range(node).start.line
        whole = self.statements[-1] if self.statements else node
        self.found.append(
            Mutation(
                file=self.file,
                line=here,
                first=self._range(whole).start.line,
                last=self._last(whole),
                place=".".join(place.name.value for place in self.places),
                code=self.lines[here - 1].strip(),
                before=before,
                after=after,
                source=partial(self._source, node, changed),
            )
        )

    def _last(self, node: cst.CSTNode) -> int:
        """The last line of a statement; of one with a body, of its head."""
        body = getattr(node, "body", None)
        if isinstance(body, cst.BaseSuite):
            return max(self._range(node).start.line, self._range(body).start.line - 1)
        return self._range(node).end.line

    def _range(self, node: cst.CSTNode) -> CodeRange:
        found: CodeRange = self.get_metadata(PositionProvider, node)
        return found

    def _source(self, node: cst.CSTNode, changed: cst.CSTNode) -> str:
        replaced = self.module.deep_replace(node, changed)
        return cst.ensure_type(replaced, cst.Module).code


def mutations_of(path: Path, root: Path) -> list[Mutation]:
    """Every change that can be made to a module, in the order of its lines; each compiles."""
    wrapper = MetadataWrapper(cst.parse_module(path.read_text()))
    finder = _Finder(path.relative_to(root).as_posix(), wrapper.module)
    wrapper.visit(finder)
    return finder.found
