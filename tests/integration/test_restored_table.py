"""A client on a table of the embedded AWS that is put back to an earlier state, and then rolled back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from promptlane.aws.plain import to_store
from promptlane.aws.routes import DynamoRoutes
from promptlane.client.aws import RouteTable
from promptlane.client.testing import FakeBedrock, ListSink, client_over
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import Approved, Rollback, first_route, promote, roll_back, shift
from tests.support.client import eventually
from tests.support.prompt import ID
from tests.support.tables import make_table


def ref(version: int) -> VersionRef:
    arn = f"arn:aws:bedrock:eu-west-1:111122223333:prompt/{ID}:{version}"
    return VersionRef(version, f"{version:064x}", arn)


class OneTable:
    """The client's AWS: a table and nothing else."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def client(self, service: str, **settings: Any) -> Any:
        assert service == "dynamodb"
        return self._client


def test_a_running_client_holds_on_through_a_restore_and_follows_the_first_write_after_it(
    dynamodb: Any, embedded_aws: Any, account: str
) -> None:
    """The write knows nothing of the restore: it reads the route and rolls it back, as an alarm's does."""
    table = make_table(dynamodb, "routes", "prompt")
    routes, sink = DynamoRoutes(table), ListSink()
    first = first_route(prompt="p", prompt_id=ID, candidate=ref(1), release_id=f"{ID}-1-1", now=1e9, by="x")
    second, third = (Approved(f"{ID}-{n}-1", ref(n), ref(n - 1).fingerprint) for n in (2, 3))
    canary = shift(replace(first, pending=()), second, weight=9999, now=1e9 + 10)
    calm = promote(canary, second, watch_for=0, holdback=0, now=1e9 + 20)
    wider = shift(calm, third, weight=500, now=1e9 + 30)
    newest = promote(wider, third, watch_for=0, holdback=0, now=1e9 + 40)
    routes.put(newest, expected=None)
    low = embedded_aws.session(account=account).client("dynamodb", endpoint_url=embedded_aws.url)
    reader = RouteTable(OneTable(low), "routes")  # type: ignore[arg-type]
    client = client_over(reader, bedrock=lambda timeout: FakeBedrock(), sink=sink, refresh=0.02)
    assert client.route("p", "unit").version == 3

    table.put_item(Item=to_store(canary.to_item()))

    eventually(lambda: client.route("p", "unit").version == 3 and sink.total("StaleRoute", Prompt="p")[1] >= 3)
    restored = routes.get("p")
    assert restored is not None
    safe = roll_back(restored, Rollback(cause="alarm", reason="red", by="x"), now=1e9 + 90)
    assert safe.revision < newest.revision
    routes.put(safe, expected=restored)
    eventually(lambda: client.route("p", "unit").version == 1)
