-- The sample agreement (tests/scoring/sample.py) as somebody would write it by hand for one moment: the same
-- points, caps and per-day limits, without history, bars or explanation. Parameters: at, first and last id.
WITH acts AS (
    SELECT a.lead_id, (a.occurred_at AT TIME ZONE 'Europe/Berlin')::date AS day, k.key, a.path, a.message_key,
        a.occurred_at, date_part('day', %(at)s - a.occurred_at)::int AS age
    FROM leads_activity a JOIN leads_activitykind k ON k.id = a.kind_id
    WHERE a.lead_id BETWEEN %(first)s AND %(last)s AND a.occurred_at <= %(at)s
), days AS (
    SELECT lead_id, day,
        bool_or(key IN ('page_view', 'visit') AND occurred_at > %(at)s - interval '720 hours') AS visit,
        bool_or(key = 'page_view' AND path LIKE '/careers%%' AND occurred_at > %(at)s - interval '2160 hours')
            AS career,
        max(round((5 * 0.5::float8 ^ (age / 14::float8))::numeric, 2)) FILTER (WHERE key = 'page_view' AND path LIKE '/pricing%%') AS b3,
        max(round((1 * 0.5::float8 ^ (age / 14::float8))::numeric, 2)) FILTER (WHERE key = 'email_clicked') AS b10,
        sum(round((8 * 0.5::float8 ^ (age / 30::float8))::numeric, 2)) FILTER (WHERE key = 'webinar_attended') AS b5,
        sum(round((5 * 0.5::float8 ^ (age / 30::float8))::numeric, 2)) FILTER (WHERE key = 'download_buying') AS b7,
        sum(round((3 * 0.5::float8 ^ (age / 30::float8))::numeric, 2)) FILTER (WHERE key = 'download_educational') AS b8,
        sum(round((3 * 0.5::float8 ^ (age / 30::float8))::numeric, 2)) FILTER (WHERE key = 'social_share') AS b11,
        sum(round((6 * 0.5::float8 ^ (age / 14::float8))::numeric, 2)) FILTER (WHERE key = 'question') AS b12,
        min(age) FILTER (WHERE key = 'demo_requested') AS demo,
        min(age) FILTER (WHERE key = 'trial_started') AS trial,
        min(age) FILTER (WHERE key = 'show_talk') AS talk,
        min(age) FILTER (WHERE key = 'email_unsubscribed') AS gone,
        min(age) FILTER (WHERE key = 'webinar_registered' AND occurred_at > %(at)s - interval '2160 hours')
            AS registered,
        bool_or(key = 'webinar_attended' AND occurred_at > %(at)s - interval '2160 hours') AS attended,
        min(age) FILTER (WHERE key = 'show_scan') AS scan,
        min(age) FILTER (WHERE key = 'social_follow') AS follow
    FROM acts GROUP BY lead_id, day
), did AS (
    SELECT lead_id, count(*) FILTER (WHERE visit) AS visits, count(*) FILTER (WHERE career) AS careers,
        least(15, coalesce(sum(b3), 0)) AS b3, least(4, coalesce(sum(b10), 0)) AS b10, least(16, coalesce(sum(b5), 0)) AS b5, least(15, coalesce(sum(b7), 0)) AS b7,
        least(6, coalesce(sum(b8), 0)) AS b8, least(6, coalesce(sum(b11), 0)) AS b11, least(12, coalesce(sum(b12), 0)) AS b12, min(demo) AS demo,
        min(trial) AS trial, min(talk) AS talk, min(gone) AS gone, min(registered) AS registered,
        bool_or(attended) AS attended, min(scan) AS scan, min(follow) AS follow
    FROM days GROUP BY lead_id
), mail AS (
    SELECT lead_id, count(DISTINCT message_key) FILTER (WHERE key = 'email_clicked') AS clicked,
        count(DISTINCT message_key) FILTER (WHERE key = 'email_sent') AS sent
    FROM acts WHERE message_key <> '' AND occurred_at > %(at)s - interval '2160 hours' GROUP BY lead_id
), facts AS (
    SELECT l.id, l.stage, c.employees, c.is_target, c.customer_since,
        CASE WHEN jsonb_typeof(l.custom->'seats_wanted') = 'number' THEN (l.custom->>'seats_wanted')::numeric END AS seats,
        CASE WHEN l.title_words ~ ' (ceo|cfo|cto|chief|president|owner|founder|vp|vice president) '
                AND l.title_words NOT LIKE '%% product owner %%' THEN 15
            WHEN l.title_words ~ ' (director|head) ' THEN 12
            WHEN l.title_words ~ ' (manager|lead) ' THEN 6 ELSE 0 END
        + CASE WHEN c.employees BETWEEN 50 AND 1000 THEN 12 WHEN c.employees BETWEEN 1001 AND 5000 THEN 8
            WHEN c.employees < 10 THEN -10 ELSE 0 END
        + CASE WHEN c.industry_key IN ('software', 'manufacturing') THEN 6 ELSE 0 END
        + CASE WHEN l.country_key IN ('germany', 'de', 'austria') THEN 4 WHEN l.country_key <> '' THEN -20 ELSE 0 END
        + CASE WHEN l.email_domain = 'gmail.com' THEN -5 WHEN l.email_domain NOT IN ('', 'mailinator.com') THEN 3
            ELSE 0 END AS fit
    FROM leads_lead l LEFT JOIN leads_company c ON c.id = l.company_id
    WHERE l.id BETWEEN %(first)s AND %(last)s
), sums AS (
    SELECT f.id, f.fit,
        CASE WHEN seats >= 200 THEN 12 WHEN seats >= 50 THEN 8 WHEN seats >= 10 THEN 4 ELSE 0 END
        + CASE WHEN seats IS NULL AND employees >= 200 THEN 4 ELSE 0 END
        + CASE WHEN customer_since <= %(at)s AND stage <> 'customer' THEN 8 ELSE 0 END
        + CASE WHEN is_target THEN 6 ELSE 0 END AS value,
        coalesce(b3, 0) + coalesce(b10, 0) + coalesce(b5, 0) + coalesce(b7, 0) + coalesce(b8, 0) + coalesce(b11, 0)
        + coalesce(b12, 0)
        + coalesce(round((25 * 0.5::float8 ^ (demo / 30::float8))::numeric, 2), 0) + coalesce(round((25 * 0.5::float8 ^ (trial / 30::float8))::numeric, 2), 0)
        + coalesce(round((8 * 0.5::float8 ^ (talk / 45::float8))::numeric, 2), 0)
        + CASE WHEN visits >= 5 THEN 10 WHEN visits >= 3 THEN 6 WHEN visits >= 2 THEN 3 ELSE 0 END
        + CASE WHEN m.sent >= 5 AND m.clicked >= 0.2 * m.sent THEN 6 ELSE 0 END
        - CASE WHEN gone < 180 THEN 15 ELSE 0 END - CASE WHEN careers >= 2 THEN 10 ELSE 0 END
        + CASE WHEN NOT attended THEN coalesce(round((2 * 0.5::float8 ^ (registered / 30::float8))::numeric, 2), 0) ELSE 0 END
        + CASE WHEN talk IS NULL THEN coalesce(round((2 * 0.5::float8 ^ (scan / 45::float8))::numeric, 2), 0) ELSE 0 END
        + coalesce(round((1 * 0.5::float8 ^ (follow / 30::float8))::numeric, 2), 0) AS behaviour
    FROM facts f LEFT JOIN did d ON d.lead_id = f.id LEFT JOIN mail m ON m.lead_id = f.id
), capped AS (
    SELECT id, least(40, greatest(-30, fit)) AS fit, round(least(40, greatest(-15, coalesce(behaviour, 0)))) AS behaviour,
        least(20, greatest(0, value)) AS value
    FROM sums
)
INSERT INTO bench_totals
SELECT id, fit, behaviour, value, least(100, greatest(0, fit + behaviour + value)) AS total FROM capped
