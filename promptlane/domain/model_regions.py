"""Where Bedrock offers a model: in a Region itself, or there through the inference profile of a group of Regions.

From AWS's page "Model support by AWS Region in Amazon Bedrock" (Bedrock user guide, models-regions), as it stood on
2026-02-15: the models that our examples and defaults name. Of others nothing is known here, and nothing is said: they
may be newer. Deployments use it at synth, `admit` for what an author published.
"""

from __future__ import annotations

from typing import Final

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "us": ("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    "ca": ("ca-central-1", "ca-west-1"),
    "eu": (
        *("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"),
        *("il-central-1", "me-central-1"),
    ),
    "apac": (
        *("ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
        *("ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-7", "il-central-1", "me-central-1"),
    ),
}
"""The beginning of an inference profile's id, and where it may be called. Which of the two groups Tel Aviv and the UAE
belong to is not known here: both are let through."""
OTHER_GROUPS: Final = ("us-gov", "jp", "au", "global")
"""Which models these have a profile of is not listed here."""
_EVERYWHERE: Final = frozenset(region for regions in GROUPS.values() for region in regions)
_IN_REGION: Final[dict[str, frozenset[str]]] = {
    "amazon.nova-micro-v1:0": frozenset({"us-east-1", "us-gov-west-1", "ap-southeast-2", "eu-west-2"}),
    "amazon.nova-lite-v1:0": frozenset(
        {
            *("us-east-1", "us-gov-west-1", "ap-northeast-1", "ap-southeast-2", "ap-southeast-3", "eu-north-1"),
            *("eu-west-2", "me-central-1"),
        }
    ),
    "amazon.nova-pro-v1:0": frozenset(
        {"us-east-1", "us-gov-west-1", "ap-southeast-2", "ap-southeast-3", "eu-west-2", "me-central-1"}
    ),
    "amazon.titan-embed-text-v2:0": frozenset(
        {
            *("us-east-1", "us-east-2", "us-west-2", "us-gov-east-1", "us-gov-west-1", "ca-central-1", "sa-east-1"),
            *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2", "ap-southeast-2"),
            *("eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2"),
            "eu-west-3",
        }
    ),
}
_BY_PROFILE: Final[dict[str, frozenset[str]]] = {
    "amazon.nova-micro-v1:0": _EVERYWHERE - {"us-west-1", "ap-southeast-4", "ca-central-1", "ca-west-1"},
    "amazon.nova-lite-v1:0": _EVERYWHERE,
    "amazon.nova-pro-v1:0": _EVERYWHERE - {"ca-central-1", "ca-west-1"},
    "amazon.titan-embed-text-v2:0": frozenset(),
}
_REGIONS: Final = frozenset().union(*_IN_REGION.values(), *_BY_PROFILE.values(), {"af-south-1", "mx-central-1"})
"""That the page knew; models in Regions that it did not know pass."""


def parted(model: str) -> tuple[str, str]:
    """(group of its inference profile or "", model id) of a model that is named by id or ARN.

    What only its account can tell (application profiles, provisioned and imported models) is returned as it is.
    """
    kind, _, name = model.rpartition("/")
    if model.startswith("arn:") and not kind.endswith((":foundation-model", ":inference-profile")):
        return "", model
    group, _, rest = name.partition(".")
    return (group, rest) if group in GROUPS or group in OTHER_GROUPS else ("", name)


def missing(model: str, region: str) -> str:
    """Why the Region offers no such model, and what to name instead; empty where it does, or where nobody knows."""
    group, name = parted(model)
    if name not in _IN_REGION or region not in _REGIONS or group in OTHER_GROUPS:
        return ""
    if region in (_IN_REGION[name] if not group else _profile(name, group)):
        return ""
    there = [f"{name} itself"] if region in _IN_REGION[name] else []
    there += [f"{one}.{name}" for one in GROUPS if region in _profile(name, one)]
    if there:
        return f"{region} does not offer {model}; it offers {' and '.join(there)}"
    elsewhere = [*sorted(_IN_REGION[name]), *(f"{one}.{name}" for one in GROUPS if _profile(name, one))]
    return f"{region} offers no {name}, neither itself nor by an inference profile; elsewhere: {', '.join(elsewhere)}"


def profiled(model: str, group: str, region: str) -> str:
    """The model as it is called in the Region: by the group's profile where the Region does not offer it itself."""
    _, name = parted(model)
    if model != name or not missing(model, region) or region not in _profile(name, group):
        return model
    return f"{group}.{name}"


def _profile(name: str, group: str) -> frozenset[str]:
    return _BY_PROFILE[name].intersection(GROUPS.get(group, ()))
