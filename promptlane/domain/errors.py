"""Every error that Promptlane raises on purpose.

    PromptlaneError
    ├── InvalidInput            somebody's input is wrong; the message names it and the remedy
    │   ├── PolicyInvalid       release.yaml; `problems` lists (path, message)
    │   ├── SuiteInvalid        suite.yaml; `problems` lists (path, message)
    │   ├── DraftInvalid        prompt.yaml; `problems` lists (path, message)
    │   ├── FloorInvalid        the deployment's platform floor; `problems` lists (path, message)
    │   ├── BelowFloor          a policy or suite asks less than the platform floor; `problems` lists (path, message)
    │   ├── AdmissionRefused    the static checks of a release found `problems`
    │   └── AmbiguousName       several prompts of Bedrock have the name; `ids` lists them
    ├── NotFound                the named thing does not exist
    ├── NotApplicable           the request is valid but does not apply to the present state; nothing was changed
    ├── Conflict                somebody else wrote first; read again and decide again
    ├── AlreadyExists           a put-once item is there already
    ├── Unauthorized            the caller may not do this
    │   └── KeyDenied           a prompt is encrypted with a key that the caller may not use
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


class AmbiguousName(InvalidInput):
    """Several prompts have the name that was given; Bedrock documents names as no key of anything."""

    def __init__(self, name: str, ids: Iterable[str]) -> None:
        self.name, self.ids = name, sorted(ids)
        super().__init__(
            f"{len(self.ids)} prompts of Bedrock are called {name!r}: {' and '.join(self.ids)}. Give the id of the one "
            f"that is meant; of an enrolled name a deployment says which (`prompt_id` in prompts/{name}/release.yaml). "
            "Or rename the others"
        )


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


class KeyDenied(Unauthorized):
    """A prompt is encrypted with a customer-managed key that the caller may not use. `key`: its ARN, "" if unknown."""

    def __init__(self, doing: str, prompt_id: str, key: str = "") -> None:
        self.key = key
        named = f"the key {key}" if key else "a customer-managed key, whose ARN its draft names"
        super().__init__(
            f"{doing}: prompt {prompt_id} is encrypted with {named}, which this caller may not use. Name the key in "
            "the setting promptlane:prompt_keys and deploy; its key policy must let the account's IAM policies grant it"
        )


class Unavailable(PromptlaneError):
    """A service did not answer or refused for load; trying again may help."""


class Throttled(Unavailable):
    """A quota was reached."""
