"""One act of one known lead, as it comes in all day: locked, then written, in one message to the server.

What it leaves behind is what `intake` leaves behind for a batch of one. It takes only what is that simple;
everything else, and every row that turns out not to be, goes the general way.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from leadflow import clock, nudge
from leadflow.leads.checking import ActivityRow
from leadflow.leads.taking import REVIEW_AFTER

# Statements of one message are one transaction, and each sees what was committed until it began: the second
# stands behind the lock of the first. There the clock is read, so that what is recorded later is seen later.
_LOCK = "SELECT FROM leads_lead WHERE id = %(lead)s FOR NO KEY UPDATE;"
_ACT = """
WITH lead AS MATERIALIZED (
    SELECT id, stamp, least(%(occurred)s, stamp) AS occurred
    FROM leads_lead, (SELECT {stamp}::timestamptz AS stamp OFFSET 0) s
    WHERE id = %(lead)s AND merged_into_id IS NULL AND erased_at IS NULL
), act AS (
    INSERT INTO leads_activity (source, external_id, kind_id, lead_id, first_lead_id, occurred_at,
        recorded_at, path, message_key, user_id, channel, result, handoff_id, properties)
    SELECT %(source)s, %(external_id)s, %(kind)s, id, id, occurred, stamp,
        %(path)s, %(message_key)s, %(user)s, %(channel)s, %(result)s, %(handoff)s, %(properties)s FROM lead
    ON CONFLICT (source, external_id) DO NOTHING
    RETURNING id, lead_id, occurred_at AS occurred, recorded_at AS stamp
)"""
_OWN = """, own AS (
    UPDATE leads_lead l SET last_own_act_at = greatest(l.last_own_act_at, act.occurred),
        review_at = greatest(l.review_at, act.occurred + %(review)s)
    FROM act WHERE l.id = %(lead)s
)"""
_VISIT = """, visit AS (
    INSERT INTO leads_activity (source, external_id, kind_id, lead_id, first_lead_id, occurred_at,
        recorded_at, path, message_key, channel, result, properties)
    SELECT %(derived)s, 'visit-' || act.id, v.id, lead_id, lead_id, occurred,
        stamp, %(path)s, '', '', '', '{}'
    FROM act, leads_activitykind v
    WHERE v.key = 'visit' AND NOT EXISTS (
        SELECT FROM leads_activity b WHERE b.lead_id = %(lead)s AND b.kind_id = %(kind)s
        AND b.occurred_at > occurred - %(silence)s AND (b.occurred_at, b.id) < (occurred, act.id))
    ON CONFLICT (source, external_id) DO NOTHING
)"""
_CHANGED = """, changed AS (
    INSERT INTO leads_leadchanged (lead_id, cause, quiet, recorded_at)
    SELECT lead_id, 'activity', %(quiet)s, stamp FROM act
)
SELECT EXISTS (SELECT FROM lead), (SELECT id FROM act)"""


@dataclass(frozen=True)
class Taken:
    """What became of the row: its new id, None when it was known already."""

    id: int | None


def fits(row: ActivityRow) -> bool:
    """Whether the row is as simple as that: it names a lead by our own number and nothing else that would
    have to be looked up, and nobody but the engine waits for such acts."""
    kind = row.kind
    named = row.email_key or row.visitor or row.key or row.campaign or row.content
    waited_for = kind.contact or kind.reply or kind.stop or kind.key == "email_bounced"
    return bool(row.lead_id) and not named and not waited_for


def take(
    row: ActivityRow, at: datetime | None, quiet: bool, derived: str, silence: timedelta
) -> Taken | None:
    """Record the row; None, and nothing written, when no living lead has that number.

    `at`: when it is recorded, by default now. `derived`, `silence`: the source of acts that we conclude, and
    how long nobody looked at a page before a view that begins a visit.
    """
    if at is None and clock.is_injected():
        at = clock.now()
    parts = [_LOCK, _ACT.format(stamp="clock_timestamp()" if at is None else "%(at)s")]
    parts += [_OWN] if row.kind.own_act else []
    parts += [_VISIT] if row.kind.key == "page_view" else []
    bound: dict[str, Any] = {
        "lead": row.lead_id,
        "at": at,
        "occurred": row.occurred_at,
        "source": row.source,
        "external_id": row.external_id,
        "kind": row.kind.pk,
        "path": row.path,
        "message_key": row.message_key,
        "user": row.user_id,
        "channel": row.channel,
        "result": row.result,
        "handoff": row.handoff_id,
        "properties": json.dumps(row.properties),
        "review": REVIEW_AFTER,
        "derived": derived,
        "silence": silence,
        "quiet": quiet,
    }
    with connection.cursor() as cursor:
        cursor.execute("".join((*parts, _CHANGED)), bound)
        there, made = cursor.fetchone()
    if made is not None:
        nudge.wake("flow.score")
    return Taken(made) if there else None
