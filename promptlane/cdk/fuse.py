"""The fuse of a prompt: alarms that put the safe version back without any code of ours in between."""

from aws_cdk import Annotations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from constructs import Construct

from promptlane.domain.canary import fuse
from promptlane.domain.canary.plan import at_synth
from promptlane.domain.names import HALF, NAMESPACE, alarm_name
from promptlane.domain.policy import Policy

Query = cloudwatch.CfnAlarm.MetricDataQueryProperty


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
        self.alarms: dict[str, cloudwatch.CfnAlarm] = {}
        for alarm in fuse.alarms(policy):
            track, metric = alarm.row.track, alarm.row.metric
            self.alarms[alarm.name] = cloudwatch.CfnAlarm(
                self,
                f"{track.capitalize()}{metric}",
                alarm_name=alarm_name(deployment, prompt, track, metric),
                alarm_description=_description(alarm, prompt, resolution),
                alarm_actions=[topic.topic_arn] if alarm.row.acts else None,
                metrics=_metrics(alarm, prompt, resolution),
                threshold=alarm.threshold,
                comparison_operator="GreaterThanOrEqualToThreshold",
                evaluation_periods=alarm.looks_at,
                datapoints_to_alarm=policy.fuse.periods,
                # No data is no proof of harm here, as it is no proof of health in the judge.
                treat_missing_data="notBreaching",
            )


def _metrics(alarm: fuse.FuseAlarm, prompt: str, period: int) -> list[Query]:
    """The expressions, and what they read. Written as CloudFormation has it: a call for each of the CDK's metrics would
    be most of the time that the synth of a prompt takes."""
    computed = [
        Query(id=id, expression=text, label=f"{alarm.name} {id}", return_data=id == fuse.RETURNED)
        for id, text in alarm.expressions.items()
    ]
    return [*computed, *(_count(name, prompt, period, read) for name, read in alarm.reads.items())]


def _count(id: str, prompt: str, period: int, read: fuse.Read) -> Query:
    values = {"Prompt": prompt, "Track": str(read.track), HALF: read.half}
    dimensions = [cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value) for name, value in values.items()]
    metric = cloudwatch.CfnAlarm.MetricProperty(namespace=NAMESPACE, metric_name=read.metric, dimensions=dimensions)
    stat = cloudwatch.CfnAlarm.MetricStatProperty(metric=metric, period=period, stat=read.statistic)
    return Query(id=id, metric_stat=stat, return_data=False)


def _description(alarm: fuse.FuseAlarm, prompt: str, resolution: int) -> str:
    against = f"above that of {alarm.control}" if alarm.rule and alarm.rule.relative else "of requests"
    then = "rolls the release back" if alarm.row.acts else "nothing starts or is promoted meanwhile"
    return (
        f"{prompt}: {alarm.source} on {alarm.row.track} at least {alarm.threshold:.0%} {against} in "
        f"{alarm.policy.periods} of {alarm.looks_at} periods of {resolution} s with {alarm.policy.min_requests} "
        f"requests or more, {fuse.least_of_half(alarm.policy)} in each half of the units, and in both halves: {then}."
    )
