"""Each function gets the environment that its settings read, and nothing it does not; each name means one resource."""

import ast
from pathlib import Path

import pytest

from tests.support.alone import plain
from tests.support.synthesized import Synthesized

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
VERBS = sorted(p.parent.name for p in FUNCTIONS.glob("*/handler.py"))
VALUES = {
    "ARRIVAL_SECONDS": "0",
    "AUDIT_BUCKET": "<Trails>",
    "DEPLOYMENT": "promptlane",
    "EVENT_BUS": "<Events>",
    "FEEDBACK_TABLE": "<Feedback>",
    "FOUND_PARAMETER": "/promptlane/invocation-logging/found",
    "INTAKE_QUEUE_URL": "<RequestsQueue>",
    "KEEP_VERSIONS": "8",
    "NOTICES_TOPIC": "<NoticesTopic>",
    "OPERATIONS_URL": "<OperationsApi.ApiEndpoint>",
    "RECEIPT_SECRET": "<ReceiptSecret>",
    "RELEASE_TABLE": "<Releases>",
    "REPORT_BUCKET": "<Reports>",
    "RESOLUTION_SECONDS": "60",
    "REVIEW_KEY_ID": "<ReviewKey.Arn>",
    "ROUTE_TABLE": "<Routes>",
    "STATE_MACHINE_ARN": "arn:<aws>:states:<here>:stateMachine:promptlane-release",
    "VERSION_QUOTA": "10",
    "WIND_UP_FUNCTION": "<WindUpFunction>",
}
OF_THE_CLIENT = {"REQUEST_TIMEOUT_SECONDS", "SLOW_AFTER_SECONDS"}
"""What the gateway reads and the stack leaves at the client's defaults: a team may set it."""


def settings(verb: str) -> tuple[set[str], set[str]]:
    """(required, optional) variables: of the handler's Settings, or those that it reads from the environment itself."""
    tree = ast.parse((FUNCTIONS / verb / "handler.py").read_text())
    classes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "Settings"]
    fields = [n for c in classes for n in c.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    required = {f.target.id.upper() for f in fields if isinstance(f.target, ast.Name) and f.value is None}
    every = {f.target.id.upper() for f in fields if isinstance(f.target, ast.Name)}
    optional = every - required
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            required.add(ast.literal_eval(node.slice))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("env", "os.environ.get"):
            optional.add(ast.literal_eval(node.args[0]))
    return required, optional


@pytest.mark.parametrize("verb", VERBS)
def test_a_function_is_given_what_its_settings_read(synthesized: Synthesized, verb: str) -> None:
    required, optional = settings(verb)
    given = set(synthesized.function(verb)[2]["Environment"]["Variables"])
    assert required, f"{verb} reads its environment elsewhere"
    assert required - given == set(), "missing"
    assert given - required - optional == set(), "given but not read"
    assert optional - given == (OF_THE_CLIENT if verb == "gateway" else set()), "left out"


@pytest.mark.parametrize("verb", VERBS)
def test_a_variable_means_the_same_to_every_function(synthesized: Synthesized, verb: str) -> None:
    given = plain(synthesized.function(verb)[2]["Environment"]["Variables"])
    assert given == {name: VALUES[name] for name in given}


def test_every_folder_of_a_function_is_deployed(synthesized: Synthesized) -> None:
    assert synthesized.verbs() == VERBS
