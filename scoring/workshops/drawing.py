"""A workshop is set up: which leads are drawn, and who sorts them.

The leads are recent, as many from each source as there is room for, and drawn by lot. Each is frozen at an
instant: one that sales was offered in those days as it was known at the offer, for what followed tells the
answer; any other as it is known now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from leadflow import clock
from leadflow.accounts import audit, telling
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import MANAGERS, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden
from leadflow.leads.facts import is_text_sound
from leadflow.leads.models import Stage
from scoring.models import Signature, Workshop, WorkshopCard, WorkshopMember

Side = Signature.Side

FEWEST, MOST, USUAL = 5, 100, 40
LONGEST_DAYS, USUAL_DAYS = 365, 30
MOST_PEOPLE = 40
NAME_LIMIT = 120

# Leads that were named or did something in those days; `offered_at` is when sales first saw them in them.
_POOL = """
    WITH offered AS (
        SELECT lead_id, min(at) AS at FROM leads_answer
        WHERE kind = 'offered' AND voided_at IS NULL AND at > %(since)s AND at <= %(now)s GROUP BY lead_id),
    pool AS (
        SELECT l.id, l.first_source, l.first_source_key, l.created_at, o.at AS offered_at
        FROM leads_lead l LEFT JOIN offered o ON o.lead_id = l.id
        WHERE l.merged_into_id IS NULL AND l.erased_at IS NULL AND l.created_at <= %(now)s
        AND (l.created_at > %(since)s OR l.last_own_act_at > %(since)s)
        AND l.stage <> %(excluded)s AND (l.stage <> %(customer)s OR o.at IS NOT NULL))
"""
# The turns go round the sources, so that each gets as many as any other while it has some.
_DRAW = f"""{_POOL},
    turns AS (
        SELECT *, md5(id || '/' || %(lot)s) AS lot,
            row_number() OVER (PARTITION BY first_source_key ORDER BY md5(id || '/' || %(lot)s)) AS turn
        FROM pool),
    drawn AS (SELECT * FROM turns ORDER BY turn, lot LIMIT %(cards)s)
    SELECT row_number() OVER (ORDER BY md5(lot)), id, first_source,
        CASE WHEN offered_at IS NULL THEN %(now)s
            ELSE GREATEST(created_at, offered_at) END,
        (SELECT count(*) FROM pool)
    FROM drawn ORDER BY 1
"""  # noqa: S608 - no value is composed
_SOURCES = f"""{_POOL}
    SELECT max(first_source), count(*) FROM pool GROUP BY first_source_key ORDER BY 2 DESC, 1
"""  # noqa: S608 - no value is composed


@dataclass(frozen=True)
class Pool:
    """From what would be drawn: leads by source, the largest first."""

    days: int
    sources: tuple[tuple[str, int], ...]

    @property
    def leads(self) -> int:
        return sum(count for _, count in self.sources)

    def drawn(self, cards: int) -> int:
        """How many of so many asked for there are."""
        return min(cards, self.leads)

    def per_source(self, cards: int) -> list[tuple[str, int, int]]:
        """Per source: its name, how many are drawn and how many there are."""
        left, counts = self.drawn(cards), [0] * len(self.sources)
        while left:
            for n, (_, there) in enumerate(self.sources):
                if left and counts[n] < there:
                    counts[n] += 1
                    left -= 1
        return [(source, count, there) for (source, there), count in zip(self.sources, counts, strict=True)]


def side_of(user: User) -> Side | None:
    """For which side somebody sorts; admins for neither."""
    if user.in_sales:
        return Side.SALES
    return Side.MARKETING if user.in_marketing else None


def may_lead(user: User) -> bool:
    """Whether this person may set up and close workshops."""
    return user.is_active and user.role in MANAGERS


def pool(days: int, at: datetime) -> Pool:
    """The leads of the last `days` days that a workshop at `at` would draw from. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_SOURCES, _args(days, at))
        return Pool(days, tuple(cursor.fetchall()))


def candidates() -> list[User]:
    """Who can be invited, by side and name."""
    people = User.objects.filter(is_active=True).select_related("team").order_by("name", "pk")
    return [one for one in people if side_of(one)]


def set_up(actor: Actor, name: str, *, cards: int, days: int, people: Sequence[int]) -> Workshop:
    """Draw the leads and invite these people (ids); they are told at the bell and by e-mail.

    Raises Forbidden for who may not, BadInput for a number out of range, for people of one side only, and
    where there is no lead to draw.
    """
    user = actor.user
    if user is None or not may_lead(user):
        raise Forbidden("Marketing managers, sales managers and admins set up a workshop.")
    invited = _invited(people)
    _check(name, cards, days, invited)
    at = clock.now()
    with transaction.atomic():
        made = Workshop.objects.create(name=name.strip(), facilitator=user, created_at=at)
        found = _deal(made, cards, days, at)
        made.drawn = {"asked": cards, "days": days, "found": found}
        made.save(update_fields=["drawn"])
        WorkshopMember.objects.bulk_create(
            WorkshopMember(workshop=made, user=one, side=side_of(one) or "") for one in invited
        )
        audit.record(actor, "workshop.drawn", made, after={**made.drawn, "people": len(invited)})
        telling.tell(_invitations(made, invited, user), at)
    return made


def not_yet(workshop: Workshop) -> list[User]:
    """Who could still be asked to sort, by side and name."""
    there = set(WorkshopMember.objects.filter(workshop=workshop).values_list("user", flat=True))
    return [one for one in candidates() if one.pk not in there]


def add(workshop: Workshop, actor: Actor, people: Sequence[int]) -> list[User]:
    """Ask more people (ids) to sort a workshop that runs; they are told like the first ones.

    Somebody who sits in it already is passed over. Raises Forbidden for who may not, Conflict once it is
    closed, BadInput for nobody, for too many, and for who cannot sort.
    """
    user = actor.user
    if user is None or not may_lead(user):
        raise Forbidden("Marketing managers, sales managers and admins ask more people.")
    chosen = _invited(people)
    with transaction.atomic():
        locked = Workshop.objects.select_for_update().get(pk=workshop.pk)
        if locked.state != Workshop.State.OPEN:
            raise Conflict("The workshop is closed: nobody sorts any more.")
        there = set(locked.members.values_list("user", flat=True))
        new = [one for one in chosen if one.pk not in there]
        if not new:
            raise BadInput("Choose at least one more person.", [Fault("people", "Choose somebody.")])
        if len(there) + len(new) > MOST_PEOPLE:
            raise BadInput("That is too many.", [Fault("people", f"At most {MOST_PEOPLE} people.")])
        WorkshopMember.objects.bulk_create(
            WorkshopMember(workshop=locked, user=one, side=side_of(one) or "") for one in new
        )
        audit.record(actor, "workshop.people_added", locked, after={"people": [one.pk for one in new]})
        telling.tell(_invitations(locked, new, user), clock.now())
    return new


def _args(days: int, at: datetime) -> dict[str, Any]:
    return {
        "since": at - timedelta(days=days),
        "now": at,
        "excluded": Stage.EXCLUDED,
        "customer": Stage.CUSTOMER,
    }


def _invited(people: Sequence[int]) -> list[User]:
    found = [one for one in candidates() if one.pk in set(people)]
    if len(found) < len(set(people)):
        raise BadInput(
            "Somebody you chose cannot sort: only people of marketing and sales who can sign in.",
            [Fault("people", "Choose again.")],
        )
    return found


def _check(name: str, cards: int, days: int, invited: Sequence[User]) -> None:
    faults = []
    if not 1 <= len(name.strip()) <= NAME_LIMIT or not is_text_sound(name):
        faults.append(Fault("name", f"Give it a name of at most {NAME_LIMIT} characters."))
    if not FEWEST <= cards <= MOST:
        faults.append(Fault("cards", f"Between {FEWEST} and {MOST} leads."))
    if not 1 <= days <= LONGEST_DAYS:
        faults.append(Fault("days", f"Between 1 and {LONGEST_DAYS} days."))
    if len(invited) > MOST_PEOPLE:
        faults.append(Fault("people", f"At most {MOST_PEOPLE} people."))
    missing = [side.label.lower() for side in Side if side not in {side_of(one) for one in invited}]
    if missing:
        faults.append(Fault("people", f"Invite somebody of {' and of '.join(missing)}, too."))
    if faults:
        raise BadInput("The workshop cannot be set up so.", faults)


def _deal(workshop: Workshop, cards: int, days: int, at: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_DRAW, {**_args(days, at), "lot": str(workshop.pk), "cards": cards})
        rows = cursor.fetchall()
    if not rows:
        raise BadInput(
            f"No lead was new or active in the last {days} days.", [Fault("days", "Look further back.")]
        )
    WorkshopCard.objects.bulk_create(
        WorkshopCard(workshop=workshop, n=n, lead_id=lead, source=source, at=seen, known_at=seen)
        for n, lead, source, seen, _ in rows
    )
    return int(rows[0][4])


def _invitations(workshop: Workshop, invited: Sequence[User], by: User) -> list[telling.Word]:
    cards = workshop.cards.count()
    return [
        telling.Word(
            f"workshop:{workshop.pk}:{one.pk}",
            one.pk,
            f"{by.name} asks you to sort {cards} leads: “{workshop.name}”",
            f"/agreement/workshops/{workshop.pk}/",
            "Good, not good or unsure, and why. About half a minute a lead; you can stop and go on later. "
            "Nobody sees your answers before they have finished their own.",
            mail=True,
        )
        for one in invited
        if one.pk != by.pk
    ]
