"""Room: ready leads that wait come in best first, as sales has room again. No clock runs while they wait."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q

from handoff import acting, known, opening, presence, why
from handoff.known import Known
from handoff.models import OPEN, Handoff, RoomWait
from handoff.opening import CHECK_EVERY, Offer
from handoff.routing import Ask, Route, Router
from leadflow.leads import stages
from leadflow.leads.models import Lead, Stage
from scoring import engine, release
from scoring.current import Current
from scoring.explanation import Explanation, explain_offers
from scoring.models import Crossing, LeadScore

# How many waiting leads one look takes, best first.
BATCH = 500
# A lead with sales whose total fell by so much since the offer is marked as cooling.
COOLED_BY = 15


def refill(at: datetime) -> int:
    """Offer waiting leads while there is room, best first; those not ready any more leave at once.

    Returns how many were offered. Readiness is asked again for every lead before it is offered.
    """
    mark_cooling(at)
    agreement = opening.in_force()
    if agreement is None:
        return 0
    if not RoomWait.objects.filter(left_at=None).exists():
        return 0
    _let_go(at)
    _look_again(at)
    promoted = _promote(at, agreement)
    admission = agreement.program.document.admission
    people = presence.seats(at, capacity=admission.capacity_open, per_day=admission.new_per_rep_per_day)
    standing = release.standing(agreement.agreement_id, at)
    anybody = any(seat.present and seat.left(past_day=standing.all_until is not None) > 0 for seat in people)
    if standing.running or not anybody:
        return promoted
    with transaction.atomic():
        opening.take_turn()
        return promoted + _offer(at, agreement, standing)


def waiting() -> int:
    """How many ready leads wait for room."""
    return RoomWait.objects.filter(left_at=None).count()


def mark_cooling(at: datetime) -> int:
    """Mark the leads with sales whose score fell since the offer, never move them. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE handoff_handoff h SET cooling = s.total <= h.total - %s, changed_at = %s
            FROM scoring_leadscore s
            WHERE s.lead_id = h.lead_id AND h.state = ANY(%s)
              AND h.cooling IS DISTINCT FROM (s.total <= h.total - %s) AND h.total IS NOT NULL
            """,
            [COOLED_BY, at, [state.value for state in OPEN], COOLED_BY],
        )
        return int(cursor.rowcount)


def _offer(at: datetime, agreement: Current, standing: release.Standing) -> int:
    waits = list(
        RoomWait.objects.filter(left_at=None, entered_at__lte=at).order_by("-total", "entered_at", "id")[
            :BATCH
        ]
    )
    terms = agreement.program.document
    crossings = {c.pk: c for c in Crossing.objects.filter(pk__in=[w.crossing_id for w in waits])}
    leads = known.leads([w.lead_id for w in waits])
    grades = dict(LeadScore.objects.filter(lead__in=list(leads)).values_list("lead_id", "grade"))
    asks = {
        w.pk: _ask(w, crossings[w.crossing_id], leads[w.lead_id], grades.get(w.lead_id, ""), standing)
        for w in waits
    }
    router = Router(list(asks.values()), at, terms)
    routes = {w.pk: router.route(asks[w.pk]) for w in waits}
    chosen = [w for w in waits if not routes[w.pk].wait]
    if not chosen:
        return 0
    chosen = _locked(chosen)
    lead_ids = [w.lead_id for w in chosen]
    fresh = known.leads(lead_ids)
    ready = engine.is_ready(lead_ids, at) - opening.with_open(lead_ids)
    good = [w for w in chosen if w.lead_id in ready and fresh[w.lead_id].may_open]
    gone = [w for w in chosen if w not in good]
    if gone:
        # Somebody was counted who does not come: hand out afresh, with the right people.
        _not_ready(gone, at)
        router = Router([asks[w.pk] for w in good], at, terms)
        routes = {w.pk: router.route(asks[w.pk]) for w in good}
        good = [w for w in good if not routes[w.pk].wait]
    _make(good, crossings, fresh, routes, at, agreement)
    acting.count_offers(router.counts())
    router.save_turns()
    return len(good)


def _promote(at: datetime, agreement: Current) -> int:
    """Who waits and does what a fast track asks for waits no longer."""
    moved = Q(lead__last_own_act_at__gt=F("entered_at")) | Q(lead__changed_at__gt=F("entered_at"))
    tracks = agreement.program.document.thresholds.fast_tracks
    found = list(RoomWait.objects.filter(moved, left_at=None, entered_at__lte=at).order_by("id")[:BATCH])
    numbers: dict[int, int] = {}
    for track in reversed(tracks if found else ()):
        holds = engine.match(track.condition, [w.lead_id for w in found], at)
        numbers.update(dict.fromkeys(holds, track.n))
    if not numbers:
        return 0
    with transaction.atomic():
        opening.take_turn()
        waits = _locked([w for w in found if w.lead_id in numbers])
        ids = [w.lead_id for w in waits]
        ready = engine.is_ready(ids, at) - opening.with_open(ids)
        waits = [w for w in waits if w.lead_id in ready]
        return _offer_fast(waits, numbers, at, agreement)


def _offer_fast(
    waits: Sequence[RoomWait], numbers: Mapping[int, int], at: datetime, agreement: Current
) -> int:
    leads = known.leads([w.lead_id for w in waits])
    crossings = {c.pk: c for c in Crossing.objects.filter(pk__in=[w.crossing_id for w in waits])}
    asks = {}
    for wait in waits:
        crossing, lead = crossings[wait.crossing_id], leads[wait.lead_id]
        if lead.stage != Stage.CUSTOMER:
            crossing.kind, wait.kind = Crossing.Kind.FAST_TRACK, Crossing.Kind.FAST_TRACK
        crossing.fast_track_no = numbers[wait.lead_id]
        crossing.cause = {}
        asks[wait.pk] = opening.ask_of(
            lead, crossing.kind, crossing.fast_track_no, wait.total, "", counted=False
        )
    router = Router(list(asks.values()), at, agreement.program.document)
    routes = {w.pk: router.route(asks[w.pk]) for w in waits}
    _make(waits, crossings, leads, routes, at, agreement, "fast_track")
    router.save_turns()
    return len(waits)


def _locked(waits: Sequence[RoomWait]) -> list[RoomWait]:
    """Lock the leads, then their waits (the house's order); those still waiting, in the order given."""
    stages.lock([w.lead_id for w in waits])
    still = RoomWait.objects.filter(pk__in=[w.pk for w in waits], left_at=None).select_for_update()
    fresh = {w.pk: w for w in still}
    return [fresh[w.pk] for w in waits if w.pk in fresh]


def _ask(wait: RoomWait, crossing: Crossing, lead: Known, grade: str, standing: release.Standing) -> Ask:
    past_day = opening.past_day(crossing.at, standing)
    return opening.ask_of(lead, crossing.kind, crossing.fast_track_no, wait.total, grade, past_day=past_day)


def _make(
    good: Sequence[RoomWait],
    crossings: Mapping[int, Crossing],
    leads: Mapping[int, Known],
    routes: Mapping[int, Route],
    at: datetime,
    agreement: Current,
    why_left: str = "offered",
) -> None:
    if not good:
        return
    explained = explain_offers([w.lead_id for w in good], at, agreement)
    texts = why.lines([_ground(crossings[w.crossing_id], explained[w.lead_id]) for w in good])
    offers = [
        Offer(
            leads[w.lead_id],
            w.kind,
            routes[w.pk],
            explained[w.lead_id],
            crossings[w.crossing_id].fast_track_no,
            w.crossing_id,
            texts[w.crossing_id],
        )
        for w in good
    ]
    opening.make(offers, at, agreement)
    RoomWait.objects.filter(pk__in=[w.pk for w in good]).update(left_at=at, left_why=why_left)


def _ground(crossing: Crossing, explanation: Explanation) -> why.Ground:
    return why.Ground(crossing.pk, crossing.kind, crossing.cause.get("activity"), explanation)


def _let_go(at: datetime) -> None:
    """The bar no longer holds, or somebody moved the lead: the wait is over at once."""
    waits = RoomWait.objects.filter(left_at=None)
    taken = Exists(Handoff.objects.filter(lead=OuterRef("lead"), state__in=[s.value for s in OPEN]))
    moved = ~Q(lead__stage__in=(Stage.SALES_QUALIFIED, Stage.CUSTOMER)) | Q(lead__score__ready=False)
    # One look; most of the time there is nobody.
    gone = list(waits.filter(taken | moved)[:BATCH])
    if not gone:
        return
    here = waits.filter(pk__in=[wait.pk for wait in gone])
    here.filter(taken).update(left_at=at, left_why="offered")
    here.filter(lead__stage=Stage.EXCLUDED).update(left_at=at, left_why="excluded")
    with transaction.atomic():
        _not_ready(_locked(gone), at)


def _look_again(at: datetime) -> None:
    """Points fade: ask again of those whose turn it is, and bring their totals up to date."""
    due = list(RoomWait.objects.filter(left_at=None, next_check__lte=at).order_by("next_check", "id")[:BATCH])
    if not due:
        return
    with transaction.atomic():
        waits = _locked(due)
        ready = engine.is_ready([w.lead_id for w in waits], at)
        _not_ready([w for w in waits if w.lead_id not in ready], at)
        stay = [w.pk for w in waits if w.lead_id in ready]
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE handoff_roomwait w SET next_check = %s, total = s.total"
                " FROM scoring_leadscore s WHERE s.lead_id = w.lead_id AND w.id = ANY(%s)",
                [at + CHECK_EVERY, stay],
            )


def _not_ready(waits: Sequence[RoomWait], at: datetime) -> None:
    """Leave the wait; the stage is what the score says."""
    if not waits:
        return
    RoomWait.objects.filter(pk__in=[w.pk for w in waits], left_at=None).update(
        left_at=at, left_why="not_ready"
    )
    ids = [w.lead_id for w in waits]
    says = engine.stage_by_score(ids, at)
    stays = set(
        Lead.objects.filter(pk__in=ids).exclude(stage=Stage.SALES_QUALIFIED).values_list("pk", flat=True)
    )
    stages.move(
        [stages.Move(i, says[i], "no longer ready") for i in ids if i in says and i not in stays], at=at
    )
