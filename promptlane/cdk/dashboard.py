"""What a person looks at while a release is out: one dashboard per prompt."""

import math

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from promptlane.cdk.fuse import Fuse
from promptlane.domain.names import (
    ADVANCE_EVIDENCE,
    ASSIGNED,
    HARM_EVIDENCE,
    NAMESPACE,
    SPLIT_EVIDENCE,
    WEIGHT,
    Track,
)
from promptlane.domain.policy import Policy

_TRACKS = ((Track.STABLE, "#1f77b4"), (Track.CANARY, "#d62728"), (Track.HOLDBACK, "#7f7f7f"))


class PromptDashboard(Construct):
    """Weights, rates of both tracks with intervals, evidence, alarms, and traffic by version.

    Releases show as steps of the weight and as new lines of traffic by version: annotations of a deployed dashboard
    are fixed at deployment, releases are not.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: str,
        prompt: str,
        policy: Policy,
        fuse: Fuse,
        resolution: int,
    ) -> None:
        super().__init__(scope, id)
        self._prompt, self._period = prompt, Duration.seconds(resolution)
        # No deployment's name holds an underscore, so none's dashboards are another's.
        self.dashboard = cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=f"{deployment}_{prompt}", default_interval=Duration.hours(6)
        )
        self.dashboard.add_widgets(
            cloudwatch.TextWidget(
                markdown=f"# {prompt}\n`promptlane status {prompt}` says the same in words. A step of the weight is a "
                "canary step; evidence at its line decides.",
                width=24,
            )
        )
        self.dashboard.add_widgets(self._weight(), self._evidence(policy), self._versions())
        self.dashboard.add_widgets(*(self._rate(g.name) for g in policy.canary.guard_metrics))
        self.dashboard.add_widgets(
            cloudwatch.AlarmStatusWidget(title="Fuse", alarms=list(fuse.alarms.values()), width=24)
        )

    def _weight(self) -> cloudwatch.GraphWidget:
        axis = cloudwatch.YAxisProps(min=0, max=100, label="%", show_units=False)
        return cloudwatch.GraphWidget(
            title="Share of the version on trial", left=[self._judged(WEIGHT, "weight")], left_y_axis=axis, width=8
        )

    def _evidence(self, policy: Policy) -> cloudwatch.GraphWidget:
        """Evidence on a logarithmic scale, as powers of ten: 1.3 is 20."""
        canary = policy.canary

        def power(name: str, label: str) -> cloudwatch.MathExpression:
            # LOG10 of what is at least 1e-9, so that evidence of nothing draws a line instead of a gap.
            return cloudwatch.MathExpression(
                expression=f"LOG10({name} + 0.000000001)",
                using_metrics={name: self._judged(name[0].upper() + name[1:], label)},
                label=label,
                period=self._period,
            )

        lines = [
            power(_id(HARM_EVIDENCE), "harm"),
            power(_id(ADVANCE_EVIDENCE), "harmless (weakest metric)"),
            power(_id(SPLIT_EVIDENCE), "broken split"),
        ]
        marks = [
            cloudwatch.HorizontalAnnotation(value=_log10(1 / canary.alpha), label="roll back", color="#d62728"),
            cloudwatch.HorizontalAnnotation(value=_log10(1 / canary.beta), label="advance", color="#2ca02c"),
        ]
        axis = cloudwatch.YAxisProps(label="log10", show_units=False)
        return cloudwatch.GraphWidget(title="Evidence", left=lines, left_annotations=marks, left_y_axis=axis, width=8)

    def _versions(self) -> cloudwatch.GraphWidget:
        wanted = f'Prompt="{self._prompt}" MetricName="{ASSIGNED}"'
        search = cloudwatch.SearchExpression(
            expression=f"SEARCH('{{{NAMESPACE},Prompt,Version}} {wanted}', 'Sum')",
            label="version",
            period=self._period,
        )
        return cloudwatch.GraphWidget(title="Requests by version", left=[search], width=8)

    def _rate(self, metric: str) -> cloudwatch.GraphWidget:
        """Each track's rate, and dashed bounds of two standard errors."""
        lines: list[cloudwatch.IMetric] = []
        for track, color in _TRACKS:
            key = track.value
            counts: dict[str, cloudwatch.IMetric] = {f"n_{key}": self._tracked(metric, track, "SampleCount")}
            rate = self._tracked(metric, track, "Average")
            lines.append(rate.with_(color=color, label=key))
            for sign, name in (("+", "upper"), ("-", "lower")):
                spread = f"2 * (r_{key} * (1 - r_{key}) / n_{key}) ^ 0.5"
                bound = f"r_{key} {sign} {spread}"
                lines.append(
                    cloudwatch.MathExpression(
                        expression=f"IF({bound} > 0, {bound}, 0)",
                        using_metrics={**counts, f"r_{key}": rate},
                        label=f"{key} {name}",
                        color=f"{color}55",
                        period=self._period,
                    )
                )
        axis = cloudwatch.YAxisProps(min=0, show_units=False)
        return cloudwatch.GraphWidget(title=f"{metric}: rate by track", left=lines, left_y_axis=axis, width=8)

    def _tracked(self, metric: str, track: Track, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=metric,
            dimensions_map={"Prompt": self._prompt, "Track": track.value},
            statistic=statistic,
            period=self._period,
        )

    def _judged(self, metric: str, label: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=metric,
            dimensions_map={"Prompt": self._prompt},
            statistic="Maximum",
            label=label,
            period=self._period,
        )


def _id(metric: str) -> str:
    return metric[0].lower() + metric[1:]


def _log10(value: float) -> float:
    return round(math.log10(value), 3)
