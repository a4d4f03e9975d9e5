# ruff: noqa: E501 - one case a line reads better than a case broken in pieces
"""What the conformance files ask: the cases, of which the Python client gives the answers (`--write`)."""

from __future__ import annotations

import json
from typing import Any

from .python import ANSWERS, FOLDER, texts

DAY = 20_500
"""The day of receipts: 16 February 2026."""
NOW = DAY * 86_400 + 40_000.0
REASONS = (
    "end_turn", "tool_use", "stop_sequence", "max_tokens", "model_context_window_exceeded", "guardrail_intervened",
    "content_filtered", "refusal", "malformed_model_output", "malformed_tool_use", "of_the_future",
)  # fmt: skip
TOOL = {"toolUse": {"toolUseId": "t1", "name": "look_up", "input": {}}}
REASONED = {"reasoningContent": {"reasoningText": {"text": "Let me think."}}}
CODES = (
    "ThrottlingException", "ValidationException", "ResourceNotFoundException", "AccessDeniedException",
    "ModelErrorException", "ModelTimeoutException", "ServiceQuotaExceededException",
)  # fmt: skip
INVALID = {"error": {"code": "ValidationException", "message": "Input is too long for requested model."}}
DOWN = {"error": {"code": "ModelErrorException", "message": "down"}}


def _response(*blocks: Any, reason: str = "end_turn", usage: Any = None) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": reason,
        "usage": usage or {"inputTokens": 10, "outputTokens": 3, "totalTokens": 13},
        "metrics": {"latencyMs": 1},
    }


def outcomes() -> dict[str, Any]:
    said = {"text": "Yes, within 30 days."}
    found: dict[str, Any] = {f"stop reason {reason}": _response(said, reason=reason) for reason in REASONS}
    found |= {f"stop reason {reason}, nothing said": _response(reason=reason) for reason in REASONS}
    found |= {
        "a refusal in words": _response({"text": "I'm sorry, but I can't help with that."}),
        "a guardrail's canned text": _response({"text": "Sorry, I can't answer."}, reason="guardrail_intervened"),
        "blanks alone": _response({"text": " \n\u00a0\u3000\u0085"}),
        "what is no blank in Python": _response({"text": "\ufeff"}),
        "a tool alone": _response(TOOL, reason="tool_use"),
        "a tool, and a refusal beside it": _response({"text": "I can't do that."}, TOOL, reason="tool_use"),
        "reasoning alone": _response(REASONED),
        "reasoning and text": _response(REASONED, said),
        "text with citations": _response({"citationsContent": {"content": [{"text": "Ye"}, {"text": "s."}], "citations": []}}),
        "no message": {"stopReason": "end_turn"},
        "no content": {"output": {"message": {"role": "assistant"}}, "stopReason": "end_turn"},
        "no usage": {key: value for key, value in _response(said).items() if key != "usage"},
        "cached tokens": _response(said, usage={"inputTokens": 5, "outputTokens": 2, "cacheReadInputTokens": 100,
                                                "cacheWriteInputTokens": 7}),
        "a cache that was not used": _response(said, usage={"inputTokens": 5, "outputTokens": 2,
                                                            "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0}),
    }  # fmt: skip
    cases: dict[str, Any] = {name: {"response": response, "latency_ms": 900} for name, response in found.items()}
    cases["slow by a hair"] = {"response": _response(said), "latency_ms": 10_000.5}
    cases["as slow as may be"] = {"response": _response(said), "latency_ms": 10_000}
    cases |= {code: {"error": {"code": code}, "latency_ms": 900} for code in CODES}
    cases["a guardrail that is gone"] = {
        "error": {"code": "ValidationException", "message": "The guardrail identifier or version does not exist."},
        "latency_ms": 900,
    }
    cases["a slow error"] = {"error": {"code": "ModelTimeoutException"}, "latency_ms": 20_000}
    return cases


def requests() -> dict[str, Any]:
    user = {"role": "user", "content": [{"text": "And?"}]}
    long = "x" * 256
    named = {"guardrailIdentifier": "gr", "guardrailVersion": "1"}
    return {
        "a plain one": {"declared": ["q"], "variables": {"q": "Why?"}},
        "no variables": {},
        "a variable is missing": {"declared": ["q", "name"], "variables": {"q": "Why?"}},
        "a variable is unknown": {"declared": ["q"], "variables": {"q": "Why?", "r": "R"}},
        "variables that are undeclared": {"variables": {"anything": "goes"}},
        "a variable that is a number": {"declared": ["q"], "variables": {"q": 7}},
        "a variable that is null": {"declared": ["q"], "variables": {"q": None}},
        "variables that are a list": {"variables": ["q"]},
        "variables that are text": {"variables": "q"},
        "half a surrogate pair in a variable": {"variables": {"q": "a\ud83d"}},
        "half a surrogate pair in a variable's name": {"variables": {"\udc00": "a"}},
        "twenty variables": {"variables": {f"v{i}": "" for i in range(20)}},
        "twenty-one variables": {"variables": {f"v{i}": "" for i in range(21)}},
        "a variable called __proto__": {"declared": ["q"], "variables": {"q": "", "constructor": ""}},
        "an empty unit": {"unit": ""},
        "a unit of 1,024 bytes": {"unit": "é" * 512},
        "a unit of 1,025 bytes": {"unit": "é" * 512 + "e"},
        "a unit that is a number": {"unit": 4711},
        "a unit that is null": {"unit": None},
        "half a surrogate pair in a unit": {"unit": "u\ud83d"},
        "a message": {"messages": [user]},
        "messages that are an object": {"messages": {"role": "user"}},
        "messages that are text": {"messages": "And?"},
        "a message that is text": {"messages": ["And?"]},
        "a system message": {"messages": [{"role": "system", "content": [{"text": "Be kind."}]}]},
        "a message without blocks": {"messages": [{"role": "user", "content": []}]},
        "a message whose content is text": {"messages": [{"role": "user", "content": "And?"}]},
        "a blank text": {"messages": [{"role": "user", "content": [{"text": " \u3000"}]}]},
        "a text that is a number": {"messages": [{"role": "user", "content": [{"text": 7}]}]},
        "a block of two": {"messages": [{"role": "user", "content": [{"text": "a", "image": {}}]}]},
        "a tool's result": {"messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": []}}]}]},
        "half a surrogate pair in a message": {"messages": [{"role": "user", "content": [{"text": "\udfff"}]}]},
        "half a surrogate pair deep in a tool's result": {"messages": [{"role": "user", "content": [
            {"toolResult": {"toolUseId": "t", "content": [{"json": {"a": [{"b\ud800": 1}]}}]}}]}]},
        "metadata": {"metadata": {"tenant": "a-1", "empty": ""}},
        "metadata that would name the release": {"metadata": {"version": "99", "tenant": "a"}},
        "metadata that is a list": {"metadata": ["tenant"]},
        "twelve entries of metadata": {"metadata": {f"m{i}": "v" for i in range(12)}},
        "thirteen entries of metadata": {"metadata": {f"m{i}": "v" for i in range(13)}},
        "twelve and one of ours": {"metadata": {"track": "x", **{f"m{i}": "v" for i in range(12)}}},
        "metadata of 256 characters": {"metadata": {long: long}},
        "a name in metadata of 257 characters": {"metadata": {long + "x": "v"}},
        "a value in metadata of 257 characters": {"metadata": {"m": long + "x"}},
        "an empty name in metadata": {"metadata": {"": "v"}},
        "metadata that is a number": {"metadata": {"m": 1}},
        "an umlaut in metadata": {"metadata": {"m": "Zürich"}},
        "a bracket in metadata": {"metadata": {"m": "[1]"}},
        "a line's end in metadata": {"metadata": {"m": "a\nb"}},
        "a line's end at the end of metadata": {"metadata": {"m": "a\n"}},
        "the version's own guardrail": {"own_guardrail": named},
        "the version's own guardrail, traced": {"own_guardrail": named, "guardrail": {"trace": "enabled"}},
        "a guardrail in its place": {"own_guardrail": named,
                                     "guardrail": {"guardrailIdentifier": "other", "guardrailVersion": "2"}},
        "how to apply a guardrail that it has not": {"guardrail": {"trace": "enabled"}},
        "half a guardrail": {"own_guardrail": named, "guardrail": {"guardrailIdentifier": "other"}},
        "half a guardrail, the other": {"guardrail": {"guardrailVersion": "1", "trace": "enabled"}},
        "what no guardrail has": {"own_guardrail": named, "guardrail": {"tracing": True}},
        "how to stream, without a stream": {"own_guardrail": named, "guardrail": {"streamProcessingMode": "async"}},
        "how to stream": {"own_guardrail": named, "guardrail": {"streamProcessingMode": "async"},
                          "operation": "converse_stream"},
        "a guardrail that is text": {"guardrail": "gr"},
    }  # fmt: skip


def deadlines() -> dict[str, Any]:
    found = {}
    for phase in ("steady", "canary", "watch"):
        for shield in (True, False):
            for other, elapsed in ((False, 0.0), (True, 0.5), (True, 9.0), (True, 17.5), (True, 27.0)):
                whose = f"another's place after {elapsed:g} s" if other else "the first call"
                name = f"{phase}, {'shielded' if shield else 'not shielded'}, {whose}"
                times = {"timeout": 28.0, "reserve": 10.0, "shield": shield}
                found[name] = {**times, "phase": phase, "other": other, "elapsed": elapsed}
    found["a reserve of more than half"] = {
        "timeout": 8.0, "reserve": 10.0, "shield": True, "phase": "canary", "other": False, "elapsed": 0.0
    }  # fmt: skip
    return found


def receipts() -> dict[str, Any]:
    facts = {"version": 3, "track": "canary", "release_id": "GREETER000-3-1", "group": "7", "unit": "0123456789abcdef",
             "started_at": NOW}  # fmt: skip
    key = {"secret": "an older secret the newest", "prompt": "greeter", "day": DAY}
    nonce = "000102030405060708090a0b"
    sealed = ANSWERS["receipts"]({**key, "seal": facts, "nonce": nonce})
    other = ANSWERS["receipts"]({**key, "secret": "theirs", "seal": facts, "nonce": nonce})
    by_old = ANSWERS["receipts"]({**key, "secret": "older", "seal": facts, "nonce": nonce})
    marks = {f"the mark of {unit!r} under {salt!r}": {"mark": [salt, unit]}
             for salt in ("", "s", "Sälz", "x" * 100) for unit in ("u", "user-4711", "日本語", "y" * 200)}  # fmt: skip
    found: dict[str, Any] = {
        **marks,
        "sealed": {**key, "seal": facts, "nonce": nonce},
        "sealed in steady state": {**key, "seal": {**facts, "group": "", "track": "stable"}, "nonce": nonce},
        "sealed, with a time of half a millisecond": {
            **key,
            "seal": {**facts, "started_at": NOW + 0.0126},
            "nonce": nonce,
        },
        "facts without room": {**key, "seal": {**facts, "release_id": "x" * 144}, "nonce": nonce},
    }
    opened = {"secret": key["secret"], "prompt": "greeter", "now": NOW + 60}
    found |= {
        "opened": {**opened, "open": sealed},
        "opened, sealed by an older secret": {**opened, "open": by_old},
        "opened after a day": {**opened, "open": sealed, "now": NOW + 86_400},
        "opened after two days": {**opened, "open": sealed, "now": NOW + 2 * 86_400 + 1},
        "opened after two weeks": {**opened, "open": sealed, "now": NOW + 14 * 86_400},
        "opened before it was sealed": {**opened, "open": sealed, "now": NOW - 301},
        "of another's secret": {**opened, "open": other},
        "of another prompt": {**opened, "open": sealed, "prompt": "other"},
        "altered at its end": {**opened, "open": sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB")},
        "altered in its head": {**opened, "open": sealed[:3] + "X" + sealed[4:]},
        "cut": {**opened, "open": sealed[:-1]},
        "too long": {**opened, "open": sealed * 10},
        "empty": {**opened, "open": ""},
        "padded": {**opened, "open": sealed + "=="},
        "of the format before": {**opened, "open": "greeter.abc.def"},
        "a number": {**opened, "open": 7},
        "null": {**opened, "open": None},
        "not ASCII": {**opened, "open": "ü" + sealed[1:]},
        "of base64's other letters": {**opened, "open": sealed[:40] + "+/" + sealed[42:]},
        "a blank within": {**opened, "open": sealed[:40] + " " + sealed[41:]},
    }
    return found


def _stream(*blocks: str, reason: str = "end_turn", usage: bool = True) -> list[Any]:
    found: list[Any] = [{"messageStart": {"role": "assistant"}}]
    for at, block in enumerate(blocks):
        if block == "tool":
            used = {"toolUse": {"toolUseId": "t1", "name": "look_up"}}
            found.append({"contentBlockStart": {"start": used, "contentBlockIndex": at}})
            found.append({"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}, "contentBlockIndex": at}})
        elif block == "reasoning":
            found.append(
                {"contentBlockDelta": {"delta": {"reasoningContent": {"text": "Hm."}}, "contentBlockIndex": at}}
            )
        else:
            found.append({"contentBlockDelta": {"delta": {"text": block}, "contentBlockIndex": at}})
        found.append({"contentBlockStop": {"contentBlockIndex": at}})
    found.append({"messageStop": {"stopReason": reason}})
    if usage:
        found.append({"metadata": {"usage": {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13}}})
    return found


def answers() -> dict[str, Any]:
    canary: dict[str, Any] = {"route": {"stable": 1, "canary": 2, "weight": 10_000}, "units": ["u"]}
    watch: dict[str, Any] = {"route": {"stable": 2, "previous": 1, "holdback": 10_000}, "units": ["u"]}
    stable: dict[str, Any] = {"route": {"stable": 1}, "units": ["u"]}
    fine = {"text": "Hello there."}
    both = {"1": fine, "2": {"text": "Hello, you."}}
    refusing = {"text": "I'm sorry, but I can't help with that."}
    found: dict[str, Any] = {
        "stable answers": {**stable, "replies": both, "emf": True},
        "the canary answers": {**canary, "replies": both, "emf": True},
        "the holdback answers": {**watch, "replies": both},
        "the canary refuses": {**canary, "replies": {"1": fine, "2": refusing}},
        "the canary uses a tool": {**canary, "replies": {"1": fine, "2": {"response": _response(TOOL, reason="tool_use")}}},
        "the canary fails": {**canary, "replies": {"1": fine, "2": DOWN}},
        "the canary fails without a shield": {**canary, "settings": {"shield": False}, "replies": {"1": fine, "2": DOWN}},
        "both fail": {**canary, "replies": {"1": DOWN, "2": DOWN}},
        "stable fails": {**stable, "replies": {"1": DOWN}},
        "throttled twice": {**stable, "replies": {"1": {"error": {"code": "ThrottlingException"}}}},
        "nobody takes the request": {**canary, "replies": {"1": INVALID, "2": INVALID}},
        "the canary does not take the request": {**canary, "replies": {"1": fine, "2": INVALID}},
        "nobody takes it, nothing is compared": {**stable, "replies": {"1": INVALID}, "emf": True},
        "nobody takes it, no shield": {**canary, "settings": {"shield": False}, "replies": {"1": INVALID, "2": INVALID}},
        "watched stable does not take it": {
            "route": {"stable": 2, "previous": 1, "holdback": 0}, "units": ["u"], "replies": {"1": fine, "2": INVALID}},
        "the holdback does not take it": {**watch, "replies": {"1": INVALID, "2": fine}},
        "the canary fails, stable does not take it": {**canary, "replies": {"1": INVALID, "2": DOWN}},
        "the canary does not take it, stable fails": {**canary, "replies": {"1": DOWN, "2": INVALID}},
        "variables that neither takes": {
            "route": {"stable": 1, "canary": 2, "weight": 10_000, "variables": ["q"]}, "units": ["u"],
            "variables": {}, "replies": both},
        "a message that nobody takes": {**canary, "messages": [{"role": "user", "content": []}], "replies": both},
        "metadata and messages": {
            **canary, "metadata": {"tenant": "t"}, "messages": [{"role": "user", "content": [{"text": "And?"}]}],
            "replies": both},
        "one unit alone opens no breaker": {**canary, "units": ["u"] * 9, "replies": {"1": fine, "2": DOWN}},
        "many units open the breaker": {
            **canary, "units": [f"u{i}" for i in range(24)], "replies": {"1": fine, "2": DOWN}},
        "the breaker is open, and stable fails": {
            **canary, "units": [f"u{i}" for i in range(16)], "replies": {"1": DOWN, "2": DOWN}},
        "no breaker": {
            **canary, "units": [f"u{i}" for i in range(24)], "settings": {"breaker_errors": 0},
            "replies": {"1": fine, "2": DOWN}},
    }  # fmt: skip
    whole = {"events": _stream("Hel", "lo.")}
    streams: dict[str, Any] = {
        "text": _stream("Yes, ", "within 30 days."),
        "reasoning, then text": _stream("reasoning", "Yes."),
        "a tool": _stream("tool", reason="tool_use"),
        "no usage": _stream("Yes.", usage=False),
    }
    for name, events in streams.items():
        for read in ("text", "events"):
            asked = {**canary, "read": read}
            found[f"{name}, read as {read}"] = {**asked, "replies": {"1": whole, "2": {"events": events}}}
            for at in range(len(events)):
                broken = [*events[:at], {"error": {"code": "ModelStreamErrorException"}}]
                found[f"{name}, read as {read}, broken after {at}"] = {
                    **asked, "replies": {"1": whole, "2": {"events": broken}}
                }  # fmt: skip
            for at in range(1, len(events)):
                found[f"{name}, read as {read}, ends after {at}"] = {
                    **asked, "replies": {"1": whole, "2": {"events": events[:at]}}
                }  # fmt: skip
    text = streams["text"]
    for read in ("text", "events"):
        for leave in (1, 2):
            found[f"its reader leaves after {leave} of {read}"] = {
                **canary, "read": read, "leave_after": leave, "replies": {"1": whole, "2": {"events": text}}
            }  # fmt: skip
        exception = {"events": [text[0], {"modelStreamErrorException": {"message": "it broke"}}]}
        late = {"events": [*text[:2], {"throttlingException": {"message": "too much"}}]}
        refused = {"events": [{"validationException": {"message": "too long"}}]}
        for name, replies in {
            "an exception as an event": {"1": whole, "2": exception},
            "an exception as an event after text": {"1": whole, "2": late},
            "an exception as an event in both": {"1": exception, "2": exception},
            "nobody takes the stream's request": {"1": refused, "2": refused},
            "the canary does not take the stream's request": {"1": whole, "2": refused},
            "an empty stream": {"1": whole, "2": {"events": []}},
            "the stream does not open": {"1": whole, "2": DOWN},
            "the stream opens nowhere": {"1": DOWN, "2": DOWN},
        }.items():
            found[f"{name}, read as {read}"] = {**canary, "read": read, "replies": replies}
    return found


ASKED = {
    "answers": ("whole requests: who answers, what is handed on, and the metrics, but for their times", answers),
    "deadlines": ("seconds that one call of a request may wait", deadlines),
    "outcomes": ("what an answer or an error counts as", outcomes),
    "receipts": ("units' marks, sealing with a given nonce, opening", receipts),
    "requests": ("the arguments of Converse, or what is refused before anything is sent", requests),
}


def text(kind: str) -> str:
    """A file as it should be."""
    if kind == "refusals":
        told = "".join(str(int(ANSWERS[kind](given))) for given in texts())
        about = "Whether each text of tests/data/refusals.tsv, in its order, declines: 1 or 0"
        document: dict[str, Any] = {"about": about, "declines": told}
        return json.dumps(document, indent=1) + "\n"
    about, asked = ASKED[kind]
    rows = [{"name": name, "given": given, "answer": ANSWERS[kind](given)} for name, given in asked().items()]
    lines = ",\n".join(json.dumps(row) for row in rows)
    return f'{{"about": {json.dumps(about[0].upper() + about[1:])}, "cases": [\n{lines}\n]}}\n'


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for kind in ANSWERS:
        (FOLDER / f"{kind}.json").write_text(text(kind), encoding="utf-8")
