"""What our CloudTrail trail records."""

from __future__ import annotations

from typing import Any, Final

from promptlane.domain.errors import InvalidInput, NotFound

from .errors import translated

Json = Any
_MANAGEMENT: Final = {
    "Name": "Management events",
    "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}],
}
_RENDERED: Final = {
    "Name": "Rendered prompt versions",
    "FieldSelectors": [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::Bedrock::PromptVersion"]},
    ],
}


class TrailSelectors:
    """`Recording`. `cloudtrail` is the boto3 client; each write replaces all selectors that the trail had."""

    def __init__(self, cloudtrail: Any) -> None:
        self._cloudtrail = cloudtrail

    def select(self, trail: str, *, management: bool, renders: bool) -> bool:
        """False where this Region's CloudTrail knows no data events of prompts: then nothing was changed."""
        selectors = [*([_MANAGEMENT] if management else []), *([_RENDERED] if renders else [])]
        try:
            with translated(f"selecting what the trail {trail} records"):
                self._cloudtrail.put_event_selectors(TrailName=trail, AdvancedEventSelectors=selectors)
        except InvalidInput:
            if not renders:
                raise
            return False
        return True

    def log(self, trail: str, *, on: bool) -> None:
        with translated(f"switching the trail {trail} {'on' if on else 'off'}"):
            if on:
                self._cloudtrail.start_logging(Name=trail)
            else:
                self._cloudtrail.stop_logging(Name=trail)

    def exists(self, trail: str) -> bool:
        try:
            with translated(f"looking for the trail {trail}"):
                self._cloudtrail.get_trail_status(Name=trail)
        except NotFound:
            return False
        return True
