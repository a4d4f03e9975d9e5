"""The fields that the state machine passes on, against what its functions read and answer."""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from functions.admit import handler as admit
from functions.promote import handler as promote
from functions.roll_back import handler as roll_back
from functions.shift import handler as shift
from functions.wind_up import handler as wind_up
from infra.constructs.workflow import DEFINITION
from promptlane.domain.canary.judge import Action
from promptlane.domain.errors import PromptlaneError
from promptlane.domain.names import Outcome, Phase
from promptlane.lifecycle import judge_step as look
from promptlane.lifecycle import test_round as stages
from promptlane.lifecycle.shift import Moved
from tests.support.review import UnderReview
from tests.support.synthesized import Json, Synthesized

MACHINE = json.loads(DEFINITION.read_text())
ANSWERING = {
    "Admit": admit.handle,
    "PlanTests": stages.Planner.plan,
    "RunCases": stages.BatchRunner.run,
    "Grade": stages.grade,
    "Shift": shift.handle,
    "Judge": look.Look.to_dict,
    "JudgeWatch": look.Look.to_dict,
    "Promote": promote.handle,
    "RollBack": roll_back._answer,
    "WindUp": wind_up.handle,
}
"""What makes the answer of each task that is answered at once."""


OFTEN_CALLED = {
    "wind_up": {"release_id", "outcome", "reason"},
    "roll_back": {"release_id", "prompt", "cause", "reason", "evidence"},
    "judge": {"release_id", "phase", "step", "asked"},
}
"""Functions that others call too, with other fields, or that do without one; and what the machine gives them."""


def states(machine: Json) -> Iterator[tuple[str, Json]]:
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


STATES = dict(states(MACHINE))
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}


def expressions(value: Json) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("{%"):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from expressions(part)


def fields(value: Json, of: str) -> set[str]:
    """The names behind `<of>.` in all expressions of a value."""
    return {name for text in expressions(value) for name in re.findall(rf"\{of}\.(\w+)", text)}


def answered(function: Any) -> set[str]:
    """The keys of every dictionary that a function returns."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    returned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    sets = [{str(k.value) for k in d.keys if isinstance(k, ast.Constant)} for d in returned if isinstance(d, ast.Dict)]
    assert sets, f"{function} returns no dictionary"
    return set.intersection(*sets)


def verb(task: Json) -> str:
    (name,) = re.findall(r"\$\{(\w+)FunctionArn\}", task["Arguments"]["FunctionName"])
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def asked(verb: str) -> tuple[set[str], set[str]]:
    """(required, all) fields of its event that a handler reads."""
    source = Path(inspect.getfile(admit)).parents[1] / verb / "handler.py"
    text = source.read_text()
    required = set(re.findall(r'event\["(\w+)"\]', text))
    return required, required | set(re.findall(r'(?:event|body|wish)\.get\("(\w+)"', text))


def test_every_task_but_the_review_is_answered_at_once() -> None:
    waiting = {name for name, state in TASKS.items() if state["Resource"].endswith(".waitForTaskToken")}
    assert waiting == set(TASKS) - set(ANSWERING) == {"RequestReview"}


@pytest.mark.parametrize("name", ANSWERING)
def test_the_machine_takes_fields_that_a_function_answers(name: str) -> None:
    state = {part: STATES[name].get(part) for part in ("Assign", "Output")}
    taken = fields(state, "$states.result.Payload")
    assert taken or name == "RollBack"
    assert taken - answered(ANSWERING[name]) == set()
    assert fields(state, "$states.result") <= {"Payload"}


def test_the_machine_takes_fields_that_a_review_answers() -> None:
    world = UnderReview()
    world.ask(token="token")
    for who in world.policy.reviewers[: world.policy.quorum]:
        world.send(who)
    (answer,) = world.tokens.answers.values()
    assert fields(STATES["RequestReview"]["Assign"], "$states.result") == {"decision", "reason"} <= set(answer)
    assert answer["decision"] == "approved"


@pytest.mark.parametrize("name", TASKS)
def test_the_machine_gives_each_function_the_fields_that_it_reads(name: str) -> None:
    given = set(TASKS[name]["Arguments"]["Payload"])
    required, read = asked(verb(TASKS[name]))
    assert given <= read, "nobody reads it"
    if verb(TASKS[name]) in OFTEN_CALLED:
        assert given == OFTEN_CALLED[verb(TASKS[name])]
    else:
        assert given == required


def test_a_plan_says_where_the_items_lie_and_how_many_run_at_once() -> None:
    used = {name for text in expressions(MACHINE) for name in re.findall(r"\$plan\.(\w+)", text)}
    assert used == {"bucket", "key", "batch_size", "round", "max_concurrency"}
    assert used <= answered(stages.Planner.plan)


def test_a_batch_hands_on_what_run_cases_is_given() -> None:
    batch = STATES["RunTests"]["ItemBatcher"]["BatchInput"]
    assert fields(STATES["RunCases"]["Arguments"], "$states.input.BatchInput") == set(batch) == {"release_id", "round"}
    assert STATES["RunCases"]["Arguments"]["Payload"]["items"] == "{% $states.input.Items %}"


def test_every_variable_is_set_somewhere_and_every_set_one_is_used() -> None:
    used = {name for text in expressions(MACHINE) for name in re.findall(r"\$([a-z_]+)\b(?!\()", text)} - {"states"}
    assigned = set()
    for state in STATES.values():
        for part in (state, *state.get("Catch", [])):
            assigned |= set(part.get("Assign", {}))
    assert used == assigned


def compared(name: str, variable: str) -> set[str]:
    """The values with which a choice compares a variable."""
    return {v for text in expressions(STATES[name]) for v in re.findall(rf"\${variable} = '(\w+)'", text)}


def test_choices_compare_with_what_functions_say() -> None:
    moved = set(get_args(get_type_hints(Moved)["result"]))
    assert moved == {"done", "wait", "stable_changed", "authors_changed", "gone"}
    assert compared("Shifted", "result") == moved - {"done", "gone"} | {"shifted"}
    assert compared("Promoted", "result") == moved - {"done", "gone"} | {"promoted"}
    assert compared("Judged", "judgement") == {"hold", "advance", "roll_back"} == set(get_args(Action)) - {"done"}
    assert compared("JudgedWatch", "judgement") == {"hold", "roll_back"}
    assert compared("Decided", "decision") == {"approved"}
    assert {STATES[n]["Arguments"]["Payload"]["phase"] for n in ("Judge", "JudgeWatch")} == {Phase.CANARY, Phase.WATCH}


def test_a_release_ends_in_outcomes_that_there_are() -> None:
    said = set()
    for state in STATES.values():
        for part in (state, *state.get("Catch", [])):
            text = part.get("Assign", {}).get("outcome", "")
            said |= set(re.findall(r"[?:] '(\w+)'", text)) if text.startswith("{%") else {text} - {""}
    assert said == set(Outcome) - {Outcome.SUPERSEDED}


def test_no_task_ends_before_its_function_would(synthesized: Synthesized) -> None:
    for name in ANSWERING:
        assert TASKS[name]["TimeoutSeconds"] >= synthesized.function(verb(TASKS[name]))[2]["Timeout"], name


def test_every_error_that_is_not_tried_again_is_one_of_ours() -> None:
    def below(kind: type[PromptlaneError]) -> Iterator[str]:
        yield kind.__name__
        for one in kind.__subclasses__():
            yield from below(one)

    named = {e for s in STATES.values() for r in s.get("Retry", []) for e in r["ErrorEquals"] if "." not in e}
    assert named - set(below(PromptlaneError)) == set()
    for name, state in TASKS.items():
        final = state["Retry"][-1]
        assert final["ErrorEquals"] == ["States.ALL"], name
        assert final["MaxAttempts"] >= 3, name
