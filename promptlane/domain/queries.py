"""Logs Insights queries over Bedrock's model invocation log: the saved ones, and those of an investigation.

Calls through the client library name prompt, version, track and release in requestMetadata. Records are picked by
`schemaType`, so that a log group shared with other records works too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from .errors import InvalidInput

_SAFE: Final = re.compile(r"^[\w@:/.,+ =-]*$")
RECORDS: Final = 'filter schemaType = "ModelInvocationLog"'
MOST_ROWS: Final = 10_000
"""What one Logs Insights query can return."""


class SavedQuery(NamedTuple):
    """A query that people find by name in the console."""

    name: str
    about: str
    text: str


def quoted(value: str) -> str:
    """A string literal of the query language. InvalidInput for a value that could end the literal."""
    if not _SAFE.match(value):
        raise InvalidInput(f"{value!r} cannot be used in a Logs Insights query: it has a character that no name has")
    return f'"{value}"'


def calls_of(prompt: str) -> str:
    """Counts of a prompt's calls by version, track, caller, model and operation."""
    return f"""{RECORDS} and requestMetadata.prompt = {quoted(prompt)}
| stats count(*) as calls, count(errorCode) as errors, sum(input.inputTokenCount) as input_tokens,
  sum(output.outputTokenCount) as output_tokens, min(@timestamp) as first, max(@timestamp) as last
  by requestMetadata.version, requestMetadata.track, identity.arn, modelId, operation
| sort calls desc
| limit 1000"""


def calls_outside(models: Sequence[str], prompt_id: str) -> str:
    """Counts of calls of a prompt's models that name no prompt: nobody's split decided on them."""
    wanted = " or ".join([*(f"modelId = {quoted(m)}" for m in models), f"modelId like {quoted(f'prompt/{prompt_id}')}"])
    return f"""{RECORDS} and not ispresent(requestMetadata.prompt)
  and not ispresent(requestMetadata.purpose) and ({wanted})
| stats count(*) as calls, count(errorCode) as errors, sum(input.inputTokenCount) as input_tokens,
  sum(output.outputTokenCount) as output_tokens, min(@timestamp) as first, max(@timestamp) as last
  by identity.arn, modelId, operation
| sort calls desc
| limit 1000"""


def records_of(prompt: str, version: int, most: int) -> str:
    """The newest records of one version, whole."""
    return f"""fields @timestamp, @message, @ptr
| {RECORDS} and requestMetadata.prompt = {quoted(prompt)} and requestMetadata.version = {quoted(str(version))}
| sort @timestamp desc
| limit {min(most, MOST_ROWS)}"""


_SENT: Final = "input.inputBodyJson.messages.0.content.0.text"
_SAID: Final = "output.outputBodyJson.output.message.content.0.text"

SAVED: Final = (
    SavedQuery(
        "What was sent and answered, by version",
        "Replace the prompt and the version. The text of the last 100 calls.",
        f"""fields @timestamp, requestMetadata.track, {_SENT} as sent, {_SAID} as answered,
  output.outputBodyJson.stopReason as stopped, errorCode
| {RECORDS} and requestMetadata.prompt = "support-assistant" and requestMetadata.version = "1"
| sort @timestamp desc
| limit 100""",
    ),
    SavedQuery(
        "Likely refusals by version",
        "A coarse look at wording; `promptlane investigate` reads the answers with the detector that the canary uses.",
        f"""fields {_SAID} as answered
| {RECORDS} and ispresent(requestMetadata.prompt)
| filter answered like /(?i)(can(no|')t|unable to|not able to|won't) (help|assist|provide|answer|do that)/
| stats count(*) as refusals by requestMetadata.prompt, requestMetadata.version, bin(5m)
| sort refusals desc""",
    ),
    SavedQuery(
        "Who invoked what",
        "Callers by prompt and version.",
        f"""{RECORDS}
| stats count(*) as calls, min(@timestamp) as first, max(@timestamp) as last
  by identity.arn, requestMetadata.prompt, requestMetadata.version, modelId
| sort calls desc""",
    ),
    SavedQuery(
        "Requests outside the split",
        "Calls without a release in their metadata: direct model calls, tests, or DRAFT.",
        f"""{RECORDS} and not ispresent(requestMetadata.release) and not ispresent(requestMetadata.purpose)
| stats count(*) as calls, max(@timestamp) as last by identity.arn, modelId, operation
| sort calls desc""",
    ),
    SavedQuery(
        "Tokens by version",
        "What a version costs: multiply by the model's price per token.",
        f"""{RECORDS} and ispresent(requestMetadata.prompt)
| stats count(*) as calls, sum(input.inputTokenCount) as input_tokens, sum(output.outputTokenCount) as output_tokens,
  avg(output.outputTokenCount) as output_tokens_a_call
  by requestMetadata.prompt, requestMetadata.version, modelId
| sort output_tokens desc""",
    ),
)
