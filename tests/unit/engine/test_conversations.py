"""Conversations: what is sent before a turn, how it goes on from this run's answers, and how each answer is graded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import SuiteInvalid, Unavailable
from promptlane.domain.policy import TestPolicy as Policy
from promptlane.domain.suite.answers import Answer, CallRefused, ModelRequest, ToolCall
from promptlane.engine.junit import junit
from promptlane.engine.objects import KeptAnswers
from promptlane.engine.parse import parse
from promptlane.engine.plan import TestPlanRefused, make_plan
from promptlane.engine.records import Collector, record_of
from promptlane.engine.report import Heading, build
from promptlane.engine.runner import Bench, CaseRun, Retry, run_cases
from promptlane.engine.suite import Case, Suite
from promptlane.engine.targets import Target
from promptlane.fakes.objects import MemoryObjects, ScriptedJudge, ScriptedModel
from promptlane.pages.test_report import page

Json = Any
YES: list[Json] = [{"type": "contains", "value": "yes"}]
TOOL = {"toolSpec": {"name": "find_order", "inputSchema": {"json": {"type": "object"}}}}
USE = {"toolUse": {"toolUseId": "t1", "name": "find_order", "input": {"order": 7}}}
RESULT = {"toolResult": {"toolUseId": "t1", "content": [{"json": {"state": "sent"}}]}}
ANSWERED = [
    {"role": "assistant", "content": "Which order?"},
    {"role": "user", "content": "Number {{number}}"},
]


def text_target(label: str = "new", arn: str = "") -> Target:
    return Target(label, label, {"modelId": "m", "templateConfiguration": {"text": {"text": label + " {{q}}"}}}, arn)


def chat_target(*roles: str, tools: bool = True, label: str = "new") -> Target:
    chat: dict[str, Json] = {"messages": [{"role": role, "content": [{"text": "{{q}}"}]} for role in roles]}
    chat |= {"toolConfiguration": {"tools": [TOOL]}} if tools else {}
    return Target(label, label, {"modelId": "m", "templateConfiguration": {"chat": chat}})


def case_of(**test: Json) -> Case:
    given = {"vars": {"q": "where?", "number": 7}, "assert": YES, **test}
    return parse({"tests": [given]}).cases[0]


def problems_of(**test: Json) -> list[tuple[str, str]]:
    with pytest.raises(SuiteInvalid) as refused:
        case_of(**test)
    return [*refused.value.problems]


def run(case: Case, script: Any, *, stable: Target | None = None, **more: Json) -> tuple[CaseRun, list[ModelRequest]]:
    model = ScriptedModel(script)
    settings = {"candidate": text_target(), "concurrency": 1, "retry": Retry(attempts=1), **more}
    [found] = run_cases([case], Bench(stable=stable, model=model, **settings))
    return found, model.asked


def messages(request: ModelRequest) -> list[tuple[str, Json]]:
    """(role, text or blocks) of each message that a request sends."""
    return [
        (m["role"], m["content"][0]["text"] if [*map(set, m["content"])] == [{"text"}] else m["content"])
        for m in request.body["messages"]
    ]


def test_messages_follow_the_template_with_their_variables_filled_in() -> None:
    case = case_of(messages=ANSWERED)
    sent = [("assistant", "Which order?"), ("user", "Number 7")]
    assert messages(text_target().request(case)) == [("user", "new where?"), *sent]
    by_arn = text_target(arn="arn:1").request(case)
    assert by_arn.model_id == "arn:1"
    assert by_arn.body["promptVariables"] == {"q": {"text": "where?"}}
    assert messages(by_arn) == sent
    assert "messages" not in text_target(arn="arn:1").request(case_of()).body


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"assistant": "Hi"}, {"role": "assistant", "content": [{"text": "Hi"}]}),
        (
            {"role": "assistant", "content": [{"type": "text", "text": "a"}, "b"]},
            {"role": "assistant", "content": [{"text": "a"}, {"text": "b"}]},
        ),
        (
            {"role": "assistant", "content": [{"text": "a"}, {"cachePoint": {"type": "default"}}]},
            {"role": "assistant", "content": [{"text": "a"}, {"cachePoint": {"type": "default"}}]},
        ),
    ],
)
def test_a_message_may_be_written_in_several_ways(written: Json, read: Json) -> None:
    assert case_of(messages=[written, {"user": "Go on"}]).messages[0] == read


@pytest.mark.parametrize(
    "written",
    [
        [{"role": "assistant", "content": [USE]}, {"role": "user", "content": [RESULT, {"text": "And?"}]}],
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "t1", "function": {"name": "find_order", "arguments": '{"order": 7}'}}],
            },
            {"role": "tool", "tool_call_id": "t1", "content": {"state": "sent"}},
            {"role": "user", "content": "And?"},
        ],
        [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t1", "name": "find_order", "input": {"order": 7}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "content": {"state": "sent"}}, "And?"],
            },
        ],
    ],
    ids=["Converse", "OpenAI", "Anthropic"],
)
def test_calls_of_tools_and_their_results_may_stand_in_what_was_said(written: Json) -> None:
    case = case_of(messages=written)
    assert case.messages == (
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [RESULT, {"text": "And?"}]},
    )
    assert chat_target("user").unfit([case]) == []
    [problem] = chat_target("user", tools=False, label="version 3").unfit([case])
    assert problem.startswith("case 'case-1': holds tool calls, and version 3 declares no tools")


ASSISTANT, USER = {"assistant": "a"}, {"user": "b"}


@pytest.mark.parametrize(
    ("written", "path", "said"),
    [
        ([], "messages", "must be a list of messages"),
        ("hello", "messages", "must be a list of messages"),
        ([USER, USER], "messages[1]", "is the user's, as the one before it; roles alternate"),
        ([ASSISTANT], "messages[0]", "is the assistant's; the last message is the one that the version answers"),
        ([{"role": "system", "content": "Be kind"}], "messages[0]", "the version's own system text is what is tested"),
        ([{"role": "bot", "content": "x"}], "messages[0].role", "is 'bot'; a message is {role: user | assistant"),
        ([{"role": "user", "content": " "}], "messages[0].content", "is an empty text, which Bedrock refuses"),
        ([{"role": "user", "content": []}], "messages[0].content", "must be text, or a list of blocks"),
        ([{"role": "user", "content": "x", "mood": 1}], "messages[0].mood", "is unknown in a message"),
        ([3], "messages[0]", "is no message"),
        (
            [{"role": "user", "content": [{"image": {"format": "png"}}]}],
            "messages[0].content[0]",
            "holds image; a test sends texts, toolUse, toolResult",
        ),
        (
            [{"role": "user", "content": [{"cachePoint": {"type": "default"}}]}],
            "messages[0].content",
            "says nothing",
        ),
        ([{"role": "user", "content": [RESULT]}], "messages[0]", "which no toolUse of the message before asked for"),
        ([{"role": "user", "content": [USE]}], "messages[0]", "holds a toolUse, which only the assistant makes"),
        (
            [{"role": "assistant", "content": [RESULT]}, USER],
            "messages[0]",
            "holds a toolResult, which only the user sends",
        ),
        (
            [{"role": "assistant", "content": [USE]}, USER],
            "messages[1]",
            "holds no toolResult of 't1' (find_order), which the message before asks for; add it",
        ),
        (
            [{"role": "assistant", "content": [USE]}, {"role": "user", "content": [RESULT, RESULT]}],
            "messages[1]",
            "holds two toolResults of one toolUse",
        ),
        (
            [{"role": "assistant", "content": [USE, USE]}, {"role": "user", "content": [RESULT]}],
            "messages[0]",
            "holds two toolUses with one toolUseId",
        ),
        (
            [{"role": "assistant", "tool_calls": [{"id": "t", "function": {"name": "f", "arguments": "{"}}]}, USER],
            "messages[0].tool_calls[0].function.arguments",
            "is not JSON",
        ),
        (
            [{"role": "assistant", "content": [{"toolUse": {"name": "f", "input": {}}}]}, USER],
            "messages[0].content[0]",
            "needs an id (toolUseId)",
        ),
        (
            [{"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "input": {}}}]}, USER],
            "messages[0].content[0]",
            "is a toolUse without the `name` of a tool",
        ),
        ([{"user": "{{ nobody }}"}], "messages", "refers to {{nobody}}, which is not among the case's vars"),
        ([{"user": "{{ q | upper }}"}], "messages", "'{{ q | upper }}' is a filter"),
        ([USER, ASSISTANT] * 101, "messages", "holds 202 messages; at most 200 are sent"),
    ],
)
def test_what_bedrock_would_refuse_is_refused_where_it_stands(written: Json, path: str, said: str) -> None:
    found = problems_of(messages=written)
    assert [(p, m) for p, m in found if p == f"tests[0].{path}" and said in m], found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: (
            st.lists(v)
            | st.dictionaries(
                st.sampled_from(
                    ["role", "content", "text", "toolUse", "toolResult", "toolUseId", "user", "assistant", "json"]
                ),
                v,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_stands_for_messages_is_read_or_refused_with_its_place(written: Json) -> None:
    problems: list[tuple[str, str]] = []
    case = None
    try:
        case = case_of(messages=written)
    except SuiteInvalid as refused:
        problems = [*refused.problems]
    assert (case is None) == bool(problems)
    assert all(path.startswith("tests[0].") for path, _ in problems)
    if case is not None:
        assert case.messages[-1]["role"] == "user"
        assert parse({"tests": [json.loads(json.dumps(case.to_dict()))]}).cases[0] == case


CHAT = [{"role": "assistant", "content": "Which?"}, {"role": "user", "content": "The {{number}}th"}]


@pytest.mark.parametrize(
    "held",
    [
        CHAT,
        json.dumps(CHAT),
        "- role: assistant\n  content: Which?\n- role: user\n  content: The {{number}}th\n",
        [{"assistant": "Which?"}, {"user": "The {{number}}th"}],
    ],
    ids=["list", "JSON", "YAML", "roles as keys"],
)
def test_a_variable_that_holds_a_chat_is_what_was_said_where_the_template_does_not_take_it(held: Json) -> None:
    case = case_of(vars={"q": "where?", "number": 7, "history": held})
    assert messages(text_target().request(case))[1:] == [("assistant", "Which?"), ("user", "The 7th")]
    taking = Target("new", "new", {"modelId": "m", "templateConfiguration": {"text": {"text": "{{history}}"}}})
    assert [role for role, _ in messages(taking.request(case))] == ["user"]
    assert case.digest(["q"]) != case_of().digest(["q"])
    again = parse({"tests": [json.loads(json.dumps(case.to_dict()))]}).cases[0]
    assert (again.messages, again.chat) == (case.messages, "history")


def test_several_chats_are_told_apart_by_name_and_a_name_must_hold_one() -> None:
    two = {"q": "x", "number": 7, "one": CHAT, "two": [{"user": "Hi"}]}
    assert case_of(vars=two).messages == ()
    assert case_of(vars=two, chat="two").messages == ({"role": "user", "content": [{"text": "Hi"}]},)
    for test in ({"chat": "q"}, {"chat": "q", "messages": ANSWERED}):
        [(path, said)] = problems_of(vars=two, **test)
        assert (path, said) == ("tests[0].chat", "names 'q', which is no variable that holds a list of messages")


def test_a_chat_that_cannot_be_sent_says_why_beside_the_version() -> None:
    case = case_of(vars={"q": "x", "history": [{"role": "system", "content": "Be kind"}, {"user": "Hi"}]})
    assert case.messages == ()
    [problem] = text_target().unfit([case])
    assert problem.startswith("case 'case-1': variable 'history' as a chat: message [0] is a system message")


@pytest.mark.parametrize(
    ("target", "test", "said"),
    [
        (
            text_target(),
            {"messages": [USER]},
            "`messages` begins with a message of the user, as the template of new ends",
        ),
        (chat_target("user", "assistant"), {"messages": ANSWERED}, "begins with a message of the assistant"),
        (
            chat_target("user", "assistant"),
            {"turns": [{"user": "And?", "assert": YES}]},
            "`turns` go on from an answer",
        ),
        (
            text_target(),
            {"turns": [{"tool_results": {"find_order": "sent"}, "assert": YES}]},
            "holds tool calls, and new declares no tools",
        ),
    ],
)
def test_a_conversation_that_a_version_cannot_take_is_refused_before_any_call(
    target: Target, test: Json, said: str
) -> None:
    case = case_of(**test)
    assert any(said in problem for problem in target.unfit([case]))
    prices = {"m": (1.0, 1.0)}
    with pytest.raises(TestPlanRefused, match="case 'case-1'"):
        make_plan(Suite((case,)), Policy(prices=prices), target, text_target("fine"))


def test_what_only_the_candidate_can_be_asked_is_told_before() -> None:
    """A release that brings tools brings cases with them; to refuse them would keep it for ever."""
    turns = [{"tool_results": {"find_order": "sent"}, "assert": YES}]
    cases = tuple(replace(case_of(turns=turns), id=f"case-{i}") for i in range(7))
    made = make_plan(
        Suite(cases),
        Policy(prices={"m": (1.0, 1.0)}),
        chat_target("user"),
        chat_target("user", tools=False, label="v1"),
    )
    told = [warning for warning in made.warnings if "declares no tools" in warning]
    assert len(told) == 5
    assert told[0].startswith("case 'case-0': holds tool calls, and v1 declares no tools")
    assert told[0].endswith("until then the case fails there, or is missing")
    assert "2 more conversations do not fit the stable version either" in made.warnings
    [problem] = chat_target("user").unfit([case_of(turns=[{"tool_results": {"pay": "x"}, "assert": YES}])])
    assert problem == ("case 'case-1': gives a result of the tool 'pay', which new does not declare; correct the name")


THREE = [
    {"user": "And in {{number}}?", "assert": YES},
    {"user": "Thanks", "assert": [{"type": "not-contains", "value": "no"}]},
]


def test_each_turn_sees_the_answers_of_this_run_on_both_tracks_alike() -> None:
    count = iter(range(1, 99))
    found, asked = run(
        case_of(turns=THREE), lambda r: f"yes {next(count)}", stable=text_target("old"), candidate=text_target("new")
    )
    assert [messages(request) for request in asked] == [
        [("user", "new where?")],
        [("user", "new where?"), ("assistant", "yes 1"), ("user", "And in 7?")],
        [
            ("user", "new where?"),
            ("assistant", "yes 1"),
            ("user", "And in 7?"),
            ("assistant", "yes 2"),
            ("user", "Thanks"),
        ],
        [("user", "old where?")],
        [("user", "old where?"), ("assistant", "yes 4"), ("user", "And in 7?")],
        [
            ("user", "old where?"),
            ("assistant", "yes 4"),
            ("user", "And in 7?"),
            ("assistant", "yes 5"),
            ("user", "Thanks"),
        ],
    ]
    [candidate] = found.candidate
    assert candidate.answer is not None
    assert candidate.grade is not None
    assert [a.text for a in (candidate.answer, *candidate.answer.later)] == ["yes 1", "yes 2", "yes 3"]
    assert [(g.turn, g.type, g.passed) for g in candidate.grade.grades] == [
        (1, "contains", True),
        (2, "contains", True),
        (3, "not-contains", True),
    ]
    assert found.stable is not None
    assert found.stable[0].passed is True


@pytest.mark.parametrize(("wrong", "passed"), [(1, False), (2, False), (3, False), (4, True)])
def test_a_wrong_answer_to_any_turn_fails_the_case(wrong: int, passed: bool) -> None:
    count = iter(range(1, 99))
    found, asked = run(case_of(turns=THREE), lambda r: "no" if next(count) == wrong else "yes")
    assert found.candidate[0].passed is passed
    assert len(asked) == 3
    failed = [g.turn for g in found.candidate[0].grade.grades if not g.passed] if found.candidate[0].grade else None
    assert failed == ([] if passed else [wrong])


def test_assertions_of_all_tests_hold_for_each_turn_and_a_turn_without_any_is_refused() -> None:
    data = {
        "defaultTest": {"assert": [{"type": "not-contains", "value": "sorry"}]},
        "tests": [{"vars": {"q": "x"}, "turns": [{"user": "And?"}]}],
    }
    [case] = parse(data).cases
    assert [[a.type for a in asserts] for asserts in (case.asserts, case.turns[0].asserts)] == [["not-contains"]] * 2
    found, _ = run(case, lambda r: "sorry" if len(r.body["messages"]) > 1 else "fine")
    assert found.candidate[0].passed is False
    [(path, said)] = problems_of(turns=[{"user": "And?"}])
    assert (path, said) == (
        "tests[0].turns[0]",
        "has no assertion, so any answer to it would pass; add `assert`, or end before it",
    )


@pytest.mark.parametrize(
    ("turns", "path", "said"),
    [
        ([], "turns", "must be a list of 1 to 20 turns"),
        ([{"user": "x", "assert": YES}] * 21, "turns", "must be a list of 1 to 20 turns"),
        (["x"], "turns[0]", "must be a mapping with `user`"),
        ([{"assert": YES}], "turns[0]", "says nothing; give `user`"),
        ([{"user": "x", "asert": YES}], "turns[0].asert", "unknown key; did you mean 'assert'"),
        ([{"user": "", "assert": YES}], "turns[0].user", "is an empty text"),
        ([{"user": [USE], "assert": YES}], "turns[0].user", "holds a toolUse; results of this run's calls"),
        ([{"tool_results": ["x"], "assert": YES}], "turns[0].tool_results", "must be a mapping of a tool's name"),
        ([{"tool_results": {"f": 3}, "assert": YES}], "turns[0].tool_results.f", "is no result of a tool"),
        ([{"user": "{{ nobody }}", "assert": YES}], "turns", "refers to {{nobody}}"),
        ([{"user": "x", "assert": [{"type": "contains", "value": "{{nobody}}"}]}], "assert", "refers to {{nobody}}"),
    ],
)
def test_turns_that_prove_nothing_or_cannot_be_sent_are_refused(turns: Json, path: str, said: str) -> None:
    found = problems_of(turns=turns)
    assert [(p, m) for p, m in found if p == f"tests[0].{path}" and said in m], found


def test_what_belongs_to_one_case_is_refused_for_all_of_them() -> None:
    with pytest.raises(SuiteInvalid) as refused:
        parse({"defaultTest": {"messages": ANSWERED}, "tests": [{"vars": {"q": "x"}, "assert": YES}]})
    assert refused.value.problems == [("defaultTest.messages", "belongs to one case; write it there")]


def test_results_of_tools_answer_the_calls_of_this_run() -> None:
    thinking = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}
    use = {"toolUse": {"toolUseId": "run-9", "name": "find_order", "input": {"order": 7}}}
    calls = (ToolCall("find_order", {"order": 7}, "run-9"),)
    first = Answer("", "tool_use", tool_calls=calls, content=[thinking, {"text": " "}, use])
    answers = iter([first, Answer("yes, it was sent")])
    turns = [{"tool_results": {"find_order": {"state": "{{q}}"}}, "user": "Well?", "assert": YES}]
    case = case_of(turns=turns, **{"assert": [{"type": "is-valid-tool-call"}]})
    found, asked = run(case, lambda r: next(answers), candidate=chat_target("user"))
    assert found.candidate[0].passed is True
    assert asked[1].body["messages"][1:] == [
        {"role": "assistant", "content": [thinking, use]},
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "run-9", "content": [{"json": {"state": "where?"}}]}},
                {"text": "Well?"},
            ],
        },
    ]
    assert found.candidate[0].answer is not None
    assert found.candidate[0].answer.content == ()  # kept no longer than the conversation needs it


@pytest.mark.parametrize(
    ("said", "turn", "reason"),
    [
        (Answer("  "), {"user": "And?"}, "the answer before was empty, so the conversation could not go on"),
        (
            Answer("x", tool_calls=(ToolCall("find_order", {}),)),
            {"user": "And?"},
            "the answer before called the tool 'find_order', for which this turn has no result",
        ),
        (
            Answer("It was sent"),
            {"tool_results": {"find_order": "sent"}},
            "the answer before did not call the tool 'find_order', whose result this turn gives",
        ),
    ],
)
def test_an_answer_from_which_the_conversation_cannot_go_on_fails_whatever_the_threshold(
    said: Answer, turn: Json, reason: str
) -> None:
    later = [{**turn, "assert": YES}, {"user": "Thanks", "assert": YES}]
    holds = [{"type": "not-contains", "value": "no"}]
    case = case_of(turns=later, threshold=0.1, **{"assert": holds})
    found, asked = run(case, lambda r: said, candidate=chat_target("user"))
    [one] = found.candidate
    assert one.grade is not None
    assert (one.passed, len(asked), one.missing) == (False, 1, "")
    assert [(g.turn, g.passed, g.reason) for g in one.grade.grades] == [(1, True, ""), (2, False, reason)]
    assert one.grade.score == pytest.approx(1 / 3)


@pytest.mark.parametrize("error", [CallRefused("too long"), Unavailable("down")])
def test_after_a_call_that_fails_the_run_is_missing_and_says_at_which_turn(error: Exception) -> None:
    answers = iter(["no", error])
    case = case_of(turns=THREE)
    store = KeptAnswers(MemoryObjects(), fresh_for=60.0, clock=lambda: 0.0)
    found, asked = run(case, lambda r: next(answers), store=store, prices={"m": (0.0, 1e6)})
    [one] = found.candidate
    assert (one.passed, len(asked)) == (None, 2)
    assert one.missing.startswith("turn 2: ")
    assert str(error) in one.missing
    assert store.get(text_target(), case) == []  # half a conversation is kept for nobody
    collector = Collector([case.id], repeats=1, absolute=True)
    tally = collector.add(case, record_of(found))
    assert (tally.candidate, tally.reason) == (None, f"candidate: {one.missing}")
    assert collector.sides["candidate"].to_dict()["cost_usd"] == 1.0  # what was answered was paid for


def test_answers_of_a_conversation_are_kept_and_graded_anew() -> None:
    store = KeptAnswers(MemoryObjects(), fresh_for=60.0, clock=lambda: 0.0)
    case = case_of(turns=THREE)
    count = iter(range(99))
    first, asked = run(case, lambda r: f"yes {next(count)}", store=store, stable=text_target("old"))
    assert len(asked) == 6
    stricter = case_of(turns=[THREE[0], {"user": "Thanks", "assert": [{"type": "contains", "value": "never"}]}])
    again, asked = run(stricter, lambda r: "yes", store=store, stable=text_target("old"))
    assert len(asked) == 3
    assert first.stable is not None
    assert again.stable is not None
    assert (again.stable[0].reused, again.stable[0].passed) == (True, False)
    assert first.stable[0].answer == again.stable[0].answer


OTHERS: list[dict[str, Json]] = [
    {},
    {"messages": ANSWERED},
    {"messages": [ANSWERED[0], {"user": "Number 8"}]},
    {"turns": [{"user": "And?", "assert": YES}]},
    {"turns": [{"user": "Then?", "assert": YES}]},
    {"turns": [{"user": "And?", "tool_results": {"f": "x"}, "assert": YES}]},
    {"turns": [{"user": "And?", "assert": YES}, {"user": "And?", "assert": YES}]},
    {"messages": ANSWERED, "turns": [{"user": "And?", "assert": YES}]},
    {"messages": ANSWERED, "vars": {"q": "where?", "number": 8}},
]


def test_what_is_kept_is_named_by_all_that_was_said() -> None:
    digests = [case_of(**test).digest(["q"]) for test in OTHERS]
    assert len(set(digests)) == len(OTHERS)
    turn = {"user": "And?", "assert": [{"type": "contains", "value": "other"}]}
    assert case_of(turns=[turn]).digest(["q"]) == case_of(**OTHERS[3]).digest(["q"])


def test_a_plan_counts_every_call_and_what_is_sent_again() -> None:
    prices = {"m": (1.0, 1.0)}
    policy = Policy(prices=prices, repeats=2)
    short, long = (make_plan(Suite((case_of(**t),)), policy, text_target(), None) for t in ({}, {"turns": THREE}))
    assert (short.calls, long.calls) == (2, 6)
    assert long.cost_usd > 3 * short.cost_usd
    assert long.sentence.startswith("1 cases x 1 x 2, each with its turns and repeats = 6 calls")


def test_a_batch_of_conversations_is_smaller() -> None:
    """48 calls of two minutes fit into a batch's time: 10 cases of one call a side, and 8 of three."""
    policy = Policy(prices={"m": (1.0, 1.0)}, batch_size=10)
    sizes = [
        make_plan(Suite((case_of(**test),) * 20), policy, text_target(), text_target("old")).batch_size
        for test in ({}, {"turns": THREE})
    ]
    assert sizes == [10, 8]


def test_a_judge_sees_what_was_said_and_nothing_in_an_answer_is_filled_in() -> None:
    judge = ScriptedJudge(lambda user: {"pass": True, "score": 1.0, "reason": "so"})
    rubric = [{"type": "llm-rubric", "value": "kind"}]
    case = case_of(messages=ANSWERED, turns=[{"user": "And?", "assert": rubric}])
    answers = iter(["yes {{q}}", "good"])
    found, _ = run(case, lambda r: next(answers), judge=judge)
    assert found.candidate[0].passed is True
    [shown] = judge.asked
    for said in ("Number 7", "yes {{q}}", "user:\nAnd?", "good"):
        assert said in shown


def test_versions_are_compared_by_what_each_conversation_came_to() -> None:
    seen: list[str] = []

    def better(user: str) -> Json:
        seen.append(user)
        return {"reason": "so", "better": "A" if user.index("new 2") < user.index("old 2") else "B"}

    case = case_of(
        messages=ANSWERED,
        turns=[{"user": "And?", "assert": [{"type": "select-best", "value": "kind"}]}],
        **{"assert": YES},
    )
    script = lambda r: f"yes {r.body['messages'][0]['content'][0]['text'][:3]} {len(r.body['messages']) // 2}"  # noqa: E731
    found, _ = run(case, script, stable=text_target("old"), judge=ScriptedJudge(better))
    assert found.candidate[0].passed is True
    assert found.stable is not None
    assert found.stable[0].passed is False
    assert len(seen) == 2
    for user in seen:
        assert user.count("Which order?") == 1  # what both were given stands before both, once
        assert user.count("yes new 1") == user.count("yes old 1") == 1


def test_a_report_tells_turn_by_turn_what_was_asked_and_answered() -> None:
    case = case_of(messages=ANSWERED, turns=THREE, description="Two orders")
    answers = iter(["yes 1", "yes 2", "no 3"])
    found, _ = run(case, lambda r: next(answers))
    collector = Collector([case.id], repeats=1, absolute=True)
    collector.add(case, json.loads(json.dumps(record_of(found))))
    [detail] = [d for shown in collector.shown.values() for d in shown]
    told = detail["candidate"]
    assert told["turns"] == [
        {"asked": "", "output": "yes 1"},
        {"asked": "And in 7?", "output": "yes 2"},
        {"asked": "Thanks", "output": "no 3"},
    ]
    assert told["output"] == "[turn 1]\nyes 1\n\n[turn 2] user: And in 7?\nyes 2\n\n[turn 3] user: Thanks\nno 3"
    assert [f["type"] for f in told["failed"]] == ["turn 3, not-contains"]
    assert detail["messages"] == [
        {"role": "assistant", "text": "Which order?"},
        {"role": "user", "text": "Number {{number}}"},
    ]
    sums = collector.sides["candidate"].to_dict()
    assert (sums["runs"], sums["input_tokens_mean"]) == (3, 100)


def failing_report() -> dict[str, Json]:
    """Of a conversation whose last answer the candidate gets wrong, and from whose opening stable cannot go on."""
    case = case_of(messages=ANSWERED, turns=THREE, description="Two orders")

    def script(request: ModelRequest) -> Answer:
        asked = request.body["messages"][-1]["content"][0]["text"]
        old = request.body["messages"][0]["content"][0]["text"].startswith("old")
        return Answer("" if old and asked.startswith("And") else "no <b>" if asked == "Thanks" else "yes & more")

    found, _ = run(case, script, stable=text_target("old"))
    collector = Collector([case.id], repeats=1, absolute=False)
    collector.add(case, json.loads(json.dumps(record_of(found))))
    policy = Policy(prices={"m": (1.0, 1.0)})
    plan = make_plan(Suite((case,)), policy, text_target(), text_target("old"))
    heading = Heading.of("support", 1.8e9, text_target(), text_target("old"))
    return json.loads(json.dumps(build(heading, plan, policy, collector)))  # type: ignore[no-any-return]


def test_a_page_shows_turn_by_turn_what_both_sides_said() -> None:
    shown = page(failing_report()).decode()
    for said in (
        "Said before",
        "Which order?",
        "<b>Turn 1</b>",
        "<b>Turn 3</b>",
        "yes &amp; more",
        "no &lt;b&gt;",
        "Thanks",
        "new (stable: not asked)",
        "turn 3, not-contains",
    ):
        assert said in shown, said
    assert "no <b>" not in shown


def test_junit_names_the_turn_that_failed_and_holds_the_conversation() -> None:
    report = failing_report()
    report["cases"][0]["change"] = "newly failing"
    text = "".join(ElementTree.fromstring(junit(report)).itertext())
    assert "turn 3, not-contains: " in text
    assert "[turn 2] user: And in 7?\nyes & more" in text
    assert "[turn 3] user: Thanks\nno <b>" in text


@pytest.mark.parametrize("test", OTHERS)
def test_a_case_that_is_deployed_is_read_back_as_it_was(test: Json) -> None:
    case = case_of(**test)
    assert parse({"tests": [json.loads(json.dumps(case.to_dict()))]}).cases == (case,)
