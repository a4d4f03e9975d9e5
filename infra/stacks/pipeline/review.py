"""The functions by which people decide: mails, the review page, decisions, and what operators do to a canary."""

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigw

from infra.constructs.grants import Grant
from infra.constructs.http_service import HttpService, Throttle
from infra.constructs.queue import DeadLetters
from infra.stacks.pipeline.functions import CONFIG, RELEASES, PipelineFunctions
from promptlane.domain.keys import APPENDED, OPEN_REVIEWS, PROMPT, REVIEW, SECRET

_SIGNED_LINK = (
    "Reviewers come from their mail program: every request carries a signed, expiring link, checked by `review`."
)


def add_review(functions: PipelineFunctions, *, undelivered: DeadLetters) -> None:
    g = functions.grants
    settles = [REVIEW, PROMPT, *APPENDED]

    def looks(*puts: str) -> list[Grant]:
        items = g.releases_write(query=True, put=puts, update=[REVIEW], delete=[OPEN_REVIEWS])
        return items + g.prompts_read() + g.trail_read() + g.task_answer()

    seen = [CONFIG, RELEASES]
    page = ("RELEASE_TABLE", "REPORT_BUCKET", "REVIEW_KEY_ID", "TRAIL_LATE_SECONDS")
    variables = (*page, "OPERATIONS_URL", "DEPLOYMENT", "NOTICES_TOPIC")
    mails = g.links("GenerateMac") + g.reviewers_send() + g.notices_send()
    functions.add(
        "request_review",
        "Mails each reviewer a signed link",
        variables,
        looks(OPEN_REVIEWS, SECRET, *settles) + mails + g.reports(read=seen, write=[RELEASES], may_be_missing=True),
        timeout=Duration.seconds(60),
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
    functions.add("decide", "Takes a review decision by IAM identity", told, looks(*settles), timeout=within)
    functions.add("operate", "Pauses, resumes or advances a canary", table, g.releases_write(put=[PROMPT, *APPENDED]))


def add_routes(operations: HttpService, functions: PipelineFunctions) -> None:
    made, post, slow = functions.made, apigw.HttpMethod.POST, Throttle(rate=5, burst=10)
    for path in ("/review/{release_id}", "/review/{release_id}/part", "/review/{release_id}/report"):
        operations.route(apigw.HttpMethod.ANY, path, made["review"], open_because=_SIGNED_LINK, throttle=slow)
    operations.route(post, "/releases/{release_id}/decision", made["decide"])
    operations.route(post, "/releases/{release_id}/{operation}", made["operate"])
    operations.route(post, "/prompts/{prompt}/rollback", made["roll_back"])
