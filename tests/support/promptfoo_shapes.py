"""Configurations in the shapes that users of promptfoo publish, and what an import makes of each."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shape:
    """`types`: of every case, `kind` or `kind value` joined; `left`: texts of what and why; `stubs`: names."""

    config: str
    cases: int
    types: list[str]
    left: tuple[str, ...] = ()
    stubs: tuple[str, ...] = ()
    policy: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


USUAL = "regex not-is-refusal output-tokens"
CSV = "q,__expected\nhi,contains:hello\nyo,icontains:YO\n"

SHAPES = {
    "getting started": Shape(
        """
        # yaml-language-server: $schema=https://promptfoo.dev/config-schema.json
        description: My eval
        prompts: ["Write a tweet about {{topic}}", "Write a very concise, funny tweet about {{topic}}"]
        providers: [openai:gpt-4o-mini, "bedrock:amazon.nova-lite-v1:0"]
        tests:
          - vars: {topic: bananas}
          - vars: {topic: avocado toast}
            assert:
              - {type: icontains, value: avocado}
              - {type: javascript, value: 1 / (output.length + 1)}
          - vars: {topic: new york city}
            assert: [{type: llm-rubric, value: ensure that the output is funny}]
        """,
        3,
        [USUAL, "icontains python", "llm-rubric"],
        ("`prompts`", "`providers`", "promptfoo passes it whatever is answered", "names no guardrail"),
        ("imported-javascript",),
    ),
    "nothing asserted": Shape(
        "{prompts: [file://p.txt], tests: [{vars: {a: 1}}, {vars: {a: 2}}]}", 2, [USUAL, USUAL], ("ours stand in",)
    ),
    "csv as tests": Shape("tests: file://cases.csv", 2, ["contains", "icontains"], files={"cases.csv": CSV}),
    "csv in a list": Shape("tests: [file://cases.csv]", 2, ["contains", "icontains"], files={"cases.csv": CSV}),
    "csv without expectations": Shape(
        "tests: cases.csv", 2, [USUAL, USUAL], ("cases.csv line 2",), files={"cases.csv": "q\nhi\nyo\n"}
    ),
    "csv with code": Shape(
        "tests: cases.csv",
        3,
        ["python", "python", "contains"],
        stubs=("imported-javascript", "check-grade"),
        files={"cases.csv": "q,__expected\na,eval:output.length > 2\nb,file://lib/check.py:grade\nc,contains:c\n"},
    ),
    "csv of a spreadsheet": Shape(
        "tests: c.csv",
        1,
        ["similar"],
        files={"c.csv": "sep=;\r\nq;__expected;__config:__expected:threshold;\r\nhi;similar:hello;0.6;\r\n"},
    ),
    "cosine in csv": Shape(
        "tests: c.csv", 1, ["similar"], files={"c.csv": "q,__expected\nhi,similar:cosine(0.7):hello\n"}
    ),
    "jsonl": Shape(
        "tests: file://t.jsonl", 1, ["is-json"], files={"t.jsonl": '{"vars":{"q":1},"assert":[{"type":"is-json"}]}\n'}
    ),
    "yaml files by pattern": Shape(
        "tests: ['tests/*.yaml']",
        2,
        ["contains", "contains"],
        files={f"tests/{n}.yaml": f"- {{vars: {{q: {n}}}, assert: [{{type: contains, value: x}}]}}\n" for n in "ba"},
    ),
    "code makes cases": Shape(
        "tests: [{path: 'file://make.py:generate', config: {n: 2}}, {assert: [{type: contains, value: x}]}]",
        1,
        ["contains"],
        ("is code",),
    ),
    "sheet": Shape(
        "tests: ['https://docs.google.com/spreadsheets/d/1/edit', {assert: [{type: contains, value: x}]}]",
        1,
        ["contains"],
        ("is a Google sheet",),
    ),
    "data set": Shape(
        "tests: ['huggingface://datasets/a/b?split=test', {assert: [{type: contains, value: x}]}]",
        1,
        ["contains"],
        ("Hugging Face",),
    ),
    "workbook": Shape(
        "tests: [cases.xlsx, {assert: [{type: contains, value: x}]}]", 1, ["contains"], ("is a workbook",)
    ),
    "default from a file": Shape(
        "{defaultTest: 'file://d.yaml', tests: [{vars: {q: 1}}]}",
        1,
        ["not-contains"],
        files={"d.yaml": "assert: [{type: not-contains, value: AI language model}]\n"},
    ),
    "graders": Shape(
        """
        defaultTest: {options: {provider: "bedrock:anthropic.claude-3-5-sonnet-20240620-v1:0"}}
        tests:
          - vars: {q: 1}
            assert: [{type: llm-rubric, value: kind, provider: "openai:gpt-4o"}]
          - assert: [{type: similar, value: hi, provider: {id: "bedrock:embeddings:amazon.titan-embed-text-v2:0"}}]
        """,
        2,
        ["llm-rubric", "similar"],
        ("'openai:gpt-4o'",),
        policy={
            "judge_model": "anthropic.claude-3-5-sonnet-20240620-v1:0",
            "embedding_model": "amazon.titan-embed-text-v2:0",
        },
    ),
    "graders for each use": Shape(
        """
        defaultTest: {options: {provider: {text: {id: "bedrock:us.amazon.nova-pro-v1:0"}, embedding: "openai:e"}}}
        tests: [{assert: [{type: llm-rubric, value: kind}]}]
        """,
        1,
        ["llm-rubric"],
        ("'openai:e'",),
        policy={"judge_model": "us.amazon.nova-pro-v1:0"},
    ),
    "python file": Shape(
        "tests: [{assert: [{type: python, value: 'file://checks/tone.py:polite', threshold: 0.8}]}]",
        1,
        ["python"],
        stubs=("tone-polite",),
    ),
    "the same code twice": Shape(
        """
        tests:
          - assert: [{type: javascript, value: output.length < 10, metric: Short!}]
          - assert: [{type: javascript, value: output.length < 10, metric: Short!}, {type: not-python, value: "1"}]
        """,
        2,
        ["python", "python not-python"],
        stubs=("short", "imported-python"),
    ),
    "transformed answers": Shape(
        "tests: [{vars: {q: 1}, options: {transform: 'JSON.parse(output).a'}, assert: [{type: equals, value: x}]}]",
        1,
        ["python"],
        stubs=("imported-equals",),
    ),
    "a transformed assertion": Shape(
        "tests: [{assert: [{type: contains, value: x, transform: output.trim()}, {type: contains, value: y}]}]",
        1,
        ["python contains"],
        stubs=("imported-contains",),
    ),
    "templates": Shape(
        """
        assertionTemplates: {polite: {type: not-icontains, value: stupid}}
        defaultTest: {assert: [{$ref: "#/assertionTemplates/polite"}]}
        tests: [{vars: {q: 1}}, {vars: {q: 2}, assert: [{$ref: "#/assertionTemplates/none"}]}]
        """,
        2,
        ["not-icontains", "not-icontains"],
        ("holds none of this name",),
    ),
    "default variable absent": Shape(
        """
        defaultTest: {assert: [{type: contains, value: "{{name}}"}, {type: is-json}]}
        tests: [{vars: {name: Ana}}, {vars: {q: 1}}]
        """,
        2,
        ["contains is-json", "is-json"],
        ("refers to {{name}}",),
    ),
    "scenarios": Shape(
        """
        scenarios:
          - config: [{vars: {language: French, hello: bonjour}}, {vars: {language: German, hello: hallo}}]
            tests: [{vars: {q: Hello}, assert: [{type: icontains, value: "{{hello}}"}]}, {vars: {q: Bye}}]
        """,
        4,
        ["icontains", USUAL, "icontains", USUAL],
        ("scenarios[0].config[0] with tests[1]",),
    ),
    "assert-set": Shape(
        """
        tests:
          - assert:
            - type: assert-set
              threshold: 0.5
              assert: [{type: contains, value: a}, {type: perplexity, threshold: 5}, {type: contains, value: b}]
        """,
        1,
        ["assert-set"],
        ("log probabilities", "now over 2 assertions"),
    ),
    "weights and thresholds": Shape(
        """
        tests:
          - threshold: 0.6
            assert: [{type: contains, value: a, weight: 2}, {type: contains, value: b, weight: 0}, {type: is-json}]
          - {threshold: 0, assert: [{type: contains, value: a, threshold: 1}]}
        """,
        2,
        ["contains is-json", "contains"],
        ("would always pass", "threshold 0", "is now over 2 of 3", "says nothing there"),
    ),
    "tools and guardrails": Shape(
        """
        tests:
          - assert: [{type: is-valid-openai-tools-call}, {type: not-is-valid-function-call}]
          - assert: [{type: "similar:cosine", value: hi}, {type: "not-similar:cosine", value: bye, threshold: 0.9}]
        """,
        2,
        ["is-valid-tool-call not-is-valid-tool-call", "similar not-similar"],
    ),
    "guardrails": Shape(
        "tests: [{assert: [{type: guardrails}, {type: is-json}]}, {assert: [{type: not-guardrails}]}]",
        2,
        ["is-json", USUAL],
        ("the prompt has none", "ours stand in"),
    ),
    "judges of facts": Shape(
        """
        tests:
          - vars: {query: "When?", context: In May.}
            assert: [{type: context-faithfulness, threshold: 0.8}, {type: model-graded-factuality, value: In May.}]
          - {vars: {question: x}, assert: [{type: g-eval, value: brief}, {type: answer-relevance, threshold: 0.7}]}
        """,
        2,
        ["context-faithfulness factuality", "g-eval answer-relevance"],
    ),
    "conversations": Shape(
        """
        tests:
          - {vars: {q: Hi}, metadata: {conversationId: a}, assert: [{type: is-json}]}
          - {vars: {q: Bye}, assert: [{type: is-json}]}
        """,
        1,
        ["is-json"],
        ("with `turns`",),
    ),
    "images": Shape(
        "tests: [{vars: {i: 'file://a.png'}, assert: [{type: is-json}]}, {assert: [{type: is-json}]}]",
        1,
        ["is-json"],
        ("is an image",),
    ),
    "variables by pattern": Shape(
        "tests: [{vars: {i: 'file://in/*.txt'}, assert: [{type: is-json}]}, {assert: [{type: is-json}]}]",
        1,
        ["is-json"],
        ("a glob",),
    ),
    "variables in files": Shape(
        "tests: [{vars: file://v.yaml, assert: [{type: contains, value: '{{a}}'}]}, {vars: {t: 'file://t.txt', d: "
        "'file://d.yaml'}, assert: [{type: contains, value: file://t.txt}]}]",
        2,
        ["contains", "contains"],
        files={"v.yaml": "a: x\n", "t.txt": "text\n", "d.yaml": "k: [1, 2]\n"},
    ),
    "schemas in files": Shape(
        "tests: [{assert: [{type: is-json, value: file://s.json}, {type: contains-json, value: file://s.yaml}]}]",
        1,
        ["is-json contains-json"],
        files={"s.json": '{"type": "object"}', "s.yaml": "type: object\n"},
    ),
    "files elsewhere": Shape(
        "tests: [{vars: {a: 'file://../../etc/passwd'}, assert: [{type: is-json}]}, {assert: [{type: contains, value: "
        "'file:///etc/passwd'}, {type: is-json}]}]",
        1,
        ["is-json"],
        ("lies outside",),
    ),
    "expressions": Shape(
        """
        tests:
          - {vars: {q: "{{ env.HOME }}"}, assert: [{type: is-json}]}
          - {vars: {c: PARIS}, assert: [{type: contains, value: "{{ c | lower }}"}, {type: contains, value: "{{c}}"}]}
        """,
        1,
        ["contains"],
        ("taken from the environment", "a filter"),
    ),
    "other models grade": Shape(
        """
        tests:
          - assert: [{type: model-graded-closedqa, value: is brief}, {type: moderation}, {type: human, value: x}]
          - assert: [{type: llm-rubric, value: brief, rubricPrompt: "Be strict"}, {type: max-score, value: x}]
        """,
        2,
        ["llm-rubric", "llm-rubric"],
        ("has prompts of its own", "instructions are fixed", "people decide in the review step"),
    ),
    "red team": Shape(
        "{redteam: {plugins: [pii]}, extensions: [file://h.js], tests: [{assert: [{type: is-json}]}]}",
        1,
        ["is-json"],
        ("red teaming", "`extensions`"),
    ),
    "answers given": Shape(
        "tests: [{providerOutput: yes, assert: [{type: is-json}]}, {assert: [{type: is-json}]}]",
        1,
        ["is-json"],
        ("proves nothing",),
    ),
    "lists of values": Shape(
        "tests: [{vars: {a: [x, y], b: [1, 2, 3]}, assert: [{type: contains, value: '{{a}}'}]}]", 6, ["contains"] * 6
    ),
    "repeats": Shape(
        "{evaluateOptions: {repeat: 3, maxConcurrency: 2}, tests: [{assert: [{type: is-json}]}]}",
        1,
        ["is-json"],
        ("`maxConcurrency`",),
    ),
    "ids twice": Shape(
        "{defaultTest: {assert: [{type: is-json}]}, tests: [{metadata: {id: s, team: a}}, {metadata: {id: s}}]}",
        2,
        ["is-json", "is-json"],
        ("metadata `id`",),
    ),
    "odd texts": Shape(
        r"""
        tests:
          - vars: {a: "no", b: "1:30", c: "0o7", d: "1e3", e: " x ", f: "- a\n  b: c\n", g: "\u2028\0"}
            assert: [{type: contains, value: "null"}, {type: equals, value: "~"}, {type: regex, value: '^\d+$'}]
        """,
        1,
        ["contains equals regex"],
    ),
    "prefixes": Shape(
        "tests: [{options: {prefix: 'Be kind. '}, assert: [{type: is-json}]}, {assert: [{type: is-json}]}]",
        1,
        ["is-json"],
        ("its `prefix` puts a text before",),
    ),
    "retrieval": Shape(
        """
        defaultTest: {assert: [{type: context-faithfulness, threshold: 0.9}]}
        tests:
          - vars: {query: What is it, context: It is free.}
            assert:
              - {type: context-relevance, threshold: 0.3}
              - {type: context-recall, value: It is free.}
              - {type: not-context-recall, value: It is free.}
              - {type: answer-relevance}
              - {type: model-graded-factuality, value: It is free.}
              - {type: g-eval, value: [polite, short]}
          - {vars: {question: What is it}, assert: [{type: context-recall, value: It is free.}]}
          - vars: {question: What is it, context: It is free.}
            options: {disableDefaultAsserts: true}
            assert: [{type: context-recall, value: It is free.}]
        """,
        3,
        [
            "context-relevance context-recall answer-relevance factuality g-eval context-faithfulness",
            USUAL,
            f"context-recall {USUAL}",
        ],
        ("write it without `not-`", "which the case has not: give it the variable", "ours stand in"),
    ),
}
