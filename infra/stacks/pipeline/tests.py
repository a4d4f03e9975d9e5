"""The functions that run a prompt's regression tests."""

from aws_cdk import Duration

from infra.stacks.pipeline.functions import CONFIG, RELEASES, RESULTS, TABLES, PipelineFunctions
from promptlane.domain.keys import APPENDED, PROMPT, TURN


def add_tests(functions: PipelineFunctions) -> None:
    g = functions.grants
    objects = g.reports(read=[CONFIG, RELEASES, RESULTS], write=[RELEASES, RESULTS], may_be_missing=True)
    functions.add(
        "plan_tests",
        "Lays out the cases of a test round",
        (*TABLES, "REPORT_BUCKET", "MOST_CASE_FUNCTIONS"),
        g.routes_read() + g.releases_write(put=[PROMPT, TURN, *APPENDED]) + g.prompts_read(listed=False) + objects,
        knows_suites=True,
        timeout=Duration.minutes(5),
        memory_mib=1024,
    )
    functions.add(
        "run_cases",
        "Answers and asserts a batch of cases",
        ("REPORT_BUCKET",),
        g.prompts_answer() + g.guardrails() + objects,
        knows_suites=True,
        timeout=Duration.minutes(15),
        memory_mib=1024,
    )
    functions.add(
        "grade",
        "Compares candidate and stable and gives the verdict",
        ("RELEASE_TABLE", "REPORT_BUCKET"),
        g.releases_write(put=[PROMPT, *APPENDED], delete=[TURN]) + objects,
        knows_suites=True,
        timeout=Duration.minutes(15),
        memory_mib=1024,
    )
