-- {leads} leads over two years and what became of them: every fifth ({handoffs} in all) was handed to sales.
-- The way of a lead follows from its number, so two runs lay down the same base.
INSERT INTO leads_campaign (name, code, source, cost, currency, message_for_sales, created_at)
SELECT 'Campaign ' || g, 'c' || g, (ARRAY['Website', 'Webinars', 'Trade shows', 'Paid search', 'Referrals'])[1 + g % 5],
    1000 * g, 'EUR', '', now() - interval '800 days' FROM generate_series(1, 20) g;
INSERT INTO leads_content (key, title, url, stage, persona_key, question, active)
SELECT 'p' || g, 'Piece ' || g, '', '', '', '', TRUE FROM generate_series(1, 40) g;
INSERT INTO accounts_team (name, kind, tz) SELECT 'Team ' || g, 'sales', 'Europe/Berlin' FROM generate_series(1, 4) g;
INSERT INTO accounts_user (password, email, name, role, team_id, tz, is_active, capacity_open, weight, theme, shortcuts, created_at)
SELECT '!', 'rep' || g || '@reports.example', 'Rep ' || g, 'rep', (SELECT min(id) FROM accounts_team WHERE name LIKE 'Team %') + g % 4,
    '', TRUE, 40, 1, 'auto', TRUE, now() FROM generate_series(1, 40) g;

CREATE TEMP TABLE way AS
SELECT g, now() - interval '730 days' + (g::float8 / {leads}) * interval '729 days' AS came,
    (hashint8(g) & 1023) AS dice, (hashint8(g * 7 + 1) & 1023) AS luck, (hashint8(g * 13 + 5) & 1023) AS wait
FROM generate_series(1, {leads}) g;

INSERT INTO leads_lead (name, name_key, email, email_key, email_domain, phone, phone_key, title, title_key, title_words,
    country, country_key, city, city_key, time_zone_country, first_source, first_source_key, first_campaign_id, custom,
    custom_keys, custom_words, stage, level, stage_since, sales_sourced, crm_url, external_owner, do_not_contact, review_at,
    created_at, changed_at)
SELECT 'L' || g, 'l' || g, 'l' || g || '@b.example', 'l' || g || '@b.example', 'b.example', '', '', 'Manager', 'manager', ' manager ',
    '', '', '', '', '', s, lower(s), (SELECT min(id) FROM leads_campaign) + g % 20, '{}', '{}', '{}',
    CASE WHEN g % 5 = 0 THEN CASE WHEN luck < 40 THEN 'customer' WHEN came > now() - interval '10 days' AND luck > 500 THEN 'sql'
        ELSE 'nurturing' END WHEN dice < 300 THEN 'mql' ELSE 'prospect' END, '', came + interval '3 days', FALSE, '', '', FALSE,
    now() + interval '60 days', came, least(came + interval '20 days', now() - interval '1 hour')
FROM (SELECT *, (ARRAY['Website', 'Webinars', 'Trade shows', 'Paid search', 'Referrals'])[1 + g % 5] AS s FROM way) w ORDER BY g;
ALTER TABLE way ADD COLUMN lead bigint;
UPDATE way SET lead = l.id FROM leads_lead l WHERE l.email_key = 'l' || g || '@b.example';
CREATE INDEX ON way (lead);

INSERT INTO leads_stagechange (lead_id, from_stage, to_stage, at, known_at, cause)
SELECT lead, '', 'conversion', came, came, 'bench' FROM way;
INSERT INTO leads_stagechange (lead_id, from_stage, to_stage, at, known_at, cause)
SELECT lead, 'conversion', CASE WHEN dice < 300 OR g % 5 = 0 THEN 'mql' ELSE 'prospect' END, at, at, 'bench'
FROM (SELECT *, came + wait * interval '10 minutes' AS at FROM way) w WHERE at < now();

CREATE TEMP TABLE given AS
SELECT *, came + wait * interval '20 minutes' AS offered,
    least(came + wait * interval '20 minutes' + interval '9 days', now() - interval '30 minutes') AS done, (SELECT min(id) FROM accounts_user WHERE name LIKE 'Rep %') + g % 40 AS rep,
    (SELECT min(id) FROM accounts_team WHERE name LIKE 'Team %') + g % 4 AS team
FROM way WHERE g % 5 = 0 AND came + wait * interval '20 minutes' < now() - interval '1 hour';
CREATE TEMP TABLE line AS SELECT v, jsonb_build_object('facts', '{}'::jsonb, 'persona', jsonb_build_object('key', 'p' || v % 3, 'ideal', TRUE),
    'explanation', (SELECT jsonb_agg(jsonb_build_object('criterion', 'f' || c, 'group', 'fit', 'text', 'The rule with the number ' || c || ' of the sample',
        'points', ((c + v) % 9 + 1)::text || '.00', 'evidence', 'because of what stands in field ' || c)) FROM generate_series(1, 40) c
        WHERE hashint8(c * 31 + v) & 3 > 0)) AS frozen FROM generate_series(0, 63) v;

INSERT INTO handoff_handoff (lead_id, kind, state, owner_id, team_id, pool, offered_at, first_offered_at, accepted_at, first_touch_at,
    reached_at, closed_at, sla_promise, sla_ticks, sla_tick_at, tick_failures, tick_error, snooze_count, attempts, frozen, why_now, total,
    grade, policy, route, reason_key, note, need, cooling, lock_version, changed_at)
SELECT lead, 'bar', CASE WHEN luck < 40 THEN 'won' WHEN came > now() - interval '10 days' AND luck > 500 THEN 'working' ELSE 'rejected' END,
    rep, team, FALSE, offered, offered, CASE WHEN luck < 700 THEN offered + wait * interval '1 minute' END,
    CASE WHEN luck < 700 THEN offered + (wait + 30) * interval '2 minutes' END,
    CASE WHEN luck < 450 THEN offered + (wait + 30) * interval '3 minutes' END,
    CASE WHEN NOT (came > now() - interval '10 days' AND luck > 500) THEN done END, '', '[]',
    CASE WHEN came > now() - interval '10 days' AND luck > 500 THEN now() + interval '2 days' END, 0, '', 0, 1, line.frozen, '', 60,
    (ARRAY['A1', 'A2', 'B1', 'B2'])[1 + g % 4], '', '', '', '', '', FALSE, 1, done
FROM given JOIN line ON line.v = g / 5 % 64 ORDER BY g;
ALTER TABLE given ADD COLUMN handoff bigint;
UPDATE given SET handoff = h.id FROM handoff_handoff h WHERE h.lead_id = given.lead;

INSERT INTO leads_stagechange (lead_id, from_stage, to_stage, at, known_at, cause, handoff_id)
SELECT lead, 'mql', 'sql', offered, offered, 'bench', handoff FROM given;
INSERT INTO leads_stagechange (lead_id, from_stage, to_stage, at, known_at, cause, handoff_id)
SELECT lead, 'sql', CASE WHEN luck < 40 THEN 'customer' ELSE 'nurturing' END, done, done, 'bench', handoff
FROM given WHERE NOT (came > now() - interval '10 days' AND luck > 500);
INSERT INTO handoff_transition (handoff_id, action, from_state, to_state, at, reason_key, note, before)
SELECT handoff, 'open', '', 'offered', offered, '', '', '{}'::jsonb FROM given
UNION ALL SELECT handoff, 'touch', 'offered', 'working', offered + (wait + 30) * interval '2 minutes', '', '', '{}' FROM given WHERE luck < 700
UNION ALL SELECT handoff, CASE WHEN luck < 40 THEN 'win' ELSE 'reject' END, 'working', CASE WHEN luck < 40 THEN 'won' ELSE 'rejected' END,
    done, '', '', '{}' FROM given WHERE NOT (came > now() - interval '10 days' AND luck > 500);
INSERT INTO leads_answer (lead_id, handoff_id, kind, reason_key, reason_kind, note, at, known_at, rep_id)
SELECT lead, handoff, 'offered', '', '', '', offered, offered, rep FROM given
UNION ALL SELECT lead, handoff, 'accepted', '', '', '', offered + wait * interval '1 minute', offered + wait * interval '1 minute', rep
    FROM given WHERE luck < 700
UNION ALL SELECT lead, handoff, 'rejected', '1', 'fit', '', offered + wait * interval '1 minute', offered + wait * interval '1 minute', rep
    FROM given WHERE luck >= 700;
INSERT INTO leads_outcome (lead_id, source, external_id, kind, amount, at, undated, reason, handoff_id, recorded_at)
SELECT lead, 'bench', 'o' || g, 'opportunity', NULL::numeric, offered + (done - offered) * 0.6, FALSE, '', handoff, offered + (done - offered) * 0.6 FROM given WHERE luck < 150
UNION ALL SELECT lead, 'bench', 'w' || g, 'won', 1000 + luck * 50, done, FALSE, '', handoff, done
    FROM given WHERE luck < 40;
INSERT INTO handoff_slaresult (handoff_id, promise, n, scope, holder_id, team_id, start, due, finished_at, result, late_by, corrected_from, at)
SELECT handoff, p.promise, 1, s.scope, rep, team, offered, offered + p.hours * interval '1 hour', offered + wait * interval '1 minute',
    CASE WHEN wait < p.hours * 60 THEN 'met' ELSE 'missed' END, 0, '', offered + p.hours * interval '1 hour'
FROM given CROSS JOIN (VALUES ('acceptance', 4), ('first_touch', 8)) p(promise, hours) CROSS JOIN (VALUES ('lead'), ('holder')) s(scope);
INSERT INTO feedback_contentuse (content_id, lead_id, handoff_id, at)
SELECT (SELECT min(id) FROM leads_content) + g / 5 % 40, lead, handoff, offered + interval '1 day' FROM given WHERE luck < 400;
INSERT INTO leads_activity (source, external_id, kind_id, lead_id, first_lead_id, occurred_at, recorded_at, path, campaign_id, message_key,
    channel, result, properties)
SELECT 'bench', 'a' || g, (SELECT id FROM leads_activitykind WHERE key = 'page_view'), lead, lead, came, came, '/pricing',
    (SELECT min(id) FROM leads_campaign) + (g / 3) % 20, '', '', '', '{}' FROM way;
ANALYZE;
