"""What Bedrock allows, logs and does."""

from __future__ import annotations

import secrets
from typing import Final

from .account import Visit
from .report import Finding, ok, unknown, wrong

VERSIONS: Final = 10
"""Of a prompt that Bedrock keeps, by its documentation."""


def quotas(visit: Visit) -> Finding:
    found = visit.account.quotas()
    said = ", ".join(f"{name} {value:g}" for name, value in sorted(found.items()))
    most = next((value for name, value in found.items() if name.lower().startswith("prompts per")), None)
    have = visit.account.prompts()
    if most is None:
        return unknown(f"Service Quotas names none for prompts ({said or 'nothing'}); there are {have}.", "Look there.")
    if have > 0.9 * most:
        return wrong(
            f"{have} of {most:g} prompts are there ({said}).",
            "Service Quotas → Amazon Bedrock: ask for more.",
        )
    return ok(f"{have} of {most:g} prompts are there ({said}).")


def models(visit: Visit) -> Finding:
    asked: dict[str, list[str]] = {}
    for route in visit.routes.all():
        variants = visit.prompts.version(route.prompt_id, route.stable.version).variants
        model = str(variants[0].get("modelId") or "") if variants else ""
        if model:
            asked.setdefault(model, []).append(route.prompt)
    if not asked:
        return unknown("No prompt has a stable version yet.", "Release one, then look again.")
    odd = [
        f"{model} of {', '.join(of)}: {said}"
        for model, of in asked.items()
        if (said := visit.account.model_problem(model))
    ]
    if odd:
        return wrong(
            f"{'; '.join(odd)}.",
            "Bedrock console → Model catalog: subscribe, or fill in its form; or use the Region's inference profile.",
        )
    return ok(f"{', '.join(sorted(asked))} may be called.")


def logging(visit: Visit) -> Finding:
    ours, found = visit.named("invocation_log_group"), visit.account.logging()
    group = str(((found or {}).get("cloudWatchConfig") or {}).get("logGroupName") or "")
    if not found:
        return wrong(
            "Model invocation logging is off: what users saw is kept nowhere, and no alarm tells of other calls.",
            "Deploy with -c promptlane:invocation_logging=on.",
        )
    if ours and group != ours:
        return wrong(
            f"Calls are logged to {group or 'a bucket alone'}, and the deployment's group is {ours}.",
            "Somebody changed the account's setting: ask who, then deploy the Audit stack again.",
        )
    if found.get("textDataDeliveryEnabled") is False:
        return wrong("Texts are not logged.", "Switch text data delivery on in Bedrock's settings.")
    return ok(f"Calls are logged to {group or 'a bucket'}.")


def records(visit: Visit) -> Finding:
    group = visit.named("invocation_log_group")
    if not group:
        return unknown("The deployment has no log of its own.", "Deploy with -c promptlane:invocation_logging=on.")
    found = visit.account.records(group)
    if not found:
        return unknown("No call of the client or of a test is in the log.", "Call a prompt by the client, look again.")
    by_prompt = [r for r in found if ":prompt/" in str(r.get("modelId"))]
    if not by_prompt:
        return wrong(
            f"Records name the model ({found[0].get('modelId')}), not the prompt that was called: the alarm "
            "calls-past-the-split cannot fire here.",
            "Name the models in promptlane:bypass_models: then every call of them without our metadata is told.",
        )
    body = ((by_prompt[0].get("input") or {}).get("inputBodyJson")) or {}
    holds = "promptVariables" if "promptVariables" in body else "rendered messages" if "messages" in body else "no text"
    return ok(f"{len(by_prompt)} of {len(found)} records name the prompt, carry requestMetadata and hold {holds}.")


def trial(visit: Visit) -> Finding:
    seen = visit.account.try_prompt(f"promptlane-doctor-{secrets.token_hex(4)}", VERSIONS)
    odd = []
    if seen.published != VERSIONS or "max-number-versions-per-prompt" not in seen.refusal:
        odd.append(f"{seen.published} versions were kept, then: {seen.refusal or 'one more was taken'}")
    if not seen.numbers_kept:
        odd.append("numbers of a tool's schema came back changed")
    if not seen.renamed:
        odd.append("a new name was not seen at once")
    if not seen.freed:
        odd.append("the name before could not be taken again at once")
    if odd:
        return wrong(f"{'; '.join(odd)}.", "Tell us; promptlane:version_quota holds your number of versions.")
    created = "is the prompt's" if seen.created_same else "is the version's own"
    twins = "may" if seen.twins else "may not"
    return ok(
        f"{VERSIONS} versions, then {seen.refusal}; numbers and names as expected; createdAt of a version {created}; "
        f"two prompts {twins} have one name."
    )
