"""What a person looks at to see all prompts at once: searched for, so that no prompt stands in it by name."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from promptlane.domain.metrics import ERROR, REFUSAL
from promptlane.domain.names import ASSIGNED, HARM_EVIDENCE, NAMESPACE, WEIGHT, Track

_SHOWN = 20
"""Lines of a graph: a search finds 500 metrics at most, and nobody reads as many."""


class Overview(Construct):
    """Where a version is on trial, what speaks against it, how stable does, and who has how many requests.

    CloudWatch finds only metrics with data in the last two weeks: prompts that nobody calls are not shown.
    """

    def __init__(self, scope: Construct, id: str, *, deployment: str, resolution: int) -> None:
        super().__init__(scope, id)
        self._period = Duration.seconds(resolution)
        self.dashboard = cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=deployment, default_interval=Duration.hours(6)
        )
        text = f"# {deployment}\nEach graph shows at most {_SHOWN} lines, the highest. `promptlane status` lists all "
        shown = f"prompts; the dashboard `{deployment}-<prompt>` shows the rest of one."
        self.dashboard.add_widgets(cloudwatch.TextWidget(markdown=text + shown, width=24))
        self.dashboard.add_widgets(
            self._graph("Share of versions on trial, %", "Prompt", f'MetricName="{WEIGHT}"', "Maximum"),
            self._graph("Evidence of harm", "Prompt", f'MetricName="{HARM_EVIDENCE}"', "Maximum"),
            self._graph("Requests by version", "Prompt,Version", f'MetricName="{ASSIGNED}"', "Sum"),
        )
        for guard in (ERROR, REFUSAL):
            self.dashboard.add_widgets(
                *(
                    self._graph(
                        f"{guard.name}: rate on {track}",
                        "Prompt,Track",
                        f'MetricName="{guard.name}" Track="{track}"',
                        "Average",
                    )
                    for track in Track
                )
            )

    def _graph(self, title: str, dimensions: str, wanted: str, statistic: str) -> cloudwatch.GraphWidget:
        found = f"SEARCH('{{{NAMESPACE},{dimensions}}} {wanted}', '{statistic}')"
        most = "SUM" if statistic == "Sum" else "MAX"
        line = cloudwatch.SearchExpression(
            expression=f"SORT({found}, {most}, DESC, {_SHOWN})", label="", period=self._period
        )
        axis = cloudwatch.YAxisProps(min=0, show_units=False)
        return cloudwatch.GraphWidget(title=title, left=[line], left_y_axis=axis, width=8)
