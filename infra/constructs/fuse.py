"""The fuse of a prompt: alarms that put the safe version back without any code of ours in between."""

from aws_cdk import Annotations, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from promptlane.domain.canary import fuse
from promptlane.domain.canary.plan import at_synth
from promptlane.domain.names import NAMESPACE, OUTAGE, SHIELDED, GuardName, Track, alarm_name
from promptlane.domain.policy import Policy


class Fuse(Construct):
    """The alarms that roll back a prompt's canary, or in watch its new stable version.

    topic: where `roll_back` listens. resolution: period of the alarms in seconds, 60 or 10 (dearer; applications must
    publish high-resolution metrics then). `alarms` by "<track>/<metric>"; `monthly_usd` is what they cost.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: str,
        prompt: str,
        policy: Policy,
        topic: sns.ITopic,
        resolution: int,
    ) -> None:
        super().__init__(scope, id)
        if resolution not in fuse.USD_PER_ALARM_METRIC:
            raise ValueError(f"resolution {resolution} s: CloudWatch alarms take 60 or 10 here")
        well, sentence = at_synth(policy)
        notes = Annotations.of(self)
        if well:
            notes.add_info_v2(f"promptlane:plan-{prompt}", f"{prompt}: {sentence}")
        else:
            notes.add_warning_v2(f"promptlane:plan-{prompt}", f"{prompt}: {sentence}")
        self.monthly_usd = fuse.monthly_usd(policy, resolution)
        self.alarms: dict[str, cloudwatch.Alarm] = {}
        for alarm in fuse.alarms(policy):
            made = cloudwatch.Alarm(
                self,
                f"{alarm.track.capitalize()}{alarm.metric}",
                alarm_name=alarm_name(deployment, prompt, alarm.track, alarm.metric),
                alarm_description=_description(alarm, prompt, policy, resolution),
                metric=_excess(alarm, prompt, policy, resolution),
                threshold=alarm.threshold,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                evaluation_periods=policy.fuse.periods,
                datapoints_to_alarm=policy.fuse.periods,
                # No data is no proof of harm here, as it is no proof of health in the judge.
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
            if alarm.acts:
                made.add_alarm_action(actions.SnsAction(topic))
            self.alarms[f"{alarm.track}/{alarm.metric}"] = made


def _excess(alarm: fuse.FuseAlarm, prompt: str, policy: Policy, resolution: int) -> cloudwatch.MathExpression:
    source = _source(alarm.metric)
    counts = {
        "y1": _count(prompt, alarm.track, source, "Sum"),
        "n1": _count(prompt, alarm.track, source, "SampleCount"),
    }
    if alarm.control is not None:
        against = GuardName.ERROR if alarm.metric == SHIELDED else source
        counts["y0"] = _count(prompt, alarm.control, against, "Sum")
        counts["n0"] = _count(prompt, alarm.control, against, "SampleCount")
    return cloudwatch.MathExpression(
        expression=expression(alarm, policy),
        using_metrics=counts,
        label=f"{alarm.track} {alarm.metric}",
        period=Duration.seconds(resolution),  # of the metrics too
    )


def expression(alarm: fuse.FuseAlarm, policy: Policy) -> str:
    """Metric math over y1, n1 (judged track) and y0, n0 (control): the rule of `promptlane.domain.canary.fuse`."""
    enough = f"n1 >= {policy.fuse.min_requests}"
    if alarm.control is None:
        return f"IF({enough}, y1 / n1, 0)"
    enough += f" && n0 >= {policy.fuse.min_requests}"
    if alarm.metric == SHIELDED:  # a breaker that opened because everything fails says nothing about the canary
        return f"IF({enough} && y0 / n0 < {policy.fuse.error:g}, y1 / n1, 0)"
    gap, rate = "(y1 / n1 - y0 / n0)", "((y0 + 1) / (n0 + 2))"
    noise = f"{policy.fuse.sigmas**2:g} * {rate} * (1 - {rate}) / n1"
    return f"IF({enough} && {gap} > 0 && {gap} * {gap} > {noise}, {gap}, 0)"


def _source(metric: str) -> str:
    return GuardName.ERROR if metric == OUTAGE else metric


def _count(prompt: str, track: Track, metric: str, statistic: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=str(metric),
        dimensions_map={"Prompt": prompt, "Track": str(track)},
        statistic=statistic,
    )


def _description(alarm: fuse.FuseAlarm, prompt: str, policy: Policy, resolution: int) -> str:
    against = f"above that of {alarm.control}" if alarm.control and alarm.metric != SHIELDED else "of requests"
    then = "rolls the release back" if alarm.acts else "nothing starts or is promoted meanwhile"
    return (
        f"{prompt}: {_source(alarm.metric)} on {alarm.track} at least {alarm.threshold:.0%} {against} in "
        f"{policy.fuse.periods} periods of {resolution} s with {policy.fuse.min_requests} requests or more: {then}."
    )
