"""The log of questions, objections, competitors and changes: written down, put together, answered."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Greatest

from feedback import promised
from feedback.models import Question
from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts import audit, telling
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MARKETING, Role, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads.folding import words
from leadflow.leads.models import Content, Lead

SHORTEST, LONGEST = 3, 500
ANSWER_LONGEST = 2_000
SAME = timedelta(minutes=2)
# What marketing promises to answer; a competitor or a change in the market is news.
ANSWERED = (Question.Kind.QUESTION, Question.Kind.OBJECTION)
# How much of their three-letter pieces two texts share when they are one question (0 to 1).
ALIKE = 0.45
# A looser measure for what is only offered to a reader.
NEAR = 0.25
# Two people who write down the same question in the same instant find each other.
_LOCK = 7_301_955


@dataclass(frozen=True)
class Said:
    """One thing to write down."""

    text: str
    kind: str = Question.Kind.QUESTION
    lead_id: int | None = None
    handoff_id: int | None = None
    asked_by_id: int | None = None
    at: datetime | None = None


@dataclass
class Taken:
    """What became of several: their ids by index, and what was wrong with the others."""

    made: dict[int, int] = field(default_factory=dict)
    rejected: list[tuple[int, list[Fault]]] = field(default_factory=list)


def log(said: Said, actor: Actor, *, at: datetime | None = None) -> Question:
    """Write one down beside its like; the same again within minutes is the same.

    Raises BadInput for an empty text, NotVisible for an unknown lead.
    """
    again = _just_now(said, actor, at or clock.now())
    if again is not None:
        return again
    taken = log_many([said], actor, at=at)
    if taken.rejected:
        faults = taken.rejected[0][1]
        if faults[0].path == "lead_id":
            raise NotVisible("There is no such lead.")
        raise BadInput("This cannot be written down.", faults)
    return Question.objects.select_related("group__content", "content").get(pk=taken.made[0])


def _just_now(said: Said, actor: Actor, at: datetime) -> Question | None:
    """What a second click would write again."""
    found = Question.objects.filter(
        lead=said.lead_id,
        kind=said.kind,
        text=" ".join(said.text.split()),
        asked_by=actor.user_id,
        at__gt=at - SAME,
        at__lte=at,
    )
    return found.select_related("group__content", "content").first() if actor.user_id else None


def log_many(rows: Sequence[Said], actor: Actor, *, at: datetime | None = None) -> Taken:
    """Write several down; good rows are kept. One statement puts all of them beside their like."""
    now = at or clock.now()
    taken = Taken()
    people = _known(User.objects.all(), {row.asked_by_id for row in rows} | {actor.user_id})
    leads = _known(Lead.objects.filter(erased_at=None, merged_into=None), {row.lead_id for row in rows})
    handoffs = dict(
        Handoff.objects.filter(pk__in=[row.handoff_id for row in rows if row.handoff_id]).values_list(
            "pk", "lead_id"
        )
    )
    good: list[tuple[int, Question]] = []
    for index, row in enumerate(rows):
        faults = _faults(row, now, leads, people, handoffs, actor)
        if faults:
            taken.rejected.append((index, faults))
            continue
        text = " ".join(row.text.split())
        question = Question(
            lead_id=row.lead_id,
            handoff_id=row.handoff_id,
            text=text,
            text_key=words(text).strip() or text.casefold(),
            kind=row.kind,
            asked_by_id=row.asked_by_id or actor.user_id or 0,
            at=row.at or now,
        )
        good.append((index, question))
    asked = [question for _, question in good]
    _promise(asked)
    with transaction.atomic():
        made = Question.objects.bulk_create(asked)
        _put_together([question.pk for question in made])
    taken.made = {index: question.pk for (index, _), question in zip(good, made, strict=True)}
    return taken


def _known(rows: QuerySet[Any], ids: Iterable[int | None]) -> set[int]:
    wanted = [pk for pk in ids if pk]
    return set(rows.filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else set()


def _faults(
    row: Said, now: datetime, leads: set[int], people: set[int], handoffs: Mapping[int, int], actor: Actor
) -> list[Fault]:
    faults = []
    length = len(" ".join(row.text.split()))
    if not SHORTEST <= length <= LONGEST:
        faults.append(Fault("text", f"Between {SHORTEST} and {LONGEST} characters, as they said it."))
    if "\x00" in row.text:
        faults.append(Fault("text", "It holds a NUL character. Take it out."))
    if row.kind not in Question.Kind.values:
        faults.append(Fault("kind", f"Choose one of {', '.join(Question.Kind.values)}."))
    if row.lead_id and row.lead_id not in leads:
        faults.insert(0, Fault("lead_id", "There is no such lead."))
    if row.handoff_id and (
        row.handoff_id not in handoffs or row.lead_id not in (None, handoffs[row.handoff_id])
    ):
        faults.append(Fault("handoff_id", "There is no such handoff of this lead."))
    if (row.asked_by_id or actor.user_id) not in people:
        faults.append(Fault("asked_by", "Say who heard it: the address of one of your people."))
    if row.at and row.at > now:
        faults.append(Fault("at", "It is in the future."))
    return faults


# Each new text looks for its nearest among all that are older; whoever is near to a new one of the same batch
# follows it to the head of its group. What was answered before has its answer at once.
_TOGETHER = """
    WITH RECURSIVE fresh AS (SELECT id, kind, text_key FROM feedback_question WHERE id = ANY(%(ids)s)),
    best AS (
        SELECT fresh.id, (
            SELECT q.id FROM feedback_question q
            WHERE q.text_key %% fresh.text_key AND q.kind = fresh.kind AND q.id < fresh.id
            ORDER BY similarity(q.text_key, fresh.text_key) DESC, q.id LIMIT 1) AS near
        FROM fresh),
    head AS (
        SELECT best.id, coalesce(q.group_id, q.id, best.id) AS head
        FROM best LEFT JOIN feedback_question q ON q.id = best.near
        WHERE best.near IS NULL OR NOT best.near = ANY(%(ids)s)
        UNION ALL
        SELECT best.id, head.head FROM best JOIN head ON head.id = best.near)
    UPDATE feedback_question q SET group_id = head.head, first_answer_at = (
        SELECT greatest(q.at, h.answered_at) FROM feedback_question h
        WHERE h.id = head.head AND h.answered_at IS NOT NULL)
    FROM head WHERE head.id = q.id AND head.head <> q.id"""


def _promise(asked: Sequence[Question]) -> None:
    """Marketing promised to answer what it is asked and what is objected; the rest is news."""
    wanted = [question for question in asked if question.kind in ANSWERED]
    for question, due in zip(wanted, promised.question_dues([q.at for q in wanted]), strict=True):
        question.due_at = due


def _put_together(ids: Sequence[int]) -> None:
    if not ids:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute("SELECT set_config('pg_trgm.similarity_threshold', %s, true)", [str(ALIKE)])
        cursor.execute(_TOGETHER, {"ids": list(ids)})


_NEAREST = """
    SELECT head, max(alike) FROM (
        SELECT coalesce(group_id, id) AS head, similarity(text_key, %(text)s) AS alike
        FROM feedback_question WHERE text_key %% %(text)s AND (%(kind)s = '' OR kind = %(kind)s)) near
    WHERE head <> %(besides)s GROUP BY head ORDER BY 2 DESC, 1 LIMIT %(limit)s"""


def nearest(text: str, *, kind: str = "", besides: int = 0, limit: int = 4) -> list[int]:
    """The groups whose wording comes near to a text, the nearest first."""
    key = words(text).strip()
    if len(key) < SHORTEST:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pg_trgm.similarity_threshold', %s, true)", [str(NEAR)])
        cursor.execute(_NEAREST, {"text": key, "kind": kind, "besides": besides, "limit": limit})
        return [head for head, _ in cursor.fetchall()]


def head_of(pk: int, *, lock: bool = False) -> Question:
    """The first question of a group, by the id of any of it. Raises NotVisible."""
    rows = Question.objects.select_for_update() if lock else Question.objects.select_related("content")
    found = rows.filter(pk=pk).first()
    if found is not None and found.group_id is not None:
        found = rows.filter(pk=found.group_id).first()
    if found is None:
        raise NotVisible("There is no such question.")
    return found


def answer(
    pk: int, actor: Actor, *, content_id: int | None = None, text: str = "", at: datetime | None = None
) -> Question:
    """Marketing answers a question, with a piece of content, words, or both; who asked hears of it.

    Raises Forbidden, NotVisible, BadInput without any answer or with a piece that is unknown or retired.
    """
    _marketing(actor)
    text = text.strip()
    if len(text) > ANSWER_LONGEST:
        raise BadInput("The answer is too long.", [Fault("text", f"At most {ANSWER_LONGEST:,} characters.")])
    if content_id is None and not text:
        raise BadInput("There is no answer yet.", [Fault("content", "Choose a piece, or write the answer.")])
    at = at or clock.now()
    with transaction.atomic():
        head = head_of(pk, lock=True)
        piece = Content.objects.filter(pk=content_id, active=True).first() if content_id else None
        if content_id and piece is None:
            raise BadInput("There is no such piece.", [Fault("content", "Choose one that is in use.")])
        head.content, head.answer = piece, text
        head.answered_by, head.answered_at, head.wanted_by = actor.user, at, None
        head.save(update_fields=["content", "answer", "answered_by", "answered_at", "wanted_by"])
        _first_answer(head.pk, at)
        said = " · ".join(filter(None, [f"“{piece.title}”" if piece else "", text]))
        _tell_askers(head, actor, f"{actor} answers “{_short(head.text)}”: {said}", at)
        audit.record(actor, "question.answered", head, after={"content": piece and piece.key, "text": text})
    return head


def want(pk: int, actor: Actor, *, by: dt.date, at: datetime | None = None) -> Question:
    """No piece fits: a new one is written by a day. Raises BadInput for a day that is past."""
    _marketing(actor)
    at = at or clock.now()
    if by < at.date() or by.year > at.year + 2:
        raise BadInput("That day cannot be.", [Fault("by", "Choose a day from today on.")])
    with transaction.atomic():
        head = head_of(pk, lock=True)
        head.wanted_by = by
        head.save(update_fields=["wanted_by"])
        audit.record(actor, "question.wanted", head, after={"by": by.isoformat()})
    return head


def join(pk: int, into: int, actor: Actor) -> Question:
    """Two groups are one question: all of the first go to the second. Raises Conflict for its own group."""
    _marketing(actor)
    with transaction.atomic():
        # Both are locked, in one order.
        list(Question.objects.select_for_update().filter(pk__in=[pk, into]).order_by("pk"))
        head, other = head_of(pk), head_of(into)
        if head.pk == other.pk:
            raise Conflict("They stand together already.")
        if other.answered_at is None and head.answered_at is not None:
            # The answer stays with the questions.
            names = ("content_id", "answer", "answered_by_id", "answered_at")
            Question.objects.filter(pk=other.pk).update(**{name: getattr(head, name) for name in names})
        Question.objects.filter(group=head).update(group=other)
        Question.objects.filter(pk=head.pk).update(group=other)
        if head.answered_at or other.answered_at:
            _first_answer(other.pk, clock.now())
        audit.record(actor, "question.joined", head, after={"into": other.pk})
    return head_of(other.pk)


def part(pk: int, actor: Actor) -> Question:
    """One of a group is another question after all: it stands alone. Raises Conflict for the first."""
    _marketing(actor)
    with transaction.atomic():
        found = Question.objects.select_for_update().filter(pk=pk).first()
        if found is None:
            raise NotVisible("There is no such question.")
        if found.group_id is None:
            raise Conflict("The others stand with this one. Take those out that do not belong here.")
        before, found.group = found.group_id, None
        # What the others were told was no answer to this one.
        found.first_answer_at = None
        found.save(update_fields=["group", "first_answer_at"])
        audit.record(actor, "question.parted", found, before={"group": before})
    return found


def _first_answer(head: int, at: datetime) -> None:
    """Whoever of a group waits has an answer from now on."""
    waiting = (Question.objects.filter(pk=head) | Question.objects.filter(group=head)).filter(
        first_answer_at=None
    )
    waiting.update(first_answer_at=Greatest("at", Value(at)))


def _marketing(actor: Actor) -> None:
    if actor.api_key is None and not actor.has_role(*MARKETING, Role.ADMIN):
        raise Forbidden("Marketing answers questions.")


def _tell_askers(head: Question, actor: Actor, text: str, at: datetime) -> None:
    rows = Question.objects.filter(pk=head.pk) | Question.objects.filter(group=head)
    people = rows.exclude(asked_by=actor.user_id).filter(asked_by__is_active=True)
    telling.tell(
        [
            telling.Word(
                f"question:{head.pk}:{at.isoformat()}:{user}",
                user,
                text[:300],
                f"/feedback/questions/{head.pk}/",
            )
            for user in sorted(set(people.values_list("asked_by", flat=True)))
        ],
        at,
    )


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
