"""Models as versions and policies name them: by id, or by the ARN that CDK and CloudFormation store."""

from __future__ import annotations

from collections.abc import Iterable

from promptlane.domain.model_regions import parted


def is_allowed(model: str, allowed: Iterable[str]) -> bool:
    """Whether a list of ids and ARNs names this model.

    An id and an ARN that ends in it are one model; of two ARNs both must be the same, and what AWS gave an id of its
    own (application profiles, provisioned throughput, custom and imported models) has no name but its ARN. A model and
    the profile of a group of Regions (`us.` …) are two, since they send what they are asked to other places.
    """
    return any(
        model == one or (parted(model) == parted(one) and not (model.startswith("arn:") and one.startswith("arn:")))
        for one in allowed
    )
