"""SNS: messages to people."""

from __future__ import annotations

from typing import Any

from promptlane.domain.text import printable, subject_line

from .errors import translated


class SnsNotices:
    """`Notices` on an SNS topic."""

    def __init__(self, sns: Any, topic_arn: str) -> None:
        self._sns, self._topic = sns, topic_arn

    def publish(self, subject: str, body: str, *, id: str = "") -> None:
        known = {"notice_id": {"DataType": "String", "StringValue": id}} if id else {}
        with translated("sending a notice"):
            self._sns.publish(
                TopicArn=self._topic,
                Subject=subject_line(subject),
                Message=printable(body),
                **({"MessageAttributes": known} if known else {}),
            )
