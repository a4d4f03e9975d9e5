"""Who wrote what a version changes, and each sentence about what CloudTrail cannot tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.policy import Reviewer
from promptlane.domain.review.attribution import Question, attribute, with_recorded
from promptlane.domain.review.edits import Edit, Known, merged
from promptlane.domain.review.review import Authors
from promptlane.domain.trail import CREATE, EDITS, PUBLISH, TRAIL_KEPT, TRAIL_LATE, TrailAnswer, TrailEvent, Window
from tests.support.review import ACCOUNT, LEAD, QUALITY, person

ADA, BO, CY, DEE = (f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in ("ada", "bo", "cy", "dee"))
ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/run"
SSO = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Authors_1f/dee"
SSO_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Authors_1f"
SINCE, PUBLISHED, LATER = 1_000.0, 9_000.0, 20_000.0


def edit(arn: str, at: float = 8_000, kind: str = "IAMUser", name: str = "UpdatePrompt", **more: Any) -> TrailEvent:
    return TrailEvent(name, at, arn, kind, event_id=f"{name}-{int(at * 10)}-{arn.rpartition('/')[2]}", **more)


def publication(arn: str, version: int = 2, at: float = PUBLISHED, kind: str = "IAMUser") -> TrailEvent:
    return TrailEvent(
        "CreatePromptVersion", at, arn, kind, version=version, event_id=f"p{version}-{int(at)}-{arn[-3:]}"
    )


STABLE = publication(DEE, 1, SINCE)
"""Version 1 is stable; who published it is no author of version 2."""


def known(*events: TrailEvent | Edit, **more: Any) -> Known:
    recorded = tuple(e if isinstance(e, Edit) else Edit(e, e.at, "history") for e in events)
    return Known(tuple(sorted(recorded, key=lambda e: e.event.at)), **{"complete_since": 0.0, **more})


def found(*events: TrailEvent | Edit, reviewers: tuple[Reviewer, ...] = (LEAD, QUALITY), **more: Any) -> Authors:
    asked = {"version": 2, "bound": 1, "seen_at": PUBLISHED + 100, "now": LATER}
    asked |= {k: more.pop(k) for k in list(more) if k in {*asked, "late", "begun"}}
    return attribute(known(*events, **more), reviewers, Question(**asked))  # type: ignore[arg-type]


def authors(*principals: str, doubts: tuple[str, ...] = (), **more: Any) -> Authors:
    return Authors(principals, doubts, **{"since": SINCE, "until": PUBLISHED, **more})


def test_what_cloudtrail_calls_its_events_and_how_late_and_long_it_tells() -> None:
    assert (PUBLISH, CREATE, EDITS) == ("CreatePromptVersion", "CreatePrompt", ("CreatePrompt", "UpdatePrompt"))
    assert (TRAIL_LATE, TRAIL_KEPT) == (900.0, 7_776_000.0)


# The window


def test_editors_and_publishers_are_authors_each_once_and_nobody_else() -> None:
    assert found(STABLE, edit(CY), edit(BO, 8_100), edit(CY, 8_200), publication(ADA)) == authors(ADA, BO, CY)


def test_everything_since_what_stable_holds_counts_whatever_was_published_in_between() -> None:
    """Ada edits and publishes 2, which is rejected; Bo mends a word and publishes 3: the difference holds both."""
    ours = (STABLE, edit(ADA, 2_000), publication(CY, 2, 2_100), edit(BO), publication(BO, 3))

    assert found(*ours, version=3) == authors(ADA, BO, CY)
    assert found(*ours, version=3, bound=2) == authors(BO, since=2_100.0)


def test_edits_count_from_the_second_of_stables_publication_to_that_of_the_candidates() -> None:
    inside = [edit(ADA, 1_000), edit(BO, 9_001), publication(ADA)]
    outside = [edit(CY, 999.9), edit(CY, 9_001.5)]

    assert found(STABLE, *inside, *outside) == authors(ADA, BO)


def test_a_publication_before_stables_is_a_safe_beginning_and_the_earliest_of_a_number_counts() -> None:
    ours = (edit(ADA), publication(BO, 4))

    assert found(publication(DEE, 1, 500), edit(CY, 700), *ours, version=4, bound=2) == authors(ADA, BO, CY, since=500)
    twice = (publication(DEE, 2, 600), publication(DEE, 2, 900))
    assert found(*twice, edit(CY, 700), *ours, version=4, bound=2) == authors(ADA, BO, CY, since=600)


def test_a_publication_without_its_number_is_bounded_by_the_newest_version_when_it_arrived() -> None:
    masked = Edit(publication(DEE, 0, SINCE), SINCE + 60, newest=1)

    assert found(masked, edit(CY, 500), edit(ADA), publication(BO)) == authors(ADA, BO)
    unsure = frozenset({masked.id})
    told = found(masked, edit(CY, 500, name=CREATE), edit(ADA), publication(BO), unsure=unsure)
    assert told == authors(ADA, BO, CY, since=0.0)


def test_of_a_first_version_and_of_an_older_one_than_stable_everything_counts() -> None:
    ours = (edit(CY, 500, name=CREATE), publication(DEE, 1, 600), edit(ADA), publication(BO))

    assert found(*ours, bound=0) == authors(ADA, BO, CY, DEE, since=0.0)


def test_without_its_own_event_a_candidate_was_there_when_it_was_seen_and_before_a_later_version() -> None:
    untold = ("CloudTrail has no event of the publication of version 2",)
    late = edit(BO, 9_050)

    assert found(STABLE, edit(ADA), late) == authors(ADA, BO, doubts=untold, until=9_100.0)
    assert found(STABLE, edit(ADA), late, publication(CY, 3, 9_040)) == authors(ADA, CY, doubts=untold, until=9_040.0)


def test_an_edit_that_puts_back_what_the_draft_held_brings_back_whoever_wrote_that() -> None:
    def held(event: TrailEvent, draft: str) -> Edit:
        return Edit(event, event.at + 60, "history", draft=draft)

    """Cy writes, `promptlane restore` publishes the old content as version 2 and puts Cy's draft back."""
    events = (
        publication(DEE, 1, 100),
        held(edit(CY, 500), "cys"),
        publication(BO, 2, SINCE),
        held(edit(BO, 1_001), "cys"),
        publication(ADA, 3),
    )

    assert found(*events, version=3, bound=2) == authors(ADA, BO, CY, since=100.0)
    others = (events[0], held(edit(CY, 500), "other"), *events[2:])
    assert found(*others, version=3, bound=2) == authors(ADA, BO)


# Who it is


def _uncertain(arn: str, why: str = "") -> tuple[str, ...]:
    return (f"{arn} may stand for several people{why}",)


CHOSEN = ": whoever begins the session chooses its name"


@pytest.mark.parametrize(
    ("arn", "kind", "issuer", "told"),
    [
        (ADA, "IAMUser", "", True),
        (SSO, "AssumedRole", SSO_ROLE, True),
        (SSO, "AssumedRole", f"arn:aws:iam::{ACCOUNT}:role/AWSReservedSSO_Authors_1f", False),
        (SSO, "AssumedRole", "", False),
        (ROLE, "AssumedRole", "", False),
        (f"arn:aws:iam::{ACCOUNT}:root", "Root", "", False),
    ],
)
def test_an_identity_that_may_be_several_people_is_named(arn: str, kind: str, issuer: str, told: bool) -> None:
    doubts = () if told else _uncertain(arn)

    assert found(STABLE, edit(arn, kind=kind, issuer=issuer), publication(BO)) == authors(
        *sorted((arn, BO)), doubts=doubts
    )


def test_an_identity_of_two_kinds_is_no_single_person() -> None:
    events = (STABLE, edit(ADA), edit(ADA, 8_100, kind="AssumedRole"), publication(BO))

    assert found(*events).unattributed == _uncertain(ADA)


@pytest.mark.parametrize(
    ("pattern", "doubts"),
    [
        (f"arn:aws:iam::{ACCOUNT}:role/ci", ()),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/*", ()),
        (ROLE, _uncertain(ROLE, CHOSEN)),
        (ROLE[:-1] + "*", _uncertain(ROLE, CHOSEN)),
    ],
)
def test_a_policy_that_maps_a_role_tells_its_sessions_and_one_that_maps_a_sessions_name_does_not(
    pattern: str, doubts: tuple[str, ...]
) -> None:
    mapped = person("second", principals=[pattern])
    told = found(STABLE, edit(ROLE, kind="AssumedRole"), publication(LEAD.principals[0]), reviewers=(LEAD, mapped))

    assert told == authors(*sorted((ROLE, LEAD.principals[0])), doubts=doubts)


def test_where_a_reviewer_is_mapped_to_nothing_a_stranger_may_be_that_reviewer() -> None:
    told = found(STABLE, edit(ADA), publication(LEAD.principals[0]), reviewers=(LEAD, person("third", principals=[])))

    assert told.unattributed == _uncertain(ADA)


def test_of_a_federated_user_the_one_who_chose_the_name_is_an_author_too() -> None:
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/bo"
    told = found(STABLE, edit(arn, kind="FederatedUser", issuer=ADA), publication(BO))

    assert told == authors(*sorted((ADA, BO, arn)), doubts=_uncertain(arn))


def test_a_service_that_called_for_somebody_hides_whoever_wrote_what_it_was_given() -> None:
    told = found(STABLE, edit(ADA, invoked_by="cloudformation.amazonaws.com"), publication(BO))

    assert told == authors(
        ADA,
        BO,
        doubts=("cloudformation.amazonaws.com called for somebody: it writes what it was given, whoever wrote that",),
    )


def test_events_without_a_principal_are_told() -> None:
    nobody, service = edit("", kind="WebIdentityUser"), edit("bedrock.amazonaws.com", 8_100, kind="AWSService")

    assert found(STABLE, nobody, service, edit(ADA), publication("", kind="")).unattributed == (
        "WebIdentityUser wrote to it, and CloudTrail names no principal",
        "bedrock.amazonaws.com wrote to it, and CloudTrail names no principal",
        "somebody wrote to it, and CloudTrail names no principal",
    )


# What is missing, and when all has arrived

NO_EDIT = "CloudTrail has no event of an edit of the draft since what stable holds was published"


@pytest.mark.parametrize(("now", "early"), [(PUBLISHED + 899.9, True), (PUBLISHED + 900, False)])
def test_nothing_is_complete_before_every_event_had_its_time_to_arrive(now: float, early: bool) -> None:
    """Also where publication and an edit are known: another edit may be on its way."""
    assert found(STABLE, edit(ADA), publication(BO), now=now) == authors(ADA, BO, complete=not early)
    assert found(STABLE, publication(BO), now=now) == authors(BO, doubts=(NO_EDIT,), complete=not early)
    no_publication = f"CloudTrail has no event of the publication of version 2{' yet' if early else ''}"
    assert found(STABLE, edit(ADA), now=now, seen_at=PUBLISHED) == authors(
        ADA, doubts=(no_publication,), complete=not early
    )


def test_how_long_that_takes_is_for_the_deployment_to_say() -> None:
    ours = (STABLE, edit(ADA), publication(BO))

    assert not found(*ours, now=PUBLISHED + 1.9, late=2.0).complete
    assert found(*ours, now=PUBLISHED + 2, late=2.0).complete


def test_a_history_that_does_not_answer_is_asked_for_an_hour_longer_and_is_a_doubt_then() -> None:
    silent: dict[str, Any] = {"complete_since": None, "answered": False, "gaps": ("CloudTrail did not answer",)}
    ours = (STABLE, edit(ADA), publication(BO))

    assert not found(*ours, **silent, now=PUBLISHED + 900 + 3_599).complete
    assert found(*ours, **silent, now=PUBLISHED + 900 + 3_600) == authors(ADA, BO, doubts=silent["gaps"])


def test_a_history_that_does_not_answer_is_asked_again_for_an_hour_of_the_review_however_old_the_version_is() -> None:
    """One lost answer about a version that lay about for a day rejected its release: its quorum could not be met."""
    silent: dict[str, Any] = {"complete_since": None, "answered": False, "gaps": ("CloudTrail did not answer",)}
    begun = PUBLISHED + 86_400.0
    for asked, complete in ((begun, False), (begun + 3_599, False), (begun + 3_600, True)):
        assert found(edit(ADA), publication(ADA), now=asked, begun=begun, **silent).complete is complete


@pytest.mark.parametrize(("complete_since", "doubted"), [(SINCE, False), (SINCE + 1, True)])
def test_edits_may_be_missing_from_before_all_that_is_known(complete_since: float, doubted: bool) -> None:
    told = ("what stable holds is older than what CloudTrail tells and was recorded, so edits may be missing",)
    ours = (STABLE, edit(ADA), publication(BO))

    assert found(*ours, complete_since=complete_since) == authors(ADA, BO, doubts=told if doubted else ())


def test_a_beginning_that_nobody_told_is_a_doubt() -> None:
    ours = (edit(ADA), publication(BO))
    stable = ("CloudTrail has no event of the publication of version 1, nor of one before it, so edits may be missing",)
    first = ("CloudTrail has no event of the prompt's creation, so edits may be missing",)
    created = edit(CY, 500, name=CREATE)

    assert found(*ours) == authors(ADA, BO, doubts=stable, since=0.0)
    assert found(*ours, bound=0) == authors(ADA, BO, doubts=first, since=0.0)
    assert found(created, *ours, bound=0) == authors(ADA, BO, CY, since=0.0)
    assert found(created, *ours, bound=0, complete_since=501.0).unattributed == (
        "the prompt is older than what CloudTrail tells and was recorded, so edits may be missing",
    )


# Later events


def test_what_arrives_later_adds_authors_and_doubts_and_takes_none_away() -> None:
    before = authors(ADA, doubts=("one",))
    late = [Edit(e, 30_000.0) for e in (edit(BO, 8_500), edit(ROLE, 8_600, "AssumedRole"), publication(DEE, 1, SINCE))]
    outside = [Edit(edit(CY, at), 30_000.0) for at in (SINCE - 1, PUBLISHED + 2)]

    assert with_recorded(before, [*late, *outside], (LEAD, QUALITY)) == authors(
        ADA, BO, ROLE, doubts=("one", *_uncertain(ROLE))
    )
    assert with_recorded(before, [], (LEAD,)) == before
    assert with_recorded(Authors((ADA,)), late, (LEAD,)) == Authors((ADA,))


# Merging


def test_an_event_that_was_recorded_and_looked_up_is_one_and_the_history_says_who() -> None:
    claimed = Edit(edit(CY), 8_060.0, newest=3, draft="d")
    real = replace(edit(ADA), event_id=claimed.event.event_id)
    known = merged(TrailAnswer((real,)), Window(0, LATER), [claimed], None, settled=LATER - 900)

    assert known == Known((Edit(real, real.at, "history", 3, "d"),), 0.0)


def test_a_recorded_event_that_the_history_does_not_have_limits_nothing() -> None:
    old, fresh = (Edit(publication(CY, 1, at), at + 60) for at in (8_000.0, 19_500.0))
    sent = replace(old, event=publication(CY, 1, 19_600), arrived=19_660.0, sent_by="AROA12345678:kim")
    slow = replace(old, event=publication(CY, 1, 19_700), arrived=19_700 + 26 * 3600.0)
    known = merged(TrailAnswer(()), Window(5_000, LATER), [old, fresh, sent, slow], None, settled=LATER - 900)

    assert known.unsure == {old.id, sent.id, slow.id}
    assert merged(None, Window(5_000, LATER), [old], Window(0, 9_000), settled=LATER).unsure == {old.id}
    assert merged(None, Window(5_000, LATER), [old], None, settled=LATER).unsure == frozenset()


@pytest.mark.parametrize(
    ("told", "since", "answered", "gaps"),
    [
        (TrailAnswer(()), 5_000.0, True, ()),
        (TrailAnswer((), truncated=("UpdatePrompt",)), None, True, ("there were more events than could be read",)),
        (
            TrailAnswer((), unreadable=2),
            5_000.0,
            True,
            ("2 event(s) in CloudTrail cannot be read, or do not say which prompt they changed",),
        ),
        (
            TrailAnswer((), failed=("UpdatePrompt",), failure="Rate exceeded"),
            None,
            False,
            ("CloudTrail did not answer: Rate exceeded",),
        ),
        (None, None, False, ("CloudTrail did not answer",)),
    ],
)
def test_what_could_not_be_read_is_said(
    told: TrailAnswer | None, since: float | None, answered: bool, gaps: tuple[str, ...]
) -> None:
    assert merged(told, Window(5_000, LATER), [], None, settled=LATER) == Known((), since, answered, gaps)


@pytest.mark.parametrize(
    ("watched", "since"),
    [(Window(10, 5_000), 10.0), (Window(10, 4_999), 5_000.0), (Window(6_000, 9_000), 5_000.0), (None, 5_000.0)],
)
def test_what_was_copied_of_the_history_reaches_further_back_where_it_joins(
    watched: Window | None, since: float
) -> None:
    assert merged(TrailAnswer(()), Window(5_000, LATER), [], watched, settled=0).complete_since == since


def test_a_call_that_failed_changed_nothing() -> None:
    failed = replace(edit(CY), error="AccessDenied")

    assert merged(TrailAnswer((failed,)), Window(0, LATER), [Edit(failed, 1.0)], None, settled=0).edits == ()
