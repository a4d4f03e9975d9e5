"""What a person looks at while a release is out: one dashboard per prompt.

The body is written as CloudWatch reads it. The CDK's widgets would be a hundred objects, each a call to another
process: with 300 prompts, most of the time of every synth.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from aws_cdk import Aws, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from promptlane.cdk.fuse import Fuse
from promptlane.domain.metrics import is_mean
from promptlane.domain.names import (
    ADVANCE_EVIDENCE,
    ASSIGNED,
    CANCELLED,
    HARM_EVIDENCE,
    INVALID_REQUEST,
    NAMESPACE,
    SPLIT_EVIDENCE,
    WEIGHT,
    Track,
)
from promptlane.domain.policy import Policy

Json = dict[str, Any]
_TRACKS = ((Track.STABLE, "#1f77b4"), (Track.CANARY, "#d62728"), (Track.HOLDBACK, "#7f7f7f"))
_GRID, _COLUMN, _ROW = 24, 8, 6
"""Width of a dashboard and of a graph, height of a graph, in CloudWatch's units."""


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
        drawn = _Graphs(prompt, resolution)
        heading = (
            f"# {prompt}\n`promptlane status {prompt}` says the same in words. A step of the weight is a canary step; "
            "evidence at its line decides."
        )
        rates = [drawn.rate(guard.name) for guard in policy.canary.guard_metrics]
        rows = [
            [{"type": "text", "width": _GRID, "height": 2, "properties": {"markdown": heading}}],
            [drawn.weight(), drawn.evidence(policy), drawn.versions()],
            *(rates[at : at + _GRID // _COLUMN] for at in range(0, len(rates), _GRID // _COLUMN)),
            [_alarms(fuse)],
        ]
        self.dashboard = cloudwatch.CfnDashboard(
            self,
            "Dashboard",
            # No deployment's name holds an underscore, so none's dashboards are another's.
            dashboard_name=f"{deployment}_{prompt}",
            dashboard_body=Stack.of(self).to_json_string({"start": "-PT6H", "widgets": list(_placed(rows))}),
        )


def _placed(rows: Sequence[Sequence[Json]]) -> Iterator[Json]:
    """Each row from the left, below the one before."""
    y = 0
    for row in rows:
        x = 0
        for widget in row:
            yield {**widget, "x": x, "y": y}
            x += widget["width"]
        y += max(widget["height"] for widget in row)


def _alarms(fuse: Fuse) -> Json:
    arns = [alarm.attr_arn for alarm in fuse.alarms.values()]
    return {"type": "alarm", "width": _GRID, "height": 3, "properties": {"title": "Fuse", "alarms": arns}}


class _Graphs:
    """The graphs of one prompt; a line is CloudWatch's array of namespace, metric, dimensions and how it is shown."""

    def __init__(self, prompt: str, period: int) -> None:
        self._prompt, self._period = prompt, period

    def weight(self) -> Json:
        axis = {"label": "%", "max": 100, "min": 0}
        return _graph("Share of the version on trial", [self._judged(WEIGHT, label="weight")], axis)

    def evidence(self, policy: Policy) -> Json:
        """Evidence on a logarithmic scale, as powers of ten: 1.3 is 20."""
        named = ((HARM_EVIDENCE, "harm"), (ADVANCE_EVIDENCE, "harmless (weakest metric)"))
        lines: list[list[Any]] = []
        for metric, label in (*named, (SPLIT_EVIDENCE, "broken split")):
            id = metric[0].lower() + metric[1:]
            # LOG10 of what is at least 1e-9, so that evidence of nothing draws a line instead of a gap.
            lines.append(self._computed(f"LOG10({id} + 0.000000001)", label=label))
            lines.append(self._judged(metric, label=label, id=id, visible=False))
        marks = [
            {"value": _log10(1 / policy.canary.alpha), "color": "#d62728", "label": "roll back", "yAxis": "left"},
            {"value": _log10(1 / policy.canary.beta), "color": "#2ca02c", "label": "advance", "yAxis": "left"},
        ]
        return _graph("Evidence", lines, {"label": "log10"}, annotations={"horizontal": marks})

    def versions(self) -> Json:
        wanted = f'Prompt="{self._prompt}" MetricName="{ASSIGNED}"'
        search = f"SEARCH('{{{NAMESPACE},Prompt,Version}} {wanted}', 'Sum')"
        lines = [self._computed(search, label="version")]
        for metric, label in ((INVALID_REQUEST, "not accepted by Bedrock"), (CANCELLED, "left by the caller")):
            lines.append(self._computed(search.replace(ASSIGNED, metric), label=label))
        return _graph("Requests by version", lines)

    def rate(self, metric: str) -> Json:
        """Each track's rate, and dashed bounds of two standard errors; those of a mean are at most as wide."""
        lines: list[list[Any]] = []
        for track, color in _TRACKS:
            rate, count = f"r_{track}", f"n_{track}"
            lines.append(self._tracked(metric, track, color=color, label=str(track), id=rate))
            lines.append(self._tracked(metric, track, id=count, visible=False, stat="SampleCount"))
            for sign, name in (("+", "upper"), ("-", "lower")):
                bound = f"{rate} {sign} 2 * ({rate} * (1 - {rate}) / {count}) ^ 0.5"
                shown = {"label": f"{track} {name}", "color": f"{color}55"}
                lines.append(self._computed(f"IF({bound} > 0, {bound}, 0)", **shown))
        how = "mean by track, as a share of the cap" if is_mean(metric) else "rate by track"
        return _graph(f"{metric}: {how}", lines, {"min": 0})

    def _tracked(self, metric: str, track: Track, **shown: Any) -> list[Any]:
        dimensions = ("Prompt", self._prompt, "Track", str(track))
        return [NAMESPACE, metric, *dimensions, {**shown, "period": self._period}]

    def _judged(self, metric: str, **shown: Any) -> list[Any]:
        return [NAMESPACE, metric, "Prompt", self._prompt, {**shown, "period": self._period, "stat": "Maximum"}]

    def _computed(self, expression: str, **shown: Any) -> list[Any]:
        return [{**shown, "expression": expression, "period": self._period}]


def _graph(title: str, lines: list[list[Any]], left: Json | None = None, **more: Any) -> Json:
    axis = {} if left is None else {"left": {**left, "showUnits": False}}
    shown = {"view": "timeSeries", "title": title, "region": Aws.REGION, "metrics": lines, "yAxis": axis, **more}
    return {"type": "metric", "width": _COLUMN, "height": _ROW, "properties": shown}


def _log10(value: float) -> float:
    return round(math.log10(value), 3)
