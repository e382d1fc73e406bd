"""Tracks that start by themselves: for leads at a place, and of a persona where the track names some."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from feedback import terms
from feedback.models import Enrolment
from handoff import many
from handoff.models import OPEN, Handoff, RoomWait
from leadflow.leads.models import Lead, Stage
from scoring import current as applied
from scoring import personas
from scoring.document import PLACES, Document, Start, Track
from scoring.models import Hold

BATCH = 1_000
# Only for those who did something lately: a rule does not wake the whole base.
AWAKE = timedelta(days=30)
# Nobody gets the same track twice within this.
NOT_AGAIN = timedelta(days=180)


def start_by_place(at: datetime) -> int:
    """Put leads on the first track whose start fits them; returns how many. Nobody before an agreement is
    in force, nobody who is on a track, held back, parked, with sales or wants no mail."""
    now = applied.current()
    if now is None or now.preview:
        return 0
    document = now.program.document
    made = 0
    for track in document.tracks:
        if track.start.places and track.steps:
            made += _start(track, document, now.agreement_id, at)
    return made


def _start(track: Track, document: Document, agreement_id: int, at: datetime) -> int:
    made, after = 0, 0
    while True:
        ids = list(
            candidates(track.key, track.start, at)
            .filter(pk__gt=after)
            .order_by("pk")
            .values_list("pk", flat=True)[:BATCH]
        )
        if not ids:
            return made
        after = ids[-1]
        with transaction.atomic():
            locked = Lead.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
            # Behind the lock they are asked again: sales or another track may have been faster.
            free = list(
                locked.filter(pk__in=candidates(track.key, track.start, at).filter(pk__in=ids).values("pk"))
                .order_by("pk")
                .values_list("pk", flat=True)
            )
            made += _enrol(_of_persona(free, track.start, at), track, document, agreement_id, at)


def candidates(key: str, start: Start, at: datetime) -> QuerySet[Lead]:
    """The leads at a track's places for which it could start now; personas are not looked at."""
    lead = {"lead": OuterRef("pk")}
    return (
        Lead.objects.filter(
            places(start.places),
            erased_at=None,
            merged_into=None,
            do_not_contact=False,
            unsubscribed_at=None,
            last_own_act_at__gt=at - AWAKE,
        )
        .filter(~Exists(Enrolment.objects.filter(**lead, ended_at=None)))
        .filter(~Exists(Enrolment.objects.filter(**lead, track=key, started_at__gt=at - NOT_AGAIN)))
        .filter(~Exists(Hold.objects.filter(Q(until__gt=at) | Q(closes=True), **lead, ended_at=None)))
        .filter(~Exists(Handoff.objects.filter(**lead, state__in=OPEN)))
        .filter(~Exists(RoomWait.objects.filter(**lead, left_at=None)))
    )


def places(names: Sequence[str]) -> Q:
    """Leads at one of these places ("mql", "prospect/investigator")."""
    found = Q(pk__in=())
    for name in names:
        stage, _, level = name.partition("/")
        if stage in Stage.values:
            found |= Q(stage=stage, level=level) if level else Q(stage=stage)
    return found


def _of_persona(lead_ids: Sequence[int], start: Start, at: datetime) -> list[int]:
    if not start.personas:
        return list(lead_ids)
    seen = personas.of(lead_ids, at)
    return [pk for pk in lead_ids if pk in seen and seen[pk].ideal and seen[pk].persona.key in start.personas]


def _enrol(lead_ids: Sequence[int], track: Track, document: Document, agreement_id: int, at: datetime) -> int:
    names = ", ".join(PLACES.get(name, name) for name in track.start.places)
    many.insert(
        [
            Enrolment(
                lead_id=lead,
                track=track.key,
                agreement_id=agreement_id,
                cause=f"by itself: {names}"[:80],
                started_at=at,
                next_step_at=terms.step_at(at, track.steps, 0, document),
            )
            for lead in lead_ids
        ]
    )
    return len(lead_ids)
