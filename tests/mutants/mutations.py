"""The single changes that can be made to a module: mutmut's operators, and a few for what they leave alone.

Words for people (strings with a blank in them), docstrings, annotations, imports, decorators and calls of a log are
not changed.
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
NAMES_ALL = m.Assign(targets=[m.AssignTarget(target=m.Name("__all__"))])
TYPE_NAMED = m.Assign(
    targets=[m.AssignTarget(target=m.Name(value=m.MatchRegex("_?[A-Z][a-z]\\w*|[A-Z]")))],
    value=m.Name() | m.Subscript() | m.BinaryOperation(operator=m.BitOr()),
)
EXEMPT = (TYPING_ONLY, NAMES_ALL, TYPE_NAMED, DOCSTRING, LOGGED)


@dataclass(frozen=True)
class Mutation:
    """One change: `before` stands on lines `first` to `last` of `file`, inside `place`, and becomes `after`."""

    file: str
    line: int
    first: int
    last: int
    place: str
    before: str
    after: str
    source: Callable[[], str]
    """The whole module with the change."""

    @property
    def text(self) -> str:
        return f"{self.before} -> {self.after}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What the same change is called after lines have moved."""
        return self.file, self.place, self.text


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


class _Finder(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, file: str, module: cst.Module) -> None:
        self.file, self.module = file, module
        self.found: list[Mutation] = []
        self.places: list[str] = []
        self.statements: list[CodeRange] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, LEFT_ALONE) or any(m.matches(node, kind) for kind in EXEMPT):
            return False
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in NEVER_CALLED:
            return False
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self.places.append(node.name.value)
        if isinstance(node, cst.SimpleStatementLine):
            self.statements.append(self.get_metadata(PositionProvider, node))
        for kind, operator in OPERATORS:
            if isinstance(node, kind) and not self._is_ellipsis(node):
                for changed in operator(node):
                    self._add(node, changed)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef):
            self.places.pop()
        if isinstance(original_node, cst.SimpleStatementLine) and self.statements:
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
        here = self.get_metadata(PositionProvider, node).start.line
        whole = self.statements[-1] if self.statements else None
        self.found.append(
            Mutation(
                file=self.file,
                line=here,
                first=whole.start.line if whole else here,
                last=whole.end.line if whole else here,
                place=".".join(self.places),
                before=before,
                after=after,
                source=partial(self._source, node, changed),
            )
        )

    def _source(self, node: cst.CSTNode, changed: cst.CSTNode) -> str:
        replaced = self.module.deep_replace(node, changed)
        return cst.ensure_type(replaced, cst.Module).code


def mutations_of(path: Path, root: Path) -> list[Mutation]:
    """Every change that can be made to a module, in the order of its lines; each compiles."""
    wrapper = MetadataWrapper(cst.parse_module(path.read_text()))
    finder = _Finder(path.relative_to(root).as_posix(), wrapper.module)
    wrapper.visit(finder)
    return finder.found
