"""What may start functions, and how many at once.

An account begins with ten concurrent executions for all its functions, and may reserve none of them. So unless a
deployment reserves some, whatever starts functions is bounded such that two of ten stay free for a rollback:
tests/infra/test_concurrency.py adds up what the templates say. With a reservation nothing needs to be bounded for that.
A streamed answer holds an execution for as long as the model speaks, and nothing throttles a function URL but a
reservation of its function's own: without one there is no streaming gateway.
"""

from dataclasses import dataclass

from infra.config import DeploymentConfig

FRESH_QUOTA = 10
"""Concurrent executions of a fresh account."""
UNRESERVED = 100
"""What AWS wants to stay unreserved."""
QUOTA_CODE = "L-B99A9384"


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """Requests per second, and how many at once, before the API answers 429."""

    rate: float
    burst: int


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Throttles by what is asked for. `case_functions`: that one round of tests runs in, of which one runs at a time; 0
    leaves both to the policies."""

    case_functions: int
    pages: Throttle
    page: Throttle
    decision_by_link: Throttle
    page_by_other_methods: Throttle
    part: Throttle
    report: Throttle
    operations: Throttle
    decision: Throttle
    gateway: Throttle
    converse: Throttle


_FRESH = Bounds(
    case_functions=1,
    pages=Throttle(rate=1, burst=2),
    page=Throttle(rate=2, burst=5),
    decision_by_link=Throttle(rate=1, burst=3),
    page_by_other_methods=Throttle(rate=0.5, burst=2),
    part=Throttle(rate=1, burst=3),
    report=Throttle(rate=0.5, burst=2),
    operations=Throttle(rate=0.25, burst=3),
    decision=Throttle(rate=0.5, burst=4),
    gateway=Throttle(rate=0.5, burst=5),
    # A model may take as long as the function may: two calls of 30 s.
    converse=Throttle(rate=1 / 30, burst=1),
)
_RESERVED = Bounds(
    case_functions=0,
    pages=Throttle(rate=20, burst=40),
    page=Throttle(rate=10, burst=20),
    decision_by_link=Throttle(rate=5, burst=10),
    page_by_other_methods=Throttle(rate=2, burst=5),
    part=Throttle(rate=5, burst=10),
    report=Throttle(rate=2, burst=5),
    operations=Throttle(rate=50, burst=100),
    decision=Throttle(rate=20, burst=40),
    gateway=Throttle(rate=1000, burst=2000),
    converse=Throttle(rate=1000, burst=2000),
)


def bounds(config: DeploymentConfig) -> Bounds:
    return _RESERVED if config.reserved_concurrency else _FRESH


def explained(config: DeploymentConfig) -> str:
    """What synth says about it."""
    n, streams = config.reserved_concurrency, config.streams
    if streams:
        also = f", {n} for roll_back and {n} for decide" if n else ""
        return (
            f"{streams} Lambda executions are reserved for the streaming gateway, which answers so many at once{also}. "
            f"AWS refuses that unless {UNRESERVED} stay unreserved: the account's quota of concurrent executions "
            f"({QUOTA_CODE}) must be {UNRESERVED + streams + 2 * n} or more"
        )
    if n:
        return (
            f"{n} Lambda executions are reserved for roll_back and {n} for decide. AWS refuses that unless "
            f"{UNRESERVED} stay unreserved: the account's quota of concurrent executions ({QUOTA_CODE}) must be "
            f"{UNRESERVED + 2 * n} or more"
        )
    return (
        f"no Lambda executions are reserved, so that this deploys where an account has {FRESH_QUOTA}: one round of "
        "tests runs at a time, and the gateway takes 2 model calls a minute. Where the account's quota of concurrent "
        f"executions ({QUOTA_CODE}) is {UNRESERVED + 10} or more, set promptlane:reserved_concurrency=5, and these "
        "bounds go. To raise it: aws service-quotas request-service-quota-increase --service-code lambda --quota-code "
        f"{QUOTA_CODE} --desired-value 1000"
    )
