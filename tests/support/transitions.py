"""Everyday edits of a deployment: what stood before, what stands after, and how to synthesize both."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.config import DeploymentConfig
from promptlane.domain.enrolment.floor import Floor
from tests.support.stack_player import Account, Json, templates
from tests.support.synthesized import ROOT, synthesize

Edit = Callable[[Path], None]
EVERYBODY = "helpdesk-lead: {email: helpdesk-lead@example.com}"


@dataclass(frozen=True)
class Variant:
    """The sample deployment with other settings, and with its prompts and reviewers edited (`edit(folder)`)."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    edit: Edit = lambda folder: None


def _rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} has no {old!r} any more"
    path.write_text(text.replace(old, new))


def _in(name: str, *changes: tuple[str, str]) -> Edit:
    def edit(folder: Path) -> None:
        for old, new in changes:
            _rewrite(folder / name, old, new)

    return edit


def _a_reviewer_more(folder: Path) -> None:
    _rewrite(folder / "reviewers.yaml", EVERYBODY, f"{EVERYBODY}\ndeputy: {{email: deputy@example.com}}")
    _rewrite(folder / "prompts/ticket-triage/release.yaml", "[helpdesk-lead,", "[helpdesk-lead, deputy,")


def _a_reviewer_less(folder: Path) -> None:
    _rewrite(folder / "reviewers.yaml", EVERYBODY, "")
    _rewrite(folder / "prompts/ticket-triage/release.yaml", "[helpdesk-lead, support-quality]", "[support-quality]")


def _no_legal_reviewers(folder: Path) -> None:
    _rewrite(folder / "reviewers.yaml", "legal-desk: {email: legal-desk@example.com, groups: [legal]}", "")
    release = folder / "prompts/support-assistant/release.yaml"
    _rewrite(release, ", legal-desk]", "]")
    _rewrite(release, "  required_groups: [legal]\n", "")


def _a_prompt_more(folder: Path) -> None:
    shutil.copytree(folder / "prompts/ticket-triage", folder / "prompts/third")
    _rewrite(folder / "prompts/third/prompt.yaml", "name: ticket-triage", "name: third")


def _a_prompt_less(folder: Path) -> None:
    shutil.rmtree(folder / "prompts/ticket-triage")


def _a_folder_renamed(folder: Path) -> None:
    (folder / "prompts/ticket-triage").rename(folder / "prompts/triage")


BASE = Variant("the samples as they are")
ON_CALL = {"on_call": ("on-call@example.com",)}
SHORTLIST = (
    Variant("a reviewer more", edit=_a_reviewer_more),
    Variant(
        "a reviewer's address changed", edit=_in("reviewers.yaml", ("helpdesk-lead@example.com", "desk@example.com"))
    ),
    Variant("invocation logging off", {"invocation_logging": "off"}),
)
"""Those that `make test` plays."""
VARIANTS = (
    *SHORTLIST,
    Variant("a prompt more", edit=_a_prompt_more),
    Variant("an on-call address", ON_CALL),
    Variant("no reviewers of a group", edit=_no_legal_reviewers),
    Variant("a trail that exists", {"existing_trail": True}),
    Variant("an application", {"applications": {"shop": ("support-assistant",)}}),
    Variant("a reviewer less", edit=_a_reviewer_less),
    Variant("a prompt less", edit=_a_prompt_less),
    Variant("a prompt's folder renamed", edit=_a_folder_renamed),
    Variant("an on-call address exchanged", {"on_call": ("others@example.com",)}),
    Variant("renderings not recorded", {"render_events": False}),
    Variant("who may take on a duty", {"duty_principals": {"author": ("arn:aws:iam::123456789012:role/writers",)}}),
    Variant("a floor", {"floor": Floor.from_dict({"review": {"quorum": 1}})}),
    Variant("a resolution of ten seconds", {"resolution_seconds": 10, "budget_usd_per_prompt": 100.0}),
    Variant("logs kept for a year", {"log_retention_days": 365}),
    Variant("personal data masked", {"mask_personal_data": True}),
    Variant("executions reserved", {"reserved_concurrency": 5}),
    Variant("a streaming gateway", {"streams": 5}),
    Variant("a trial", {"trial": True}),
    Variant("a policy's margin", edit=_in("prompts/support-assistant/release.yaml", ("margin: 10%", "margin: 8%"))),
    Variant("a suite's assertion", edit=_in("prompts/support-assistant/suite.yaml", ("value: 14 days", "value: days"))),
)
"""All, which `make deployments` plays."""


class Assemblies:
    """Each variant is synthesized once, below `home`; `base` is the assembly of the samples, if there is one."""

    def __init__(self, home: Path, base: Path | None = None) -> None:
        self._home = home
        self._made: dict[str, dict[str, Json]] = {BASE.name: templates(base)} if base else {}

    def of(self, variant: Variant) -> dict[str, Json]:
        """The templates by stack, in the order of their deployment."""
        if variant.name not in self._made:
            self._made[variant.name] = self._synthesize(variant)
        return self._made[variant.name]

    def _synthesize(self, variant: Variant) -> dict[str, Json]:
        folder = self._home / f"variant-{len(self._made)}"
        shutil.copytree(ROOT / "prompts", folder / "prompts")
        shutil.copy(ROOT / "reviewers.yaml", folder)
        variant.edit(folder)
        config = replace(DeploymentConfig(prompts_dir=folder / "prompts"), **variant.settings)
        return templates(synthesize(config, folder / "cdk.out").directory)


def play(assemblies: Assemblies, variant: Variant) -> None:
    """Deploy the samples, make the edit, take it back and make it again, in one account. Raises Refused."""
    account = Account()
    for one in (BASE, variant, BASE, variant):
        account.deploy(assemblies.of(one))
