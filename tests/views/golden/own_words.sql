-- Every kind of expression once, so that a change of how it is printed is seen.
CREATE VIEW own_words AS
SELECT time_bucket(INTERVAL '15 minutes', timestamp) AS quarter,
       extra['user']['plan'] AS plan,
       extra->>'a.b' AS dotted,
       CASE WHEN status >= 500 THEN 'failed' WHEN status >= 400 THEN 'refused' ELSE 'fine' END AS outcome,
       coalesce(upper(left(method, 3)), '-') || ':' || split_part(endpoint, '/', 2) AS route,
       regexp_replace(endpoint, '[0-9]+', '{n}', 'g') AS shape,
       status // 100 AS class,
       response_ms BETWEEN 0.5 AND 250 AS quick,
       network(ip) AS network,
       count(*) AS n,
       sum(CAST(extra['bytes'] AS BIGINT)) AS bytes,
       sum(TRY_CAST(extra['cost'] AS DECIMAL(12,2)) * 3) FILTER (WHERE NOT level IN ('debug', 'trace')) AS cost,
       avg(abs(response_ms - 10)) AS off_by,
       min(timestamp) AS first_at,
       quantile(response_ms, 0.999) FILTER (WHERE endpoint NOT LIKE '/internal/%' OR endpoint IS NULL) AS p999,
       approx_count_distinct(CASE WHEN status IS DISTINCT FROM 404 THEN lower(trim(ip)) END) AS visitors
FROM logs
WHERE regexp_matches(service, '^(shop|cart)$') AND -status < 0 AND starts_with(coalesce(message, ''), 'it''s') IS FALSE
GROUP BY quarter, 2, dotted, outcome, route, shape, class, quick, network;
