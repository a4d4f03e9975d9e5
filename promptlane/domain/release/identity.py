"""Who did something: what AWS vouches for, told apart from what somebody says of themselves.

AWS proves an IAM user and a role. The name of a role's session is the choice of whoever takes the role on, and a
message's text is the choice of whoever sends it: both stand in parentheses, as claims. Identity Center alone sets the
names of its sessions itself.
"""

from __future__ import annotations

import re
from typing import Final

from promptlane.domain.text import one_line

MAX_CLAIM: Final = 180
"""Characters of what somebody says; the longest ARN of a session has as many."""
_NAME: Final = "[0-9A-Za-z_+=,.@-]"
_ASSUMED: Final = re.compile(rf"(arn:[a-z-]+:sts::[0-9]{{12}}:assumed-role/)({_NAME}{{1,64}})/({_NAME}{{2,64}})\Z")
_SESSION: Final = re.compile(rf"(AROA[0-9A-Z]{{8,}}):({_NAME}{{2,64}})")
_USER: Final = re.compile(r"AIDA[0-9A-Z]{8,}")
_SET_BY_AWS: Final = "AWSReservedSSO_"


def vouched(arn: str) -> str:
    """An ARN that AWS gave for a caller, the name of a session marked as its holder's choice."""
    found = _ASSUMED.match(arn)
    if found is None or found[2].startswith(_SET_BY_AWS):
        return one_line(arn, MAX_CLAIM)
    return f'{found[1]}{found[2]} (session "{found[3]}")'


def is_session(sender: str) -> bool:
    """Whether the id by which SQS knows a sender is that of a role's session."""
    return _SESSION.fullmatch(sender) is not None


def sent(sender: str, says: str) -> str:
    """Who sent a message, by SQS's SenderId, and whom the message names."""
    quoted = one_line(says, MAX_CLAIM).replace('"', "'")  # so that no claim looks as if it had ended
    claim = f'says "{quoted}"'
    if session := _SESSION.fullmatch(sender):
        return f'role {session[1]} (session "{session[2]}"; {claim})'
    return f"{f'user {sender}' if _USER.fullmatch(sender) else 'unknown'} ({claim})"


def known(sender: str) -> bool:
    """Whether SQS knows more of a sender than the account."""
    return is_session(sender) or _USER.fullmatch(sender) is not None
