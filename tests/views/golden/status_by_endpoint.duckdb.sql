-- partial scalars
SELECT make_timestamptz(epoch_us(r."timestamp") - (epoch_us(r."timestamp") % 10000000 + 10000000) % 10000000) AS window_start, r."endpoint" AS "endpoint", r."status" AS "status", count(*) AS s0
FROM records AS r
GROUP BY 1, 2, 3;

-- fused 0
SELECT r."#w10000000" AS w, r."#c endpoint" AS k0, r."status" AS k1, count(*) AS u0
FROM rows_rows_0 AS r
GROUP BY 1, 2, 3;

-- merge scalars
SELECT r.window_start, r."endpoint", r."status", CAST(sum(r.s0) AS BIGINT) AS s0
FROM states AS r
GROUP BY 1, 2, 3;

-- finalize
WITH _scalars AS (SELECT w, k0, k1, CAST(sum(s.s0) AS BIGINT) AS s0 FROM (SELECT r.window_start AS w, r."endpoint" AS k0, r."status" AS k1, r.s0 FROM in_scalars AS r) AS s GROUP BY w, k0, k1),
_answer AS (SELECT s.* FROM _scalars AS s)
SELECT w AS "window_start", k0 AS "endpoint", k1 AS "status", s0 AS "requests"
FROM _answer
ORDER BY w ASC NULLS LAST, k0 ASC NULLS LAST, k1 ASC NULLS LAST;

-- finalize, steps of a day, one day, 10 rows
WITH _scalars AS (SELECT w, k0, k1, CAST(sum(s.s0) AS BIGINT) AS s0 FROM (SELECT make_timestamptz(epoch_us(r.window_start) - (epoch_us(r.window_start) % 86400000000 + 86400000000) % 86400000000) AS w, r."endpoint" AS k0, r."status" AS k1, r.s0 FROM in_scalars AS r WHERE r.window_start >= make_timestamptz(0) AND r.window_start < make_timestamptz(86400000000)) AS s GROUP BY w, k0, k1),
_answer AS (SELECT s.* FROM _scalars AS s)
SELECT w AS "window_start", k0 AS "endpoint", k1 AS "status", s0 AS "requests"
FROM _answer
ORDER BY w ASC NULLS LAST, k0 ASC NULLS LAST, k1 ASC NULLS LAST
LIMIT 10;

-- finalize, total, top 3
WITH _t_scalars AS (SELECT w, k0, k1, CAST(sum(s.s0) AS BIGINT) AS s0 FROM (SELECT CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS w, r."endpoint" AS k0, r."status" AS k1, r.s0 FROM in_scalars AS r) AS s GROUP BY w, k0, k1),
_t_answer AS (SELECT s.* FROM _t_scalars AS s),
_top AS (SELECT k0, k1, row_number() OVER (ORDER BY s0 DESC NULLS LAST, k0 ASC NULLS LAST, k1 ASC NULLS LAST) <= 3 AS kept FROM _t_answer),
_scalars AS (SELECT w, k0, k1, o, CAST(sum(s.s0) AS BIGINT) AS s0 FROM (SELECT CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS w, CASE WHEN _top.kept THEN r."endpoint" END AS k0, CASE WHEN _top.kept THEN r."status" END AS k1, NOT _top.kept AS o, r.s0 FROM in_scalars AS r JOIN _top ON r."endpoint" IS NOT DISTINCT FROM _top.k0 AND r."status" IS NOT DISTINCT FROM _top.k1) AS s GROUP BY w, k0, k1, o),
_answer AS (SELECT s.* FROM _scalars AS s)
SELECT w AS "window_start", k0 AS "endpoint", k1 AS "status", s0 AS "requests", CAST(CASE WHEN o THEN (SELECT greatest(count(*) - 3, 0) FROM _top) ELSE 0 END AS BIGINT) AS _others
FROM _answer
ORDER BY w ASC NULLS LAST, o ASC NULLS LAST, k0 ASC NULLS LAST, k1 ASC NULLS LAST;

