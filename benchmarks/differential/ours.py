"""Our loader and our grader over every pair."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from promptlane.domain.errors import SuiteInvalid
from promptlane.domain.metrics import GUARDRAIL_STOP
from promptlane.domain.suite.answers import Answer, ToolCall
from promptlane.engine.assertions import Grader
from promptlane.engine.kinds import Ungradable
from promptlane.engine.parse import parse

from .texts import TOOLS, Output

Json = Any


def rows(cases: Iterable[Json], outputs: Sequence[Output]) -> tuple[list[str], list[str]]:
    """(a row for each case, what was raised that nobody should raise).

    A letter for each pair: p(ass), f(ail), m(issing), r(efused while loading), x (an error of ours).
    """
    answers = [_answer(output) for output in outputs]
    raised: list[str] = []
    return [_row(case, answers, raised) for case in cases], raised


def _row(case: Json, answers: Sequence[Answer], raised: list[str]) -> str:
    try:
        [read] = parse({"tests": [case]}).cases
    except SuiteInvalid:
        return "r" * len(answers)
    except Exception as error:  # counted, whatever it is: the loader raises SuiteInvalid alone
        raised.append(f"{json.dumps(case['assert'])}: {type(error).__name__}: {error}")
        return "x" * len(answers)
    row = ""
    for answer in answers:
        try:
            row += "p" if Grader(tools=TOOLS).case(read, answer).passed else "f"
        except Ungradable:
            row += "m"
        except Exception as error:
            raised.append(f"{json.dumps(case['assert'])} on {answer.text!r:.200}: {type(error).__name__}: {error}")
            row += "x"
    return row


def _answer(output: Output) -> Answer:
    return Answer(
        output.text,
        stop_reason=GUARDRAIL_STOP if output.blocked else "end_turn",
        latency_ms=output.latency_ms,
        cost_usd=output.cost,
        tool_calls=tuple(ToolCall(name, json.loads(arguments)) for name, arguments in output.calls),
    )
