"""The stream of sales' answers with comments, disputes and tracks; and marketing's word back to the reps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import (
    BooleanField,
    Exists,
    F,
    Field,
    Func,
    JSONField,
    OuterRef,
    Q,
    QuerySet,
    Value,
)
from django.db.models.functions import Cast

from feedback.models import Dispute, Enrolment, RepAnswer
from feedback.reports.answers import Terms
from feedback.reports.base import Filters
from feedback.reports.lines import GAVE
from handoff.models import Handoff, State
from leadflow import clock
from leadflow.accounts import telling
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Role, User
from leadflow.errors import BadInput, Fault, Forbidden, NotVisible
from leadflow.leads.models import Answer
from scoring.models import Agreement

DISPUTE_DAYS = 30
SHOW = {
    "": "All answers",
    "noes": "Noes",
    "comments": "With a comment",
    "disputed": "Disputed, open",
}


@dataclass
class Said:
    """One answer of sales as the stream shows it."""

    answer: Answer
    handoff: Handoff | None
    reason: str
    dispute: Dispute | None
    track: str
    replies: list[RepAnswer]
    may_dispute: bool
    may_settle: bool


def stream(filters: Filters, show: str = "") -> QuerySet[Answer]:
    """Answers of the period, newest first; `show` is one of SHOW, `filters.reason` a reason."""
    open_dispute = Dispute.objects.filter(handoff=OuterRef("handoff_id"), settled_at=None)
    if show == "disputed":
        # An open dispute is shown whatever the period: somebody has to decide it.
        found = Answer.objects.filter(Exists(open_dispute), kind="rejected", voided_at=None)
    else:
        found = Answer.objects.filter(
            kind__in=("accepted", "rejected", "returned"),
            voided_at=None,
            at__gte=filters.low,
            at__lt=filters.high,
            at__lte=filters.at,
        )
    if show == "noes":
        found = found.exclude(kind="accepted")
    if show == "comments":
        found = found.exclude(note="")
    if filters.source:
        found = found.filter(lead__first_source=filters.source)
    if filters.reason:
        found = found.filter(reason_key=filters.reason)
    if filters.campaign:
        found = found.filter(lead__first_campaign__code=filters.campaign)
    if filters.rep:
        found = found.filter(rep=filters.rep)
    handoffs = _handoffs(filters)
    if handoffs is not None:
        found = found.filter(handoff_id__in=handoffs.values("pk"))
    return found.select_related("lead__company", "rep").order_by("-at", "-pk")


class _GavePoints(Func):
    """Whether a rule gave points at the offer."""

    function = "jsonb_path_exists"
    template = "%(function)s(%(expressions)s)"
    output_field = BooleanField()

    def __init__(self, criterion: str) -> None:
        path = Cast(Value(GAVE), _JsonPath())
        super().__init__(F("frozen"), path, Value({"id": criterion}, JSONField()))


class _JsonPath(Field):  # type: ignore[type-arg]
    """The type of a path, for the cast."""

    def db_type(self, connection: object) -> str:
        return "jsonpath"


def _handoffs(filters: Filters) -> QuerySet[Handoff] | None:
    """The handoffs that the filters leave; None where they say nothing about them."""
    if not (filters.team or filters.persona or filters.criterion or filters.version):
        return None
    found = Handoff.objects.all()
    if filters.team:
        found = found.filter(team=filters.team)
    if filters.persona:
        found = found.filter(frozen__persona__key=filters.persona).exclude(frozen__persona__ideal=False)
    if filters.criterion:
        found = found.filter(_GavePoints(filters.criterion))
    if filters.version:
        found = found.filter(agreement_id__in=Agreement.objects.filter(number=filters.version).values("pk"))
    return found


def dress(answers: Iterable[Answer], reader: User, terms: Terms, at: datetime) -> list[Said]:
    """What the stream shows beside each answer; four queries, whatever the number of answers."""
    rows = list(answers)
    ids = [row.handoff_id for row in rows]
    handoffs = Handoff.objects.select_related("team").in_bulk(ids)
    disputes = {
        found.handoff_id: found
        for found in Dispute.objects.filter(handoff__in=ids).select_related("by", "settled_by")
    }
    tracks = dict(Enrolment.objects.filter(handoff__in=ids, ended_at=None).values_list("handoff", "track"))
    replies: dict[int, list[RepAnswer]] = {}
    for reply in RepAnswer.objects.filter(handoff__in=ids).select_related("by", "to").order_by("at"):
        replies.setdefault(reply.handoff_id or 0, []).append(reply)
    return [_said(row, handoffs, disputes, tracks, replies, reader, terms, at) for row in rows]


def _said(
    row: Answer,
    handoffs: dict[int, Handoff],
    disputes: dict[int, Dispute],
    tracks: dict[int, str],
    replies: dict[int, list[RepAnswer]],
    reader: User,
    terms: Terms,
    at: datetime,
) -> Said:
    handoff, dispute = handoffs.get(row.handoff_id), disputes.get(row.handoff_id)
    rejected = row.kind == "rejected" and handoff is not None and handoff.state == State.REJECTED
    fresh = (
        handoff is not None and handoff.closed_at is not None and (at - handoff.closed_at).days < DISPUTE_DAYS
    )
    marketing = reader.in_marketing or reader.is_admin
    return Said(
        answer=row,
        handoff=handoff,
        reason=terms.reasons.get(row.reason_key, row.reason_key),
        dispute=dispute,
        track=terms.tracks.get(tracks.get(row.handoff_id, ""), ""),
        replies=replies.get(row.handoff_id, []),
        may_dispute=rejected and fresh and dispute is None and marketing,
        may_settle=dispute is not None and dispute.settled_at is None and _leads(reader, handoff),
    )


def _leads(reader: User, handoff: Handoff | None) -> bool:
    if reader.is_admin:
        return True
    if reader.role != Role.SALES_MANAGER or handoff is None:
        return False
    return handoff.team is None or reader.pk == handoff.team.manager_id or reader.team_id == handoff.team_id


def same_reason(answer: Answer, filters: Filters) -> QuerySet[User]:
    """The other reps who gave the same reason in the period."""
    said = Answer.objects.filter(
        rep=OuterRef("pk"),
        reason_key=answer.reason_key,
        voided_at=None,
        at__gte=filters.low,
        at__lt=filters.high,
    )
    return User.objects.filter(Exists(said), is_active=True).exclude(pk=answer.rep_id or 0)


def reply(
    answer_id: int, actor: Actor, *, text: str, others: bool, filters: Filters, at: datetime | None = None
) -> int:
    """Marketing answers the rep, and with `others` all who gave that reason; returns how many it reaches."""
    words = checked(actor, text)
    with transaction.atomic():
        answer = Answer.objects.select_related("rep", "lead").filter(pk=answer_id, voided_at=None).first()
        if answer is None or answer.rep is None:
            raise NotVisible("Nobody can be answered here.")
        at = at or clock.now()
        people: list[Any] = [
            answer.rep,
            *(same_reason(answer, filters) if others and answer.reason_key else ()),
        ]
        rows = [
            RepAnswer(to=to, by=actor.user, text=words, handoff_id=answer.handoff_id, at=at) for to in people
        ]
        send(rows, actor, at)
    return len(people)


def checked(actor: Actor, text: str) -> str:
    """The words of an answer. Raises Forbidden for others than marketing, BadInput for what is no answer."""
    if not actor.has_role(*MARKETING, Role.ADMIN) or actor.user is None:
        raise Forbidden("Marketing answers the reps.")
    words = text.strip()
    if len(words) < 3 or len(words) > 2000:
        raise BadInput("Write an answer.", [Fault("text", "Between 3 and 2,000 characters.")])
    return words


def send(rows: Sequence[RepAnswer], actor: Actor, at: datetime) -> None:
    """Answers reach their reps: at the bell, and on top of their queue and home until they have read them."""
    made = RepAnswer.objects.bulk_create(rows)
    telling.tell(
        [
            telling.Word(f"rep-answer:{row.pk}", row.to_id, f"{actor}: {row.text}"[:300], "/feedback/")
            for row in made
        ],
        at,
    )


def unseen(reader: User) -> QuerySet[RepAnswer]:
    """What marketing said to this person and the person has not put away."""
    return (
        RepAnswer.objects.filter(to=reader, seen_at=None)
        .select_related("by", "handoff__lead")
        .order_by("-at")
    )


def put_away(reader: User, answer_id: int, at: datetime) -> None:
    """The rep has read it."""
    RepAnswer.objects.filter(Q(pk=answer_id), to=reader, seen_at=None).update(seen_at=at)
