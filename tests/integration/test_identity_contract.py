"""What is fixed of names, and the list of all routes: in memory as in DynamoDB."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from local.running import EmbeddedAws
from promptlane.aws.identities import DynamoIdentities, DynamoWatched
from promptlane.aws.routes import DynamoRoutes
from promptlane.domain.errors import Conflict, InvalidInput
from promptlane.domain.release.meant import Identity
from promptlane.domain.release.route import Route
from promptlane.fakes import InMemoryIdentities, InMemoryRoutes
from tests.support.prompt import ID, ref
from tests.support.tables import make_table

FIRST = Identity("support", ID, 1000.25, f"{ID}-1-1")
Stores = tuple[Any, Any, Any]


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request: pytest.FixtureRequest, embedded_aws: EmbeddedAws, account: str) -> Stores:
    """(`Identities`, `Watched`), `RouteStore`, and the table of routes itself, where there is one."""
    if request.param == "memory":
        known = InMemoryIdentities()
        return (known, known), InMemoryRoutes(), None
    dynamodb = embedded_aws.session(account=account).resource("dynamodb", endpoint_url=embedded_aws.url)
    table = make_table(dynamodb, "routes", "prompt")
    releases = make_table(dynamodb, "releases", "pk", "sk")
    return (DynamoIdentities(releases), DynamoWatched(releases)), DynamoRoutes(table), table


def test_an_identity_is_fixed_once_and_changed_by_who_knows_the_present_one(stores: Stores) -> None:
    identities, _ = stores[0]
    assert identities.get("support") is None
    identities.fix(FIRST, expected=None)
    assert identities.get("support") == FIRST

    with pytest.raises(Conflict):
        identities.fix(replace(FIRST, prompt_id="PROMPT0002"), expected=None)
    changed = replace(FIRST, prompt_id="PROMPT0002", release_id="PROMPT0002-1-1", before=ID, reason="made again")
    identities.fix(changed, expected=FIRST)
    with pytest.raises(Conflict):
        identities.fix(replace(FIRST, release_id=f"{ID}-2-1"), expected=FIRST)
    assert identities.get("support") == changed
    assert identities.get("Support") is None


def test_what_people_were_told_is_known_by_name_and_event(stores: Stores) -> None:
    _, watched = stores[0]
    assert (watched.told("support", "e1"), watched.state("support")) == (False, "")
    for _ in range(2):
        watched.tell("support", "e1", 5.0)
    watched.found("support", "moved", 6.0)

    assert [watched.told(*key) for key in (("support", "e1"), ("support", "e2"), ("other", "e1"))] == [
        True,
        False,
        False,
    ]
    assert (watched.state("support"), watched.state("other")) == ("moved", "")
    watched.found("support", "", 7.0)
    assert watched.state("support") == ""


def test_all_routes_are_listed_and_one_that_cannot_be_read_is_named(stores: Stores) -> None:
    _, routes, table = stores
    assert routes.all() == []
    for name in ("support", "refunds"):
        routes.put(Route(name, ID, ref(1)), expected=None)
    assert sorted(route.prompt for route in routes.all()) == ["refunds", "support"]
    if table is not None:
        for broken in ({"schema": 99}, {"stable": {"version": 1}}, {"revision": "x"}):
            table.put_item(Item={"prompt": "broken", "prompt_id": ID, "revision": 1, **broken})
            with pytest.raises(InvalidInput, match="the route of 'broken'"):
                routes.all()
