"""The stream of sales' answers with comments, disputes and tracks; and marketing's word back to the reps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from feedback.models import Dispute, Enrolment, RepAnswer
from feedback.reports import said
from feedback.reports.answers import Terms
from feedback.reports.base import Filters
from feedback.reports.counted import Answers
from handoff.models import Handoff, State
from leadflow import clock
from leadflow.accounts import telling
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Role, User
from leadflow.errors import BadInput, Fault, Forbidden, NotVisible
from leadflow.leads.models import Answer
from leadflow.paging import COUNTED

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


# What is shown, asked of an answer. An open objection is shown whatever the period: somebody decides it.
_SHOWN = {
    "": "TRUE",
    "noes": "kind IN ('rejected', 'returned')",
    "comments": "EXISTS (SELECT 1 FROM leads_answer a WHERE a.id = answer_id AND a.note <> '')",
    "disputed": "kind = 'rejected' AND handoff_id = ANY(ARRAY("
    "SELECT d.handoff_id FROM feedback_dispute d WHERE d.settled_at IS NULL))",
}
_EVER = date(2000, 1, 1)


class Stream:
    """Answers of the period, the newest first, to be shown by page; `show` is one of SHOW, `filters.reason` a
    reason."""

    def __init__(self, filters: Filters, show: str = "") -> None:
        self.filters = replace(filters, start=_EVER) if show == "disputed" else filters
        self.where = _SHOWN[show] + (" AND reason_key = %(reason)s" if filters.reason else "")
        self.show = show

    def seen(self, known: Answers) -> int:
        """How many there are, as far as is counted; `known` is what is counted of the period anyway."""
        reason = self.filters.reason or None
        if self.show == "":
            return known.sum(reason=reason)
        return known.noes(reason) if self.show == "noes" else said.seen(self.filters, self.where, COUNTED)

    def __getitem__(self, part: slice) -> list[Answer]:
        start, size = part.start or 0, part.stop - (part.start or 0)
        if size <= 0:
            return []
        ids = said.page(self.filters, self.where, start, size)
        found = Answer.objects.filter(pk__in=ids).select_related("lead__company", "rep")
        return list(found.order_by("-at", "-pk"))


def dress(answers: Iterable[Answer], reader: User, terms: Terms, at: datetime) -> list[Said]:
    """What the stream shows beside each answer; three queries, whatever the number of answers."""
    rows = list(answers)
    ids = [row.handoff_id for row in rows]
    read = ("team", "dispute__by", "dispute__settled_by")
    handoffs = Handoff.objects.select_related(*read).defer("frozen").in_bulk(ids)
    disputes = {pk: one.dispute for pk, one in handoffs.items() if hasattr(one, "dispute")}
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
    RepAnswer.objects.filter(pk=answer_id, to=reader, seen_at=None).update(seen_at=at)
