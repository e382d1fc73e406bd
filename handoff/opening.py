"""How handoffs begin: pending crossings, a marketer's hand, a rep's own lead, an objection that was right.

A batch costs a fixed number of statements. Two openings at once would hand out the same room, so they take
turns behind one advisory lock; no reader and no act on an open handoff waits for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from handoff import acting, calendars, known, many, notices, outbox, promises, sentences, why
from handoff.acting import COUNTED
from handoff.calendars import WorkCalendar
from handoff.known import Cross, Known
from handoff.models import CLOSED, OPEN, Handoff, LateException, Outbox, RoomWait, State, Transition
from handoff.routing import Ask, Route, Router
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, Actor
from leadflow.accounts.models import SALES, Team, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads import ledgers, stages
from leadflow.leads.models import Answer, Lead, Stage
from scoring import current, engine, personas, release
from scoring.current import Current
from scoring.document import Document
from scoring.explanation import Explanation, explain_offers
from scoring.models import Crossing
from scoring.sla import Late, Policy

ADMISSION_LOCK = 0x1EAD_F10
# How many crossings one pass takes: each of its statements serves all of them.
BATCH = 1_000
# A lead that waits for room is looked at again at least this often.
CHECK_EVERY = timedelta(minutes=30)
# These go back to who had the lead last; a customer's new interest only where the account has no owner.
BACK_TO_THE_SAME = (Crossing.Kind.CALLBACK, Crossing.Kind.REPAIRED, Crossing.Kind.EXISTING_CUSTOMER)
LATER = Route(None, None, "every lead is being scored anew: the best come first", wait=True)
PROMISED = (
    *promises.HOLDER_DUE.values(),
    *promises.LEAD_DUE.values(),
    *("sla_promise", "sla_due_at", "sla_ticks", "sla_tick_at"),
)
NO_POLICY = Policy("default", "others", 480, 960, 960, (0.75,), (Late(0, "notify"), Late(480, "exception")))


@dataclass(frozen=True)
class Offer:
    """A lead that goes to sales now, and all that is frozen with it."""

    lead: Known
    kind: str
    route: Route
    explanation: Explanation
    fast_track_no: int | None = None
    crossing_id: int | None = None
    why_now: str = ""
    opened_by: User | None = None
    linked_to: int | None = None


# ---- Crossings --------------------------------------------------------------------------------------------


def open_pending(at: datetime, limit: int = BATCH) -> int:
    """Handle pending crossings: open handoffs, let leads wait for room, withdraw the excluded.

    Returns how many crossings were handled. The number of statements does not grow with them (an
    exclusion with an open handoff is an act of its own, and rare).
    """
    kinds = set(Crossing.objects.filter(handled_at=None).order_by().values_list("kind", flat=True).distinct())
    done = _withdraw_excluded(at, limit) if Crossing.Kind.EXCLUDE in kinds else 0
    if not kinds - {Crossing.Kind.EXCLUDE}:
        return done
    with transaction.atomic():
        take_turn()
        # The best first, over all that is pending: room that the first batch takes is gone for the next.
        pending = known.crossings(limit, COUNTED, Crossing.Kind.EXCLUDE)
        if pending:
            # While this pass waited for its turn the world went on: stand where the newest crossing stands.
            _handle(pending, max(at, *(crossing.known_at for crossing in pending)))
    return done + len(pending)


def _handle(pending: Sequence[Cross], at: datetime) -> None:
    agreement = in_force()
    lead_ids = [crossing.lead_id for crossing in pending]
    stages.lock(lead_ids)
    leads = known.leads(lead_ids)
    waits = {w.lead_id: w for w in RoomWait.objects.filter(lead__in=lead_ids, left_at=None)}
    busy = with_open(lead_ids)
    fit: list[Cross] = []
    dropped: list[Cross] = []
    for crossing in pending:
        lead = leads[crossing.lead_id]
        ready = agreement is not None and lead.may_open and lead.pk not in busy
        if lead.pk in waits and crossing.kind != Crossing.Kind.FAST_TRACK:
            ready = False
        (fit if ready else dropped).append(crossing)
        busy |= {lead.pk} if ready else set()
    _mark(dropped, at, "dropped")
    if not fit or agreement is None:
        return
    opened, waiting = _route_and_open(fit, leads, agreement, at, _befores(fit))
    _leave(waits, [c.lead_id for c in opened], at, "fast_track")
    _mark(opened, at, "opened")
    _mark(waiting, at, "waiting")


def _route_and_open(
    crossings: Sequence[Cross],
    leads: Mapping[int, Known],
    agreement: Current,
    at: datetime,
    befores: Mapping[int, int],
) -> tuple[list[Cross], list[Cross]]:
    """Send these crossings (the best first) to sales, or let their leads wait."""
    terms = agreement.program.document
    standing = release.standing(agreement.agreement_id, at)
    asks = {
        c.pk: ask_of(
            leads[c.lead_id], c.kind, c.fast_track_no, c.total, c.grade, befores.get(c.pk),
            past_day=past_day(c.at, standing),
        )
        for c in crossings
    }  # fmt: skip
    router = Router(list(asks.values()), at, terms)
    # The best come first, and who is the best is known when every lead has its score by the new version.
    wait = standing.running
    routes = {c.pk: LATER if wait and asks[c.pk].counted else router.route(asks[c.pk]) for c in crossings}
    opened = [c for c in crossings if not routes[c.pk].wait]
    waiting = [c for c in crossings if routes[c.pk].wait]
    explained = explain_offers([c.lead_id for c in opened], at, agreement)
    lines = why.lines([why.Ground(c.pk, c.kind, c.activity, explained[c.lead_id]) for c in opened])
    offers = [
        Offer(
            leads[c.lead_id],
            c.kind,
            routes[c.pk],
            explained[c.lead_id],
            c.fast_track_no,
            c.pk,
            lines[c.pk],
        )
        for c in opened
    ]
    make(offers, at, agreement, hours=router.hours)
    acting.count_offers(router.counts())
    router.save_turns()
    _wait([(c, routes[c.pk], asks[c.pk]) for c in waiting], leads, at, agreement)
    return opened, waiting


def past_day(crossed_at: datetime, standing: release.Standing) -> bool:
    """Whether a release lets a lead in although the day's limit is reached."""
    return standing.all_until is not None and crossed_at <= standing.all_until


def ask_of(
    lead: Known,
    kind: str,
    fast_track_no: int | None,
    total: int,
    grade: str,
    before_id: int | None = None,
    *,
    counted: bool | None = None,
    past_day: bool = False,
) -> Ask:
    """What the router needs to know. `counted` None: as the kind is."""
    if kind == Handoff.Kind.EXISTING_CUSTOMER and lead.company_owner_id is not None:
        before_id = None  # the account's owner comes before whoever won the deal
    return Ask(
        lead_id=lead.pk,
        kind=kind,
        counted=kind in COUNTED if counted is None else counted,
        total=total,
        grade=grade,
        fast_track_no=fast_track_no,
        company_id=lead.company_id,
        company_owner_id=lead.company_owner_id,
        before_id=before_id,
        past_day=past_day,
    )


def _befores(crossings: Iterable[Cross]) -> dict[int, int]:
    """For call-backs, repaired leads and customers: crossing → the rep who had it last."""
    same = [c for c in crossings if c.kind in BACK_TO_THE_SAME]
    if not same:
        return {}
    ended = (
        Handoff.objects.filter(lead__in=[c.lead_id for c in same], state__in=CLOSED, owner__isnull=False)
        .order_by("lead_id", "-closed_at")
        .distinct("lead_id")
    )
    owners = dict(ended.values_list("lead_id", "owner_id"))
    return {c.pk: owners[c.lead_id] for c in same if c.lead_id in owners}


def _wait(
    waiting: Sequence[tuple[Cross, Route, Ask]],
    leads: Mapping[int, Known],
    at: datetime,
    agreement: Current,
) -> None:
    if not waiting:
        return
    many.add(
        RoomWait,
        [
            {
                "lead_id": crossing.lead_id,
                "crossing_id": crossing.pk,
                "kind": crossing.kind,
                "team_id": route.team_id,
                "total": ask.total,
                "entered_at": at,
                "next_check": at + CHECK_EVERY,
            }
            for crossing, route, ask in waiting
        ],
    )
    _alarm([route for _, route, _ in waiting if route.alarm], at)
    moves = [
        stages.Move(c.lead_id, Stage.SALES_QUALIFIED, "ready, waiting for room")
        for c, _, _ in waiting
        if leads[c.lead_id].stage != Stage.CUSTOMER
    ]
    stages.move(moves, at=at, agreement_id=agreement.agreement_id, locked=True)


def _alarm(routes: Sequence[Route], at: datetime) -> None:
    """Ready leads wait because nobody is there (or no sentence fits): the managers hear it once a day."""
    if not routes:
        return
    teams = {route.team_id for route in routes}
    managers = Team.objects.filter(kind=Team.Kind.SALES, manager__isnull=False)
    if None not in teams:
        managers = managers.filter(pk__in=[team for team in teams if team is not None])
    told = {"text": "Nobody is there: ready leads wait for room in sales", "url": "/queue/waiting/"}
    outbox.put(
        [
            outbox.Letter(f"nobody:{at.date()}:{manager}:{channel}", "said", channel, manager, told)
            for manager in set(managers.values_list("manager", flat=True))
            if manager is not None
            for channel in (Outbox.Channel.BELL, Outbox.Channel.EMAIL)
        ],
        at,
    )


def _leave(waits: Mapping[int, RoomWait], lead_ids: Iterable[int], at: datetime, why_left: str) -> None:
    ids = [waits[lead_id].pk for lead_id in lead_ids if lead_id in waits]
    if not ids:
        return
    RoomWait.objects.filter(pk__in=ids).update(left_at=at, left_why=why_left)


def _mark(crossings: Sequence[Cross] | Sequence[Crossing], at: datetime, handled_as: str) -> None:
    if not crossings:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE scoring_crossing SET handled_at = %s, handled_as = %s WHERE id = ANY(%s)",
            [at, handled_as, [crossing.pk for crossing in crossings]],
        )


def _withdraw_excluded(at: datetime, limit: int) -> int:
    """Leads that turned out to be none: end their wait, withdraw their handoff. Those whom nobody in sales
    holds go at once; the others one transaction each, because the house locks handoffs before leads."""
    waiting = Crossing.objects.filter(handled_at=None, kind=Crossing.Kind.EXCLUDE).order_by("id")
    held = Exists(Handoff.objects.filter(lead=OuterRef("lead"), state__in=OPEN))
    done = _leave_out_free(waiting.filter(~held)[:limit], at)
    for pk in list(waiting.filter(held).values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            crossing = waiting.filter(pk=pk).select_for_update(skip_locked=True).first()
            if crossing is None:
                continue
            _leave_out(crossing, at)
            done += 1
    return done


@transaction.atomic
def _leave_out_free(crossings: QuerySet[Crossing], at: datetime) -> int:
    """Carry out the exclusions of leads whom nobody in sales holds; who was opened meanwhile comes later.

    Leads are locked before their crossings, as by whoever ends a hold or hands a lead over.
    """
    wanted = dict(crossings.values_list("pk", "lead_id"))
    stages.lock(set(wanted.values()))
    unhandled = Crossing.objects.filter(pk__in=wanted, handled_at=None)
    claimed = list(unhandled.order_by("pk").select_for_update(skip_locked=True, of=("self",)))
    if not claimed:
        return 0
    ids = {crossing.lead_id for crossing in claimed}
    opened = set(Handoff.objects.filter(lead__in=ids, state__in=OPEN).values_list("lead", flat=True))
    says = engine.stage_by_score(ids - opened, at)
    out = {lead_id for lead_id, stage in says.items() if stage == Stage.EXCLUDED}
    _end_without_sales(out, at)
    free = [crossing for crossing in claimed if crossing.lead_id not in opened]
    _mark([crossing for crossing in free if crossing.lead_id in out], at, "withdrawn")
    _mark([crossing for crossing in free if crossing.lead_id not in out], at, "dropped")
    return len(free)


def _leave_out(crossing: Crossing, at: datetime) -> None:
    """Carry out one exclusion, unless the facts have changed back meanwhile."""
    from handoff import machine

    lead_id = crossing.lead_id
    handoff_id = Handoff.objects.filter(lead=lead_id, state__in=OPEN).values_list("pk", flat=True).first()
    if handoff_id is not None:
        machine.lock(handoff_id)
    stages.lock([lead_id])
    if engine.stage_by_score([lead_id], at).get(lead_id) != Stage.EXCLUDED:
        _mark([crossing], at, "dropped")
        return
    if handoff_id is not None:
        machine.apply("withdraw", handoff_id, SYSTEM, at=at, reason="left out: not a lead")
    _end_without_sales([lead_id], at)
    _mark([crossing], at, "withdrawn")


def _end_without_sales(lead_ids: Iterable[int], at: datetime) -> None:
    """End the wait of those who are no leads; who waited as ready leaves that stage."""
    RoomWait.objects.filter(lead__in=lead_ids, left_at=None).update(left_at=at, left_why="excluded")
    ready = Lead.objects.filter(pk__in=lead_ids, stage=Stage.SALES_QUALIFIED).order_by("pk")
    moves = [stages.Move(pk, Stage.EXCLUDED, "left out") for pk in ready.values_list("pk", flat=True)]
    if moves:
        stages.move(moves, at=at)


# ---- By hand ----------------------------------------------------------------------------------------------


def open_by_hand(
    lead_id: int, actor: Actor, reason: str, to: Any = None, *, at: datetime | None = None
) -> Handoff:
    """A marketer hands a lead over, with a reason; ends a hold. `to` names a rep, else routing decides.

    Raises Forbidden, BadInput without a reason, Conflict when the lead is with sales or cannot be offered.
    """
    if actor.user is None or not (actor.user.in_marketing or actor.user.is_admin):
        raise Forbidden("Marketing hands leads over.")
    if len(reason.strip()) < 3:
        raise BadInput("Say why sales should look at it.", [Fault("reason", "One sentence is enough.")])
    owner = _receiver(to)
    return _open_one(lead_id, actor, Handoff.Kind.BY_HAND, reason.strip(), owner, at)


def open_own(lead_id: int, actor: Actor, *, reason: str = "", at: datetime | None = None) -> Handoff:
    """A rep takes a lead that sales found itself. Raises Forbidden, Conflict."""
    if actor.user is None or not actor.user.is_active or actor.user.role not in SALES:
        raise Forbidden("Own leads are for sales.")
    with transaction.atomic():
        handoff = _open_one(lead_id, actor, Handoff.Kind.OWN, reason or "own lead of sales", actor.user, at)
        Lead.objects.filter(pk=lead_id).update(sales_sourced=True)
    return handoff


def open_overturned(
    lead_id: int, actor: Actor, *, linked_to: int, reason: str = "", at: datetime | None = None
) -> Handoff:
    """The objection to a rejection was right: offer the lead again, linked. Ends the hold.

    Raises Conflict when the lead is with sales again already (then the two are only linked).
    """
    return _open_one(
        lead_id, actor, Handoff.Kind.OVERTURNED, reason or "the objection was right", None, at, linked_to
    )


def _receiver(to: Any) -> User | None:
    if to in (None, ""):
        return None
    owner = acting.person_of(to)
    if not owner.is_active or owner.role not in SALES:
        raise BadInput(f"{owner.name} cannot take leads.", [Fault("to", "Choose an active rep.")])
    return owner


def _open_one(
    lead_id: int,
    actor: Actor,
    kind: Handoff.Kind,
    reason: str,
    owner: User | None,
    at: datetime | None,
    linked_to: int | None = None,
) -> Handoff:
    with transaction.atomic():
        # Crossings before leads, as a pass locks them.
        pending = Crossing.objects.filter(lead=lead_id, handled_at=None).exclude(kind=Crossing.Kind.EXCLUDE)
        list(pending.order_by("pk").select_for_update())
        stages.lock([lead_id])
        at = at or clock.now()
        lead = known.leads([lead_id]).get(lead_id)
        agreement = in_force()
        _check_open(lead, agreement)
        assert lead is not None
        assert agreement is not None
        engine.end_hold(lead_id, at=at, by="handed over")
        explanation = explain_offers([lead_id], at, agreement)[lead_id]
        ask = ask_of(lead, str(kind), None, explanation.total, explanation.grade, counted=False)
        if owner is not None:
            route = Route(owner.pk, owner.team_id, f"{actor} chose {owner.name}")
        else:
            router = Router([ask], at, agreement.program.document)
            route = router.route(ask)
            router.save_turns()
        offer = Offer(
            lead, str(kind), route, explanation, why_now=reason, opened_by=actor.user, linked_to=linked_to
        )
        RoomWait.objects.filter(lead=lead_id, left_at=None).update(left_at=at, left_why="by_hand")
        pending.update(handled_at=at, handled_as="opened")
        return Handoff.objects.get(pk=make([offer], at, agreement, actor, note=reason)[0])


def _check_open(lead: Known | None, agreement: Current | None) -> None:
    if lead is None or lead.erased:
        raise NotVisible
    if agreement is None:
        raise Conflict("No agreement is in force yet: both sides sign one first.")
    if lead.merged_into_id is not None:
        raise Conflict("This lead was merged into another one.", {"lead": lead.merged_into_id})
    if lead.stage == Stage.EXCLUDED:
        raise Conflict("Left out: not a lead. Change the rule or the facts first.")
    handoff = Handoff.objects.filter(lead=lead.pk, state__in=OPEN).select_related("owner").first()
    if handoff is not None:
        holder = f"with {handoff.owner.name}" if handoff.owner else "in the team's pool"
        raise Conflict(
            f"This lead is with sales already, {holder}.", {"id": handoff.pk, "state": handoff.state}
        )


# ---- Writing ----------------------------------------------------------------------------------------------


def make(
    offers: Sequence[Offer],
    at: datetime,
    agreement: Current,
    actor: Actor = SYSTEM,
    note: str = "",
    hours: Mapping[int | None, WorkCalendar] | None = None,
) -> list[int]:
    """Write handoffs with their clocks, transitions, answers, stages and letters; the leads are locked.
    Returns their ids, in the order of the offers.

    A fixed number of statements, whatever the number of offers. `hours`: calendars that are known already.
    """
    if not offers:
        return []
    terms = agreement.program.document
    policies = _policies(offers, terms, at)
    hours = dict(hours or {})
    hours |= (
        calendars.for_teams(unknown) if (unknown := {o.route.team_id for o in offers} - set(hours)) else {}
    )
    kept = _known_of(offers, agreement, at)
    frozen = _frozen_terms(agreement)
    written = {policy: _written(policy, frozen) for policy in set(policies.values())}
    # Leads of one team under one policy are promised the same, as they are offered in the same moment.
    clocks = {
        (team, policy): _clocks(hours[team], policy, at)
        for team, policy in {(o.route.team_id, policies[o.lead.pk]) for o in offers}
    }
    ids = many.ids(Handoff, len(offers))
    rows = []
    for pk, offer in zip(ids, offers, strict=True):
        policy = policies[offer.lead.pk]
        own = {**kept[offer.lead.pk], **_frozen(offer), **written[policy]}
        rows.append(_row(pk, offer, policy.key, own, clocks[offer.route.team_id, policy], at, agreement))
    # The terms are the same for all, and the longest part of a row: they travel once.
    many.add(Handoff, rows, shared={"frozen": frozen})
    many.add(
        Transition,
        [
            {
                "handoff_id": row["id"],
                "action": "open",
                "to_state": State.OFFERED,
                "actor_id": actor.user_id,
                "api_key_id": actor.api_key.pk if actor.api_key else None,
                "at": at,
                "note": note,
                "owner_after_id": row["owner_id"],
            }
            for row in rows
        ],
    )
    ledgers.record_answers(
        [
            {
                "lead_id": row["lead_id"], "handoff_id": row["id"], "kind": Answer.Kind.OFFERED, "at": at,
                "known_at": at, "rep_id": row["owner_id"], "agreement_id": agreement.agreement_id,
            }
            for row in rows
        ]
    )  # fmt: skip
    causes = {kind: f"offered: {Handoff.Kind(kind).label.lower()}" for kind in {o.kind for o in offers}}
    stages.move(
        [
            stages.Move(offer.lead.pk, Stage.SALES_QUALIFIED, causes[offer.kind], pk)
            for pk, offer in zip(ids, offers, strict=True)
            # A customer stays one while sales talks about more.
            if offer.lead.stage != Stage.CUSTOMER
        ],
        at=at,
        actor=actor,
        agreement_id=agreement.agreement_id,
        locked=True,
    )
    _list_alarms(ids, offers, at)
    _announce(rows, offers, at)
    return ids


def _list_alarms(ids: Sequence[int], offers: Sequence[Offer], at: datetime) -> None:
    """What routing found nobody for stands on the managers' list until somebody takes it."""
    alarmed = [pk for pk, offer in zip(ids, offers, strict=True) if offer.route.alarm]
    many.add(
        LateException,
        [{"handoff_id": pk, "promise": "", "since": at, "step_done": "nobody"} for pk in alarmed],
    )


def _known_of(offers: Sequence[Offer], agreement: Current, at: datetime) -> dict[int, dict[str, Any]]:
    """What is frozen of whom each lead is: what sales must still find out, and its persona."""
    leads = [offer.lead for offer in offers]
    facts = {lead.pk: why.facts(lead) for lead in leads}
    gaps = why.gaps(leads, facts, agreement.program.document)
    seen = personas.of([lead.pk for lead in leads], at, agreement)
    return {
        lead.pk: {
            "facts": facts[lead.pk],
            "must_know_gaps": gaps[lead.pk],
            "persona": seen[lead.pk].as_json() if lead.pk in seen else None,
        }
        for lead in leads
    }


def _frozen(offer: Offer) -> dict[str, Any]:
    """What is frozen of why the lead is offered."""
    explanation = offer.explanation
    return {
        "score": {**explanation.groups, "total": explanation.total, "grade": explanation.grade},
        "explanation": [why.line(line) for line in explanation.lines],
        "why_now": offer.why_now,
    }


def _row(
    pk: int,
    offer: Offer,
    policy: str,
    frozen: Mapping[str, Any],
    clocks: Mapping[str, Any],
    at: datetime,
    agreement: Current,
) -> dict[str, Any]:
    """The columns of a new handoff; what is not named has the model's default."""
    return {
        "id": pk,
        "lead_id": offer.lead.pk,
        "kind": offer.kind,
        "fast_track_no": offer.fast_track_no,
        "state": State.OFFERED,
        "owner_id": offer.route.owner_id,
        "team_id": offer.route.team_id,
        "pool": offer.route.owner_id is None,
        "offered_at": at,
        "first_offered_at": at,
        "frozen": frozen,
        "why_now": offer.why_now[:300],
        "total": offer.explanation.total,
        "grade": offer.explanation.grade,
        "agreement_id": agreement.agreement_id,
        "policy": policy,
        "route": offer.route.text,
        "linked_to_id": offer.linked_to,
        "opened_by_id": offer.opened_by.pk if offer.opened_by else None,
        "crossing_id": offer.crossing_id,
        "changed_at": at,
        **clocks,
    }


def _clocks(calendar: WorkCalendar, policy: Policy, at: datetime) -> dict[str, Any]:
    """The columns of the promises that begin with an offer."""
    blank = Handoff(state=State.OFFERED, offered_at=at, first_offered_at=at)
    promises.start_offer(blank, calendar, policy, at)
    return {name: getattr(blank, name) for name in PROMISED}


def _written(policy: Policy, terms: Mapping[str, Any]) -> dict[str, Any]:
    """A policy as it is frozen, with what of the terms is another under it."""
    return {"sla": policy.frozen(), **policy.terms_for(terms)}


def _frozen_terms(agreement: Current) -> dict[str, Any]:
    """The terms that hold for an episode from its offer to its end, even when a new agreement comes."""
    kept = ("give_up", "snooze", "undo_minutes", "reasons")
    content = agreement.program.document.content
    return {name: content[name] for name in kept if name in content} | {"agreement": agreement.number}


def _policies(offers: Sequence[Offer], terms: Document, at: datetime) -> dict[int, Policy]:
    """The first policy of the agreement whose condition holds, for each lead."""
    given = {
        offer.lead.pk: sentences.given_of(offer.kind, offer.fast_track_no, offer.explanation.grade, False)
        for offer in offers
    }
    left, found = set(given), {}
    for policy in terms.sla:
        holds = sentences.holding(policy.when, {lead: given[lead] for lead in left}, at)
        found.update(dict.fromkeys(holds & left, policy))
        left -= holds
        if not left:
            break
    return {**dict.fromkeys(left, NO_POLICY), **found}


def _announce(rows: Sequence[Mapping[str, Any]], offers: Sequence[Offer], at: datetime) -> None:
    """Bell and mail to the owner; a pool's offer to everybody of the team; the alarm to the manager."""
    members: dict[int | None, list[int]] = {}
    managers: dict[int | None, int | None] = {}
    names: dict[int, str] = {}
    if any(o.route.owner_id is None or o.route.alarm or o.route.away_id for o in offers):
        people = User.objects.filter(is_active=True, role__in=SALES).values_list("pk", "team_id", "name")
        for pk, team, name in people:
            members.setdefault(team, []).append(pk)
            names[pk] = name
        managers = dict(Team.objects.values_list("pk", "manager_id"))
    letters: list[outbox.Letter] = []
    for row, offer in zip(rows, offers, strict=True):
        route, payload, key = offer.route, _payload(row, offer.lead), f"open:{row['id']}"

        def tell(what: str, kind: str, user: int, *channels: str, told: Any = payload) -> None:
            letters.extend(outbox.Letter(f"{what}:{c}", kind, c, user, told) for c in channels)

        bell, mail = Outbox.Channel.BELL, Outbox.Channel.EMAIL
        if route.owner_id is not None:
            tell(f"{key}:{route.owner_id}", "offered", route.owner_id, bell, mail)
        else:
            for user in members.get(route.team_id, ()):
                tell(f"{key}:{user}", "pooled", user, bell)
        manager = managers.get(route.team_id)
        if route.alarm and manager is not None:
            tell(f"{key}:nobody:{manager}", "nobody", manager, bell, mail)
        if route.away_id is not None and route.owner_id is not None:
            told = {**payload, "to": names.get(route.owner_id, "")}
            letters.append(outbox.Letter(f"{key}:away", "owner_away", bell, route.away_id, told))
    outbox.put(letters, at)


def _payload(row: Mapping[str, Any], lead: Known) -> dict[str, Any]:
    return notices.payload(
        handoff=row["id"],
        lead=lead.pk,
        name=lead.shown,
        company=lead.company_name,
        grade=row["grade"],
        why=row["why_now"],
        due=row["sla_due_at"],
        promise=row["sla_promise"],
    )


# ---- Reading ----------------------------------------------------------------------------------------------


def in_force() -> Current | None:
    """The agreement in force, compiled; None while there is none (a preview sends nothing to sales)."""
    now = current.current()
    return None if now is None or now.preview else now


def take_turn() -> None:
    """Wait for one's turn to hand out room; needs a transaction and ends with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADMISSION_LOCK])


def with_open(lead_ids: Iterable[int]) -> set[int]:
    """Those of them that are with sales."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lead_id FROM handoff_handoff WHERE lead_id = ANY(%s) AND state = ANY(%s)",
            [list(lead_ids), [state.value for state in OPEN]],
        )
        return {lead_id for (lead_id,) in cursor.fetchall()}
