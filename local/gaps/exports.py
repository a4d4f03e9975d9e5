"""CloudFormation: an export that another stack imports stays as it is, and a name is exported once.

MiniStack changes and drops exports in use, lets a second stack take the name, and remembers exports that an update took
away. Here the update fails when its outputs are known, and is rolled back.

Sources: "Exporting stack output values" in the AWS CloudFormation guide; the messages are from public reports.
"""

from __future__ import annotations

from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, stacks

from local import seams

Exports = dict[str, dict[str, Any]]


def install() -> None:
    seams.require(cloudformation, "_exports", "_stacks")
    seams.require(handlers, "_imported_export_names")

    @seams.replace(stacks, "_resolve_stack_outputs")
    def resolve(original: Any, *given: Any) -> tuple[list[dict[str, Any]], Exports]:
        outputs, exports = original(*given)
        name, stack_id = given[-2:]
        gone = check(name, stack_id, exports)
        for export in gone:
            cloudformation._exports.pop(export, None)
        return outputs, exports


def check(name: str, stack_id: str, after: Exports) -> list[str]:
    """The exports that this stack gives up. Raises ValueError for one that is in use, or another's."""
    known = dict(cloudformation._exports.items())
    for export in after:
        if export in known and known[export]["StackId"] != stack_id:
            owner = known[export]["StackId"].split("/")[1]
            raise ValueError(
                f"Export with name {export} is already exported by stack {owner}. Rollback requested by user."
            )
    mine = {export: one["Value"] for export, one in known.items() if one["StackId"] == stack_id}
    for export, value in mine.items():
        done = "deleted" if export not in after else "updated" if after[export]["Value"] != value else ""
        if done and (users := users_of(export, name)):
            raise ValueError(f"Export {export} cannot be {done} as it is in use by {' and '.join(users)}")
    return [export for export in mine if export not in after]


def users_of(export: str, exporter: str) -> list[str]:
    """Stacks whose present template imports it."""
    return [
        name
        for name, stack in list(cloudformation._stacks.items())
        if name != exporter
        and stack.get("StackStatus") != "DELETE_COMPLETE"
        and export in handlers._imported_export_names(stack, name)
    ]
