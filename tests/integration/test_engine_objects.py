"""One contract for all stores of objects, and test runs that ask the embedded Bedrock for published versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials

from local import keys
from local.running import EmbeddedAws
from promptlane.aws.models import ConverseModel
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.reports import S3Objects
from promptlane.aws.transport import BedrockTransport
from promptlane.domain.errors import NotFound
from promptlane.domain.release.prompt import PromptDraft
from promptlane.engine.objects import FolderObjects, KeptAnswers, ReportBucket
from promptlane.engine.parse import parse
from promptlane.engine.runner import Bench, run_cases
from promptlane.engine.targets import Target
from promptlane.fakes.objects import MemoryObjects


@pytest.fixture(params=["memory", "folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ReportBucket:
    if request.param == "memory":
        return MemoryObjects()
    if request.param == "folder":
        return FolderObjects(tmp_path)
    s3 = request.getfixturevalue("client")("s3")
    s3.create_bucket(Bucket="engine-objects")
    return S3Objects(s3, "engine-objects")


def test_objects_are_written_read_in_part_and_listed(objects: ReportBucket) -> None:
    for i in range(3):
        objects.put(f"a/results/{i:06d}.jsonl", f"line {i}\n".encode())
    objects.put("a/other.json", "größer".encode())
    assert objects.get("a/other.json").decode() == "größer"
    assert objects.get_range("a/results/000001.jsonl", 5, 7) == b"1\n"
    assert list(objects.keys("a/results/")) == [f"a/results/{i:06d}.jsonl" for i in range(3)]
    objects.put("a/other.json", b"again")
    assert objects.get("a/other.json") == b"again"
    with pytest.raises(NotFound):
        objects.get("a/nothing")


def test_published_versions_are_asked_by_their_arn(
    embedded_aws: EmbeddedAws, client: Callable[[str], Any], account: str
) -> None:
    prompts = BedrockPrompts(client("bedrock-agent"))
    drafts = [
        PromptDraft.from_dict(
            {
                "name": "asked-by-arn",
                "model": "amazon.nova-lite-v1:0",
                "template": f"{manner} {{{{question}}}}",
                "variables": ["question"],
                "inference": {"max_tokens": 200},
            }
        )
        for manner in ("Answer briefly:", "Answer at length:")
    ]
    versions = []
    for draft in drafts:
        prompt_id = prompts.write_draft(draft)
        versions.append(prompts.publish(prompt_id, description="for a test run"))
    old, new = (Target.of_version(v) for v in versions)
    endpoint = client("bedrock-runtime").meta.endpoint_url
    known = Credentials(*keys.credentials(embedded_aws.home, account).values())
    transport = BedrockTransport(endpoint=endpoint, region="us-east-1", credentials=known)
    suite = parse(
        {
            "tests": [
                {
                    "vars": {"question": f"What is parcel {i}?", "only": "x"},
                    "assert": [{"type": "regex", "value": r"\S"}],
                }
                for i in range(6)
            ]
        }
    )
    store = KeptAnswers(MemoryObjects(), fresh_for=60)
    bench = Bench(candidate=new, stable=old, model=ConverseModel(transport), concurrency=3, store=store)
    first = list(run_cases(suite.cases, bench))
    assert [r.candidate[0].missing for r in first] == [""] * 6
    assert all(r.candidate[0].passed and r.stable and r.stable[0].passed for r in first)
    assert all(r.candidate[0].answer and r.candidate[0].answer.output_tokens > 0 for r in first)
    second = list(run_cases(suite.cases, bench))
    assert all(r.stable and r.stable[0].reused and not r.candidate[0].reused for r in second)
    gone = Target("version 9", "f" * 64, new.variant, f"{new.arn.rsplit(':', 1)[0]}:9")
    missing = list(run_cases(suite.cases[:2], Bench(candidate=gone, stable=None, model=ConverseModel(transport))))
    transport.close()
    assert all("does not exist" in r.candidate[0].missing for r in missing)
