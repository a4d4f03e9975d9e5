"""How commands end: what keeps one from its end is told in a paragraph, and by an exit code that means it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from promptlane.domain.errors import PromptlaneError

from . import arguments
from .session import Session

_GIVEN = "promptlane.given"
_TESTS = frozenset({"test", "agreement"})
"""Commands whose exit codes 1 and 2 are findings: whatever kept them from finding anything is 3."""
COULD_NOT = 3


class Group(TyperGroup):
    """Turns errors that we raise on purpose into one clear paragraph and exit code 1, or 3 where 1 is a finding."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_GIVEN] = tuple(args)  # checked when the command is invoked, so that a mistake is told as any other
        with _wrong_usage(ctx):
            parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def invoke(self, ctx: Any) -> Any:
        session = ctx.obj = ctx.obj or Session()
        session.settings["outlives_pipe"] = _finds(ctx)
        try:
            arguments.check_text(ctx.meta.get(_GIVEN, ()))
            with _wrong_usage(ctx):
                return super().invoke(ctx)
        except PromptlaneError as error:
            _report(error, as_json=bool(session.settings.get("json")))
            raise typer.Exit(COULD_NOT if _finds(ctx) else 1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (typer.TyperException, typer.Exit, typer.Abort):
            raise
        except Exception:
            if not _finds(ctx):
                raise
            import traceback

            traceback.print_exc()  # a defect of ours, which is no finding about the prompt
            raise typer.Exit(COULD_NOT) from None


def _finds(ctx: Any) -> bool:
    """Whether the command that was typed is one of _TESTS; options of the root take no values."""
    command = next((text for text in ctx.meta.get(_GIVEN, ()) if not text.startswith("-")), "")
    return command in _TESTS


@contextmanager
def _wrong_usage(ctx: Any) -> Iterator[None]:
    try:
        yield
    except typer.TyperException as error:
        if _finds(ctx):
            error.exit_code = COULD_NOT
        raise


def _report(error: PromptlaneError, *, as_json: bool) -> None:
    from . import terminal

    if as_json:
        body: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
        if problems := getattr(error, "problems", None):
            body["problems"] = [str(p) if not isinstance(p, tuple) else ": ".join(p) for p in problems]
        sys.stdout.write(terminal.as_json({"error": body}) + "\n")
        return
    says = terminal.bold("{} ", type(error).__name__, style="bold red").append(str(error))
    terminal.Terminal(stderr=True).print(says)
