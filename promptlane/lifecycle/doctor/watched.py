"""Whether what happens is noticed: trail, rules, streams, dead letters, alarms."""

from __future__ import annotations

from typing import Final

from promptlane.domain.names import health_alarm_name

from .account import Visit
from .deployed import of_stacks
from .report import Finding, ok, wrong

RECORDED: Final = "recorded"
"""What the Audit stack says where CloudTrail took the selector of renderings."""
SILENT_SECONDS: Final = 2 * 86_400.0
"""An alarm on what runs by schedule has data before that."""


def trail(visit: Visit) -> Finding:
    trails = visit.account.trails()
    managing = [one for one in trails if one.logging and one.management]
    if not managing:
        return wrong(
            "No trail is logging management events: published versions are noticed by reconcile alone.",
            "Switch logging on (aws cloudtrail start-logging), or deploy without promptlane:existing_trail.",
        )
    failing = [f"{one.name}: {one.problem}" for one in trails if one.logging and one.problem]
    if failing:
        return wrong(
            f"Log files are not delivered: {'; '.join(failing)}.",
            "Look at the bucket's policy and the key's; events still arrive, but nothing is kept.",
        )
    renders = any(one.logging and one.renders for one in trails)
    if visit.named("render_events") == RECORDED and not renders:
        return wrong(
            "No trail selects renderings of prompt versions any more.",
            "Somebody changed the trail's selectors: ask who, then deploy the Audit stack with a new setting.",
        )
    also = "and renderings of prompt versions" if renders else f"(renderings: {visit.named('render_events') or 'none'})"
    return ok(f"{', '.join(one.name for one in managing)} records management events {also}.")


def rules(visit: Visit) -> Finding:
    made = [r.physical for r in of_stacks(visit, "AWS::Events::Rule", f"{visit.deployment}-pipeline")]
    found = visit.account.rules(made, visit.named("event_bus"))
    if not found:
        return wrong("The Pipeline stack has no rules.", "npx cdk deploy --all")
    off = [rule.name for rule in found if not rule.enabled]
    if off:
        return wrong(f"Disabled: {', '.join(off)}.", "aws events enable-rule --name …, and ask who disabled it.")
    failed = [f"{rule.name} ({rule.failed:.0f})" for rule in found if rule.failed]
    if failed:
        return wrong(
            f"Failed to call their targets within a day: {', '.join(failed)}.",
            "Look at the target's resource policy, and into the dead letters.",
        )
    return ok(f"{len(found)} rules are enabled.")


def mappings(visit: Visit) -> Finding:
    odd, read = [], 0
    for verb in ("intake", "relay"):
        found = visit.account.mappings(visit.named(f"{verb}_function"))
        read += len(found)
        if not found:
            odd.append(f"{verb} reads nothing")
        odd += [f"{verb}'s is {one.state}" for one in found if one.state not in ("Enabled", "Creating", "Updating")]
        odd += [f"{verb}: {one.result}" for one in found if "PROBLEM" in one.result or "FAILED" in one.result.upper()]
    if odd:
        return wrong(
            f"{'; '.join(odd)}.",
            "Lambda console → the function → Triggers says why; its role needs what docs/access.md lists.",
        )
    return ok(f"{read} event source mappings are enabled.")


def dead_letters(visit: Visit) -> Finding:
    urls = [r.physical for r in of_stacks(visit, "AWS::SQS::Queue", f"{visit.deployment}-pipeline")]
    dead = [queue for queue in visit.account.queues(urls) if queue.dead]
    full = [f"{queue.name}: {queue.visible}" for queue in dead if queue.visible]
    if full:
        return wrong(
            f"Messages that failed every try: {'; '.join(full)}.",
            "Read one, mend the cause, then move them back or delete them (docs/runbook.md, dead-letters-…).",
        )
    return ok(f"{len(dead)} queues of dead letters are empty.")


def alarms(visit: Visit) -> Finding:
    ours = visit.account.alarms(health_alarm_name(visit.deployment))
    fuses = visit.account.alarms(f"{visit.deployment}/")
    if not ours:
        return wrong("There are no alarms on Promptlane itself.", "npx cdk deploy promptlane-observability")
    red = [f"{one.name} ({one.reason})" if one.reason else one.name for one in (*ours, *fuses) if one.state == "ALARM"]
    if red:
        return wrong(f"Red: {'; '.join(red)}.", "docs/runbook.md has a section for each; a fuse: promptlane status.")
    mute = [one.name for one in ours if not one.acts]
    if mute:
        return wrong(f"Tell nobody: {', '.join(mute)}.", "aws cloudwatch enable-alarm-actions --alarm-names …")
    silent = [
        one.name
        for one in ours
        if one.name.endswith("-not-running")
        and one.state == "INSUFFICIENT_DATA"
        and visit.now - one.since > SILENT_SECONDS
    ]
    if silent:
        return wrong(
            f"Had no data for two days: {', '.join(silent)}.",
            "Its schedule never ran: look at the rules (check rules).",
        )
    return ok(f"{len(ours)} alarms on Promptlane itself and {len(fuses)} of fuses, none red.")
