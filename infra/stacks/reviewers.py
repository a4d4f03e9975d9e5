"""Reviewers: a topic for each, by which signed links reach that person alone.

Which of the stacks holds somebody hangs on their address alone, so that whoever comes or goes moves nobody else. No
stack holds more than a few of the resources that CloudFormation allows, and one that holds nobody is not deployed.
"""

from collections.abc import Iterable, Sequence

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_kms as kms
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.config import ConfigError, DeploymentConfig
from infra.constructs.topic import ReviewerTopic
from promptlane.domain.policy import Reviewer
from promptlane.domain.review.review import reviewer_key

STACKS = 8
"""Fixed: another number would move people to other topics, which they would have to confirm anew."""
MOST = 60
"""People of one stack, with four resources each: below half of the 500 that CloudFormation allows."""


class ReviewersStack(Stack):
    """Some of the reviewers. `people`: those whose `place` is this stack."""

    def __init__(
        self, scope: Construct, id: str, *, config: DeploymentConfig, key: kms.IKey, people: Sequence[Reviewer]
    ) -> None:
        # No resource that says which CDK made it: the CDK CLI skips an empty stack, and deletes one that became empty.
        super().__init__(scope, id, description="Promptlane: reviewers' topics", analytics_reporting=False)
        if not people:
            skipped = "The CDK CLI does not deploy a stack without resources."
            Validations.of(self).acknowledge(Acknowledgment(id="CloudFormation-Validate::F0001", reason=skipped))
        for person in people:
            email, name = person.email.strip().lower(), reviewer_key(person.email)
            topic = ReviewerTopic(self, f"Reviewer{name}", config=config, key=key, email=email).topic
            ssm.StringParameter(
                self,
                f"ReviewerRecord{name}",
                parameter_name=f"{config.parameter_prefix}/reviewers/{name}",
                string_value=self.to_json_string({"email": email, "topic": topic.topic_arn}),
            )


def place(email: str) -> int:
    """Which stack holds somebody's topic."""
    return int(reviewer_key(email), 16) % STACKS


def add_reviewers(
    scope: Construct, *, config: DeploymentConfig, key: kms.IKey, people: Iterable[Reviewer]
) -> list[ReviewersStack]:
    """All stacks, also those that hold nobody. ConfigError where more people meet in one stack than it has room for."""
    found: list[list[Reviewer]] = [[] for _ in range(STACKS)]
    for person in people:
        found[place(person.email)].append(person)
    if (fullest := max(map(len, found))) > MOST:
        raise ConfigError(
            f"{fullest} of {sum(map(len, found))} reviewers fall into one stack, which has room for {MOST}: declare "
            "fewer, or give some of the prompts a deployment of their own (promptlane:name)"
        )
    return [
        ReviewersStack(scope, f"{config.name}-reviewers-{number}", config=config, key=key, people=people_there)
        for number, people_there in enumerate(found)
    ]
