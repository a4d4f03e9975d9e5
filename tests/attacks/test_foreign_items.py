"""A function gone wrong writes items that others own: each of these is refused by IAM under the function's own role."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.access.proof import Caller
from tests.support.attacks import attack
from tests.support.deployment import Deployment

Json = Any
KIND = "a function that writes what others own"
NOBODY = "ABCDEFGHIJ"
"""The id of a prompt that is not there."""
DECISION = {"sk": "decision#001#0123456789abcdef", "choice": "approve"}
APPROVED = {"sk": "release#00009#001", "approval": "{}"}


def _item(pk: str, fields: Mapping[str, str]) -> Json:
    return {"pk": {"S": pk}, **{name: {"S": value} for name, value in fields.items()}}


def _tried(attacked: Deployment, verb: str, call: Callable[[Any, str], object]) -> bool:
    """Whether the call got through under the function's role; what fails for another reason than IAM is raised."""
    asked = attacked.client("lambda").get_function_configuration(FunctionName=attacked.resources[f"{verb}_function"])
    client = Caller(attacked.aws, asked["Role"]).client("dynamodb")
    try:
        call(client, attacked.resources["release_table"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return False
    return True


def _without_conditions(*more: str) -> Callable[..., Any]:
    """Takes the conditions from what every function's role allows on DynamoDB, and adds the actions `more`."""

    @contextmanager
    def without(attacked: Deployment) -> Iterator[None]:
        iam = attacked.client("iam")
        kept: list[tuple[str, str, Json]] = []
        for role in iam.get_paginator("list_roles").paginate().search("Roles[].RoleName"):
            if "-pipeline-" not in role:
                continue
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
                kept.append((role, name, document))
                weak = {**document, "Statement": [_weak(one, more) for one in document["Statement"]]}
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(weak))
        try:
            yield
        finally:
            for role, name, document in kept:
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
            _tidy(attacked)

    return without


def _tidy(attacked: Deployment) -> None:
    """Take back what got through, since other tests use the same deployment."""
    client, table = attacked.client("dynamodb"), attacked.resources["release_table"]
    for item in client.get_paginator("scan").paginate(TableName=table).search("Items[]"):
        key = {name: item[name] for name in ("pk", "sk")}
        if any(NOBODY in value["S"] for value in key.values()):
            client.delete_item(TableName=table, Key=key)


def _weak(statement: Json, more: tuple[str, ...]) -> Json:
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    if not any(action.startswith("dynamodb:Put") for action in actions):
        return statement
    return {k: v for k, v in statement.items() if k != "Condition"} | {"Action": [*actions, *more]}


@pytest.mark.parametrize(
    ("verb", "pk", "fields"),
    [
        ("judge", f"review#{NOBODY}-9-1", DECISION),
        ("judge", f"prompt#{NOBODY}", APPROVED),
        ("roll_back", f"prompt#{NOBODY}", APPROVED),
        ("grade", f"review#{NOBODY}-9-1", DECISION),
        ("operate", f"review#{NOBODY}-9-1", DECISION),
        ("remind", "reviews", {"sk": f"open#{NOBODY}-9-1"}),
        ("request_review", f"blocks#{NOBODY}-9-1", {"sk": "canary#000000000000#Error"}),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
@attack("a function puts an item that another one owns", kind=KIND, without=_without_conditions())
def test_foreign_put(attacked: Deployment, verb: str, pk: str, fields: Mapping[str, str]) -> bool:
    def put(client: Any, table: str) -> None:
        client.put_item(TableName=table, Item=_item(pk, fields))

    return _tried(attacked, verb, put)


@attack("a foreign item rides in a transaction among own ones", kind=KIND, without=_without_conditions())
def test_foreign_item_of_a_transaction(attacked: Deployment) -> bool:
    def transact(client: Any, table: str) -> None:
        own = _item(f"chain#{NOBODY}-8-1", {"sk": "entry#x"})
        items = [own, _item(f"review#{NOBODY}-8-1", DECISION)]
        client.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": item}} for item in items])

    return _tried(attacked, "judge", transact)


@attack(
    "items come in a batch, which IAM knows by another name",
    kind=KIND,
    without=_without_conditions("dynamodb:BatchWriteItem"),
)
def test_batch(attacked: Deployment) -> bool:
    def batch(client: Any, table: str) -> None:
        puts = [{"PutRequest": {"Item": _item(f"review#{NOBODY}-7-1", DECISION)}}]
        client.batch_write_item(RequestItems={table: puts})

    return _tried(attacked, "judge", batch)


@attack(
    "an item comes by a PartiQL statement, which IAM knows by another name",
    kind=KIND,
    without=_without_conditions("dynamodb:PartiQLInsert"),
)
def test_statement(attacked: Deployment) -> bool:
    def insert(client: Any, table: str) -> None:
        client.execute_statement(
            Statement=f"INSERT INTO \"{table}\" VALUE {{'pk': 'review#{NOBODY}-6-1', 'sk': ?}}",
            Parameters=[{"S": f"decision#001#{id(client):016x}"}],
        )

    return _tried(attacked, "judge", insert)


@attack(
    "a timeline entry is changed in place",
    kind=KIND,
    without=_without_conditions("dynamodb:UpdateItem"),
)
def test_entry_changed_in_place(attacked: Deployment) -> bool:
    def change(client: Any, table: str) -> None:
        client.update_item(
            TableName=table,
            Key={"pk": {"S": f"timeline#{NOBODY}-5-1"}, "sk": {"S": "000001"}},
            UpdateExpression="SET body = :body",
            ExpressionAttributeValues={":body": {"S": "{}"}},
        )

    return _tried(attacked, "remind", change)
