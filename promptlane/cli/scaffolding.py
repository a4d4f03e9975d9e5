"""`promptlane init`: the folder of a new prompt, with a policy and a suite, to be released as it is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlane.domain.errors import Conflict, InvalidInput
from promptlane.project import load_one, load_reviewers

from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

Json = Any

PROMPT = """\
# The draft; every field: docs/enrol.md
name: {name}
description: Answers the questions of …
model: {model}
variables: [question]
inference: {{temperature: 0.2, max_tokens: 400}}
system: |
  You answer questions of customers, briefly and in the language of the question.
  Say so where you do not know.
messages:
  - role: user
    text: "{{{{question}}}}"
"""
POLICY = """\
# How a new version reaches users; every field: docs/write-a-policy.md
review:
  reviewers: {reviewers}
  quorum: 1
models: {{allowed: ["{model}"]}}
tests: {{margin: 10%, max_cost_usd: 1}}
canary:
  steps:
    - {{weight: 10%, min_bake: 30m, max_time: 1d}}
    - {{weight: 50%, min_bake: 1h, max_time: 2d}}
watch: {{for: 4h, holdback: 5%}}
request: {{timeout: 15, slow_after: 5}}
"""
SUITE = """\
# What must hold of the answers; every assertion: docs/write-a-suite.md
# Run it at the desk: promptlane test {folder}
defaultTest:
  assert:
    - {{type: regex, value: '\\S'}}
    - {{type: not-is-refusal}}
    - {{type: output-tokens, threshold: 399}}
    - {{type: latency, threshold: 10000}}

tests:
  - id: greeting
    vars: {{question: "Hello! What can you help me with?"}}
  - id: other-language
    vars: {{question: "Guten Tag, was können Sie für mich tun?"}}
  # The questions that must never break again belong here, each with what must be in its answer:
  # - id: returns
  #   critical: true
  #   vars: {{question: "How long do I have to return shoes?"}}
  #   assert: [{{type: icontains, value: 30 days}}]
"""


def init(session: Session, name: str, *, folder: Path, model: str, as_json: bool) -> None:
    """Write `<folder>/<name>/`. Raises Conflict where that is there, and InvalidInput for a name that is none."""
    target = folder / name
    if Path(name).name != name or name in (".", ".."):
        raise InvalidInput(f"{name!r} is no name of a prompt: letters, digits, '-' and '_'")
    if target.exists():
        raise Conflict(f"{target} is there already; nothing was written. Choose another name, or another --to")
    reviewers = _reviewers(folder)
    given = {"name": name, "model": model, "folder": target, "reviewers": f"[{', '.join(reviewers)}]"}
    files = {"prompt.yaml": PROMPT, "release.yaml": POLICY, "suite.yaml": SUITE}
    with tempfile.TemporaryDirectory() as beside:
        _write(Path(beside), files, given)
        load_one(beside)  # says what is wrong with name or model before anything is there
    target.mkdir(parents=True)
    _write(target, files, given)
    document: dict[str, Json] = {"prompt": name, "folder": str(target), "files": sorted(files)}
    steps = [
        f"promptlane test {target}",
        f"make deploy PROMPT={name}   (in a project of your own: cdk deploy)",
        f'promptlane publish {target} --message "why"',
    ]
    if not reviewers[0].startswith("{"):
        document["reviewers"] = reviewers
    else:
        steps.insert(0, f"name a reviewer in {target / 'release.yaml'}: you@example.com is nobody")

    def show(console: Console) -> None:
        console.print(f"wrote {', '.join(str(target / one) for one in sorted(files))}; next:")
        for step in steps:
            console.print(f"  {step}")

    session.emit({**document, "next": steps}, as_json=as_json, show=show)


def _write(folder: Path, files: dict[str, str], given: dict[str, Json]) -> None:
    for file, text in files.items():
        (folder / file).write_text(text.format(**given), encoding="utf-8")


def _reviewers(folder: Path) -> list[str]:
    """Two of those whom reviewers.yaml declares, so that one of them may be the author; else a stand-in."""
    declared = folder.resolve().parent / "reviewers.yaml"
    names = [reviewer.name for reviewer in load_reviewers(declared).people][:2]
    return names or ["{name: me, email: you@example.com}"]
