"""How the client asks AWS: each SDK client's configuration, each call's arguments, and what is made of the replies."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.client import aws
from promptlane.client.aws import Aws, FeedbackTable, RouteTable, plain
from promptlane.client.testing import StaticRoutes
from promptlane.domain.errors import Unavailable
from tests.support.client import THROTTLED, Clock, Dynamo, Session


@pytest.mark.parametrize(("read_timeout", "connect_timeout"), [(0.5, 0.5), (2.0, 2.0), (18.0, 2.0)])
@pytest.mark.parametrize(("more", "attempts"), [({}, 1), ({"attempts": 3}, 3)])
def test_clients_give_up_in_time_and_repeat_only_what_they_are_told(
    read_timeout: float, connect_timeout: float, more: dict[str, int], attempts: int
) -> None:
    session = Session(dynamodb="a client")
    assert Aws(session=session).client("dynamodb", read_timeout=read_timeout, **more) == "a client"
    ((service, config),) = session.made
    assert service == "dynamodb"
    assert (config.connect_timeout, config.read_timeout) == (connect_timeout, read_timeout)
    assert config.retries == {"mode": "standard", "total_max_attempts": attempts}
    assert (config.max_pool_connections, config.tcp_keepalive) == (50, True)


def test_a_client_is_made_once_for_each_service_and_limit() -> None:
    session = Session(dynamodb=object(), bedrock_runtime=object())
    found = Aws(session=session)
    for _ in range(2):
        assert found.client("dynamodb", read_timeout=1.0) is session.services["dynamodb"]
        assert found.bedrock(18.0) is found.bedrock(10.0) is session.services["bedrock_runtime"]
    made = [(service, config.read_timeout) for service, config in session.made]
    assert made == [("dynamodb", 1.0), ("bedrock-runtime", 18.0), ("bedrock-runtime", 10.0)]


def test_one_that_there_is_waits_for_none_that_is_being_made() -> None:
    found = Aws(session=Session(dynamodb=object()))
    client = found.client("dynamodb", read_timeout=1.0)
    found._lock = None  # type: ignore[assignment]
    assert found.client("dynamodb", read_timeout=1.0) is client


def test_one_that_another_thread_made_meanwhile_is_taken() -> None:
    session, other = Session(dynamodb="made"), object()
    found = Aws(session=session)

    class Lock:
        def __enter__(self) -> None:
            found._clients["dynamodb", 1.0] = other

        def __exit__(self, *exc: object) -> None:
            """Nothing is held."""

    found._lock = Lock()  # type: ignore[assignment]
    assert found.client("dynamodb", read_timeout=1.0) is other
    assert session.made == []


def test_a_botocore_session_makes_its_clients_its_own_way() -> None:
    class Botocore(Session):
        def create_client(self, service: str, *, config: Any) -> str:
            return f"botocore's {service}"

    assert Aws(session=Botocore(dynamodb="boto3's")).client("dynamodb", read_timeout=1.0) == "botocore's dynamodb"


def test_a_child_takes_no_client_and_no_session_of_its_parent_but_the_one_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sessions: list[Session] = []

    def made(region: str | None) -> Session:
        assert region == "eu-west-1"
        sessions.append(Session(dynamodb=object()))
        return sessions[-1]

    monkeypatch.setattr(aws, "_session", made)
    own = Aws(region="eu-west-1")
    client = own.client("dynamodb", read_timeout=1.0)
    own.client("dynamodb", read_timeout=2.0)
    assert len(sessions) == 1
    own.after_fork()
    assert own.client("dynamodb", read_timeout=1.0) is not client
    assert len(sessions) == 2
    given = Session(dynamodb=object())
    shared = Aws(session=given)
    shared.client("dynamodb", read_timeout=1.0)
    shared.after_fork()
    shared.client("dynamodb", read_timeout=1.0)
    assert (len(given.made), len(sessions)) == (2, 2)


def test_models_are_found_plain_or_packed_or_not_at_all(tmp_path: Path) -> None:
    loader = aws._session(None).get_component("data_loader").file_loader
    (tmp_path / "plain.json").write_text('{"a": [1]}')
    with gzip.open(tmp_path / "packed.json.gz", "wb") as file:
        file.write(json.dumps({"b": "ü"}).encode())
    (tmp_path / "both.json").write_text('"plain"')
    (tmp_path / "both.json.gz").write_bytes(b"never read")
    found = [loader.load_file(str(tmp_path / name)) for name in ("plain", "packed", "both", "none")]
    assert found == [{"a": [1]}, {"b": "ü"}, "plain", None]


NUMBERS = st.integers(-(10**37), 10**37) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def stored(value: Any) -> dict[str, Any]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, list):
        return {"L": [stored(inner) for inner in value]}
    return {"M": {name: stored(inner) for name, inner in value.items()}}


@given(VALUES)
def test_stored_values_are_read_as_they_were_written(value: Any) -> None:
    found = plain(stored(value))
    assert (found, repr(found)) == (value, repr(value))


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("-7", -7), ("7.0", 7.0), ("7e2", 700.0), ("7E2", 700.0)])
def test_whole_numbers_are_int_and_all_others_float(text: str, value: float) -> None:
    assert (plain({"N": text}), type(plain({"N": text}))) == (value, type(value))


@pytest.fixture
def dynamo() -> Dynamo:
    routes = StaticRoutes()
    for name, version in (("one", 1), ("two", 2), ("three", 3)):
        routes.put(name, stable=version)
    return Dynamo(routes)


@pytest.fixture
def table(dynamo: Dynamo) -> RouteTable:
    return RouteTable(dynamo, "routes")


def test_one_route_is_got_and_several_are_got_in_a_batch(dynamo: Dynamo, table: RouteTable) -> None:
    items = dynamo.routes.items
    assert table.read(["two"]) == {"two": items["two"]}
    assert table.read(iter(["nobody"])) == {}
    assert table.read(["one", "nobody", "three"]) == {"one": items["one"], "three": items["three"]}
    assert dynamo.asked == [
        {"TableName": "routes", "Key": {"prompt": {"S": "two"}}},
        {"TableName": "routes", "Key": {"prompt": {"S": "nobody"}}},
        {"table": "routes", "names": ["one", "nobody", "three"]},
    ]
    assert dynamo.settings == {("dynamodb", ("attempts", 2), ("read_timeout", 1.0))}


def test_what_is_read_again_is_read_consistently(dynamo: Dynamo, table: RouteTable) -> None:
    asked: list[dict[str, Any]] = []
    get, batch = dynamo.get_item, dynamo.batch_get_item

    def noting(call: Any) -> Any:
        def noted(**given: Any) -> dict[str, Any]:
            asked.append(given)
            return dict(call(**given))

        return noted

    dynamo.get_item, dynamo.batch_get_item = noting(get), noting(batch)  # type: ignore[method-assign]
    assert table.read_again(["two"]) == {"two": dynamo.routes.items["two"]}
    assert table.read_again(["one", "three"]).keys() == {"one", "three"}
    one, many = asked
    assert one["ConsistentRead"] is True
    assert many["RequestItems"]["routes"]["ConsistentRead"] is True


def test_what_a_batch_left_is_asked_for_again_while_it_gets_less(
    dynamo: Dynamo, table: RouteTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = dynamo.batch_get_item

    def at_most_one(**given: Any) -> dict[str, Any]:
        names = [key["prompt"]["S"] for key in given["RequestItems"]["routes"]["Keys"]]
        dynamo.throttled = {*names[1:], "three"}
        return batch(**given)

    monkeypatch.setattr(dynamo, "batch_get_item", at_most_one)
    found = dict(table.read(["one", "two", "three"]))
    assert [asked["names"] for asked in dynamo.asked] == [["one", "two", "three"], ["two", "three"], ["three"]]
    error = found.pop("three")
    assert (type(error), str(error)) == (Unavailable, "the route table is throttled")
    assert found == {name: dynamo.routes.items[name] for name in ("one", "two")}


def test_a_batch_of_which_nothing_came_back_is_all_throttled(dynamo: Dynamo, table: RouteTable) -> None:
    dynamo.batch_get_item = lambda **given: {  # type: ignore[method-assign]
        "Responses": {},
        "UnprocessedKeys": given["RequestItems"],
    }
    found = table.read(["one", "two"])
    assert {name: type(error) for name, error in found.items()} == {"one": Unavailable, "two": Unavailable}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("TWO0000000", "two"),
        ("arn:aws:bedrock:eu-west-1:111122223333:prompt/TWO0000000", "two"),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:111122223333:prompt/TWO0000000:7", "two"),
        ("AAAAAAAAAA", None),
    ],
)
def test_a_prompt_is_found_by_its_id_or_arn(table: RouteTable, dynamo: Dynamo, given: str, name: str | None) -> None:
    assert table.name_of(given) == name
    assert dynamo.settings == {("dynamodb", ("attempts", 2), ("read_timeout", 1.0))}


@pytest.mark.parametrize(
    "given",
    ["two", "TWO00000000", "TWO000000", "TWO-000000", "TWÖ0000000", "arn:aws:x", "arn:x:prompt/two", "x/TWO0000000"],
)
def test_what_is_neither_id_nor_arn_is_not_looked_up(table: RouteTable, dynamo: Dynamo, given: str) -> None:
    dynamo.forbidden = True
    assert table.name_of(given) is None


def test_a_receipt_is_put_once_and_expires_when_it_would_not_count(
    dynamo: Dynamo, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    dynamo.puts = []
    memory = FeedbackTable(dynamo, "feedback")
    assert [memory.first(name, keep_seconds=60.75) for name in ("r1", "r2", "r1")] == [True, True, False]
    assert dynamo.puts == [
        {
            "TableName": "feedback",
            "Item": {"receipt": {"S": name}, "expires_at": {"N": str(int(clock.wall + 60.75))}},
            "ConditionExpression": "attribute_not_exists(receipt)",
        }
        for name in ("r1", "r2")
    ]
    assert dynamo.settings == {("dynamodb", ("attempts", 2), ("read_timeout", 1.0))}
    dynamo.puts = None
    with pytest.raises(Unavailable) as caught:
        memory.first("r3", keep_seconds=60)
    assert caught.value.__cause__ is THROTTLED
    assert str(caught.value) == (
        "the feedback was not counted: the feedback table feedback was not reached (ClientError: "
        f"{THROTTLED}); try again, and check its name and dynamodb:PutItem on it"
    )
