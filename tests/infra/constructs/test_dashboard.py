"""The dashboard of a prompt, whole: what it draws are the metrics that client and judge write."""

import json
from typing import Any

from promptlane.cdk.dashboard import PromptDashboard
from promptlane.cdk.fuse import Fuse
from promptlane.domain import metrics
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy, Reviewer, ReviewPolicy
from tests.support.alone import alone, made, topic

GUARDS = (GuardPolicy(metrics.ERROR), GuardPolicy(metrics.NEGATIVE_FEEDBACK))
POLICY = Policy(
    review=ReviewPolicy((Reviewer("lead", "lead@example.com"),)),
    canary=CanaryPolicy(guard_metrics=GUARDS, alpha=0.05, beta=0.2),
)


def dashboard() -> dict[str, Any]:
    stack = alone()
    fuse = Fuse(stack, "Fuse", deployment="lane", prompt="support", policy=POLICY, topic=topic(stack), resolution=60)
    PromptDashboard(stack, "Seen", deployment="lane", prompt="support", policy=POLICY, fuse=fuse, resolution=10)
    return dict(made(stack)["SeenDashboard"]["Properties"])


def graph(title: str, x: int, y: int, *metrics: list[Any], left: Any = None, **more: Any) -> dict[str, Any]:
    axis = {"left": {**left, "showUnits": False}} if left is not None else {}
    shown = {"view": "timeSeries", "title": title, "region": "<AWS::Region>", "metrics": list(metrics), "yAxis": axis}
    return {"type": "metric", "width": 8, "height": 6, "x": x, "y": y, "properties": {**shown, **more}}


def evidence(metric: str, name: str, label: str) -> list[list[Any]]:
    shown = {"label": label, "id": name, "visible": False, "period": 10, "stat": "Maximum"}
    return [
        [{"label": label, "expression": f"LOG10({name} + 0.000000001)", "period": 10}],
        ["Promptlane", metric, "Prompt", "support", shown],
    ]


def rates(metric: str) -> list[list[Any]]:
    lines: list[list[Any]] = []
    for track, color in (("stable", "#1f77b4"), ("canary", "#d62728"), ("holdback", "#7f7f7f")):
        tracked = ["Promptlane", metric, "Prompt", "support", "Track", track]
        deviation = f"2 * (r_{track} * (1 - r_{track}) / n_{track}) ^ 0.5"
        upper, lower = (f"r_{track} {sign} {deviation}" for sign in "+-")

        def bound(name: str, value: str, color: str = f"{color}55") -> list[Any]:
            return [{"label": name, "color": color, "expression": f"IF({value} > 0, {value}, 0)", "period": 10}]

        lines += [
            [*tracked, {"color": color, "label": track, "id": f"r_{track}", "period": 10}],  # the average
            [*tracked, {"id": f"n_{track}", "visible": False, "period": 10, "stat": "SampleCount"}],
            bound(f"{track} upper", upper),
            bound(f"{track} lower", lower),
        ]
    return lines


ALARMS = ("CanaryError", "CanaryRefusal", "CanaryShielded", "StableError", "StableRefusal", "StableOutage")
BY_VERSION = "SEARCH('{Promptlane,Prompt,Version} Prompt=\"support\" MetricName=\"Assigned\"', 'Sum')"
NOT_ACCEPTED = "SEARCH('{Promptlane,Prompt,Version} Prompt=\"support\" MetricName=\"InvalidRequest\"', 'Sum')"
LEFT = NOT_ACCEPTED.replace("InvalidRequest", "Cancelled")


def test_a_dashboard_shows_weight_evidence_traffic_rates_with_their_bounds_and_alarms() -> None:
    found = dashboard()
    assert found["DashboardName"] == "lane_support"
    body = json.loads(found["DashboardBody"])
    heading, *widgets = body.pop("widgets")
    assert body == {"start": "-PT6H"}
    assert heading["properties"]["markdown"].startswith("# support\n`promptlane status support` says the same in words")
    assert (heading["type"], heading["width"], heading["height"]) == ("text", 24, 2)
    assert widgets == [
        graph(
            "Share of the version on trial",
            0,
            2,
            ["Promptlane", "Weight", "Prompt", "support", {"label": "weight", "period": 10, "stat": "Maximum"}],
            left={"label": "%", "max": 100, "min": 0},
        ),
        graph(
            "Evidence",
            8,
            2,
            *evidence("HarmEvidence", "harmEvidence", "harm"),
            *evidence("AdvanceEvidence", "advanceEvidence", "harmless (weakest metric)"),
            *evidence("SplitEvidence", "splitEvidence", "broken split"),
            left={"label": "log10"},
            annotations={
                "horizontal": [
                    {"value": 1.301, "color": "#d62728", "label": "roll back", "yAxis": "left"},
                    {"value": 0.699, "color": "#2ca02c", "label": "advance", "yAxis": "left"},
                ]
            },
        ),
        graph(
            "Requests by version",
            16,
            2,
            [{"label": "version", "expression": BY_VERSION, "period": 10}],
            [{"label": "not accepted by Bedrock", "expression": NOT_ACCEPTED, "period": 10}],
            [{"label": "left by the caller", "expression": LEFT, "period": 10}],
        ),
        graph("Error: rate by track", 0, 8, *rates("Error"), left={"min": 0}),
        graph("NegativeFeedback: rate by track", 8, 8, *rates("NegativeFeedback"), left={"min": 0}),
        {
            "type": "alarm",
            "width": 24,
            "height": 3,
            "x": 0,
            "y": 14,
            "properties": {"title": "Fuse", "alarms": [f"<Fuse{alarm}.Arn>" for alarm in ALARMS]},
        },
    ]
