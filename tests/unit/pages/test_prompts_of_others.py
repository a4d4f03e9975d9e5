"""What reviewers see of prompts that others made: all that is served, and no approval of less."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest

from promptlane.domain.text import visible
from tests.support.others import ACCEPTED, Other, known
from tests.support.review import LEAD, OLD, UnderReview


@dataclass
class Made:
    """A draft of somebody else, as the store of the fakes takes it."""

    made: list[dict[str, Any]]
    name: str = "support-assistant"

    def variants(self) -> list[dict[str, Any]]:
        return self.made


@pytest.mark.parametrize("other", ACCEPTED, ids=known(ACCEPTED))
def test_all_that_is_served_stands_on_the_page_and_can_be_approved(other: Other) -> None:
    before = replace(OLD, model="another.model-v1:0")
    world = UnderReview(old=before, new=Made(other.variants))  # type: ignore[arg-type]
    world.ask()

    answer = world.http("GET", world.token(LEAD))
    shown = html.unescape(re.sub(r"<[^>]*>", "", answer["body"]))

    assert answer["statusCode"] == 200
    (variant,) = other.variants
    config = variant["templateConfiguration"]
    texts = re.findall(r'"text": "((?:[^"\\]|\\.)*)"', json.dumps(config, ensure_ascii=False))
    for text in (variant["modelId"], variant["name"], *(json.loads(f'"{one}"') for one in texts)):
        assert visible(text) in shown, text
    assert shown.count('"cachePoint"') >= json.dumps(config).count('"cachePoint"')
    for tool in (config.get("chat") or {}).get("toolConfiguration", {}).get("tools") or []:
        for name in (tool.get("toolSpec") or {}).get("inputSchema", {}).get("json", {}).get("properties", {}):
            assert f'"{name}"' in shown
    assert world.send(LEAD)["statusCode"] == 200
