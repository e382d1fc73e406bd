"""The clocks: what falls due is warned of, marked late, escalated, exactly once, by any number of workers.

A tick is one set-based statement over the rows whose next instant has come, claimed in order of
(due, id) with SKIP LOCKED. Steps that need a decision per lead (give it to somebody else, wake it) follow row
by row, each in a transaction of its own; a row that raises is pushed ahead and counted, the rest goes on.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Least

from handoff import escalation, outbox
from handoff.escalation import ROW_STEPS
from handoff.models import Handoff, Outbox, SlaResult
from leadflow import nudge
from leadflow.accounts.models import Role, User

log = logging.getLogger(__name__)

RETRY_AFTER = timedelta(minutes=5)
# Twelve doublings are the limit: a broken row is tried about every two weeks, and stands on the admin's list.
MOST_DOUBLINGS = 12

# The rows of a batch are at hand: they were locked a moment ago. A plan that reads whole tables instead, once
# for each batch, or writes the batch to a file, costs more than all the rest.
AS_IT_IS = "SET LOCAL random_page_cost = 1; SET LOCAL work_mem = '32MB'; SET LOCAL jit = off;"
TICK = """
WITH due AS MATERIALIZED (
    -- Only narrow columns: what was frozen at the offer stays where it is.
    SELECT id, lead_id, owner_id, team_id, grade, why_now, attempts, sla_tick_at, sla_ticks,
           acceptance_due_at, first_touch_due_at, followup_due_at FROM handoff_handoff
    WHERE sla_tick_at <= %(at)s AND (%(only)s::bigint[] IS NULL OR id = ANY(%(only)s::bigint[]))
    ORDER BY sla_tick_at, id LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
), split AS MATERIALIZED (
    SELECT h.id, h.lead_id, h.owner_id, h.team_id, h.grade, h.why_now, h.attempts, h.sla_tick_at,
           h.acceptance_due_at, h.first_touch_due_at, h.followup_due_at, t.*
    FROM due h CROSS JOIN LATERAL (
        SELECT jsonb_agg(e.v ORDER BY e.at, e.n) FILTER (WHERE e.now AND NOT e.row) AS fired,
               jsonb_agg(e.v ORDER BY e.at, e.n) FILTER (WHERE NOT e.now OR e.row) AS rest,
               min(e.at) FILTER (WHERE NOT e.now OR e.row) AS next,
               bool_or(e.now AND e.row) AS step,
               min(e.at) FILTER (WHERE e.now AND e.act = 'warn') AS warned,
               min(e.at) FILTER (WHERE e.now AND e.act = 'due' AND e.v->>'scope' = 'holder') AS late,
               array_agg(e.v->>'promise') FILTER (WHERE e.now AND e.act = 'exception') AS listed
        FROM (SELECT v, n, (v->>'at')::timestamptz AS at, v->>'do' AS act,
                     (v->>'at')::timestamptz <= %(at)s AS now, v->>'do' = ANY(%(row_steps)s) AS row
              FROM jsonb_array_elements(h.sla_ticks) WITH ORDINALITY t(v, n)) e
    ) t
), fired AS MATERIALIZED (
    SELECT s.id, s.lead_id, s.owner_id, s.team_id, s.grade, s.why_now, s.attempts, s.listed,
           e.v->>'do' AS act, e.v->>'promise' AS promise, e.v->>'scope' AS scope,
           COALESCE(e.v->>'tell', '') <> 'no' AS told,
           (e.v->>'at')::timestamptz AS due, (e.v->>'from')::timestamptz AS start,
           CASE e.v->>'promise' WHEN 'acceptance' THEN s.acceptance_due_at
                WHEN 'first_touch' THEN s.first_touch_due_at ELSE s.followup_due_at END AS promised
    FROM split s CROSS JOIN LATERAL jsonb_array_elements(s.fired) e(v)
), moved AS (
    UPDATE handoff_handoff h
    SET sla_ticks = COALESCE(s.rest, '[]'::jsonb),
        -- An open handoff without a promise left is looked at every day until somebody acts.
        sla_tick_at = COALESCE(s.next, %(at)s + interval '1 day'),
        warned_at = COALESCE(s.warned, h.warned_at),
        breached_at = COALESCE(h.breached_at, s.late),
        -- It ran through: what stumbled before is over, unless its step per lead is still to come.
        tick_failures = CASE WHEN s.step THEN h.tick_failures ELSE 0 END,
        tick_error = CASE WHEN s.step THEN h.tick_error ELSE '' END,
        lock_version = h.lock_version + 1, changed_at = %(at)s
    FROM split s WHERE h.id = s.id AND (s.fired IS NOT NULL OR s.rest IS NULL OR s.next > %(at)s)
), missed AS (
    INSERT INTO handoff_slaresult
        (handoff_id, promise, n, scope, holder_id, team_id, start, due, result, late_by, corrected_from, at)
    SELECT id, promise, CASE promise WHEN 'follow_up' THEN GREATEST(1, attempts) ELSE 1 END, scope,
           owner_id, team_id, start, due, 'missed', 0, '', %(at)s
    FROM fired WHERE act = 'due' ORDER BY due, id
    ON CONFLICT DO NOTHING
), late AS (
    INSERT INTO handoff_lateexception (handoff_id, promise, since, step_done)
    SELECT f.id, f.promise, f.due, CASE WHEN f.promise = ANY(f.listed) THEN 'exception' ELSE '' END
    FROM fired f WHERE f.act = 'due' AND f.scope = 'holder'
    ON CONFLICT DO NOTHING
), listed AS (
    -- One look into the index for each that fired, whatever the planner thinks of a table that just filled.
    UPDATE handoff_lateexception SET step_done = 'exception' WHERE id = ANY(ARRAY(
        SELECT (SELECT x.id FROM handoff_lateexception x WHERE x.handoff_id = f.id
                AND x.promise = f.promise AND x.cleared_at IS NULL)
        FROM fired f WHERE f.act = 'exception'))
), news AS MATERIALIZED (
    -- What there is to tell, once for all who hear of it. After an outage nobody is warned of what is late.
    SELECT f.act, f.owner_id, f.team_id, f.act = 'due' AND f.told AS managed,
           format('tick:%%s:%%s:%%s:%%s:', f.id, f.promise, f.act, extract(epoch FROM f.due)::bigint) AS key,
           jsonb_build_object('handoff', f.id, 'lead', f.lead_id, 'grade', f.grade, 'why', f.why_now,
               'promise', f.promise, 'due', COALESCE(to_jsonb(f.promised)#>>'{}', ''),
               'name', COALESCE(NULLIF(l.name, ''), NULLIF(l.email, ''), 'Lead ' || l.id),
               'company', COALESCE(c.name, ''), 'owner', COALESCE(u.name, '')) AS payload
    FROM fired f JOIN leads_lead l ON l.id = f.lead_id
    LEFT JOIN leads_company c ON c.id = l.company_id LEFT JOIN accounts_user u ON u.id = f.owner_id
    WHERE f.act IN ('remind', 'notify', 'exception') OR f.act = 'due' AND f.scope = 'holder'
       OR f.act = 'warn' AND COALESCE(f.promised > %(at)s, TRUE)
), people AS (
    -- The owner hears of warning, lateness and reminder; the manager of lateness where the policy says so, by
    -- mail too.
    SELECT n.key, n.payload, n.owner_id AS reader, 'bell' AS channel,
           CASE n.act WHEN 'warn' THEN 'warn' WHEN 'remind' THEN 'remind' ELSE 'late' END AS kind
    FROM news n WHERE n.owner_id IS NOT NULL AND n.act <> 'exception'
    UNION ALL
    SELECT n.key, n.payload, t.manager_id, c.channel, 'late_of'
    FROM news n JOIN accounts_team t ON t.id = n.team_id CROSS JOIN (VALUES ('bell'), ('email')) c(channel)
    WHERE t.manager_id IS NOT NULL AND t.manager_id IS DISTINCT FROM n.owner_id
      AND (n.act IN ('notify', 'exception') OR n.managed)
), letters AS (
    INSERT INTO handoff_outbox (key, kind, channel, recipient, user_id, payload, created_at, not_before,
                                next_try_at, attempts, error)
    SELECT p.key || p.reader || ':' || p.channel, p.kind, p.channel, '', p.reader, p.payload,
           %(at)s, %(at)s, %(at)s, 0, ''
    FROM people p
    ON CONFLICT (key) DO NOTHING
    RETURNING 1
)
SELECT s.id, s.step, (SELECT count(*) FROM letters) FROM split s ORDER BY s.sla_tick_at, s.id
"""


def tick(at: datetime, limit: int = 5_000) -> int:
    """Handle what has come due by `at`, at most `limit` handoffs; returns how many. Call until it is 0."""
    try:
        rows = _statement(at, limit)
    except OperationalError:
        raise
    except DatabaseError:
        # One row that cannot be read would hold up all others: find it, push it ahead, do the rest.
        due = Handoff.objects.filter(sla_tick_at__lte=at).order_by("sla_tick_at", "pk")
        rows = _by_halves(list(due.values_list("pk", flat=True)[:limit]), at)
    if any(row[2] for row in rows[:1]):
        nudge.wake("clock.deliver")
    for handoff_id, step, _ in rows:
        if step:
            _step(handoff_id, at)
    return len(rows)


def _statement(at: datetime, limit: int, only: Sequence[int] | None = None) -> list[tuple[int, bool, int]]:
    chosen = None if only is None else [*only]
    bound: dict[str, Any] = {"at": at, "limit": limit, "row_steps": list(ROW_STEPS), "only": chosen}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(AS_IT_IS + TICK, bound)
        return list(cursor.fetchall())


def _by_halves(ids: Sequence[int], at: datetime) -> list[tuple[int, bool, int]]:
    """The same in ever smaller parts, until the rows that raise stand alone."""
    if not ids:
        return []
    try:
        return _statement(at, len(ids), ids)
    except OperationalError:
        raise
    except DatabaseError as problem:
        if len(ids) == 1:
            log.exception("the clock of handoff %s stumbled", ids[0])
            _push_ahead(ids[0], at, _told(problem))
            return []
    middle = len(ids) // 2
    return _by_halves(ids[:middle], at) + _by_halves(ids[middle:], at)


def _step(handoff_id: int, at: datetime) -> None:
    try:
        with transaction.atomic():
            escalation.run(handoff_id, at)
    except Exception as problem:
        log.exception("the clock of handoff %s stumbled", handoff_id)
        _push_ahead(handoff_id, at, _told(problem))
    else:
        _forgive(handoff_id)


def _told(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}".strip()[:2_000]


def _push_ahead(handoff_id: int, at: datetime, error: str) -> None:
    row = Handoff.objects.filter(pk=handoff_id, sla_tick_at__lte=at)
    failures = row.values_list("tick_failures", flat=True).first()
    if failures is None:
        return
    row.update(
        tick_failures=Least(F("tick_failures") + 1, 1_000),
        tick_error=error,
        sla_tick_at=at + RETRY_AFTER * 2 ** min(failures, MOST_DOUBLINGS),
    )
    if not failures:
        _tell_admins(handoff_id, at)


def _tell_admins(handoff_id: int, at: datetime) -> None:
    """A clock that stumbles for the first time rings at the admins'."""
    admins = User.objects.filter(is_active=True, role=Role.ADMIN).values_list("pk", flat=True)
    told = {"text": "The clock of a lead stumbled; it is tried again later", "url": "/settings/clocks/"}
    key = f"stumbled:{handoff_id}:{at:%Y-%m-%d}"
    outbox.put([outbox.Letter(f"{key}:{pk}", "said", Outbox.Channel.BELL, pk, told) for pk in admins], at)


def _forgive(handoff_id: int) -> None:
    Handoff.objects.filter(pk=handoff_id, tick_failures__gt=0).update(tick_failures=0, tick_error="")


def stumbling(limit: int = 100) -> list[Handoff]:
    """Handoffs whose clock raised, for the admin, worst first."""
    rows = Handoff.objects.filter(tick_failures__gt=0, sla_tick_at__isnull=False)
    return list(rows.select_related("lead", "owner").order_by("-tick_failures", "id")[:limit])


def try_again(handoff_id: int, at: datetime) -> bool:
    """Let a clock that stumbled run now instead of at its next attempt; whether it went well this time.

    False also for a handoff that does not stumble (any more).
    """
    row = Handoff.objects.filter(pk=handoff_id, tick_failures__gt=0, sla_tick_at__isnull=False)
    if not row.update(sla_tick_at=at):
        return False
    for _, step, _ in _by_halves([handoff_id], at):
        if step:
            _step(handoff_id, at)
    return not Handoff.objects.filter(pk=handoff_id, tick_failures__gt=0).exists()


def oldest_due(at: datetime) -> timedelta | None:
    """How long the oldest due tick has waited, None when nothing is due. For /readyz."""
    first = Handoff.objects.filter(sla_tick_at__lte=at).order_by("sla_tick_at").values_list("sla_tick_at")
    row = first.first()
    return at - row[0] if row and row[0] else None


# ---- Figures ----------------------------------------------------------------------------------------------

# Every promise that ended or is missed, whether the tick has come by already or not. Columns: handoff_id,
# promise, scope, holder_id, team_id, due, finished_at, result, late_by. One parameter: %(at)s. Of the open
# handoffs, which are many, only those with a running promise in the past, which are few, are opened out: the
# index `handoff_running` holds them by the same words.
STANDING = """
    SELECT r.handoff_id, r.promise, r.scope, r.holder_id, r.team_id, r.due, r.finished_at, r.result, r.late_by
    FROM handoff_slaresult r WHERE r.voided_at IS NULL"""
# Of them those whose tick has not come.
UNTICKED = """
    SELECT h.id, p.promise, p.scope, h.owner_id, h.team_id, p.due, NULL, 'missed', 0
    FROM handoff_handoff h CROSS JOIN LATERAL (VALUES
        ('acceptance', 'holder', h.acceptance_due_at, h.state = 'offered'),
        ('acceptance', 'lead', h.lead_acceptance_due_at, h.state = 'offered'),
        ('first_touch', 'holder', h.first_touch_due_at, h.state IN ('offered', 'accepted')),
        ('first_touch', 'lead', h.lead_first_touch_due_at, h.state IN ('offered', 'accepted')),
        ('follow_up', 'holder', h.followup_due_at, h.state = 'working'),
        ('follow_up', 'lead', h.lead_followup_due_at, h.state = 'working')
    ) p(promise, scope, due, runs)
    WHERE p.runs AND p.due < %(at)s
      AND CASE WHEN h.state = 'offered' THEN least(h.acceptance_due_at, h.lead_acceptance_due_at,
                                                   h.first_touch_due_at, h.lead_first_touch_due_at)
               WHEN h.state = 'accepted' THEN least(h.first_touch_due_at, h.lead_first_touch_due_at)
               WHEN h.state = 'working' THEN least(h.followup_due_at, h.lead_followup_due_at) END < %(at)s
      AND NOT EXISTS (SELECT 1 FROM handoff_slaresult r WHERE r.handoff_id = h.id AND r.promise = p.promise
                      AND r.scope = p.scope AND r.due = p.due AND r.voided_at IS NULL)"""
RESULTS = f"{STANDING} UNION ALL {UNTICKED}"
GROUPS = {
    "": "''",
    "promise": "r.promise",
    "holder": "COALESCE(u.name, 'the team''s pool')",
    "team": "COALESCE(t.name, 'no team')",
    "grade": "h.grade",
    "policy": "h.policy",
    "kind": "h.kind",
    "source": "COALESCE(NULLIF(l.first_source, ''), 'unknown')",
}


@dataclass(frozen=True)
class Attainment:
    """How promises ended. `missed` includes clocks past due that still run (`running`); `rate` is met ÷
    (met + missed), None without any."""

    met: int
    missed: int
    cancelled: int
    running: int

    @property
    def rate(self) -> float | None:
        judged = self.met + self.missed
        return self.met / judged if judged else None


def attainment(
    start: datetime,
    end: datetime,
    *,
    at: datetime,
    scope: str = SlaResult.Scope.LEAD,
    by: str = "",
    promise: str = "",
    team_id: int | None = None,
    holder_id: int | None = None,
) -> dict[str, Attainment]:
    """How promises due in [start, end) ended, by group ("" = all): promise, holder, team, grade, policy,
    kind, source. `scope` lead: each lead's own clock; holder: each holder's share. Never mix the two."""
    where = ["r.due >= %(start)s", "r.due < %(end)s", "r.scope = %(scope)s"]
    bound: dict[str, Any] = {"at": at, "start": start, "end": end, "scope": str(scope)}
    for column, value in (("promise", promise or None), ("team_id", team_id), ("holder_id", holder_id)):
        if value is not None:
            where.append(f"r.{column} = %({column})s")
            bound[column] = value
    rows = _grouped(GROUPS[by], where, bound)
    if by == "" and not rows:
        return {"": Attainment(0, 0, 0, 0)}
    return {str(key): Attainment(*counts) for key, *counts in rows}


def _grouped(group: str, where: Sequence[str], bound: dict[str, Any]) -> list[tuple[Any, ...]]:
    text = f"""
        SELECT {group}, count(*) FILTER (WHERE r.result = 'met'), count(*) FILTER (WHERE r.result = 'missed'),
               count(*) FILTER (WHERE r.result = 'cancelled'),
               count(*) FILTER (WHERE r.result = 'missed' AND r.finished_at IS NULL)
        FROM ({RESULTS}) r JOIN handoff_handoff h ON h.id = r.handoff_id
        JOIN leads_lead l ON l.id = h.lead_id
        LEFT JOIN accounts_user u ON u.id = r.holder_id LEFT JOIN accounts_team t ON t.id = r.team_id
        WHERE {" AND ".join(where)} GROUP BY 1 ORDER BY 1
    """  # noqa: S608 - the group and the columns are ours, values are bound
    with connection.cursor() as cursor:
        cursor.execute(text, bound)
        return list(cursor.fetchall())
