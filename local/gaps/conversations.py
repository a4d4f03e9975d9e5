"""What Bedrock refuses of the messages of a Converse call: their order, and calls of tools without their results."""

from __future__ import annotations

from typing import Any

from local.gaps import prompts


def check(messages: list[dict[str, Any]]) -> None:
    """Raise prompts.Refused for what models do not take."""
    if not messages:
        raise prompts.invalid("A conversation must have at least one message.")
    if messages[0]["role"] != "user":
        raise prompts.invalid("A conversation must start with a user message.")
    wanted: set[str] = set()
    role = ""
    for at, message in enumerate(messages):
        if message["role"] == role:
            raise prompts.invalid(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again."
            )
        role = message["role"]
        results = {block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block}
        if results - wanted:
            raise prompts.invalid(
                f"The number of toolResult blocks at messages.{at}.content exceeds the number of toolUse blocks of "
                "previous turn."
            )
        if missing := sorted(wanted - results):
            raise prompts.invalid(
                f"Expected toolResult blocks at messages.{at}.content for the following Ids: {', '.join(missing)}"
            )
        wanted = {block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block}
