"""Each function gets the environment that it reads, and nothing it does not; each name means one resource."""

import ast
import importlib
from pathlib import Path

import pytest

from tests.support.alone import plain
from tests.support.functions import asked_for
from tests.support.synthesized import ONLY_OF_TRIALS, Synthesized

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
VERBS = sorted({p.parent.name for p in FUNCTIONS.glob("*/handler.py")} - ONLY_OF_TRIALS)
VALUES = {
    "ACCOUNT": "<AWS::AccountId>",
    "ARRIVAL_SECONDS": "0",
    "AUDIT_BUCKET": "<Trails>",
    "DEPLOYMENT": "promptlane",
    "EVENT_BUS": "<Events>",
    "FEEDBACK_TABLE": "<Feedback>",
    "FOUND_PARAMETER": "/promptlane/invocation-logging/found",
    "INTAKE_QUEUE_URL": "<RequestsQueue>",
    "KEEP_VERSIONS": "5",
    "MOST_CASE_FUNCTIONS": "1",
    "NOTICES_TOPIC": "<NoticesTopic>",
    "REVIEWS_URL": "<OperationsApi.ApiEndpoint>",
    "PLATFORM_FLOOR": "{}",
    "RECEIPT_KEY_ID": "<ReceiptKey.Arn>",
    "RELEASE_TABLE": "<Releases>",
    "REPORT_BUCKET": "<Reports>",
    "RESOLUTION_SECONDS": "60",
    "REVIEW_KEY_ID": "<ReviewKey.Arn>",
    "ROUTE_TABLE": "<Routes>",
    "STATE_MACHINE_ARN": "arn:<aws>:states:<here>:stateMachine:promptlane-release",
    "TRAIL": "promptlane",
    "TRAIL_LATE_SECONDS": "900",
    "UNRELAYED_QUEUE_URL": "<UnrelayedQueue>",
    "VERSION_BUCKET": "<Versions>",
    "VERSION_QUOTA": "10",
    "WIND_UP_FUNCTION": "<WindUpFunction>",
}
OF_THE_CLIENT = {"REQUEST_TIMEOUT_SECONDS", "SLOW_AFTER_SECONDS"}
"""What the gateway reads and the stack leaves at the client's defaults: a team may set it."""


def settings(verb: str) -> set[str]:
    """The variables that a function reads when it is wired, or, the gateway, from its environment itself."""
    handler = importlib.import_module(f"functions.{verb}.handler")
    if verb != "gateway":
        return asked_for(handler)
    found = set()
    for node in ast.walk(ast.parse(Path(str(handler.__file__)).read_text())):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            found.add(str(ast.literal_eval(node.slice)))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("env", "os.environ.get"):
            found.add(str(ast.literal_eval(node.args[0])))
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_a_function_is_given_what_it_reads(
    synthesized: Synthesized, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "us-east-1")
    every = settings(verb)
    given = set(synthesized.function(verb)[2]["Environment"]["Variables"])
    assert every, f"{verb} reads its environment elsewhere"
    assert given - every == set(), "given but not read"
    assert every - given == (OF_THE_CLIENT if verb == "gateway" else set()), "missing"


@pytest.mark.parametrize("verb", VERBS)
def test_a_variable_means_the_same_to_every_function(synthesized: Synthesized, verb: str) -> None:
    given = plain(synthesized.function(verb)[2]["Environment"]["Variables"])
    assert given == {name: VALUES[name] for name in given}


def test_every_folder_of_a_function_is_deployed(synthesized: Synthesized) -> None:
    assert synthesized.verbs() == VERBS
