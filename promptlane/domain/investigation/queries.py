"""Logs Insights queries over Bedrock's model invocation log: the saved ones, and those of an investigation.

Calls through the client library name prompt, version, track and release in requestMetadata. Records are picked by
`schemaType`, so that a log group shared with other records works too.

Logs Insights finds at most 200 fields in a JSON record, and a long conversation has more. An investigation therefore
looks for what it selects and groups by in the record's text: requestMetadata is an object of plain strings without
braces, whatever the order of its keys. Token counts of such records may be missing from sums.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from promptlane.domain.errors import InvalidInput
from promptlane.domain.metrics import GUARD_METRICS

_SAFE: Final = re.compile(r"^[\w@:/.,+ =-]*\Z")
RECORDS: Final = 'filter schemaType = "ModelInvocationLog"'
_RECORDS: Final = r'filter @message like /"schemaType"\s*:\s*"ModelInvocationLog"/'
ABSENT: Final = "-"
"""Stands for what a record does not say: rows are not grouped by a field that is absent."""
_WORDS: Final = "|".join(
    (
        r"n.t[ ,]|\bnot |nothing|cannot|unable|declin|refus|denied|against|violat|outside|beyond|rather|prefer|have no",
        "only (help|assist|answer|able|here)|sorry|apolog|regret|afraid|to pass|say no|impossib|confidential",
        "question for|prevent|unfortunat|i lack ",
        "nicht|kein|lehne|weiger|übers[ct]|widerspricht|verstö|außerhalb|unmöglich|passen|mir leid|ich kann nur",
        r"\bpas[ ,.]|[Dd]ésol|malheureus|ne (peux|puis|saurais)|dépasse|exc[èe]de|décliner|en dehors|contraire",
        "enfreint|encontre|uniquement|sort d|refuser|m.(empêch|interdi)|pardon|inaccessible|préfère",
        r"\bno |que no\b|lo siento|lament|perdón|disculp|rechaz|fuera de|en contra|me niego|imposib|solo puedo|infring",
        "más allá|se sale|não|desculp|sinto muito|só posso|recus|(fora|além) d|viola",
        r"\bnon |spiace|purtroppo|rifiut|esula|di fuori|\bsolo |scus",
        r"\bniet|\bgeen|helaas|spijt|weiger|afwijz|buiten mijn|in strijd|kan alleen|liever",
        r"\binte |\bikke |\bingen |avböj|vägra|nægt|nekt|strider|kan (bara|kun|bare)|beklager|[Tt]yvärr",
        "förlåt|un[dn]skyld",
        r"\bnie |odm[ao]w|odmówi|wykracza|narusza|tylko|jedynie|wolę|przykro|przepraszam",
        r"bohužel|[Oo]mlouv|\bnem[aáoů]|\bnej?s|\bne[bdp]|odmít|porušuje|pouze| jen |promiň|raději",
        "[Нн]е |отказ|рамки|пределы|наруша|противореч|только|лишь|предпоч|[Ии]звин|[Пп]рост|сожал",
        "відмов|порушу|суперечить|лише|тільки|[Вв]ибач|жаль|немає",
        "[Üü]zgün|maalesef|yetkim|dışında|aykırı|redded|reddet|yalnızca|sadece|[ae]m[ae]m|[ae]m[ıi]yor|m[ae]yaca|m[ae]yece",
        "عذر|آسف|أعتذر|لا |لن |لست|ليس|أرفض|يخالف|يتعارض|فقط|خارج|غير|يتعذر",
        "क्षमा|खेद|माफ़|नहीं|असमर्थ|अक्षम|मना|इनकार|खिलाफ|बाहर|केवल",
        "申し訳|ません|かねます|お断り|範囲外|のみ|反します|できない|抱歉|[对對]不起|[无無没沒]|不|拒|只能|超出|违反",
        "죄송|수 없|수는 없|않|못|거절|거부|권한|범위|위배|위반|에만|어렵",
    )
)
"""What an answer's wording shows when it may decline, in the detector's languages: a denial, a regret, an exception."""
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


def _with(name: str, value: str) -> str:
    """A regular expression for an entry of requestMetadata with this value."""
    quoted(value)  # refuses what could leave the expression
    return _entry(name, re.sub(r"([.+/])", r"\\\1", value))


def _having(name: str) -> str:
    """A regular expression for an entry of requestMetadata, whatever its value."""
    return _entry(name, '[^"]*')


def _taken(name: str) -> str:
    """A regular expression that takes an entry's value as `of_<name>`."""
    return _entry(name, f'(?<of_{name}>[^"]*)')


def _entry(name: str, pattern: str) -> str:
    return rf'/"requestMetadata"\s*:\s*\{{[^{{}}]*"{name}"\s*:\s*"{pattern}"/'


_COUNTED: Final = """count(*) as calls, count(errorCode) as errors, sum(input.inputTokenCount) as input_tokens,
  sum(output.outputTokenCount) as output_tokens, min(@timestamp) as first, max(@timestamp) as last"""
_WHO: Final = f"""coalesce(identity.arn, "{ABSENT}") as caller, coalesce(modelId, "{ABSENT}") as model,
  coalesce(operation, "{ABSENT}") as called"""


def calls_of(prompt: str) -> str:
    """Counts of a prompt's calls by version, track, caller, model and operation."""
    return f"""{_RECORDS} and @message like {_with("prompt", prompt)}
| parse @message {_taken("version")}
| parse @message {_taken("track")}
| fields coalesce(of_version, "{ABSENT}") as version, coalesce(of_track, "{ABSENT}") as track, {_WHO}
| stats {_COUNTED}
  by version, track, caller, model, called
| sort calls desc
| limit {MOST_ROWS}"""


def calls_outside(models: Sequence[str], prompt_id: str) -> str:
    """Counts of calls of a prompt's models that name no prompt: nobody's split decided on them.

    A model is named by its id or by an ARN that ends in it, of a foundation model or an inference profile.
    """
    ids = [m.rpartition("/")[2] for m in models]
    wanted = [
        *(f"modelId = {quoted(i)} or modelId like {quoted(f'/{i}')}" for i in ids),
        *([f"modelId like {quoted(f'prompt/{prompt_id}')}"] if prompt_id else []),
    ]
    return f"""{_RECORDS} and @message not like {_having("prompt")}
  and @message not like {_having("purpose")} and ({" or ".join(wanted) or "1 = 0"})
| fields {_WHO}
| stats {_COUNTED}
  by caller, model, called
| sort calls desc
| limit {MOST_ROWS}"""


def records_of(prompt: str, version: int, most: int, *, suspicious: bool = False) -> str:
    """The newest records of one version, whole; `suspicious`: of those alone whose text may be a bad answer's."""
    only = f"\n| filter @message like {_suspicious()}" if suspicious else ""
    return f"""fields @timestamp, @message, @ptr
| {_RECORDS} and @message like {_with("prompt", prompt)}
  and @message like {_with("version", str(version))}{only}
| sort @timestamp desc
| limit {min(most, MOST_ROWS)}"""


def _suspicious() -> str:
    """A coarse look at a record's text: what it lets through is judged again. An error has no output."""
    signs = "|".join(m.signs for m in GUARD_METRICS.values() if m.signs)
    return rf'/(?i)"outputBodyJson".*({_WORDS}|{signs})|"errorCode"/'


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
        "A coarse look at wording, as a share of all calls; `promptlane investigate` reads the answers with the "
        "detector that the canary uses.",
        f"""fields {_SAID} as answered, coalesce(requestMetadata.version, "{ABSENT}") as version
| {RECORDS} and ispresent(requestMetadata.prompt)
| parse answered /(?i)(?<refusal>(?:can(?:no|')t|unable to|not able to|won't) (?:help|assist|provide|answer|do that))/
| stats count(*) as calls, count(refusal) as refusals, 100 * count(refusal) / count(*) as percent
  by requestMetadata.prompt, version, bin(5m)
| sort percent desc""",
    ),
    SavedQuery(
        "Who invoked what",
        f"Callers by prompt and version; `{ABSENT}` where the call did not name them.",
        f"""{RECORDS}
| fields coalesce(identity.arn, "{ABSENT}") as caller, coalesce(requestMetadata.prompt, "{ABSENT}") as prompt,
  coalesce(requestMetadata.version, "{ABSENT}") as version, coalesce(modelId, "{ABSENT}") as model
| stats count(*) as calls, min(@timestamp) as first, max(@timestamp) as last by caller, prompt, version, model
| sort calls desc""",
    ),
    SavedQuery(
        "Requests outside the split",
        "Calls without a release in their metadata: direct model calls, tests, or DRAFT.",
        f"""{RECORDS} and not ispresent(requestMetadata.release) and not ispresent(requestMetadata.purpose)
| fields {_WHO}
| stats count(*) as calls, max(@timestamp) as last by caller, model, called
| sort calls desc""",
    ),
    SavedQuery(
        "Cost by version",
        "US dollars. Edit the two prices, 0.06 for a million input tokens and 0.24 for a million output tokens (Nova "
        "Lite's). Tokens written to the cache count as input, tokens read from it as a quarter; for usd_uncached "
        "both are plain input, so that versions with warmer and colder caches compare.",
        f"""# Prices in USD for a million tokens: 0.06 input, 0.24 output. Edit both for your model.
fields coalesce(input.inputTokenCount, 0) as sent, coalesce(output.outputTokenCount, 0) as answered,
  coalesce(input.cacheReadInputTokenCount, 0) as cache_read,
  coalesce(input.cacheWriteInputTokenCount, 0) as cache_write, coalesce(requestMetadata.version, "{ABSENT}") as version
| {RECORDS} and ispresent(requestMetadata.prompt)
| stats count(*) as calls, sum(sent) as input_tokens, sum(answered) as output_tokens,
  sum(cache_read) as cache_read_tokens, sum(cache_write) as cache_write_tokens,
  (sum(sent) + sum(cache_write) + sum(cache_read) / 4) / 1000000 * 0.06 + sum(answered) / 1000000 * 0.24 as usd,
  (sum(sent) + sum(cache_write) + sum(cache_read)) / 1000000 * 0.06 + sum(answered) / 1000000 * 0.24 as usd_uncached
  by requestMetadata.prompt, version, modelId
| sort usd desc""",
    ),
)
