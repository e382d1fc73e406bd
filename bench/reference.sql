-- The agreement of bench/agreement.py as somebody would write it by hand for one moment: the same points, caps
-- and limits for a day, without history, bars or explanation. Parameters: at, first and last id.
WITH days AS (
    -- What counts by calendar day: looks at the site, and questions.
    SELECT a.lead_id, (a.occurred_at AT TIME ZONE 'Europe/Berlin')::date AS day,
        bool_or(k.key <> 'question' AND a.occurred_at > %(at)s - interval '720 hours') AS visit,
        bool_or(k.key = 'page_view' AND a.path LIKE '/careers%%' AND a.occurred_at > %(at)s - interval '2160 hours') AS career,
        max(round((5 * 0.5::float8 ^ (date_part('day', %(at)s - a.occurred_at) / 14))::numeric, 2))
            FILTER (WHERE k.key = 'page_view' AND a.path LIKE '/pricing%%') AS b3,
        max(round((6 * 0.5::float8 ^ (date_part('day', %(at)s - a.occurred_at) / 14))::numeric, 2))
            FILTER (WHERE k.key = 'question') AS b7
    FROM leads_activity a JOIN leads_activitykind k ON k.id = a.kind_id
    WHERE a.lead_id BETWEEN %(first)s AND %(last)s AND a.occurred_at <= %(at)s
        AND k.key IN ('page_view', 'visit', 'question')
    GROUP BY 1, 2
), by_day AS (
    SELECT lead_id, count(*) FILTER (WHERE visit) AS visits, count(*) FILTER (WHERE career) AS careers,
        least(15, coalesce(sum(b3), 0)) AS b3, least(12, coalesce(sum(b7), 0)) AS b7
    FROM days GROUP BY lead_id
), did AS (
    SELECT a.lead_id,
        min(date_part('day', %(at)s - a.occurred_at)) FILTER (WHERE k.key = 'demo_requested') AS demo,
        min(date_part('day', %(at)s - a.occurred_at)) FILTER (WHERE k.key = 'trial_started') AS trial,
        min(date_part('day', %(at)s - a.occurred_at)) FILTER (WHERE k.key = 'email_unsubscribed') AS gone,
        least(16, coalesce(sum(round((8 * 0.5::float8 ^ (date_part('day', %(at)s - a.occurred_at) / 30))::numeric, 2))
            FILTER (WHERE k.key = 'webinar_attended'), 0)) AS b5,
        least(15, coalesce(sum(round((5 * greatest(0, 60 - date_part('day', %(at)s - a.occurred_at)) / 60)::numeric, 2))
            FILTER (WHERE k.key = 'download_buying' AND a.occurred_at > %(at)s - interval '2880 hours'), 0)) AS b6
    FROM leads_activity a JOIN leads_activitykind k ON k.id = a.kind_id
    WHERE a.lead_id BETWEEN %(first)s AND %(last)s AND a.occurred_at <= %(at)s
        AND k.key IN ('demo_requested', 'trial_started', 'email_unsubscribed', 'webinar_attended', 'download_buying')
    GROUP BY a.lead_id
), mail AS (
    SELECT a.lead_id, count(DISTINCT a.message_key) FILTER (WHERE k.key = 'email_clicked') AS clicked,
        count(DISTINCT a.message_key) FILTER (WHERE k.key = 'email_sent') AS sent
    FROM leads_activity a JOIN leads_activitykind k ON k.id = a.kind_id
    WHERE a.lead_id BETWEEN %(first)s AND %(last)s AND a.occurred_at <= %(at)s
        AND a.occurred_at > %(at)s - interval '2160 hours' AND a.message_key <> ''
        AND k.key IN ('email_clicked', 'email_sent')
    GROUP BY a.lead_id
), facts AS (
    SELECT l.id, l.stage, c.employees, c.is_target, c.customer_since,
        CASE WHEN jsonb_typeof(l.custom->'seats_wanted') = 'number' THEN (l.custom->>'seats_wanted')::numeric END AS seats,
        CASE WHEN jsonb_typeof(l.custom->'budget') = 'number' THEN (l.custom->>'budget')::numeric END AS budget,
        l.custom_keys->>'buys' AS buys,
        CASE WHEN l.title_words ~ ' (ceo|cfo|cto|cio|coo|chief|president|owner|founder|vp|vice president) '
                AND l.title_words NOT LIKE '%% product owner %%' THEN 15
            WHEN l.title_words ~ ' (director|head) ' THEN 12
            WHEN l.title_words ~ ' (manager|lead) ' THEN 6 ELSE 0 END
        + CASE WHEN l.title_words ~ ' (purchasing|procurement|buyer) ' THEN 4 ELSE 0 END
        + CASE WHEN l.title_words ~ ' (it|engineering|operations) ' THEN 3 ELSE 0 END
        - CASE WHEN l.title_words ~ ' (assistant|trainee|clerk) ' THEN 8 ELSE 0 END
        - CASE WHEN l.title_key = '' THEN 2 ELSE 0 END
        + CASE WHEN c.employees < 10 THEN -10 WHEN c.employees < 50 THEN 4 WHEN c.employees <= 1000 THEN 12
            WHEN c.employees <= 5000 THEN 8 WHEN c.employees > 5000 THEN 4 ELSE 0 END
        + CASE WHEN c.revenue > 50000000 THEN 5 WHEN c.revenue >= 5000000 THEN 3 ELSE 0 END
        + CASE WHEN c.industry_key IN ('software', 'financial services', 'manufacturing', 'logistics') THEN 6
            WHEN c.industry_key IN ('government', 'education') THEN -6 ELSE 0 END
        + CASE WHEN l.country_key IN ('germany', 'de', 'austria', 'france') THEN 4 WHEN l.country_key <> '' THEN -20 ELSE 0 END
        + CASE WHEN l.city_key IN ('berlin', 'vienna', 'lyon') THEN 2 ELSE 0 END
        + CASE WHEN l.email_domain = 'gmail.com' THEN -5 WHEN l.email_domain NOT IN ('', 'mailinator.com') THEN 3 ELSE 0 END
        + CASE WHEN l.first_source_key IN ('referral', 'partner') THEN 3 ELSE 0 END
        - CASE WHEN l.first_source_key LIKE '%%list%%' THEN 3 ELSE 0 END
        + CASE WHEN l.phone_key <> '' THEN 1 ELSE 0 END AS fit
    FROM leads_lead l LEFT JOIN leads_company c ON c.id = l.company_id
    WHERE l.id BETWEEN %(first)s AND %(last)s
), sums AS (
    SELECT f.id, f.fit,
        CASE WHEN seats >= 200 THEN 12 WHEN seats >= 50 THEN 8 WHEN seats >= 10 THEN 4 ELSE 0 END
        + CASE WHEN seats IS NULL AND employees >= 200 THEN 4 ELSE 0 END
        + CASE WHEN customer_since <= %(at)s AND stage <> 'customer' THEN 8 ELSE 0 END
        + CASE WHEN is_target THEN 6 ELSE 0 END
        + CASE WHEN budget >= 20000 THEN 5 ELSE 0 END
        + CASE WHEN buys IN ('this quarter', 'now') THEN 3 ELSE 0 END AS value,
        coalesce(round((25 * 0.5::float8 ^ (demo / 30))::numeric, 2), 0)
        + coalesce(round((25 * 0.5::float8 ^ (trial / 30))::numeric, 2), 0)
        + coalesce(b3, 0) + coalesce(b5, 0) + coalesce(b6, 0) + coalesce(b7, 0)
        + CASE WHEN visits >= 5 THEN 10 WHEN visits >= 3 THEN 6 WHEN visits >= 2 THEN 3 ELSE 0 END
        + CASE WHEN m.sent >= 2 AND m.clicked >= 0.2 * m.sent THEN 6 ELSE 0 END
        - CASE WHEN gone < 180 THEN 15 ELSE 0 END
        - CASE WHEN careers >= 2 THEN 10 ELSE 0 END AS behaviour
    FROM facts f LEFT JOIN by_day y ON y.lead_id = f.id LEFT JOIN did d ON d.lead_id = f.id
        LEFT JOIN mail m ON m.lead_id = f.id
), capped AS (
    SELECT id, least(40, greatest(-30, fit)) AS fit, round(least(40, greatest(-15, behaviour))) AS behaviour,
        least(20, greatest(0, value)) AS value
    FROM sums
)
INSERT INTO bench_totals
SELECT id, fit, behaviour, value, least(100, greatest(0, fit + behaviour + value)) AS total FROM capped
