"""The prompt that most tests release, and its versions where nothing but their names matters."""

from promptlane.domain.policy import Policy
from promptlane.domain.release.prompt import VersionRef

PROMPT, ID = "support", "PROMPT0001"
ARN = f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}"
RELEASE = f"{ID}-2-1"
"""The first attempt to release version 2."""
POLICY = Policy.from_dict({"review": {"reviewers": [{"name": "lead", "email": "lead@example.com"}]}})
"""The least that a policy says: who reviews."""


def ref(version: int) -> VersionRef:
    return VersionRef(version, f"{version:064d}", f"{ARN}:{version}")
