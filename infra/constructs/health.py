"""Alarms on ourselves: each says what happened and what to do, and is found under one verb, `tell`."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.outputs import camel_case
from promptlane.domain.names import health_alarm_name

USD_PER_METRIC = 0.10
"""What an alarm costs a month for each metric that it reads (us-east-1 prices of 2026, standard resolution)."""
MOST_METRICS = 10
"""Of one alarm."""


class Health(Construct):
    """The alarms of one deployment on itself; they go to `notices`, where people are. `usd`: what they cost a month."""

    def __init__(self, scope: Construct, id: str, *, deployment: str, notices: sns.ITopic) -> None:
        super().__init__(scope, id)
        self._deployment, self._action = deployment, actions.SnsAction(notices)
        self._metrics = 0

    @property
    def usd(self) -> float:
        return round(self._metrics * USD_PER_METRIC, 2)

    def tell(
        self,
        name: str,
        happened: str,
        remedy: str,
        *,
        reads: Mapping[str, cloudwatch.Metric],
        expression: str = "",
        period: Duration,
        threshold: float = 1,
        of: tuple[int, int] = (1, 1),
        also_when_silent: bool = False,
    ) -> cloudwatch.Alarm:
        """Tell people when `expression` over the metrics `reads` (or the only one) is at least `threshold`.

        `of`: in how many of the latest periods. Periods without a datapoint are well, but with `also_when_silent`:
        then a mail comes when the datapoints stop, too. `name` is also the heading in docs/runbook.md.
        """
        if not 1 <= len(reads) <= MOST_METRICS:
            raise ValueError(f"{name} reads {len(reads)} metrics: an alarm takes 1 to {MOST_METRICS}")
        if not expression and len(reads) > 1:
            raise ValueError(f"{name} reads {len(reads)} metrics and needs an expression over them")
        alarm = cloudwatch.Alarm(
            self,
            camel_case(name.replace("-", "_")),
            alarm_name=health_alarm_name(self._deployment, name),
            alarm_description=f"{happened} {remedy} More: docs/runbook.md, {name}.",
            metric=cloudwatch.MathExpression(
                expression=expression, using_metrics=dict(reads), label=name, period=period
            )
            if expression
            else next(iter(reads.values())).with_(period=period),
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            datapoints_to_alarm=of[0],
            evaluation_periods=of[1],
            treat_missing_data=cloudwatch.TreatMissingData.MISSING
            if also_when_silent
            else cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(self._action)
        if also_when_silent:
            alarm.add_insufficient_data_action(self._action)
        self._metrics += len(reads)
        return alarm


def counted(namespace: str, name: str, statistic: str = "Sum", **dimensions: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace, metric_name=name, dimensions_map=dimensions or None, statistic=statistic
    )


def total(metrics: Sequence[str], *, filled: bool = False) -> str:
    """The expression for the sum of metrics. A list of series has a sum wherever one of them has a datapoint."""
    return f"SUM([{', '.join(f'FILL({one}, 0)' if filled else one for one in metrics)}])"
