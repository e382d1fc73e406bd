"""Promises of sales that fell due: kept one narrow row each once they ended, and summed up by week.

`keep` writes both for some leads from their ledgers; nobody else writes them. What still runs is in neither.
"""

from collections.abc import Sequence

from django.db import connection

# The place in here is how a promise is kept.
PROMISES = ("acceptance", "first_touch", "follow_up")
NO_GRADE = "none"
PLACE = f"(array_position(ARRAY{list(PROMISES)}::text[], {{promise}}::text) - 1)::smallint"

_COLUMNS = (
    "result_id, lead_id, of_holder, promise, met, holder_id, team_id, agreement_id, due, offered_at,"
    " reached_at, grade, first_source, first_campaign_id, persona"
)
# As the ledgers say; the handoffs of these leads are kept already (`keeping.keep_handoffs`).
_FRESH = f"""
    SELECT r.id AS result_id, k.lead_id, r.scope = 'holder' AS of_holder,
           {PLACE.format(promise="r.promise")} AS promise, r.result = 'met' AS met,
           r.holder_id, r.team_id, k.agreement_id, r.due, k.offered_at, k.reached_at, k.grade,
           k.first_source, k.first_campaign_id, k.persona
    FROM feedback_handoverkept k JOIN handoff_slaresult r ON r.handoff_id = k.handoff_id
    WHERE k.lead_id = ANY(%(ids)s) AND r.result IN ('met', 'missed')
      AND r.finished_at IS NOT NULL AND r.voided_at IS NULL"""  # noqa: S608 ours
# What a kept promise (of `{kept}`, which says by `sign` whether it comes or goes) gives to the sums.
KEYS = ("week", "narrow", "value", "by", "key", "of_holder", "promise")
_KEYS = ", ".join(KEYS)
_SUMS = f"""
    SELECT date_trunc('week', k.due AT TIME ZONE %(zone)s)::date AS week, f.narrow, f.value, b.by, b.key,
           k.of_holder, k.promise, sum(k.sign) FILTER (WHERE k.met) AS met,
           sum(k.sign) FILTER (WHERE NOT k.met) AS missed,
           sum(k.sign) FILTER (WHERE k.reached_at IS NOT NULL) AS reached
    FROM {{kept}} k
    CROSS JOIN LATERAL (VALUES ('', ''), ('source', k.first_source), ('campaign', k.first_campaign_id::text),
        ('persona', nullif(k.persona, '')), ('team', k.team_id::text), ('version', k.agreement_id::text)
        ) f(narrow, value)
    CROSS JOIN LATERAL (VALUES ('all', '0', true), ('rep', coalesce(k.holder_id::text, '0'), k.of_holder),
        ('team', coalesce(k.team_id::text, '0'), NOT k.of_holder),
        ('grade', coalesce(nullif(k.grade, ''), '{NO_GRADE}'), NOT k.of_holder),
        ('hour', extract(hour FROM k.offered_at AT TIME ZONE %(zone)s)::int::text, NOT k.of_holder)
        ) b(by, key, holds)
    WHERE f.value IS NOT NULL AND b.holds GROUP BY 1, 2, 3, 4, 5, 6, 7"""  # noqa: S608 ours
_ADD = f"""
    INSERT INTO feedback_promiseweek AS t ({_KEYS}, met, missed, reached)
    SELECT {_KEYS}, coalesce(met, 0), coalesce(missed, 0), coalesce(reached, 0) FROM ({{sums}}) s
    ON CONFLICT ({_KEYS}) DO UPDATE SET met = t.met + excluded.met, missed = t.missed + excluded.missed,
        reached = t.reached + excluded.reached"""  # noqa: S608 ours
# Only rows that are not as they were move anything, so that a look at leads that stood still costs little.
_KEEP = f"""
    WITH fresh AS MATERIALIZED ({_FRESH}),
    was AS MATERIALIZED (SELECT {_COLUMNS} FROM feedback_promisekept WHERE lead_id = ANY(%(ids)s)),
    goes AS MATERIALIZED (SELECT {_COLUMNS} FROM was EXCEPT SELECT {_COLUMNS} FROM fresh),
    comes AS MATERIALIZED (SELECT {_COLUMNS} FROM fresh EXCEPT SELECT {_COLUMNS} FROM was),
    gone AS (DELETE FROM feedback_promisekept WHERE result_id = ANY(ARRAY(
        SELECT result_id FROM goes EXCEPT SELECT result_id FROM comes))),
    written AS (
        INSERT INTO feedback_promisekept ({_COLUMNS}) SELECT {_COLUMNS} FROM comes
        ON CONFLICT (result_id) DO UPDATE SET
            ({_COLUMNS}) = ({", ".join(f"excluded.{name.strip()}" for name in _COLUMNS.split(","))})),
    moved AS (SELECT 1 AS sign, * FROM comes UNION ALL SELECT -1, * FROM goes)
    {_ADD.format(sums=_SUMS.format(kept="moved"))}"""  # noqa: S608 ours


def keep(ids: Sequence[int], zone: str) -> None:
    """Bring the kept promises of these leads, whose handoffs are kept, and their sums up to the ledgers."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, {"ids": list(ids), "zone": zone})
        cursor.execute("DELETE FROM feedback_promiseweek WHERE met = 0 AND missed = 0")


def sum_all(zone: str) -> None:
    """Sum all kept promises anew, in another zone maybe."""
    every = "(SELECT 1 AS sign, * FROM feedback_promisekept)"
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM feedback_promiseweek")
        cursor.execute(_ADD.format(sums=_SUMS.format(kept=every)), {"zone": zone})
