"""Do the books balance? Every lead in exactly one place, every ledger equal to the row it explains.

Each check is one set-based statement that returns strays: (subject, id, what is wrong).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

# Rows that wait may wait this long before somebody should ask why.
PATIENCE_MINUTES = 15


@dataclass(frozen=True)
class Stray:
    """Something that fell between the lines: what it is, its id, and what is wrong with it."""

    subject: str
    id: int
    problem: str

    def __str__(self) -> str:
        return f"{self.subject} {self.id}: {self.problem}"


# The place of a lead: the first that applies (DESIGN "The books balance").
PLACE = """
    CASE WHEN l.erased_at IS NOT NULL THEN 'erased'
         WHEN l.merged_into_id IS NOT NULL THEN 'merged'
         WHEN l.stage = 'excluded' THEN 'excluded'
         WHEN h.state IS NOT NULL THEN h.state
         WHEN w.id IS NOT NULL THEN 'waiting for room'
         WHEN l.stage IN ('customer', 'disqualified') THEN l.stage
         WHEN r.lead_id IS NOT NULL THEN 'repair list'
         WHEN l.stage IN ('nurturing', 'mql', 'prospect', 'conversion') THEN l.stage
    END"""
PLACE_JOINS = """
    LEFT JOIN handoff_handoff h
           ON h.lead_id = l.id AND h.state IN ('offered', 'accepted', 'working', 'opportunity')
    LEFT JOIN handoff_roomwait w ON w.lead_id = l.id AND w.left_at IS NULL
    LEFT JOIN (SELECT DISTINCT lead_id FROM feedback_task WHERE kind = 'repair' AND done_at IS NULL) r
           ON r.lead_id = l.id"""
PLACES_FROM = f"FROM leads_lead l {PLACE_JOINS}"
PLACES = (
    "conversion",
    "prospect",
    "mql",
    "waiting for room",
    "offered",
    "accepted",
    "working",
    "opportunity",
    "customer",
    "nurturing",
    "repair list",
    "disqualified",
    "excluded",
    "merged",
    "erased",
)


def place_at(lead: str, at: str) -> str:
    """The place of a lead at an instant, from the ledgers alone, as SQL; null before it existed.

    `lead` is the alias of its row, `at` an expression that uses none of the aliases in here
    (g, t, s, w, r, joined, p). The same order of places as PLACE, told by what was written about the lead
    up to then: moves of stages, acts on its handoffs, waits, repairs, merges.
    """
    stage = (
        f"(SELECT s.to_stage FROM leads_stagechange s WHERE s.lead_id = {lead}.id AND s.at <= {at}"
        " ORDER BY s.at DESC, s.id DESC LIMIT 1)"
    )
    state = f"""(SELECT t.to_state FROM handoff_handoff g CROSS JOIN LATERAL (
            SELECT t.to_state FROM handoff_transition t WHERE t.handoff_id = g.id AND t.at <= {at}
            ORDER BY t.at DESC, t.id DESC LIMIT 1) t
        WHERE g.lead_id = {lead}.id
          AND t.to_state IN ('offered', 'accepted', 'working', 'opportunity') LIMIT 1)"""
    return f"""(SELECT CASE WHEN p.stage IS NULL THEN NULL
         WHEN {lead}.erased_at <= {at} THEN 'erased'
         WHEN EXISTS (SELECT 1 FROM leads_leadmerge joined WHERE joined.from_lead_id = {lead}.id
                      AND joined.at <= {at} AND (joined.undone_at IS NULL OR joined.undone_at > {at}))
              THEN 'merged'
         WHEN p.stage = 'excluded' THEN 'excluded'
         WHEN p.state IS NOT NULL THEN p.state
         WHEN EXISTS (SELECT 1 FROM handoff_roomwait w WHERE w.lead_id = {lead}.id AND w.entered_at <= {at}
                      AND (w.left_at IS NULL OR w.left_at > {at})) THEN 'waiting for room'
         WHEN p.stage IN ('customer', 'disqualified') THEN p.stage
         WHEN EXISTS (SELECT 1 FROM feedback_task r WHERE r.lead_id = {lead}.id AND r.kind = 'repair'
                      AND r.created_at <= {at} AND (r.done_at IS NULL OR r.done_at > {at})) THEN 'repair list'
         WHEN p.stage IN ('nurturing', 'mql', 'prospect', 'conversion') THEN p.stage
    END FROM (SELECT {stage} AS stage, {state} AS state OFFSET 0) p)"""


CHECKS: dict[str, str] = {
    # A lead whose stage and rows name no place at all.
    "lead: is in no place": f"SELECT l.id {PLACES_FROM} WHERE ({PLACE}) IS NULL",
    "lead: its place by the rows is not its place by the ledgers": f"""
        SELECT l.id {PLACES_FROM}
        WHERE ({PLACE}) IS DISTINCT FROM {place_at("l", "'infinity'::timestamptz")}""",
    "lead: its stage is not the last line of its ledger": """
        SELECT l.id FROM leads_lead l LEFT JOIN LATERAL (
            SELECT to_stage FROM leads_stagechange s WHERE s.lead_id = l.id ORDER BY at DESC, id DESC LIMIT 1
        ) s ON true
        WHERE l.stage IS DISTINCT FROM s.to_stage""",
    "lead: a line of its stage ledger does not start where the one before ended": """
        SELECT DISTINCT lead_id FROM (
            SELECT lead_id, from_stage,
                   lag(to_stage, 1, '') OVER (PARTITION BY lead_id ORDER BY at, id) AS before
            FROM leads_stagechange
        ) s WHERE from_stage <> before""",
    "lead: its score is not the last line of its ledger": """
        SELECT s.lead_id FROM scoring_leadscore s LEFT JOIN LATERAL (
            SELECT fit, behaviour, value, total, grade FROM scoring_scorechange c
            WHERE c.lead_id = s.lead_id ORDER BY at DESC, id DESC LIMIT 1
        ) c ON true
        WHERE NOT s.preview
          AND (s.fit, s.behaviour, s.value, s.total, s.grade)
              IS DISTINCT FROM (c.fit, c.behaviour, c.value, c.total, c.grade)""",
    "lead: is with sales by its stage, but no handoff is open and none waits for room": f"""
        SELECT l.id {PLACES_FROM}
        WHERE l.stage IN ('sql', 'opportunity') AND h.state IS NULL AND w.id IS NULL AND NOT EXISTS (
            SELECT 1 FROM scoring_crossing c WHERE c.lead_id = l.id AND c.handled_at IS NULL)""",
    "lead: a handoff is open, but its stage does not say so": f"""
        SELECT l.id {PLACES_FROM}
        WHERE h.state IS NOT NULL AND l.stage NOT IN ('sql', 'opportunity', 'customer')""",
    "lead: waits for room and is with sales at once": f"""
        SELECT l.id {PLACES_FROM} WHERE h.state IS NOT NULL AND w.id IS NOT NULL""",
    "lead: nurturing without a date on which somebody looks again": """
        SELECT l.id FROM leads_lead l WHERE l.stage = 'nurturing' AND l.review_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM scoring_hold d WHERE d.lead_id = l.id AND d.ended_at IS NULL
                          AND (d.until IS NOT NULL OR d.closes))
          AND NOT EXISTS (SELECT 1 FROM feedback_enrolment e WHERE e.lead_id = l.id AND e.ended_at IS NULL
                          AND e.next_step_at IS NOT NULL)
          AND NOT EXISTS (SELECT 1 FROM feedback_task t WHERE t.lead_id = l.id AND t.done_at IS NULL)""",
    "lead: with marketing without a date on which somebody looks again": """
        SELECT l.id FROM leads_lead l
        WHERE l.stage IN ('conversion', 'prospect', 'mql') AND l.review_at IS NULL
          AND l.merged_into_id IS NULL AND l.erased_at IS NULL""",
    "handoff: its state is not the last line of its ledger": """
        SELECT h.id FROM handoff_handoff h LEFT JOIN LATERAL (
            SELECT to_state FROM handoff_transition t WHERE t.handoff_id = h.id
            ORDER BY at DESC, id DESC LIMIT 1
        ) t ON true
        WHERE h.state IS DISTINCT FROM t.to_state""",
    "handoff: its owner has left": """
        SELECT h.id FROM handoff_handoff h JOIN accounts_user u ON u.id = h.owner_id
        WHERE h.state IN ('offered','accepted','working','opportunity') AND NOT u.is_active""",
    "handoff: nobody owns it and it is in no pool": """
        SELECT id FROM handoff_handoff WHERE state IN ('offered','accepted','working','opportunity')
          AND owner_id IS NULL AND NOT pool""",
    "handoff: it promises something, but no clock runs": """
        SELECT id FROM handoff_handoff
        WHERE state IN ('offered', 'accepted', 'working') AND sla_tick_at IS NULL""",
    "handoff: its clock should have been looked at": """
        SELECT id FROM handoff_handoff WHERE sla_tick_at < %(at)s - make_interval(mins => %(patience)s)""",
    "crossing: waits too long for a handoff": """
        SELECT id FROM scoring_crossing
        WHERE handled_at IS NULL AND at < %(at)s - make_interval(mins => %(patience)s)""",
    "lead: changed and was not scored": """
        SELECT DISTINCT lead_id FROM leads_leadchanged
        WHERE recorded_at < %(at)s - make_interval(mins => %(patience)s)""",
    "lead: was won and its company has not heard of it": """
        SELECT DISTINCT lead_id FROM leads_customersignal
        WHERE recorded_at < %(at)s - make_interval(mins => %(patience)s)""",
    "outcome: names a lead that is not a customer": """
        SELECT o.id FROM leads_outcome o JOIN leads_lead l ON l.id = o.lead_id
        WHERE o.kind = 'won' AND o.voided_at IS NULL AND o.replaced_by_id IS NULL
          AND l.stage NOT IN ('customer', 'excluded') AND l.merged_into_id IS NULL AND l.erased_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM leads_outcome c WHERE c.lead_id = o.lead_id AND c.at >= o.at
                          AND c.kind = 'churned' AND c.voided_at IS NULL)""",
    # Rows of leads about which nothing was written since they were kept.
    "lead: its kept steps are not what its ledgers say": """
        WITH mark AS (SELECT (figures ->> 'mark')::timestamptz AS at FROM feedback_reportrollup
                      WHERE report = 'journeys' AND figures ->> 'mark' IS NOT NULL),
        mql AS (SELECT lead_id, min(at) AS at FROM leads_stagechange
                WHERE to_stage IN ('mql', 'sql') GROUP BY 1),
        said AS (SELECT lead_id, min(at) FILTER (WHERE kind = 'offered') AS offered,
                        min(at) FILTER (WHERE kind = 'accepted') AS accepted
                 FROM leads_answer WHERE voided_at IS NULL GROUP BY 1),
        deal AS (SELECT lead_id, min(at) AS opportunity, min(at) FILTER (WHERE kind = 'won') AS customer
                 FROM leads_outcome WHERE kind IN ('opportunity', 'won') AND voided_at IS NULL
                   AND replaced_by_id IS NULL GROUP BY 1)
        SELECT l.id FROM mark JOIN leads_lead l ON l.changed_at <= mark.at
        LEFT JOIN feedback_leadjourney j ON j.lead_id = l.id LEFT JOIN mql ON mql.lead_id = l.id
        LEFT JOIN said ON said.lead_id = l.id LEFT JOIN deal ON deal.lead_id = l.id
        LEFT JOIN handoff_handoff o ON o.lead_id = l.id
             AND o.state IN ('offered', 'accepted', 'working', 'opportunity')
        WHERE (j.created_at, j.first_source, j.stage, j.open_state, j.mql_at, j.offered_at, j.accepted_at,
               j.opportunity_at, j.customer_at) IS DISTINCT FROM
              (l.created_at, l.first_source, l.stage, coalesce(o.state, ''), mql.at, said.offered,
               said.accepted, deal.opportunity, deal.customer)
          AND NOT EXISTS (SELECT 1 FROM handoff_handoff h WHERE h.lead_id = l.id AND h.changed_at > mark.at)
          AND NOT EXISTS (SELECT 1 FROM leads_outcome o WHERE o.lead_id = l.id
                          AND (o.recorded_at > mark.at OR o.voided_at > mark.at))""",
    "day: its kept sums are not those of its leads": """
        SELECT (to_char(coalesce(d.day, j.day), 'YYYYMMDD'))::bigint FROM (
            SELECT day, sum(leads) AS leads, sum(mql) AS mql, sum(offered) AS offered,
                   sum(accepted) AS accepted, sum(opportunity) AS opportunity, sum(customer) AS customer
            FROM feedback_journeyday GROUP BY day) d
        FULL JOIN (
            SELECT (created_at AT TIME ZONE (r.figures ->> 'zone'))::date AS day, count(*) AS leads,
                   count(mql_at) AS mql, count(offered_at) AS offered, count(accepted_at) AS accepted,
                   count(opportunity_at) AS opportunity, count(customer_at) AS customer
            FROM feedback_leadjourney CROSS JOIN feedback_reportrollup r
            WHERE r.report = 'journeys' AND NOT gone GROUP BY 1) j ON j.day = d.day
        WHERE (d.leads, d.mql, d.offered, d.accepted, d.opportunity, d.customer) IS DISTINCT FROM
              (j.leads, j.mql, j.offered, j.accepted, j.opportunity, j.customer)
          AND EXISTS (SELECT 1 FROM feedback_reportrollup
                      WHERE report = 'journeys' AND figures ->> 'zone' IS NOT NULL)""",
    # As long as no zone is said, sums wait to be made anew and nobody reads them.
    "week: how long its leads took is not what their kept steps say": """
        WITH zone AS (SELECT figures ->> 'zone' AS name FROM feedback_reportrollup
                      WHERE report = 'journeys' AND figures ->> 'zone' IS NOT NULL),
        took AS (
            SELECT 'mql' AS span, j.*, mql_at - created_at AS time FROM feedback_leadjourney j
            UNION ALL SELECT 'offered', j.*, offered_at - mql_at FROM feedback_leadjourney j
            UNION ALL SELECT 'accepted', j.*, accepted_at - offered_at FROM feedback_leadjourney j
            UNION ALL SELECT 'opportunity', j.*, opportunity_at - accepted_at FROM feedback_leadjourney j
                      WHERE NOT undated
            UNION ALL SELECT 'customer', j.*, nullif(customer_at - opportunity_at, interval '0')
                      FROM feedback_leadjourney j WHERE NOT undated
            UNION ALL SELECT 'whole', j.*, customer_at - created_at FROM feedback_leadjourney j
                      WHERE NOT undated),
        counted AS (
            SELECT date_trunc('week', created_at AT TIME ZONE zone.name)::date AS week, first_source,
                   coalesce(first_campaign_id, 0) AS first_campaign_id, persona, span,
                   CASE WHEN time < interval '10 days' THEN round(extract(epoch FROM time) / 8640)
                        ELSE 10 * round(extract(epoch FROM time) / 86400) END::int AS tenths, count(*) AS n
            FROM took CROSS JOIN zone WHERE NOT gone AND time >= interval '0' GROUP BY 1, 2, 3, 4, 5, 6)
        SELECT DISTINCT to_char(coalesce(w.week, c.week), 'YYYYMMDD')::bigint FROM feedback_spanweek w
        FULL JOIN counted c USING (week, first_source, first_campaign_id, persona, span, tenths)
        WHERE w.n IS DISTINCT FROM c.n AND EXISTS (SELECT 1 FROM zone)""",
    "handoff: what is kept of it is not what its ledgers say": """
        WITH mark AS (SELECT (figures ->> 'mark')::timestamptz AS at FROM feedback_reportrollup
                      WHERE report = 'journeys' AND figures ->> 'mark' IS NOT NULL),
        said AS (SELECT handoff_id, min(at) FILTER (WHERE kind = 'accepted') AS accepted,
                        min(at) FILTER (WHERE kind <> 'accepted') AS refused
                 FROM leads_answer WHERE voided_at IS NULL AND kind IN ('accepted', 'rejected', 'returned')
                 GROUP BY 1),
        won AS (SELECT h.id, min(o.at) AS at, sum(o.amount) AS amount
                FROM handoff_handoff h JOIN leads_outcome o ON o.lead_id = h.lead_id
                  AND o.at >= h.first_offered_at AND o.kind = 'won' AND o.voided_at IS NULL
                  AND o.replaced_by_id IS NULL GROUP BY 1)
        SELECT h.id FROM mark JOIN handoff_handoff h ON h.changed_at <= mark.at
        JOIN leads_lead l ON l.id = h.lead_id AND l.changed_at <= mark.at
        LEFT JOIN feedback_handoverkept k ON k.handoff_id = h.id
        LEFT JOIN said ON said.handoff_id = h.id LEFT JOIN won ON won.id = h.id
        WHERE (k.lead_id, k.owner_id, k.team_id, k.offered_at, k.touched_at, k.reached_at, k.accepted_at,
               k.refused_at, k.customer_at, k.revenue) IS DISTINCT FROM (h.lead_id, h.owner_id, h.team_id,
               h.first_offered_at, h.first_touch_at, h.reached_at, said.accepted, said.refused, won.at,
               won.amount)
          AND NOT EXISTS (SELECT 1 FROM leads_outcome o WHERE o.lead_id = h.lead_id
                          AND (o.recorded_at > mark.at OR o.voided_at > mark.at))""",
    "answer: what is kept of it is not what was said": """
        WITH mark AS (SELECT (figures ->> 'mark')::timestamptz AS at FROM feedback_reportrollup
                      WHERE report = 'journeys' AND figures ->> 'mark' IS NOT NULL),
        stands AS (
            SELECT a.id, a.lead_id, a.handoff_id, a.kind, a.reason_key, a.reason_kind, a.rep_id, a.at,
                   l.first_source, l.first_campaign_id, h.team_id, h.agreement_id,
                   concat(h.frozen -> 'persona' ->> 'key',
                          CASE h.frozen -> 'persona' ->> 'ideal' WHEN 'false' THEN '~' END) AS persona,
                   coalesce(h.frozen -> 'persona' ->> 'name', '') AS persona_name
            FROM leads_answer a JOIN leads_lead l ON l.id = a.lead_id
            LEFT JOIN handoff_handoff h ON h.id = a.handoff_id
            WHERE a.kind <> 'offered' AND a.voided_at IS NULL)
        SELECT coalesce(s.id, k.answer_id) FROM stands s
        FULL JOIN feedback_answerkept k ON k.answer_id = s.id CROSS JOIN mark
        WHERE (k.lead_id, k.handoff_id, k.kind, k.reason_key, k.reason_kind, k.rep_id, k.at, k.first_source,
               k.first_campaign_id, k.team_id, k.agreement_id, k.persona, k.persona_name) IS DISTINCT FROM
              (s.lead_id, s.handoff_id, s.kind, s.reason_key, s.reason_kind, s.rep_id, s.at, s.first_source,
               s.first_campaign_id, s.team_id, s.agreement_id, s.persona, s.persona_name)
          AND NOT EXISTS (SELECT 1 FROM leads_lead l WHERE l.id = coalesce(s.lead_id, k.lead_id)
                          AND l.changed_at > mark.at)
          AND NOT EXISTS (SELECT 1 FROM handoff_handoff h WHERE h.lead_id = coalesce(s.lead_id, k.lead_id)
                          AND h.changed_at > mark.at)""",
    # Each rule has twenty digits of the number: eight for how many lines, twelve for hundredths of points.
    "handoff: the kept lines are not those of its offer": """
        WITH line AS (
            SELECT h.id, one ->> 'criterion' AS rule, (one ->> 'points')::numeric AS points
            FROM feedback_handoverkept k JOIN handoff_handoff h ON h.id = k.handoff_id
                 AND jsonb_typeof(h.frozen -> 'explanation') = 'array',
                 jsonb_path_query(h.frozen, '$.explanation[*]') one),
        placed AS MATERIALIZED (
            SELECT *, rpad('1', 1 + 20 * place, '0')::numeric AS unit FROM feedback_lineplace),
        frozen AS (
            SELECT line.id, array_agg(p.place ORDER BY p.place) AS places,
                   sum((10 ^ 12::numeric + round(100 * abs(points))) * p.unit) AS lines
            FROM line JOIN placed p ON p.criterion = rule AND p.took = (points < 0)
            WHERE points <> 0 AND rule NOT IN ('', 'limit', 'rounding', 'limit of the total')
            GROUP BY line.id)
        SELECT k.handoff_id FROM feedback_handoverkept k LEFT JOIN frozen f ON f.id = k.handoff_id
        LEFT JOIN feedback_handoverlines v ON v.handoff_id = k.handoff_id
        WHERE (coalesce(v.lines, 0), (SELECT array_agg(place ORDER BY place) FROM unnest(v.places) AS place))
              IS DISTINCT FROM (coalesce(f.lines, 0), f.places)""",
    "week: its sums of answers are not those of the kept ones": """
        WITH zone AS (SELECT figures ->> 'zone' AS name FROM feedback_reportrollup
                      WHERE report = 'journeys' AND figures ->> 'zone' IS NOT NULL),
        kept AS (
            SELECT date_trunc('week', k.at AT TIME ZONE zone.name)::date AS week, k.kind, k.reason_key,
                   k.kind = 'rejected' AND k.reason_kind = ANY('{fit,timing,person}') AS judged,
                   v.lines, k.places,
                   jsonb_build_object('', '', 'source', first_source, 'campaign', first_campaign_id,
                       'persona', nullif(persona, ''), 'team', team_id, 'version', agreement_id,
                       'rep', rep_id) AS found
            FROM feedback_answerkept k CROSS JOIN zone
            LEFT JOIN feedback_handoverlines v ON v.handoff_id = k.handoff_id),
        counted AS (
            SELECT week, by, key, kind, reason_key, judged, count(*) AS n, coalesce(sum(lines), 0) AS lines
            FROM (
                SELECT kept.*, f.key AS by, f.value AS key FROM kept, jsonb_each_text(found) f
                UNION ALL SELECT kept.*, 'criterion', place::text FROM kept, unnest(places) AS place) r
            WHERE key IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6)
        SELECT DISTINCT to_char(coalesce(w.week, c.week), 'YYYYMMDD')::bigint FROM feedback_answerweek w
        FULL JOIN counted c USING (week, by, key, kind, reason_key, judged)
        WHERE (w.n, w.lines) IS DISTINCT FROM (c.n, c.lines) AND EXISTS (SELECT 1 FROM zone)""",
    "week: its sums of leads handed over are not those of the kept ones": """
        WITH zone AS (SELECT figures ->> 'zone' AS name FROM feedback_reportrollup
                      WHERE report = 'journeys' AND figures ->> 'zone' IS NOT NULL),
        counted AS (
            SELECT date_trunc('week', k.offered_at AT TIME ZONE zone.name)::date AS week, f.key AS by,
                   f.value AS key, num_nonnulls(k.accepted_at) = 1 AS accepted,
                   num_nonnulls(k.refused_at) = 1 AS refused, num_nonnulls(k.customer_at) = 1 AS customer,
                   count(*) AS n, coalesce(sum(v.lines), 0) AS lines
            FROM feedback_handoverkept k CROSS JOIN zone
            LEFT JOIN feedback_handoverlines v ON v.handoff_id = k.handoff_id
            CROSS JOIN LATERAL jsonb_each_text(jsonb_build_object(
                '', '', 'source', first_source, 'campaign', first_campaign_id, 'persona', nullif(persona, ''),
                'team', team_id, 'version', agreement_id)) f
            WHERE k.alone AND NOT k.gone AND f.value IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6)
        SELECT DISTINCT to_char(coalesce(w.week, c.week), 'YYYYMMDD')::bigint FROM feedback_handedweek w
        FULL JOIN counted c USING (week, by, key, accepted, refused, customer)
        WHERE (w.n, w.lines) IS DISTINCT FROM (c.n, c.lines) AND EXISTS (SELECT 1 FROM zone)""",
    # A promise names its row in the results.
    "promise: what is kept of it is not what its result says": """
        WITH mark AS (SELECT (figures ->> 'mark')::timestamptz AS at FROM feedback_reportrollup
                      WHERE report = 'journeys' AND figures ->> 'mark' IS NOT NULL),
        ended AS (
            SELECT r.id, h.lead_id, r.scope = 'holder' AS of_holder,
                   CASE r.promise WHEN 'acceptance' THEN 0 WHEN 'first_touch' THEN 1 ELSE 2 END AS promise,
                   r.result = 'met' AS met, r.holder_id, r.team_id, h.agreement_id, r.due, h.first_offered_at,
                   h.reached_at, h.grade, l.first_source, l.first_campaign_id
            FROM handoff_slaresult r JOIN handoff_handoff h ON h.id = r.handoff_id
            JOIN leads_lead l ON l.id = h.lead_id
            WHERE r.voided_at IS NULL AND r.finished_at IS NOT NULL AND r.result <> 'cancelled')
        SELECT coalesce(e.id, k.result_id) FROM ended e
        FULL JOIN feedback_promisekept k ON k.result_id = e.id CROSS JOIN mark
        WHERE (k.lead_id, k.of_holder, k.promise, k.met, k.holder_id, k.team_id, k.agreement_id, k.due,
               k.offered_at, k.reached_at, k.grade, k.first_source, k.first_campaign_id) IS DISTINCT FROM
              (e.lead_id, e.of_holder, e.promise, e.met, e.holder_id, e.team_id, e.agreement_id, e.due,
               e.first_offered_at, e.reached_at, e.grade, e.first_source, e.first_campaign_id)
          AND NOT EXISTS (SELECT 1 FROM leads_lead l WHERE l.id = coalesce(e.lead_id, k.lead_id)
                          AND l.changed_at > mark.at)
          AND NOT EXISTS (SELECT 1 FROM handoff_handoff h WHERE h.lead_id = coalesce(e.lead_id, k.lead_id)
                          AND h.changed_at > mark.at)""",
    "week: its sums of promises are not those of the kept ones": """
        WITH zone AS (SELECT figures ->> 'zone' AS name FROM feedback_reportrollup
                      WHERE report = 'journeys' AND figures ->> 'zone' IS NOT NULL),
        kept AS (SELECT k.*, date_trunc('week', k.due AT TIME ZONE zone.name)::date AS week,
                        extract(hour FROM k.offered_at AT TIME ZONE zone.name)::text AS hour
                 FROM feedback_promisekept k CROSS JOIN zone),
        counted AS (
            SELECT week, '' AS narrow, '' AS value, 'all' AS by, '0' AS key, met, reached_at FROM kept
            UNION ALL SELECT week, '', '', 'rep', coalesce(holder_id, 0)::text, met, reached_at FROM kept
                      WHERE of_holder
            UNION ALL SELECT week, '', '', 'team', coalesce(team_id, 0)::text, met, reached_at FROM kept
                      WHERE NOT of_holder
            UNION ALL SELECT week, '', '', 'grade', CASE grade WHEN '' THEN 'none' ELSE grade END, met,
                      reached_at FROM kept WHERE NOT of_holder
            UNION ALL SELECT week, '', '', 'hour', hour, met, reached_at FROM kept WHERE NOT of_holder
            UNION ALL SELECT week, 'source', first_source, 'all', '0', met, reached_at FROM kept
            UNION ALL SELECT week, 'campaign', first_campaign_id::text, 'all', '0', met, reached_at FROM kept
                      WHERE first_campaign_id IS NOT NULL
            UNION ALL SELECT week, 'persona', persona, 'all', '0', met, reached_at FROM kept
                      WHERE persona <> ''
            UNION ALL SELECT week, 'team', team_id::text, 'all', '0', met, reached_at FROM kept
                      WHERE team_id IS NOT NULL
            UNION ALL SELECT week, 'version', agreement_id::text, 'all', '0', met, reached_at FROM kept
                      WHERE agreement_id IS NOT NULL),
        anew AS (SELECT week, narrow, value, by, key, count(*) FILTER (WHERE met) AS met,
                        count(*) FILTER (WHERE NOT met) AS missed, count(reached_at) AS reached
                 FROM counted GROUP BY 1, 2, 3, 4, 5),
        sums AS (SELECT week, narrow, value, by, key, sum(met) AS met, sum(missed) AS missed,
                        sum(reached) AS reached
                 FROM feedback_promiseweek WHERE narrow = '' OR by = 'all' GROUP BY 1, 2, 3, 4, 5)
        SELECT DISTINCT to_char(week, 'YYYYMMDD')::bigint FROM sums s
        FULL JOIN anew a USING (week, narrow, value, by, key)
        WHERE (s.met, s.missed, s.reached) IS DISTINCT FROM (a.met, a.missed, a.reached)
          AND EXISTS (SELECT 1 FROM zone)""",
    "place: the books of a day do not add up": """
        SELECT id FROM feedback_reportrollup WHERE report = 'places'
          AND (figures ->> 'opening')::int + (figures ->> 'in')::int - (figures ->> 'out')::int
              <> (figures ->> 'closing')::int""",
    "task: nobody and no team is to do it": """
        SELECT id FROM feedback_task WHERE done_at IS NULL AND owner_id IS NULL AND team_id IS NULL""",
}


def strays(at: datetime) -> Iterator[Stray]:
    """Everything that does not add up at `at`; nothing when the books balance."""
    with connection.cursor() as cursor:
        for name, statement in CHECKS.items():
            subject, _, problem = name.partition(": ")
            cursor.execute(f"{statement} ORDER BY 1", {"at": at, "patience": PATIENCE_MINUTES})
            yield from (Stray(subject, row[0], problem) for row in cursor.fetchall())


def places() -> dict[str, int]:
    """How many leads stand in each place now; together they are all leads."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {PLACE} AS place, count(*) {PLACES_FROM} GROUP BY 1")
        found = dict(cursor.fetchall())
    return {place: found.get(place, 0) for place in PLACES} | {
        k or "nowhere": v for k, v in found.items() if k not in PLACES
    }
