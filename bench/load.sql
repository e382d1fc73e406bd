-- {leads} made-up leads of {leads}/4 companies with {acts} acts each, over 99 days. The acts lie as they came:
-- those of one lead far apart.
INSERT INTO leads_company (name, name_key, name_words, industry, industry_key, industry_words, country,
    country_key, city, is_target, is_competitor, is_partner, is_own, custom, custom_keys, custom_words, created_at,
    employees, revenue, customer_since, domain)
SELECT 'C' || g, 'c' || g, ' c' || g || ' ', i, lower(i), ' ' || lower(i) || ' ', '', '', '', g % 10 = 0, FALSE, FALSE,
    FALSE, '{}', '{}', '{}', now() - interval '400 days', n, CASE WHEN g % 3 > 0 THEN n * 60000 END,
    CASE WHEN g % 25 = 0 THEN now() - interval '300 days' END, 'c' || g || '.example'
FROM (SELECT g, CASE WHEN g % 6 = 0 THEN g % 60 WHEN g % 11 = 0 THEN g * 7919 % 30000 WHEN g % 13 > 0 THEN g * 7919 % 3000 END AS n,
    (ARRAY['Software', 'Retail', 'Manufacturing', 'Logistics', 'Education', 'Health'])[1 + g % 6] AS i
    FROM generate_series(1, {leads} / 4) g) x;

INSERT INTO leads_lead (name, name_key, email, email_key, email_domain, phone, phone_key, title, title_key,
    title_words, country, country_key, city, city_key, time_zone_country, company_id, first_source, first_source_key,
    custom, custom_keys, custom_words, stage, level, stage_since, sales_sourced, crm_url, external_owner,
    do_not_contact, last_own_act_at, created_at, changed_at)
SELECT 'L' || g, 'l' || g, 'l' || g || '@' || d, 'l' || g || '@' || d, d, p, p, t, lower(t),
    CASE WHEN t = '' THEN '' ELSE ' ' || lower(t) || ' ' END, c, lower(c), o, lower(o), '', (SELECT min(id) FROM leads_company) + g / 4 % ({leads} / 4), s, lower(s),
    CASE WHEN g % 7 = 0 THEN jsonb_build_object('seats_wanted', g % 300) WHEN g % 7 = 1 THEN jsonb_build_object('budget', g % 90 * 500, 'buys', b) ELSE '{}' END,
    CASE WHEN g % 7 = 1 THEN jsonb_build_object('buys', lower(b)) ELSE '{}' END, CASE WHEN g % 7 = 1 THEN jsonb_build_object('buys', ' ' || lower(b) || ' ') ELSE '{}' END,
    'conversion', '', now() - interval '100 days', FALSE, '', '', FALSE, now() - g % 40 * interval '1 day', now() - interval '100 days', now()
FROM (SELECT g, CASE WHEN g % 5 = 0 THEN 'gmail.com' ELSE 'c' || (g / 4) || '.example' END AS d,
    CASE WHEN g % 3 = 0 THEN '49301' || 10000000 + g ELSE '' END AS p,
    (ARRAY['VP Sales', 'Director Operations', 'Manager IT', 'Student', 'Clerk', 'Head of Engineering', 'Product Owner', '', 'Senior Buyer', 'Founder'])[1 + g % 10] AS t,
    (ARRAY['Germany', 'France', 'Austria', 'Italy', ''])[1 + g % 13 % 5] AS c, (ARRAY['Berlin', '', 'Vienna', '', 'Rome', ''])[1 + g % 6] AS o,
    (ARRAY['Web', 'Referral', 'Bought list', 'Trade show'])[1 + g % 4] AS s, (ARRAY['This quarter', 'Next year', 'Now'])[1 + g % 3] AS b
    FROM generate_series(1, {leads}) g) x;

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
