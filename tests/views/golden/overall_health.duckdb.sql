-- partial scalars
SELECT make_timestamptz(epoch_us(r."timestamp") - (epoch_us(r."timestamp") % 10000000 + 10000000) % 10000000) AS window_start, count(*) AS s0, CAST(sum(r."response_ms") * 1000 AS DECIMAL(38,0)) AS s1, count(r."response_ms") AS s2, max(r."response_ms") AS s3, count(*) FILTER (WHERE (r."status" >= 500)) AS s4
FROM records AS r
GROUP BY 1;

-- partial bins
SELECT r.window_start, CAST(0 AS SMALLINT) AS agg, r.bin, count(*) AS n
FROM (SELECT window_start, CASE WHEN v >= 0 THEN b ELSE -1 - b END AS bin
FROM (SELECT window_start, v, CAST(shift * 64 + (abs(v) >> shift) AS INTEGER) AS b
FROM (SELECT window_start, v, CAST(bit_count((x | (x >> 16) | (x >> 32) | (x >> 48))) AS INTEGER) AS shift
FROM (SELECT window_start, v, (x | (x >> 4) | (x >> 8) | (x >> 12)) AS x
FROM (SELECT window_start, v, ((abs(v) >> 7) | (abs(v) >> 8) | (abs(v) >> 9) | (abs(v) >> 10)) AS x
FROM (SELECT make_timestamptz(epoch_us(r."timestamp") - (epoch_us(r."timestamp") % 10000000 + 10000000) % 10000000) AS window_start, CASE WHEN r."response_ms" < CAST(1000000000000 AS DECIMAL(18,3)) AND r."response_ms" > -CAST(1000000000000 AS DECIMAL(18,3)) THEN CAST(r."response_ms" * 1000 AS BIGINT) ELSE CAST(CAST(r."response_ms" AS DECIMAL(38,3)) * 1000 AS BIGINT) END AS v
FROM records AS r
WHERE r."response_ms" IS NOT NULL)))))) AS r
GROUP BY 1, 2, 3;

-- fused 0
SELECT r."#w10000000" AS w, count(*) AS u0, CAST(sum(r."response_ms") * 1000 AS DECIMAL(38,0)) AS u1, count(r."response_ms") AS u2, max(r."response_ms") AS u3, count(*) FILTER (WHERE (r."status" >= 500)) AS u4
FROM rows_rows_0 AS r
GROUP BY 1;

-- fused 1
SELECT w, bin, count(*) AS n
FROM (SELECT w, CASE WHEN v >= 0 THEN b ELSE -1 - b END AS bin
FROM (SELECT w, v, CAST(shift * 64 + (abs(v) >> shift) AS INTEGER) AS b
FROM (SELECT w, v, CAST(bit_count((x | (x >> 16) | (x >> 32) | (x >> 48))) AS INTEGER) AS shift
FROM (SELECT w, v, (x | (x >> 4) | (x >> 8) | (x >> 12)) AS x
FROM (SELECT w, v, ((abs(v) >> 7) | (abs(v) >> 8) | (abs(v) >> 9) | (abs(v) >> 10)) AS x
FROM (SELECT r."#w10000000" AS w, CASE WHEN r."response_ms" < CAST(1000000000000 AS DECIMAL(18,3)) AND r."response_ms" > -CAST(1000000000000 AS DECIMAL(18,3)) THEN CAST(r."response_ms" * 1000 AS BIGINT) ELSE CAST(CAST(r."response_ms" AS DECIMAL(38,3)) * 1000 AS BIGINT) END AS v
FROM rows_rows_1 AS r
WHERE r."response_ms" IS NOT NULL))))))
GROUP BY 1, 2;

-- merge scalars
SELECT r.window_start, CAST(sum(r.s0) AS BIGINT) AS s0, CAST(sum(r.s1) AS DECIMAL(38,0)) AS s1, CAST(sum(r.s2) AS BIGINT) AS s2, CAST(max(r.s3) AS DECIMAL(18,3)) AS s3, CAST(sum(r.s4) AS BIGINT) AS s4
FROM states AS r
GROUP BY 1;

-- merge bins
SELECT r.window_start, r.agg, r.bin, CAST(sum(r.n) AS BIGINT) AS n
FROM states AS r
GROUP BY 1, 2, 3;

-- finalize
WITH _scalars AS (SELECT w, CAST(sum(s.s0) AS BIGINT) AS s0, CAST(sum(s.s1) AS DECIMAL(38,0)) AS s1, CAST(sum(s.s2) AS BIGINT) AS s2, CAST(max(s.s3) AS DECIMAL(18,3)) AS s3, CAST(sum(s.s4) AS BIGINT) AS s4 FROM (SELECT r.window_start AS w, r.s0, r.s1, r.s2, r.s3, r.s4 FROM in_scalars AS r) AS s GROUP BY w),
_sought AS MATERIALIZED (SELECT *, upto - n AS below, row_number() OVER () AS id FROM (SELECT *, sum(n) OVER (PARTITION BY w, agg ORDER BY octave ROWS UNBOUNDED PRECEDING) AS upto, sum(n) OVER (PARTITION BY w, agg) AS total FROM (SELECT w, agg, _octave AS octave, sum(n) AS n FROM (SELECT *, bin >> 6 AS _octave FROM (SELECT r.window_start AS w, r.agg, r.bin, r.n FROM in_bins AS r)) GROUP BY w, agg, octave)) WHERE agg = 0 AND upto >= (total * 5 + 9) // 10 AND upto - n < (total * 5 + 9) // 10 OR agg = 0 AND upto >= (total * 99 + 99) // 100 AND upto - n < (total * 99 + 99) // 100),
_found AS MATERIALIZED (SELECT s.id AS id, r.bin AS bin, sum(r.n) AS n FROM (SELECT *, bin >> 6 AS _octave FROM (SELECT r.window_start AS w, r.agg, r.bin, r.n FROM in_bins AS r)) AS r JOIN _sought AS s ON r.w IS NOT DISTINCT FROM s.w AND r.agg = s.agg AND r._octave = s.octave GROUP BY s.id, r.bin),
_eighths AS (SELECT id, eighth, upto - n AS below FROM (SELECT r.id, eighth, r.n, below + reached AS upto, agg, total FROM (SELECT *, sum(n) OVER (PARTITION BY id ORDER BY eighth ROWS UNBOUNDED PRECEDING) AS reached FROM (SELECT id, bin >> 3 AS eighth, sum(n) AS n FROM _found GROUP BY id, eighth)) AS r JOIN _sought AS s ON r.id = s.id) WHERE agg = 0 AND upto >= (total * 5 + 9) // 10 AND upto - n < (total * 5 + 9) // 10 OR agg = 0 AND upto >= (total * 99 + 99) // 100 AND upto - n < (total * 99 + 99) // 100),
_quantiles AS (SELECT w, min(bin) FILTER (WHERE agg = 0 AND upto >= (total * 5 + 9) // 10) AS q0_5_10, min(bin) FILTER (WHERE agg = 0 AND upto >= (total * 99 + 99) // 100) AS q0_99_100 FROM (SELECT s.w AS w, s.agg AS agg, s.total AS total, r.bin AS bin, r.upto AS upto FROM (SELECT id, bin, below + sum(n) OVER (PARTITION BY id, eighth ORDER BY bin ROWS UNBOUNDED PRECEDING) AS upto FROM (SELECT r.id, bin, n, eighth, below FROM _found AS r JOIN _eighths AS e ON r.id = e.id AND (bin >> 3) = eighth)) AS r JOIN _sought AS s ON r.id = s.id) GROUP BY w),
_answer AS (SELECT s.*, q.q0_5_10, q.q0_99_100 FROM _scalars AS s
LEFT JOIN _quantiles AS q ON s.w IS NOT DISTINCT FROM q.w)
SELECT w AS "window_start", s0 AS "requests", ((CAST(s1 AS DOUBLE) / 1e3) / nullif(s2, 0)) AS "response_ms_avg", (CAST((((2 * (CAST(CASE WHEN q0_5_10 < 0 THEN -1 - q0_5_10 ELSE q0_5_10 END AS BIGINT) - greatest((CAST(CASE WHEN q0_5_10 < 0 THEN -1 - q0_5_10 ELSE q0_5_10 END AS BIGINT) // 64) - 1, 0) * 64) + 1) << CAST(greatest((CAST(CASE WHEN q0_5_10 < 0 THEN -1 - q0_5_10 ELSE q0_5_10 END AS BIGINT) // 64) - 1, 0) AS INTEGER)) - 1) AS DOUBLE) * (CASE WHEN q0_5_10 < 0 THEN -0.5e0 ELSE 0.5e0 END) / 1e3) AS "response_ms_p50", (CAST((((2 * (CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) - greatest((CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) // 64) - 1, 0) * 64) + 1) << CAST(greatest((CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) // 64) - 1, 0) AS INTEGER)) - 1) AS DOUBLE) * (CASE WHEN q0_99_100 < 0 THEN -0.5e0 ELSE 0.5e0 END) / 1e3) AS "response_ms_p99", s3 AS "response_ms_max", s4 AS "server_errors"
FROM _answer
ORDER BY w ASC NULLS LAST;

-- finalize, steps of a day, one day, 10 rows
WITH _scalars AS (SELECT w, CAST(sum(s.s0) AS BIGINT) AS s0, CAST(sum(s.s1) AS DECIMAL(38,0)) AS s1, CAST(sum(s.s2) AS BIGINT) AS s2, CAST(max(s.s3) AS DECIMAL(18,3)) AS s3, CAST(sum(s.s4) AS BIGINT) AS s4 FROM (SELECT make_timestamptz(epoch_us(r.window_start) - (epoch_us(r.window_start) % 86400000000 + 86400000000) % 86400000000) AS w, r.s0, r.s1, r.s2, r.s3, r.s4 FROM in_scalars AS r WHERE r.window_start >= make_timestamptz(0) AND r.window_start < make_timestamptz(86400000000)) AS s GROUP BY w),
_sought AS MATERIALIZED (SELECT *, upto - n AS below, row_number() OVER () AS id FROM (SELECT *, sum(n) OVER (PARTITION BY w, agg ORDER BY octave ROWS UNBOUNDED PRECEDING) AS upto, sum(n) OVER (PARTITION BY w, agg) AS total FROM (SELECT w, agg, _octave AS octave, sum(n) AS n FROM (SELECT *, bin >> 6 AS _octave FROM (SELECT make_timestamptz(epoch_us(r.window_start) - (epoch_us(r.window_start) % 86400000000 + 86400000000) % 86400000000) AS w, r.agg, r.bin, r.n FROM in_bins AS r WHERE r.window_start >= make_timestamptz(0) AND r.window_start < make_timestamptz(86400000000))) GROUP BY w, agg, octave)) WHERE agg = 0 AND upto >= (total * 5 + 9) // 10 AND upto - n < (total * 5 + 9) // 10 OR agg = 0 AND upto >= (total * 99 + 99) // 100 AND upto - n < (total * 99 + 99) // 100),
_found AS MATERIALIZED (SELECT s.id AS id, r.bin AS bin, sum(r.n) AS n FROM (SELECT *, bin >> 6 AS _octave FROM (SELECT make_timestamptz(epoch_us(r.window_start) - (epoch_us(r.window_start) % 86400000000 + 86400000000) % 86400000000) AS w, r.agg, r.bin, r.n FROM in_bins AS r WHERE r.window_start >= make_timestamptz(0) AND r.window_start < make_timestamptz(86400000000))) AS r JOIN _sought AS s ON r.w IS NOT DISTINCT FROM s.w AND r.agg = s.agg AND r._octave = s.octave GROUP BY s.id, r.bin),
_eighths AS (SELECT id, eighth, upto - n AS below FROM (SELECT r.id, eighth, r.n, below + reached AS upto, agg, total FROM (SELECT *, sum(n) OVER (PARTITION BY id ORDER BY eighth ROWS UNBOUNDED PRECEDING) AS reached FROM (SELECT id, bin >> 3 AS eighth, sum(n) AS n FROM _found GROUP BY id, eighth)) AS r JOIN _sought AS s ON r.id = s.id) WHERE agg = 0 AND upto >= (total * 5 + 9) // 10 AND upto - n < (total * 5 + 9) // 10 OR agg = 0 AND upto >= (total * 99 + 99) // 100 AND upto - n < (total * 99 + 99) // 100),
_quantiles AS (SELECT w, min(bin) FILTER (WHERE agg = 0 AND upto >= (total * 5 + 9) // 10) AS q0_5_10, min(bin) FILTER (WHERE agg = 0 AND upto >= (total * 99 + 99) // 100) AS q0_99_100 FROM (SELECT s.w AS w, s.agg AS agg, s.total AS total, r.bin AS bin, r.upto AS upto FROM (SELECT id, bin, below + sum(n) OVER (PARTITION BY id, eighth ORDER BY bin ROWS UNBOUNDED PRECEDING) AS upto FROM (SELECT r.id, bin, n, eighth, below FROM _found AS r JOIN _eighths AS e ON r.id = e.id AND (bin >> 3) = eighth)) AS r JOIN _sought AS s ON r.id = s.id) GROUP BY w),
_answer AS (SELECT s.*, q.q0_5_10, q.q0_99_100 FROM _scalars AS s
LEFT JOIN _quantiles AS q ON s.w IS NOT DISTINCT FROM q.w)
SELECT w AS "window_start", s0 AS "requests", ((CAST(s1 AS DOUBLE) / 1e3) / nullif(s2, 0)) AS "response_ms_avg", (CAST((((2 * (CAST(CASE WHEN q0_5_10 < 0 THEN -1 - q0_5_10 ELSE q0_5_10 END AS BIGINT) - greatest((CAST(CASE WHEN q0_5_10 < 0 THEN -1 - q0_5_10 ELSE q0_5_10 END AS BIGINT) // 64) - 1, 0) * 64) + 1) << CAST(greatest((CAST(CASE WHEN q0_5_10 < 0 THEN -1 - q0_5_10 ELSE q0_5_10 END AS BIGINT) // 64) - 1, 0) AS INTEGER)) - 1) AS DOUBLE) * (CASE WHEN q0_5_10 < 0 THEN -0.5e0 ELSE 0.5e0 END) / 1e3) AS "response_ms_p50", (CAST((((2 * (CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) - greatest((CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) // 64) - 1, 0) * 64) + 1) << CAST(greatest((CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) // 64) - 1, 0) AS INTEGER)) - 1) AS DOUBLE) * (CASE WHEN q0_99_100 < 0 THEN -0.5e0 ELSE 0.5e0 END) / 1e3) AS "response_ms_p99", s3 AS "response_ms_max", s4 AS "server_errors"
FROM _answer
ORDER BY w ASC NULLS LAST
LIMIT 10;

