"""The state machine against its role: each task, and what a Distributed Map needs."""

import json
import re
from collections.abc import Iterator

from infra.constructs.workflow import DEFINITION
from tests.support.synthesized import Json, Synthesized, allows, text


def machine(synthesized: Synthesized) -> Json:
    return synthesized.one("AWS::StepFunctions::StateMachine", "/Release/Machine")[2]


def states(definition: Json) -> Iterator[tuple[str, Json]]:
    for name, state in definition["States"].items():
        yield name, state
        for inner in ("ItemProcessor", *()):
            if inner in state:
                yield from states(state[inner])


def role(synthesized: Synthesized) -> list[Json]:
    return synthesized.grants(machine(synthesized)["RoleArn"]["Fn::GetAtt"][0])


def test_every_task_calls_a_function_that_the_role_may_invoke(synthesized: Synthesized) -> None:
    definition = json.loads(DEFINITION.read_text())
    substitutions = machine(synthesized)["DefinitionSubstitutions"]
    (invoke,) = [s for s in role(synthesized) if allows(s, "lambda:InvokeFunction")]
    invocable = [text(resource) for resource in invoke["Resource"]]
    tasks = [state for _, state in states(definition) if state["Type"] == "Task"]
    used = set()
    for task in tasks:
        assert ":lambda:invoke" in task["Resource"]
        (name,) = re.findall(r"\$\{(\w+)\}", task["Arguments"]["FunctionName"])
        assert text(substitutions[name]) in invocable
        used.add(text(substitutions[name]))
    assert sorted(used) == sorted(invocable)  # and no function that no task calls


def test_every_placeholder_is_filled_and_every_filling_used(synthesized: Synthesized) -> None:
    placeholders = set(re.findall(r"\$\{(\w+)\}", DEFINITION.read_text()))
    assert placeholders == set(machine(synthesized)["DefinitionSubstitutions"])


def test_the_distributed_map_may_start_itself_read_its_items_and_write_its_results(synthesized: Synthesized) -> None:
    statements = role(synthesized)

    def resources(action: str) -> str:
        return text([s["Resource"] for s in statements if allows(s, action)])

    assert ":stateMachine:promptlane-release" in resources("states:StartExecution")
    for action in ("states:DescribeExecution", "states:StopExecution"):
        assert ":execution:promptlane-release/*" in resources(action)
        assert ":execution:promptlane-release:*" in resources(action)
    assert "/releases/*" in resources("s3:GetObject")
    assert "/releases/*/map/*" in resources("s3:PutObject")
    assert "DataKey" in resources("kms:Decrypt")
    assert "DataKey" in resources("kms:GenerateDataKey")


def test_the_map_writes_below_the_prefix_that_its_role_may_write() -> None:
    map_state = json.loads(DEFINITION.read_text())["States"]["RunTests"]
    assert map_state["ResultWriter"]["Arguments"]["Prefix"] == (
        "{% 'releases/' & $release_id & '/tests/' & $string($plan.round) & '/map' %}"
    )


def test_functions_find_the_machine_by_the_name_it_has(synthesized: Synthesized) -> None:
    name = machine(synthesized)["StateMachineName"]
    for verb in ("intake", "reconcile", "roll_back"):
        environment = synthesized.function(verb)[2]["Environment"]["Variables"]
        assert text(environment["STATE_MACHINE_ARN"]).endswith(f':stateMachine:{name}"]]}}')


def test_who_answers_reviews_may_answer_this_machine_only(synthesized: Synthesized) -> None:
    name = machine(synthesized)["StateMachineName"]
    answering = set()
    for verb in synthesized.verbs():
        for statement in synthesized.grants(synthesized.role_of(verb)):
            if allows(statement, "states:SendTaskSuccess"):
                assert f":stateMachine:{name}" in text(statement["Resource"])
                answering.add(verb)
    assert answering == {"review", "decide", "request_review", "remind"}
