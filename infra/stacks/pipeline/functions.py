"""What all functions of the pipeline have alike: packages, environment, dead letters."""

from collections.abc import Mapping, Sequence
from itertools import chain

from aws_cdk import Duration, Stack
from aws_cdk import aws_lambda as lambda_

from infra.config import DeploymentConfig
from infra.constructs.function import Function
from infra.constructs.grants import Grant, Grants
from infra.constructs.queue import DeadLetters

TABLES = ("ROUTE_TABLE", "RELEASE_TABLE")
# Keys of objects in the report bucket.
CONFIG, RELEASES, RESULTS, ARCHIVE = "config/*", "releases/*", "stable-results/*", "archive/*"


class PipelineFunctions:
    """Makes the functions of `stack`, and has them by verb in `made`.

    `environment`: all that any of them is told. `engine`: the packages of those that know test suites.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        config: DeploymentConfig,
        grants: Grants,
        environment: Mapping[str, str],
        packages: lambda_.LayerVersion,
        engine: lambda_.LayerVersion,
    ) -> None:
        self.grants = grants
        self.made: dict[str, lambda_.Function] = {}
        self._stack, self._config, self._environment = stack, config, environment
        self._packages, self._engine = packages, engine

    def add(
        self,
        verb: str,
        description: str,
        variables: Sequence[str],
        *grants: Sequence[Grant],
        knows_suites: bool = False,
        timeout: Duration | None = None,
        memory_mib: int = 256,
        reserved_concurrency: int | None = None,
        dead_letters: DeadLetters | None = None,
        more: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        """`variables`: of the common environment, beside `more`. `dead_letters`: for what events call."""
        made = Function(
            self._stack,
            verb=verb,
            description=f"Promptlane: {description}",
            config=self._config,
            environment={**{name: self._environment[name] for name in variables}, **(more or {})},
            grants=[*chain(*grants), *(self.grants.message_key() if dead_letters else ())],
            layers=[self._packages, *([self._engine] if knows_suites else [])],
            timeout=timeout,
            memory_mib=memory_mib,
            reserved_concurrency=reserved_concurrency,
            dead_letters=dead_letters.queue if dead_letters else None,
            name=name,
        )
        self.made[verb] = made.function
