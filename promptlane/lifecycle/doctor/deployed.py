"""Whether the deployment is whole: stacks, version, roles, keys, concurrency, clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .account import Resource, Visit
from .report import Finding, ok, unknown, wrong

PLATFORM: Final = ("state", "audit", "pipeline", "runtime", "observability", "access")
POLICIES_NAME: Final = ("RequestReview", "Remind", "Review", "Decide", "Enrol", "Relay", "Housekeep")
"""Functions whose roles resource policies let in by a beginning of their names."""
LEAST_CONCURRENCY: Final = 50
MOST_SKEW: Final = 60.0
_WHOLE: Final = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "IMPORT_COMPLETE")


def stacks(visit: Visit) -> Finding:
    found = {stack.name: stack for stack in visit.account.stacks(visit.deployment)}
    lacking = [name for part in PLATFORM if (name := f"{visit.deployment}-{part}") not in found]
    if lacking:
        return wrong(f"There is no stack {', '.join(lacking)}.", "npx cdk deploy --all")
    odd = [f"{s.name} is {s.status}" for s in found.values() if s.status not in _WHOLE]
    if odd:
        return wrong(f"{'; '.join(odd)}.", "Read the stack's events in CloudFormation, mend it, deploy again.")
    drifted = [s.name for s in found.values() if s.drift == "DRIFTED"]
    if drifted:
        return wrong(
            f"Changed by hand since it was deployed: {', '.join(drifted)}.",
            "CloudFormation shows what (Stack actions → View drift results); undo it there or deploy again.",
        )
    unlooked = sum(s.drift != "IN_SYNC" for s in found.values())
    looked = f"; drift was not looked for in {unlooked} (aws cloudformation detect-stack-drift)" if unlooked else ""
    return ok(f"{len(found)} stacks are complete{looked}.")


def version(visit: Visit) -> Finding:
    there = visit.named("version")
    if not there:
        return unknown("The deployment does not say its version.", "Deploy this version: npx cdk deploy --all")
    if there != visit.version:
        return wrong(
            f"{there} is deployed, and this command is {visit.version}.",
            f"Install promptlane {there}, or deploy {visit.version}.",
        )
    return ok(f"Both are {there}.")


def role_names(visit: Visit) -> Finding:
    stack = f"{visit.deployment}-pipeline"
    roles = {role.physical for role in of_stacks(visit, "AWS::IAM::Role", stack)}
    if not roles:
        return unknown(f"{stack} has no roles.", "npx cdk deploy --all")
    outside = sorted(role for role in roles if not role.startswith(f"{stack}-"))
    missing = [name for name in POLICIES_NAME if not any(r.startswith(f"{stack}-{name}Role") for r in roles)]
    if outside or missing:
        said = f"Outside {stack}-*: {', '.join(outside)}. " if outside else ""
        said += f"No role is named {', '.join(f'{stack}-{name}Role…' for name in missing)}." if missing else ""
        return wrong(
            said.strip(),
            "Tables and the audit bucket refuse these functions: choose a shorter promptlane:name.",
        )
    return ok(f"{len(roles)} roles are named {stack}-*.")


def keys(visit: Visit) -> Finding:
    made = [resource.physical for resource in of_stacks(visit, "AWS::KMS::Key")]
    if not made:
        return unknown("The stacks have no keys.", "npx cdk deploy --all")
    odd = [f"{key} is {state}" for key, state in visit.account.key_states(made).items() if state != "Enabled"]
    if odd:
        return wrong(
            f"{'; '.join(odd)}.", "Enable it, or cancel its deletion, at once: what it encrypts is lost with it."
        )
    return ok(f"{len(made)} keys are enabled.")


def concurrency(visit: Visit) -> Finding:
    total, free = visit.account.concurrency()
    if free < LEAST_CONCURRENCY:
        return wrong(
            f"The account has {total} concurrent executions, {free} of them unreserved: a rollback may wait its turn.",
            "Service Quotas → AWS Lambda → Concurrent executions: ask for 1,000. It is free.",
        )
    return ok(f"{free} of {total} concurrent executions are unreserved.")


def clock(visit: Visit) -> Finding:
    skew = visit.account.skew()
    if abs(skew) > MOST_SKEW:
        way = "ahead of" if skew > 0 else "behind"
        return wrong(
            f"This machine's clock is {abs(skew):.0f} s {way} AWS's.",
            "Set it by NTP: signatures fail beyond five minutes, and times on screen are wrong.",
        )
    return ok(f"It differs by {abs(skew):.0f} s.")


def of_stacks(visit: Visit, kind: str, stack: str = "") -> Iterator[Resource]:
    """Resources of a type in all stacks of the deployment, or in one."""
    names = [stack] if stack else [s.name for s in visit.account.stacks(visit.deployment)]
    for name in names:
        yield from visit.account.resources(name, kind)
