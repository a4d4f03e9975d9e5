"""Encrypted queues: of work, and of what nobody could handle."""

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

READ_AND_RETURN = "Read the queue, fix the cause, then move them back."
_KEPT = Duration.days(14)


class DeadLetters(Construct):
    """Where messages end that failed every retry. The alarm on it (`infra/stacks/health.py`) says what it `holds`.

    `remedy`: what people do about it; a stream hands over where its records stood, not the records themselves.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        key: kms.IKey,
        holds: str,
        remedy: str = READ_AND_RETURN,
    ) -> None:
        super().__init__(scope, id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption_master_key=key,
            data_key_reuse=Duration.hours(1),
            enforce_ssl=True,
            retention_period=_KEPT,
        )
        self.holds, self.remedy = holds, remedy


class WorkQueue(Construct):
    """A queue that a function works off; after `attempts` tries a message goes to the dead letters."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        key: kms.IKey,
        dead_letters: DeadLetters,
        worked_within: Duration,
        attempts: int = 5,
    ) -> None:
        super().__init__(scope, id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption_master_key=key,
            data_key_reuse=Duration.hours(1),
            enforce_ssl=True,
            retention_period=Duration.days(4),
            # AWS asks for six times the function's timeout, so that a throttled function loses no message.
            visibility_timeout=Duration.seconds(6 * int(worked_within.to_seconds())),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters.queue, max_receive_count=attempts),
        )
