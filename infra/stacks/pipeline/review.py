"""The functions by which people decide: mails, the review page, decisions, and what operators do to a canary."""

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigw

from infra.constructs.bounds import Bounds
from infra.constructs.grants import Grant
from infra.constructs.http_service import HttpService
from infra.constructs.queue import DeadLetters
from infra.stacks.pipeline.functions import CONFIG, RELEASES, PipelineFunctions
from promptlane.domain.keys import APPENDED, OPEN_REVIEWS, PROMPT, REVIEW, SECRET

_SIGNED_LINK = (
    "Reviewers come from their mail program: every request carries a signed, expiring link, checked by `review`."
)


def add_review(functions: PipelineFunctions, *, undelivered: DeadLetters, reserved_concurrency: int) -> None:
    g = functions.grants
    settles = [REVIEW, PROMPT, *APPENDED]

    def looks(*puts: str) -> list[Grant]:
        items = g.releases_write(query=True, put=puts, update=[REVIEW], delete=[OPEN_REVIEWS])
        return items + g.prompts_read() + g.trail_read() + g.task_answer()

    seen = [CONFIG, RELEASES]
    page = ("RELEASE_TABLE", "REPORT_BUCKET", "REVIEW_KEY_ID", "TRAIL_LATE_SECONDS")
    variables = (*page, "REVIEWS_URL", "DEPLOYMENT", "NOTICES_TOPIC")
    mails = g.links("GenerateMac") + g.reviewers_send() + g.notices_send()
    functions.add(
        "request_review",
        "Mails each reviewer a signed link",
        variables,
        looks(OPEN_REVIEWS, SECRET, *settles) + mails + g.reports(read=seen, write=[RELEASES], may_be_missing=True),
        timeout=Duration.seconds(120),
        memory_mib=512,
    )
    functions.add(
        "remind",
        "Reminds reviewers before a review expires",
        variables,
        looks(SECRET, *settles) + mails + g.reports(read=seen, may_be_missing=True),
        timeout=Duration.seconds(120),
        memory_mib=512,
        dead_letters=undelivered,
    )
    functions.add(
        "review",
        "The review page and its form",
        page,
        looks(*settles) + g.links("VerifyMac") + g.reports(read=seen, may_be_missing=True),
        timeout=Duration.seconds(28),
        memory_mib=1_769,
    )
    within = Duration.seconds(20)
    table, told = ("RELEASE_TABLE",), ("RELEASE_TABLE", "TRAIL_LATE_SECONDS")
    functions.add(
        "decide",
        "Takes a review decision by IAM identity",
        told,
        looks(*settles),
        timeout=within,
        reserved_concurrency=reserved_concurrency or None,
    )
    functions.add("operate", "Pauses, resumes or advances a canary", table, g.releases_write(put=[PROMPT, *APPENDED]))


def add_routes(functions: PipelineFunctions, *, bounds: Bounds, pages: HttpService, operations: HttpService) -> None:
    """Each route of the pages has a throttle of its own: who floods the reading of one keeps nobody from deciding."""
    made, get, post, anything = functions.made, apigw.HttpMethod.GET, apigw.HttpMethod.POST, apigw.HttpMethod.ANY
    review = "/review/{release_id}"
    for method, path, throttle in (
        (get, review, bounds.page),
        (post, review, bounds.decision_by_link),
        (anything, review, bounds.page_by_other_methods),
        (anything, f"{review}/part", bounds.part),
        (anything, f"{review}/report", bounds.report),
    ):
        pages.route(method, path, made["review"], open_because=_SIGNED_LINK, throttle=throttle)
    operations.route(post, "/releases/{release_id}/decision", made["decide"], throttle=bounds.decision)
    operations.route(post, "/releases/{release_id}/{operation}", made["operate"])
    operations.route(post, "/prompts/{prompt}/rollback", made["roll_back"])
