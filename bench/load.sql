-- {leads} made-up leads of {leads}/4 companies with {acts} acts each, over 99 days.
INSERT INTO leads_company (name, name_key, name_words, industry, industry_key, industry_words, country,
    country_key, city, is_target, is_competitor, is_partner, is_own, custom, custom_keys, custom_words, created_at,
    employees, domain)
SELECT 'C' || g, 'c' || g, ' c' || g || ' ', i, lower(i), ' ' || lower(i) || ' ', '', '', '', g % 10 = 0, FALSE, FALSE,
    FALSE, '{}', '{}', '{}', now() - interval '400 days', (g * 7919) % 3000, 'c' || g || '.example'
FROM (SELECT g, (ARRAY['Software', 'Retail', 'Manufacturing'])[1 + g % 3] AS i FROM generate_series(1, {leads} / 4) g) x;

INSERT INTO leads_lead (name, name_key, email, email_key, email_domain, phone, phone_key, title, title_key,
    title_words, country, country_key, city, city_key, time_zone_country, company_id, first_source, first_source_key,
    custom, custom_keys, custom_words, stage, level, stage_since, sales_sourced, crm_url, external_owner,
    do_not_contact, created_at, changed_at)
SELECT 'L' || g, 'l' || g, 'l' || g || '@' || d, 'l' || g || '@' || d, d, '', '', t, lower(t),
    ' ' || lower(t) || ' ', c, lower(c), '', '', '', (SELECT min(id) FROM leads_company) + g / 4 % ({leads} / 4), 'Web', 'web',
    CASE WHEN g % 7 = 0 THEN jsonb_build_object('seats_wanted', g % 300) ELSE '{}' END, '{}', '{}',
    'conversion', '', now() - interval '100 days', FALSE, '', '', FALSE, now() - interval '100 days', now()
FROM (SELECT g, CASE WHEN g % 5 = 0 THEN 'gmail.com' ELSE 'c' || (g / 4) || '.example' END AS d,
    (ARRAY['VP Sales', 'Director Operations', 'Manager IT', 'Student', 'Clerk'])[1 + g % 5] AS t,
    (ARRAY['Germany', 'France', 'Austria', ''])[1 + g % 4] AS c FROM generate_series(1, {leads}) g) x;

SELECT setseed(0.42);
INSERT INTO leads_activity (source, external_id, kind_id, lead_id, first_lead_id, occurred_at, recorded_at, path,
    message_key, channel, result, properties)
SELECT 'bench', to_char(g, 'FM0000000000'), k.id, l, l, ts, ts,
    CASE WHEN k.key = 'page_view' THEN (ARRAY['/pricing', '/blog', '/careers', '/'])[1 + g % 4] ELSE '' END,
    CASE WHEN k.key LIKE 'email%' THEN 'm' || g % 50 ELSE '' END, '', '', '{}'
FROM (SELECT g, (SELECT min(id) FROM leads_lead) + floor(random() * {leads})::int AS l,
        now() - random() * interval '99 days' AS ts, floor(random() * 20)::int AS kk
    FROM generate_series(1, {leads} * {acts}) g) x
JOIN (SELECT id, key, row_number() OVER (ORDER BY id) - 1 AS n FROM leads_activitykind) k ON k.n = x.kk;
