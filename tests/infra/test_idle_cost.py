"""What docs/deploy.md says of costs while idle is what the templates hold."""

import re

from tests.support.synthesized import ROOT, Json, Synthesized

USD = {"key": 1.0, "metric": 0.1, "secret": 0.4}
"""A month in us-east-1, 2026: a KMS key, a metric that a standard alarm reads, a secret."""


def metrics(alarm: Json) -> int:
    """That an alarm is billed for: those that it reads, or itself."""
    return max(1, sum("MetricStat" in one for one in alarm.get("Metrics", [])))


def test_the_page_says_what_the_templates_cost(synthesized: Synthesized) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()

    def told(row: str) -> tuple[int, float]:
        found = re.search(rf"\| {row}[^|]*\| ?([0-9]*) \| ([0-9.]+) \|", page)
        assert found, row
        return int(found[1] or 0), float(found[2])

    keys = len([*synthesized.resources("AWS::KMS::Key")])
    secrets = len([*synthesized.resources("AWS::SecretsManager::Secret")])
    alarms = [*synthesized.resources("AWS::CloudWatch::Alarm")]
    platform = sum(metrics(alarm) for stack, _, alarm in alarms if not stack.startswith("prompt-"))
    prompts = {stack for stack, _, _ in alarms if stack.startswith("prompt-")}
    each = {sum(metrics(alarm) for stack, _, alarm in alarms if stack == prompt) for prompt in prompts}
    assert told("keys in KMS") == (keys, keys * USD["key"])
    assert told("metrics that alarms on the platform read") == (platform, round(platform * USD["metric"], 2))
    assert told("secret of 0.1") == (secrets, secrets * USD["secret"])
    together = keys * USD["key"] + platform * USD["metric"] + secrets * USD["secret"]
    assert told("together")[1] == round(together, 2)
    count, usd = told("each prompt")
    assert each == {count}
    assert usd == round(count * USD["metric"], 2)
