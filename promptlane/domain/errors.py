"""Every error that Promptlane raises on purpose.

    PromptlaneError
    ├── InvalidInput            somebody's input is wrong; the message names it and the remedy
    │   ├── PolicyInvalid       release.yaml; `problems` lists (path, message)
    │   ├── SuiteInvalid        suite.yaml; `problems` lists (path, message)
    │   ├── DraftInvalid        prompt.yaml; `problems` lists (path, message)
    │   ├── FloorInvalid        the deployment's platform floor; `problems` lists (path, message)
    │   ├── BelowFloor          a policy or suite asks less than the platform floor; `problems` lists (path, message)
    │   └── AdmissionRefused    the static checks of a release found `problems`
    ├── NotFound                the named thing does not exist
    ├── NotApplicable           the request is valid but does not apply to the present state; nothing was changed
    ├── Conflict                somebody else wrote first; read again and decide again
    ├── AlreadyExists           a put-once item is there already
    ├── Unauthorized            the caller may not do this
    └── Unavailable             a service did not answer; trying again may help (`Throttled` for a quota)

Step Functions catches them by class name, so a name here is part of the contract with release.asl.json.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class PromptlaneError(Exception):
    """Base of all errors raised on purpose."""


class InvalidInput(PromptlaneError):
    """Input that cannot be used; says which and what to do."""


class _Problems(InvalidInput):
    """Several problems at once, each with the path of the field it is about."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(f"{path}: {message}" if path else message for path, message in self.problems))


class PolicyInvalid(_Problems):
    """release.yaml is not a valid policy."""


class SuiteInvalid(_Problems):
    """suite.yaml is not a valid suite."""


class DraftInvalid(_Problems):
    """prompt.yaml is not a valid prompt."""


class FloorInvalid(_Problems):
    """The deployment's platform floor cannot be read."""


class BelowFloor(_Problems):
    """A policy or a suite asks less than the platform floor."""


class AdmissionRefused(_Problems):
    """A release was refused before any test ran."""


class NotFound(PromptlaneError):
    """The named thing does not exist."""


class NotApplicable(PromptlaneError):
    """A valid request that does not apply to the present state. Nothing was changed."""


class Conflict(PromptlaneError):
    """The record moved since it was read."""


class AlreadyExists(PromptlaneError):
    """A put-once record exists already."""


class Unauthorized(PromptlaneError):
    """The caller may not do this."""


class Unavailable(PromptlaneError):
    """A service did not answer or refused for load; trying again may help."""


class Throttled(Unavailable):
    """A quota was reached."""
