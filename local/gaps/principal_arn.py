"""The condition key aws:PrincipalArn of a role's session.

Lacking in MiniStack: it gives the session (`arn:aws:sts::…:assumed-role/…`), AWS gives the role, with its path
(`arn:aws:iam::…:role/…`). So a policy that denies everybody but certain roles would deny those too."""

from __future__ import annotations

from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam

from local import seams


def install() -> None:
    seams.require(iam_evaluator, "_role_name_from_assumed_arn")
    seams.require(iam, "_roles")

    @seams.replace(iam_evaluator, "_resolve_condition_key")
    def resolve(original: Any, key: str, context: Any) -> Any:
        found = original(key, context)
        if key.lower() != "aws:principalarn" or ":assumed-role/" not in str(found):
            return found
        name = iam_evaluator._role_name_from_assumed_arn(found)
        role = iam._roles.get_scoped(context.principal_account, None, name)
        return role["Arn"] if role else found
