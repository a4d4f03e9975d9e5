"""A version as data in the arguments of agent frameworks, and their answers as a session counts them.

Each module says how its framework is called; none imports it, but for `langgraph`, which needs langchain-core.
"""

from __future__ import annotations

from copy import deepcopy

from promptlane.domain.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from promptlane.client.version import VersionData


def tool_specs(version: VersionData, functions: Mapping[str, Callable[..., Any]]) -> list[dict[str, Any]]:
    """The tools that the version declares, as they were approved; InvalidInput where they are not these functions'."""
    specs = [deepcopy(tool["toolSpec"]) for tool in version.tools if "toolSpec" in tool]
    declared = {str(spec["name"]) for spec in specs}
    if declared != functions.keys():
        raise InvalidInput(
            f"the version of {version.prompt} declares the tools {_listed(declared)}, and functions are given for "
            f"{_listed(functions)}: give one of each name, and tools of your own apart"
        )
    return specs


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def settings(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """What is given, under a framework's names; what is not given is left out."""
    return {theirs: given[ours] for ours, theirs in names.items() if ours in given}
