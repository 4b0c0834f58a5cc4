-- partial scalars
SELECT r.window_start, coalesce(nullif(regexp_extract(r."k0", '^(?:::[fF]{4}:)?((?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3})(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$', 1), '') || '0/24', CASE WHEN contains(r."k0", ':') THEN CASE WHEN NOT (regexp_full_match(lower(r."k0"), '(?:[0-9a-f]{1,4}:){6}(?:[0-9a-f]{1,4}:[0-9a-f]{1,4}|(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]))') OR (regexp_full_match(lower(r."k0"), '(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)?::(?:(?:[0-9a-f]{1,4}:)*(?:[0-9a-f]{1,4}|(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])))?') AND (8 - (length(lower(r."k0")) - length(replace(lower(r."k0"), ':', ''))) - CAST(contains(lower(r."k0"), '.') AS INTEGER) + CAST(starts_with(lower(r."k0"), '::') OR ends_with(lower(r."k0"), '::') AS INTEGER)) >= 1)) THEN NULL WHEN regexp_full_match(lower(r."k0"), '[0:]*:ffff:(?:(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])|[0-9a-f]{1,4}:[0-9a-f]{1,4})') THEN coalesce(nullif(regexp_extract(lower(r."k0"), ':((?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3})(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$', 1), ''), '' || (TRY_CAST('0x' || split_part(lower(r."k0"), ':', -2) AS INTEGER) // 256) % 256 || '.' || (TRY_CAST('0x' || split_part(lower(r."k0"), ':', -2) AS INTEGER) // 1) % 256 || '.' || (TRY_CAST('0x' || split_part(lower(r."k0"), ':', -1) AS INTEGER) // 256) % 256 || '.') || '0/24' ELSE substr(regexp_replace(regexp_replace(':' || regexp_extract(replace(lower(r."k0"), '::', ':' || repeat('0:', (8 - (length(lower(r."k0")) - length(replace(lower(r."k0"), ':', ''))) - CAST(contains(lower(r."k0"), '.') AS INTEGER) + CAST(starts_with(lower(r."k0"), '::') OR ends_with(lower(r."k0"), '::') AS INTEGER)))), '^:?([0-9a-f]{1,4}:[0-9a-f]{1,4}:[0-9a-f]{1,4})', 1), ':0+([0-9a-f])', ':\1', 'g'), '(:0)+$', ''), 2) || '::/48' END END) AS "network", CAST(sum(r.s0) AS BIGINT) AS s0
FROM (SELECT make_timestamptz(epoch_us(r."timestamp") - (epoch_us(r."timestamp") % 60000000 + 60000000) % 60000000) AS window_start, r."ip" AS k0, count(*) AS s0
FROM records AS r
GROUP BY 1, 2) AS r
GROUP BY 1, 2;

-- partial registers
SELECT r.window_start, coalesce(nullif(regexp_extract(r."k0", '^(?:::[fF]{4}:)?((?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3})(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$', 1), '') || '0/24', CASE WHEN contains(r."k0", ':') THEN CASE WHEN NOT (regexp_full_match(lower(r."k0"), '(?:[0-9a-f]{1,4}:){6}(?:[0-9a-f]{1,4}:[0-9a-f]{1,4}|(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]))') OR (regexp_full_match(lower(r."k0"), '(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)?::(?:(?:[0-9a-f]{1,4}:)*(?:[0-9a-f]{1,4}|(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])))?') AND (8 - (length(lower(r."k0")) - length(replace(lower(r."k0"), ':', ''))) - CAST(contains(lower(r."k0"), '.') AS INTEGER) + CAST(starts_with(lower(r."k0"), '::') OR ends_with(lower(r."k0"), '::') AS INTEGER)) >= 1)) THEN NULL WHEN regexp_full_match(lower(r."k0"), '[0:]*:ffff:(?:(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])|[0-9a-f]{1,4}:[0-9a-f]{1,4})') THEN coalesce(nullif(regexp_extract(lower(r."k0"), ':((?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3})(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$', 1), ''), '' || (TRY_CAST('0x' || split_part(lower(r."k0"), ':', -2) AS INTEGER) // 256) % 256 || '.' || (TRY_CAST('0x' || split_part(lower(r."k0"), ':', -2) AS INTEGER) // 1) % 256 || '.' || (TRY_CAST('0x' || split_part(lower(r."k0"), ':', -1) AS INTEGER) // 256) % 256 || '.') || '0/24' ELSE substr(regexp_replace(regexp_replace(':' || regexp_extract(replace(lower(r."k0"), '::', ':' || repeat('0:', (8 - (length(lower(r."k0")) - length(replace(lower(r."k0"), ':', ''))) - CAST(contains(lower(r."k0"), '.') AS INTEGER) + CAST(starts_with(lower(r."k0"), '::') OR ends_with(lower(r."k0"), '::') AS INTEGER)))), '^:?([0-9a-f]{1,4}:[0-9a-f]{1,4}:[0-9a-f]{1,4})', 1), ':0+([0-9a-f])', ':\1', 'g'), '(:0)+$', ''), 2) || '::/48' END END) AS "network", CAST(0 AS SMALLINT) AS agg, r.register, max(r.rank) AS rank
FROM (SELECT window_start, k0, register, CAST(CASE WHEN next >= 2048 THEN 1 WHEN next >= 1024 THEN 2 WHEN next >= 512 THEN 3 WHEN next >= 256 THEN 4 WHEN next >= 128 THEN 5 WHEN next >= 64 THEN 6 WHEN next >= 32 THEN 7 WHEN next >= 16 THEN 8 WHEN next >= 8 THEN 9 WHEN next >= 4 THEN 10 WHEN next >= 2 THEN 11 WHEN next >= 1 THEN 12 WHEN next = 0 THEN least(60, 4 * (29 - length(ltrim(substr(md5(t), 4), '0'))) + CASE WHEN ltrim(substr(md5(t), 4), '0') >= '8' THEN 1 WHEN ltrim(substr(md5(t), 4), '0') >= '4' THEN 2 WHEN ltrim(substr(md5(t), 4), '0') >= '2' THEN 3 ELSE 4 END) END AS TINYINT) AS rank
FROM (SELECT window_start, k0, t, CAST(((h & 255) << 4) | ((h >> 12) & 15) AS SMALLINT) AS register, (h & 3840) | ((h >> 16) & 255) AS next
FROM (SELECT window_start, k0, t, CAST(md5_number(t) & 18446744073709551615 AS UBIGINT) AS h
FROM (SELECT r.window_start, r.k0, r."k0" AS t
FROM (SELECT DISTINCT make_timestamptz(epoch_us(r."timestamp") - (epoch_us(r."timestamp") % 60000000 + 60000000) % 60000000) AS window_start, r."ip" AS k0
FROM records AS r
WHERE r."ip" IS NOT NULL) AS r)
WHERE t IS NOT NULL))) AS r
GROUP BY 1, 2, 3, 4;

-- fused 0
SELECT r."#w60000000" AS w, r."#d2" AS k0, count(*) AS u0
FROM rows_rows_0 AS r
GROUP BY 1, 2;

-- fused 1
SELECT r."#w60000000" AS w, r."#d2" AS k0, r."#d3" AS register, max(r."#d4") AS rank
FROM rows_rows_1 AS r
WHERE r."#d3" IS NOT NULL
GROUP BY 1, 2, 3;

-- merge scalars
SELECT r.window_start, r."network", CAST(sum(r.s0) AS BIGINT) AS s0
FROM states AS r
GROUP BY 1, 2;

-- merge registers
SELECT r.window_start, r."network", r.agg, r.register, max(r.rank) AS rank
FROM states AS r
GROUP BY 1, 2, 3, 4;

-- finalize
WITH _scalars AS (SELECT w, k0, CAST(sum(s.s0) AS BIGINT) AS s0 FROM (SELECT r.window_start AS w, r."network" AS k0, r.s0 FROM in_scalars AS r) AS s GROUP BY w, k0),
_estimates AS (SELECT w, k0, count(*) FILTER (WHERE agg = 0) AS u0, sum(CAST(1 AS BIGINT) << (60 - rank)) FILTER (WHERE agg = 0) AS z0 FROM (SELECT w, k0, agg, register, max(rank) AS rank FROM (SELECT r.window_start AS w, r."network" AS k0, r.agg, r.register, r.rank FROM in_registers AS r) GROUP BY w, k0, agg, register) GROUP BY w, k0),
_answer AS (SELECT s.*, e.u0, e.z0 FROM _scalars AS s
LEFT JOIN _estimates AS e ON s.w IS NOT DISTINCT FROM e.w AND s.k0 IS NOT DISTINCT FROM e.k0)
SELECT w AS "window_start", k0 AS "network", s0 AS "requests", CAST(round(CASE WHEN (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) <= 10240.0e0 AND (4096 - coalesce(u0, 0)) > 0 THEN (4096 * ln(4096.0e0 / nullif((4096 - coalesce(u0, 0)), 0))) ELSE (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) END) AS BIGINT) AS "visitors"
FROM _answer
ORDER BY w ASC NULLS LAST, k0 ASC NULLS LAST;

-- finalize, steps of a day, one day, 10 rows
WITH _scalars AS (SELECT w, k0, CAST(sum(s.s0) AS BIGINT) AS s0 FROM (SELECT make_timestamptz(epoch_us(r.window_start) - (epoch_us(r.window_start) % 86400000000 + 86400000000) % 86400000000) AS w, r."network" AS k0, r.s0 FROM in_scalars AS r WHERE r.window_start >= make_timestamptz(0) AND r.window_start < make_timestamptz(86400000000)) AS s GROUP BY w, k0),
_estimates AS (SELECT w, k0, count(*) FILTER (WHERE agg = 0) AS u0, sum(CAST(1 AS BIGINT) << (60 - rank)) FILTER (WHERE agg = 0) AS z0 FROM (SELECT w, k0, agg, register, max(rank) AS rank FROM (SELECT make_timestamptz(epoch_us(r.window_start) - (epoch_us(r.window_start) % 86400000000 + 86400000000) % 86400000000) AS w, r."network" AS k0, r.agg, r.register, r.rank FROM in_registers AS r WHERE r.window_start >= make_timestamptz(0) AND r.window_start < make_timestamptz(86400000000)) GROUP BY w, k0, agg, register) GROUP BY w, k0),
_answer AS (SELECT s.*, e.u0, e.z0 FROM _scalars AS s
LEFT JOIN _estimates AS e ON s.w IS NOT DISTINCT FROM e.w AND s.k0 IS NOT DISTINCT FROM e.k0)
SELECT w AS "window_start", k0 AS "network", s0 AS "requests", CAST(round(CASE WHEN (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) <= 10240.0e0 AND (4096 - coalesce(u0, 0)) > 0 THEN (4096 * ln(4096.0e0 / nullif((4096 - coalesce(u0, 0)), 0))) ELSE (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) END) AS BIGINT) AS "visitors"
FROM _answer
ORDER BY w ASC NULLS LAST, k0 ASC NULLS LAST
LIMIT 10;

-- finalize, total, top 3
WITH _t_scalars AS (SELECT w, k0, CAST(sum(s.s0) AS BIGINT) AS s0 FROM (SELECT CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS w, r."network" AS k0, r.s0 FROM in_scalars AS r) AS s GROUP BY w, k0),
_t_answer AS (SELECT s.* FROM _t_scalars AS s),
_top AS (SELECT k0, row_number() OVER (ORDER BY s0 DESC NULLS LAST, k0 ASC NULLS LAST) <= 3 AS kept FROM _t_answer),
_scalars AS (SELECT w, k0, o, CAST(sum(s.s0) AS BIGINT) AS s0 FROM (SELECT CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS w, CASE WHEN _top.kept THEN r."network" END AS k0, NOT _top.kept AS o, r.s0 FROM in_scalars AS r JOIN _top ON r."network" IS NOT DISTINCT FROM _top.k0) AS s GROUP BY w, k0, o),
_estimates AS (SELECT w, k0, o, count(*) FILTER (WHERE agg = 0) AS u0, sum(CAST(1 AS BIGINT) << (60 - rank)) FILTER (WHERE agg = 0) AS z0 FROM (SELECT w, k0, o, agg, register, max(rank) AS rank FROM (SELECT CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS w, CASE WHEN _top.kept THEN r."network" END AS k0, NOT _top.kept AS o, r.agg, r.register, r.rank FROM in_registers AS r JOIN _top ON r."network" IS NOT DISTINCT FROM _top.k0) GROUP BY w, k0, o, agg, register) GROUP BY w, k0, o),
_answer AS (SELECT s.*, e.u0, e.z0 FROM _scalars AS s
LEFT JOIN _estimates AS e ON s.w IS NOT DISTINCT FROM e.w AND s.k0 IS NOT DISTINCT FROM e.k0 AND s.o IS NOT DISTINCT FROM e.o)
SELECT w AS "window_start", k0 AS "network", s0 AS "requests", CAST(round(CASE WHEN (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) <= 10240.0e0 AND (4096 - coalesce(u0, 0)) > 0 THEN (4096 * ln(4096.0e0 / nullif((4096 - coalesce(u0, 0)), 0))) ELSE (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) END) AS BIGINT) AS "visitors", CAST(CASE WHEN o THEN (SELECT greatest(count(*) - 3, 0) FROM _top) ELSE 0 END AS BIGINT) AS _others
FROM _answer
ORDER BY w ASC NULLS LAST, o ASC NULLS LAST, k0 ASC NULLS LAST;

