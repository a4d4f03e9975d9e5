"""Which items of the release table a function can write: found by calling what its code calls, on a table that notes.

`needed_keys` derives the calls from the code as `aws_calls` does: whatever is called on something that has the name of
an adapter in the composition root, anywhere on the way from the handler.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from promptlane.aws.blocks import DynamoBlocks
from promptlane.aws.cursors import DynamoCursors
from promptlane.aws.drills import DynamoDrills
from promptlane.aws.edits import DynamoEdits
from promptlane.aws.enrolment import DynamoRegister
from promptlane.aws.identities import DynamoIdentities, DynamoWatched
from promptlane.aws.quarantine import DynamoQuarantine
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.reviewers import DynamoDeclarations
from promptlane.aws.reviews import DynamoReviews
from promptlane.aws.turns import DynamoTurns
from promptlane.domain import keys
from promptlane.domain.canary.blocks import Chunk
from promptlane.domain.enrolment.declaration import Declaration
from promptlane.domain.enrolment.enrolment import Asked, Claim, Configuration, Enrolment, Mark, Part
from promptlane.domain.release.meant import Identity
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.code import Seal
from promptlane.domain.review.declared import Declared
from promptlane.domain.review.edits import Edit
from promptlane.domain.review.review import Authors
from promptlane.domain.trail import TrailEvent, Window
from promptlane.lifecycle.drill import Drill
from tests.support.aws_calls import ROOT_OF_ALL, TRANSACTED, module, reach, terminal
from tests.support.review_contract import REQUEST, decision

Write = tuple[str, str]
"""An IAM action, and what the partition key of the item begins with (one of `promptlane.domain.keys`)."""
BEGINNINGS = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)}


@dataclass
class NotingTable:
    """A boto3 Table that has `stored` under every key of a review, and notes what is written."""

    stored: Mapping[str, Any] | None = None
    written: set[Write] = field(default_factory=set)
    name: str = "releases"

    @property
    def meta(self) -> Any:
        return SimpleNamespace(client=SimpleNamespace(transact_write_items=self._transact))

    def get_item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        return {"Item": dict(self.stored)} if self.stored and Key["pk"].startswith(keys.REVIEW) else {}

    def query(self, *, ExpressionAttributeValues: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        quarantined = ExpressionAttributeValues[":pk"].startswith(keys.QUARANTINE)
        return {"Items": [{"sk": f"{_FINGERPRINT}#{_FINGERPRINT}", "at": 1}] if quarantined else []}

    def put_item(self, *, Item: dict[str, Any], **_: Any) -> None:  # noqa: N803
        self._note("dynamodb:PutItem", Item)

    def update_item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        self._note("dynamodb:UpdateItem", Key)
        return {"Attributes": {"attempts": 1}}

    def delete_item(self, *, Key: dict[str, Any], **_: Any) -> None:  # noqa: N803
        self._note("dynamodb:DeleteItem", Key)

    def _transact(self, *, TransactItems: list[dict[str, Any]]) -> None:  # noqa: N803
        for item in TransactItems:
            for kind, detail in item.items():
                self._note(TRANSACTED[kind], detail.get("Item") or detail["Key"])

    def _note(self, action: str, key: Mapping[str, Any]) -> None:
        (begins,) = [b for b in BEGINNINGS if key["pk"] == b or (b not in keys.WHOLE and key["pk"].startswith(b))]
        self.written.add((action, begins))


_ID = REQUEST.release_id
_RELEASE = Release(_ID, "support", 1.0, "somebody")
_ENTRY = TimelineEntry(f"{_ID}/x", _ID, 1.0, Event.ENDED)
"""One of which people are told."""
_WAITING = Waiting("support", _ID[:10], 2, 1.0, "somebody")
_CHUNK = Chunk("canary", "Error", 0.0, 60.0, ())
_EDIT = Edit(TrailEvent("UpdatePrompt", 1.0, "arn"), 2.0)
_STORED = {k: v for k, v in REQUEST.to_item().items() if v is not None} | {"code": "x", "task_token": "x"}
"""As an earlier version stored it."""
_IDENTITY = Identity("support", _ID[:10], 1.0, _ID)
_FINGERPRINT = "f" * 64
_REF = VersionRef(2, _FINGERPRINT, "arn")
_PART = Part("s3://assets/x.json", "0" * 64)
_SAYS = Configuration(_PART, _PART)
_ENROLMENT = Enrolment("support", "the-stack", (Claim("Enrol", _SAYS),))
_DECLARATION = Declaration("the-stack", _PART, Declared())
_ASKED = Asked("Update", "the-stack", "Enrol", "the-request", "support", _SAYS)

CALLS: Mapping[str, tuple[Callable[[Any], Any], Mapping[str, Callable[[Any], object]]]] = {
    "releases": (
        DynamoReleases,
        {
            "start": lambda store: store.start(_RELEASE, _ENTRY),
            "record_ended": lambda store: store.record_ended(_RELEASE, _ENTRY),
            "update": lambda store: store.update(_RELEASE, _ENTRY),
            "append": lambda store: store.append(_ENTRY),
            "told": lambda store: store.told(_ENTRY),
            "write": lambda store: store.write([], [_ENTRY]),
            "unlock": lambda store: store.unlock(_ID[:10], _ID),
            "wait": lambda store: store.wait(_WAITING),
            "stop_waiting": lambda store: store.stop_waiting(_ID[:10], 2),
            "at_enrolment": lambda store: store.at_enrolment(_ID[:10], 3, 1.0),
        },
    ),
    "reviews": (
        DynamoReviews,
        {
            "open": lambda store: store.open(REQUEST, "token"),
            "seal": lambda store: store.seal(_ID, 1, "x", Seal("0a", "0b")),
            "conceal": lambda store: store.conceal(_ID),
            "record": lambda store: store.record(REQUEST, decision("x"), _ENTRY),
            "close": lambda store: store.close(REQUEST, {"decision": "approved"}),
            "note": lambda store: store.note(REQUEST, authors=Authors(), reach={"x": "confirmed"}),
            "mark": lambda store: store.mark(_ID, "view#1#x", 1.0),
            "attempt": lambda store: store.attempt(_ID, "x", 1),
            "unlist": lambda store: store.unlist(_ID),
        },
    ),
    "edits": (
        DynamoEdits,
        {
            "record": lambda store: store.record(_ID[:10], _EDIT),
            "watch": lambda store: store.watch(_ID[:10], Window(1.0, 2.0)),
        },
    ),
    "identities": (DynamoIdentities, {"fix": lambda store: store.fix(_IDENTITY, expected=None)}),
    "watched": (
        DynamoWatched,
        {
            "tell": lambda store: store.tell("support", "the-event", 1.0),
            "found": lambda store: store.found("support", "moved", 1.0),
        },
    ),
    "declarations": (
        DynamoDeclarations,
        {"put": lambda store: store.put(_DECLARATION, expected=0, request="the-request", at=1.0)},
    ),
    "cursors": (DynamoCursors, {"put": lambda store: store.put("reconcile", "support")}),
    "drills": (DynamoDrills, {"keep": lambda store: store.keep(Drill("support", "a1", 1.0, 2.0, True, "fine"))}),
    "quarantine": (
        DynamoQuarantine,
        {
            "keep": lambda store: store.keep("support", {_FINGERPRINT: {"at": 1.0}}),
            "lift": lambda store: store.lift("support", _REF, by=_ID),
        },
    ),
    "register": (
        DynamoRegister,
        {
            "put": lambda store: store.put(_ENROLMENT, Mark(_ASKED, 1.0)),
            "drop": lambda store: store.drop(_ENROLMENT, Mark(_ASKED, 1.0)),
        },
    ),
    "turns": (
        DynamoTurns,
        {"take": lambda store: store.take(_ID, 1.0, 2.0), "give_back": lambda store: store.give_back(_ID)},
    ),
    "blocks": (DynamoBlocks, {"put_once": lambda store: store.put_once(_ID, _CHUNK)}),
}
"""By name in the composition root: how the adapter is made of a table, and one call of each method that writes."""


_UNKNOWN: tuple[None, Mapping[str, object]] = (None, {})


def written_by(adapter: str, method: str) -> set[Write]:
    """What one call writes, whether the table is empty or has the item."""
    make, calls = CALLS[adapter]
    tables = [NotingTable(), *([NotingTable(_STORED)] if adapter == "reviews" else [])]
    for table in tables:
        calls[method](make(table))
    return set[Write]().union(*(table.written for table in tables))


def calls_of(verb: str) -> set[tuple[str, str]]:
    """(adapter, method) of what the function's code may call on the adapters that write the release table."""
    return {
        (terminal(part.value), part.attr)
        for node in reach(verb).code
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and terminal(part.value) in CALLS
        and part.attr in CALLS[terminal(part.value)][1]
    }


def needed_keys(verb: str, *, never: AbstractSet[tuple[str, str]] = frozenset()) -> set[Write]:
    """Which items the function can write; `never`: calls that are derived though they cannot happen."""
    return set[Write]().union(*(written_by(*call) for call in calls_of(verb) - never))


def adapters_of_the_release_table() -> dict[str, str]:
    """Name of the class by name in the composition root, of every adapter that is made of the release table."""
    root = module(ROOT_OF_ALL)
    assert root is not None
    composition = root.definitions["Composition"]
    found = {}
    for method in (m for m in ast.walk(composition) if isinstance(m, ast.FunctionDef)):
        for call in (c for c in ast.walk(method) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)):
            if any("'release_table'" in ast.unparse(argument) for argument in call.args):
                found[method.name] = terminal(call.func)
    return found
