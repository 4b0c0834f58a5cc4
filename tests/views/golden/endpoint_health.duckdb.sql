-- partial scalars
SELECT make_timestamptz(epoch_us(r."timestamp") - (epoch_us(r."timestamp") % 10000000 + 10000000) % 10000000) AS window_start, r."endpoint" AS "endpoint", count(*) AS s0, CAST(sum(r."response_ms") * 1000 AS DECIMAL(38,0)) AS s1, count(r."response_ms") AS s2, count(*) FILTER (WHERE (r."status" >= 500)) AS s3, min(r."response_ms") AS s4, max(r."response_ms") AS s5
FROM records AS r
GROUP BY 1, 2;

-- partial bins
SELECT r.window_start, r."k0" AS "endpoint", CAST(0 AS SMALLINT) AS agg, r.bin, count(*) AS n
FROM (SELECT window_start, k0, CASE WHEN v >= 0 THEN b ELSE -1 - b END AS bin
FROM (SELECT window_start, k0, v, CAST(shift * 64 + (abs(v) >> shift) AS INTEGER) AS b
FROM (SELECT window_start, k0, v, CAST(bit_count((x | (x >> 16) | (x >> 32) | (x >> 48))) AS INTEGER) AS shift
FROM (SELECT window_start, k0, v, (x | (x >> 4) | (x >> 8) | (x >> 12)) AS x
FROM (SELECT window_start, k0, v, ((abs(v) >> 7) | (abs(v) >> 8) | (abs(v) >> 9) | (abs(v) >> 10)) AS x
FROM (SELECT make_timestamptz(epoch_us(r."timestamp") - (epoch_us(r."timestamp") % 10000000 + 10000000) % 10000000) AS window_start, r."endpoint" AS k0, CASE WHEN r."response_ms" < CAST(1000000000000 AS DECIMAL(18,3)) AND r."response_ms" > -CAST(1000000000000 AS DECIMAL(18,3)) THEN CAST(r."response_ms" * 1000 AS BIGINT) ELSE CAST(CAST(r."response_ms" AS DECIMAL(38,3)) * 1000 AS BIGINT) END AS v
FROM records AS r
WHERE r."response_ms" IS NOT NULL)))))) AS r
GROUP BY 1, 2, 3, 4;

-- partial registers
SELECT r.window_start, r."k0" AS "endpoint", CAST(0 AS SMALLINT) AS agg, r.register, max(r.rank) AS rank
FROM (SELECT window_start, k0, register, CAST(CASE WHEN next >= 2048 THEN 1 WHEN next >= 1024 THEN 2 WHEN next >= 512 THEN 3 WHEN next >= 256 THEN 4 WHEN next >= 128 THEN 5 WHEN next >= 64 THEN 6 WHEN next >= 32 THEN 7 WHEN next >= 16 THEN 8 WHEN next >= 8 THEN 9 WHEN next >= 4 THEN 10 WHEN next >= 2 THEN 11 WHEN next >= 1 THEN 12 WHEN next = 0 THEN least(60, 4 * (29 - length(ltrim(substr(md5(t), 4), '0'))) + CASE WHEN ltrim(substr(md5(t), 4), '0') >= '8' THEN 1 WHEN ltrim(substr(md5(t), 4), '0') >= '4' THEN 2 WHEN ltrim(substr(md5(t), 4), '0') >= '2' THEN 3 ELSE 4 END) END AS TINYINT) AS rank
FROM (SELECT window_start, k0, t, CAST(((h & 255) << 4) | ((h >> 12) & 15) AS SMALLINT) AS register, (h & 3840) | ((h >> 16) & 255) AS next
FROM (SELECT window_start, k0, t, CAST(md5_number(t) & 18446744073709551615 AS UBIGINT) AS h
FROM (SELECT r.window_start, r.k0, r."v1" AS t
FROM (SELECT DISTINCT make_timestamptz(epoch_us(r."timestamp") - (epoch_us(r."timestamp") % 10000000 + 10000000) % 10000000) AS window_start, r."endpoint" AS k0, r."ip" AS v1
FROM records AS r
WHERE r."ip" IS NOT NULL) AS r)
WHERE t IS NOT NULL))) AS r
GROUP BY 1, 2, 3, 4;

-- fused 0
SELECT r."#w10000000" AS w, r."#c endpoint" AS k0, count(*) AS u0, CAST(sum(r."response_ms") * 1000 AS DECIMAL(38,0)) AS u1, count(r."response_ms") AS u2, count(*) FILTER (WHERE (r."status" >= 500)) AS u3, min(r."response_ms") AS u4, max(r."response_ms") AS u5
FROM rows_rows_0 AS r
GROUP BY 1, 2;

-- fused 1
SELECT w, k0, bin, count(*) AS n
FROM (SELECT w, k0, CASE WHEN v >= 0 THEN b ELSE -1 - b END AS bin
FROM (SELECT w, k0, v, CAST(shift * 64 + (abs(v) >> shift) AS INTEGER) AS b
FROM (SELECT w, k0, v, CAST(bit_count((x | (x >> 16) | (x >> 32) | (x >> 48))) AS INTEGER) AS shift
FROM (SELECT w, k0, v, (x | (x >> 4) | (x >> 8) | (x >> 12)) AS x
FROM (SELECT w, k0, v, ((abs(v) >> 7) | (abs(v) >> 8) | (abs(v) >> 9) | (abs(v) >> 10)) AS x
FROM (SELECT r."#w10000000" AS w, r."#c endpoint" AS k0, CASE WHEN r."response_ms" < CAST(1000000000000 AS DECIMAL(18,3)) AND r."response_ms" > -CAST(1000000000000 AS DECIMAL(18,3)) THEN CAST(r."response_ms" * 1000 AS BIGINT) ELSE CAST(CAST(r."response_ms" AS DECIMAL(38,3)) * 1000 AS BIGINT) END AS v
FROM rows_rows_1 AS r
WHERE r."response_ms" IS NOT NULL))))))
GROUP BY 1, 2, 3;

-- fused 2
SELECT r."#w10000000" AS w, r."#c endpoint" AS k0, r."#d1" AS register, max(r."#d2") AS rank
FROM rows_rows_2 AS r
WHERE r."#d1" IS NOT NULL
GROUP BY 1, 2, 3;

-- merge scalars
SELECT r.window_start, r."endpoint", CAST(sum(r.s0) AS BIGINT) AS s0, CAST(sum(r.s1) AS DECIMAL(38,0)) AS s1, CAST(sum(r.s2) AS BIGINT) AS s2, CAST(sum(r.s3) AS BIGINT) AS s3, CAST(min(r.s4) AS DECIMAL(18,3)) AS s4, CAST(max(r.s5) AS DECIMAL(18,3)) AS s5
FROM states AS r
GROUP BY 1, 2;

-- merge bins
SELECT r.window_start, r."endpoint", r.agg, r.bin, CAST(sum(r.n) AS BIGINT) AS n
FROM states AS r
GROUP BY 1, 2, 3, 4;

-- merge registers
SELECT r.window_start, r."endpoint", r.agg, r.register, max(r.rank) AS rank
FROM states AS r
GROUP BY 1, 2, 3, 4;

-- finalize
WITH _scalars AS (SELECT w, k0, CAST(sum(s.s0) AS BIGINT) AS s0, CAST(sum(s.s1) AS DECIMAL(38,0)) AS s1, CAST(sum(s.s2) AS BIGINT) AS s2, CAST(sum(s.s3) AS BIGINT) AS s3, CAST(min(s.s4) AS DECIMAL(18,3)) AS s4, CAST(max(s.s5) AS DECIMAL(18,3)) AS s5 FROM (SELECT r.window_start AS w, r."endpoint" AS k0, r.s0, r.s1, r.s2, r.s3, r.s4, r.s5 FROM in_scalars AS r) AS s GROUP BY w, k0),
_sought AS MATERIALIZED (SELECT *, upto - n AS below, row_number() OVER () AS id FROM (SELECT *, sum(n) OVER (PARTITION BY w, k0, agg ORDER BY octave ROWS UNBOUNDED PRECEDING) AS upto, sum(n) OVER (PARTITION BY w, k0, agg) AS total FROM (SELECT w, k0, agg, _octave AS octave, sum(n) AS n FROM (SELECT *, bin >> 6 AS _octave FROM (SELECT r.window_start AS w, r."endpoint" AS k0, r.agg, r.bin, r.n FROM in_bins AS r)) GROUP BY w, k0, agg, octave)) WHERE agg = 0 AND upto >= (total * 99 + 99) // 100 AND upto - n < (total * 99 + 99) // 100),
_found AS MATERIALIZED (SELECT s.id AS id, r.bin AS bin, sum(r.n) AS n FROM (SELECT *, bin >> 6 AS _octave FROM (SELECT r.window_start AS w, r."endpoint" AS k0, r.agg, r.bin, r.n FROM in_bins AS r)) AS r JOIN _sought AS s ON r.w IS NOT DISTINCT FROM s.w AND r.k0 IS NOT DISTINCT FROM s.k0 AND r.agg = s.agg AND r._octave = s.octave GROUP BY s.id, r.bin),
_eighths AS (SELECT id, eighth, upto - n AS below FROM (SELECT r.id, eighth, r.n, below + reached AS upto, agg, total FROM (SELECT *, sum(n) OVER (PARTITION BY id ORDER BY eighth ROWS UNBOUNDED PRECEDING) AS reached FROM (SELECT id, bin >> 3 AS eighth, sum(n) AS n FROM _found GROUP BY id, eighth)) AS r JOIN _sought AS s ON r.id = s.id) WHERE agg = 0 AND upto >= (total * 99 + 99) // 100 AND upto - n < (total * 99 + 99) // 100),
_quantiles AS (SELECT w, k0, min(bin) FILTER (WHERE agg = 0 AND upto >= (total * 99 + 99) // 100) AS q0_99_100 FROM (SELECT s.w AS w, s.k0 AS k0, s.agg AS agg, s.total AS total, r.bin AS bin, r.upto AS upto FROM (SELECT id, bin, below + sum(n) OVER (PARTITION BY id, eighth ORDER BY bin ROWS UNBOUNDED PRECEDING) AS upto FROM (SELECT r.id, bin, n, eighth, below FROM _found AS r JOIN _eighths AS e ON r.id = e.id AND (bin >> 3) = eighth)) AS r JOIN _sought AS s ON r.id = s.id) GROUP BY w, k0),
_estimates AS (SELECT w, k0, count(*) FILTER (WHERE agg = 0) AS u0, sum(CAST(1 AS BIGINT) << (60 - rank)) FILTER (WHERE agg = 0) AS z0 FROM (SELECT w, k0, agg, register, max(rank) AS rank FROM (SELECT r.window_start AS w, r."endpoint" AS k0, r.agg, r.register, r.rank FROM in_registers AS r) GROUP BY w, k0, agg, register) GROUP BY w, k0),
_answer AS (SELECT s.*, q.q0_99_100, e.u0, e.z0 FROM _scalars AS s
LEFT JOIN _quantiles AS q ON s.w IS NOT DISTINCT FROM q.w AND s.k0 IS NOT DISTINCT FROM q.k0
LEFT JOIN _estimates AS e ON s.w IS NOT DISTINCT FROM e.w AND s.k0 IS NOT DISTINCT FROM e.k0)
SELECT w AS "window_start", k0 AS "endpoint", s0 AS "requests", ((CAST(s1 AS DOUBLE) / 1e3) / nullif(s2, 0)) AS "response_ms_avg", (CAST((((2 * (CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) - greatest((CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) // 64) - 1, 0) * 64) + 1) << CAST(greatest((CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) // 64) - 1, 0) AS INTEGER)) - 1) AS DOUBLE) * (CASE WHEN q0_99_100 < 0 THEN -0.5e0 ELSE 0.5e0 END) / 1e3) AS "response_ms_p99", s3 AS "server_errors", CAST(round(CASE WHEN (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) <= 10240.0e0 AND (4096 - coalesce(u0, 0)) > 0 THEN (4096 * ln(4096.0e0 / nullif((4096 - coalesce(u0, 0)), 0))) ELSE (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) END) AS BIGINT) AS "visitors", s4 AS "response_ms_min", s5 AS "response_ms_max", CAST(s1 * CAST(0.001 AS DECIMAL(3,3)) AS DECIMAL(38,3)) AS "response_ms_sum"
FROM _answer
ORDER BY w ASC NULLS LAST, k0 ASC NULLS LAST;

-- finalize, steps of a day, one day, 10 rows
WITH _scalars AS (SELECT w, k0, CAST(sum(s.s0) AS BIGINT) AS s0, CAST(sum(s.s1) AS DECIMAL(38,0)) AS s1, CAST(sum(s.s2) AS BIGINT) AS s2, CAST(sum(s.s3) AS BIGINT) AS s3, CAST(min(s.s4) AS DECIMAL(18,3)) AS s4, CAST(max(s.s5) AS DECIMAL(18,3)) AS s5 FROM (SELECT make_timestamptz(epoch_us(r.window_start) - (epoch_us(r.window_start) % 86400000000 + 86400000000) % 86400000000) AS w, r."endpoint" AS k0, r.s0, r.s1, r.s2, r.s3, r.s4, r.s5 FROM in_scalars AS r WHERE r.window_start >= make_timestamptz(0) AND r.window_start < make_timestamptz(86400000000)) AS s GROUP BY w, k0),
_sought AS MATERIALIZED (SELECT *, upto - n AS below, row_number() OVER () AS id FROM (SELECT *, sum(n) OVER (PARTITION BY w, k0, agg ORDER BY octave ROWS UNBOUNDED PRECEDING) AS upto, sum(n) OVER (PARTITION BY w, k0, agg) AS total FROM (SELECT w, k0, agg, _octave AS octave, sum(n) AS n FROM (SELECT *, bin >> 6 AS _octave FROM (SELECT make_timestamptz(epoch_us(r.window_start) - (epoch_us(r.window_start) % 86400000000 + 86400000000) % 86400000000) AS w, r."endpoint" AS k0, r.agg, r.bin, r.n FROM in_bins AS r WHERE r.window_start >= make_timestamptz(0) AND r.window_start < make_timestamptz(86400000000))) GROUP BY w, k0, agg, octave)) WHERE agg = 0 AND upto >= (total * 99 + 99) // 100 AND upto - n < (total * 99 + 99) // 100),
_found AS MATERIALIZED (SELECT s.id AS id, r.bin AS bin, sum(r.n) AS n FROM (SELECT *, bin >> 6 AS _octave FROM (SELECT make_timestamptz(epoch_us(r.window_start) - (epoch_us(r.window_start) % 86400000000 + 86400000000) % 86400000000) AS w, r."endpoint" AS k0, r.agg, r.bin, r.n FROM in_bins AS r WHERE r.window_start >= make_timestamptz(0) AND r.window_start < make_timestamptz(86400000000))) AS r JOIN _sought AS s ON r.w IS NOT DISTINCT FROM s.w AND r.k0 IS NOT DISTINCT FROM s.k0 AND r.agg = s.agg AND r._octave = s.octave GROUP BY s.id, r.bin),
_eighths AS (SELECT id, eighth, upto - n AS below FROM (SELECT r.id, eighth, r.n, below + reached AS upto, agg, total FROM (SELECT *, sum(n) OVER (PARTITION BY id ORDER BY eighth ROWS UNBOUNDED PRECEDING) AS reached FROM (SELECT id, bin >> 3 AS eighth, sum(n) AS n FROM _found GROUP BY id, eighth)) AS r JOIN _sought AS s ON r.id = s.id) WHERE agg = 0 AND upto >= (total * 99 + 99) // 100 AND upto - n < (total * 99 + 99) // 100),
_quantiles AS (SELECT w, k0, min(bin) FILTER (WHERE agg = 0 AND upto >= (total * 99 + 99) // 100) AS q0_99_100 FROM (SELECT s.w AS w, s.k0 AS k0, s.agg AS agg, s.total AS total, r.bin AS bin, r.upto AS upto FROM (SELECT id, bin, below + sum(n) OVER (PARTITION BY id, eighth ORDER BY bin ROWS UNBOUNDED PRECEDING) AS upto FROM (SELECT r.id, bin, n, eighth, below FROM _found AS r JOIN _eighths AS e ON r.id = e.id AND (bin >> 3) = eighth)) AS r JOIN _sought AS s ON r.id = s.id) GROUP BY w, k0),
_estimates AS (SELECT w, k0, count(*) FILTER (WHERE agg = 0) AS u0, sum(CAST(1 AS BIGINT) << (60 - rank)) FILTER (WHERE agg = 0) AS z0 FROM (SELECT w, k0, agg, register, max(rank) AS rank FROM (SELECT make_timestamptz(epoch_us(r.window_start) - (epoch_us(r.window_start) % 86400000000 + 86400000000) % 86400000000) AS w, r."endpoint" AS k0, r.agg, r.register, r.rank FROM in_registers AS r WHERE r.window_start >= make_timestamptz(0) AND r.window_start < make_timestamptz(86400000000)) GROUP BY w, k0, agg, register) GROUP BY w, k0),
_answer AS (SELECT s.*, q.q0_99_100, e.u0, e.z0 FROM _scalars AS s
LEFT JOIN _quantiles AS q ON s.w IS NOT DISTINCT FROM q.w AND s.k0 IS NOT DISTINCT FROM q.k0
LEFT JOIN _estimates AS e ON s.w IS NOT DISTINCT FROM e.w AND s.k0 IS NOT DISTINCT FROM e.k0)
SELECT w AS "window_start", k0 AS "endpoint", s0 AS "requests", ((CAST(s1 AS DOUBLE) / 1e3) / nullif(s2, 0)) AS "response_ms_avg", (CAST((((2 * (CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) - greatest((CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) // 64) - 1, 0) * 64) + 1) << CAST(greatest((CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) // 64) - 1, 0) AS INTEGER)) - 1) AS DOUBLE) * (CASE WHEN q0_99_100 < 0 THEN -0.5e0 ELSE 0.5e0 END) / 1e3) AS "response_ms_p99", s3 AS "server_errors", CAST(round(CASE WHEN (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) <= 10240.0e0 AND (4096 - coalesce(u0, 0)) > 0 THEN (4096 * ln(4096.0e0 / nullif((4096 - coalesce(u0, 0)), 0))) ELSE (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) END) AS BIGINT) AS "visitors", s4 AS "response_ms_min", s5 AS "response_ms_max", CAST(s1 * CAST(0.001 AS DECIMAL(3,3)) AS DECIMAL(38,3)) AS "response_ms_sum"
FROM _answer
ORDER BY w ASC NULLS LAST, k0 ASC NULLS LAST
LIMIT 10;

-- finalize, total, top 3
WITH _t_scalars AS (SELECT w, k0, CAST(sum(s.s0) AS BIGINT) AS s0, CAST(sum(s.s1) AS DECIMAL(38,0)) AS s1, CAST(sum(s.s2) AS BIGINT) AS s2, CAST(sum(s.s3) AS BIGINT) AS s3, CAST(min(s.s4) AS DECIMAL(18,3)) AS s4, CAST(max(s.s5) AS DECIMAL(18,3)) AS s5 FROM (SELECT CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS w, r."endpoint" AS k0, r.s0, r.s1, r.s2, r.s3, r.s4, r.s5 FROM in_scalars AS r) AS s GROUP BY w, k0),
_t_answer AS (SELECT s.* FROM _t_scalars AS s),
_top AS (SELECT k0, row_number() OVER (ORDER BY s0 DESC NULLS LAST, k0 ASC NULLS LAST) <= 3 AS kept FROM _t_answer),
_scalars AS (SELECT w, k0, o, CAST(sum(s.s0) AS BIGINT) AS s0, CAST(sum(s.s1) AS DECIMAL(38,0)) AS s1, CAST(sum(s.s2) AS BIGINT) AS s2, CAST(sum(s.s3) AS BIGINT) AS s3, CAST(min(s.s4) AS DECIMAL(18,3)) AS s4, CAST(max(s.s5) AS DECIMAL(18,3)) AS s5 FROM (SELECT CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS w, CASE WHEN _top.kept THEN r."endpoint" END AS k0, NOT _top.kept AS o, r.s0, r.s1, r.s2, r.s3, r.s4, r.s5 FROM in_scalars AS r JOIN _top ON r."endpoint" IS NOT DISTINCT FROM _top.k0) AS s GROUP BY w, k0, o),
_sought AS MATERIALIZED (SELECT *, upto - n AS below, row_number() OVER () AS id FROM (SELECT *, sum(n) OVER (PARTITION BY w, k0, o, agg ORDER BY octave ROWS UNBOUNDED PRECEDING) AS upto, sum(n) OVER (PARTITION BY w, k0, o, agg) AS total FROM (SELECT w, k0, o, agg, _octave AS octave, sum(n) AS n FROM (SELECT *, bin >> 6 AS _octave FROM (SELECT CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS w, CASE WHEN _top.kept THEN r."endpoint" END AS k0, NOT _top.kept AS o, r.agg, r.bin, r.n FROM in_bins AS r JOIN _top ON r."endpoint" IS NOT DISTINCT FROM _top.k0)) GROUP BY w, k0, o, agg, octave)) WHERE agg = 0 AND upto >= (total * 99 + 99) // 100 AND upto - n < (total * 99 + 99) // 100),
_found AS MATERIALIZED (SELECT s.id AS id, r.bin AS bin, sum(r.n) AS n FROM (SELECT *, bin >> 6 AS _octave FROM (SELECT CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS w, CASE WHEN _top.kept THEN r."endpoint" END AS k0, NOT _top.kept AS o, r.agg, r.bin, r.n FROM in_bins AS r JOIN _top ON r."endpoint" IS NOT DISTINCT FROM _top.k0)) AS r JOIN _sought AS s ON r.w IS NOT DISTINCT FROM s.w AND r.k0 IS NOT DISTINCT FROM s.k0 AND r.o IS NOT DISTINCT FROM s.o AND r.agg = s.agg AND r._octave = s.octave GROUP BY s.id, r.bin),
_eighths AS (SELECT id, eighth, upto - n AS below FROM (SELECT r.id, eighth, r.n, below + reached AS upto, agg, total FROM (SELECT *, sum(n) OVER (PARTITION BY id ORDER BY eighth ROWS UNBOUNDED PRECEDING) AS reached FROM (SELECT id, bin >> 3 AS eighth, sum(n) AS n FROM _found GROUP BY id, eighth)) AS r JOIN _sought AS s ON r.id = s.id) WHERE agg = 0 AND upto >= (total * 99 + 99) // 100 AND upto - n < (total * 99 + 99) // 100),
_quantiles AS (SELECT w, k0, o, min(bin) FILTER (WHERE agg = 0 AND upto >= (total * 99 + 99) // 100) AS q0_99_100 FROM (SELECT s.w AS w, s.k0 AS k0, s.o AS o, s.agg AS agg, s.total AS total, r.bin AS bin, r.upto AS upto FROM (SELECT id, bin, below + sum(n) OVER (PARTITION BY id, eighth ORDER BY bin ROWS UNBOUNDED PRECEDING) AS upto FROM (SELECT r.id, bin, n, eighth, below FROM _found AS r JOIN _eighths AS e ON r.id = e.id AND (bin >> 3) = eighth)) AS r JOIN _sought AS s ON r.id = s.id) GROUP BY w, k0, o),
_estimates AS (SELECT w, k0, o, count(*) FILTER (WHERE agg = 0) AS u0, sum(CAST(1 AS BIGINT) << (60 - rank)) FILTER (WHERE agg = 0) AS z0 FROM (SELECT w, k0, o, agg, register, max(rank) AS rank FROM (SELECT CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS w, CASE WHEN _top.kept THEN r."endpoint" END AS k0, NOT _top.kept AS o, r.agg, r.register, r.rank FROM in_registers AS r JOIN _top ON r."endpoint" IS NOT DISTINCT FROM _top.k0) GROUP BY w, k0, o, agg, register) GROUP BY w, k0, o),
_answer AS (SELECT s.*, q.q0_99_100, e.u0, e.z0 FROM _scalars AS s
LEFT JOIN _quantiles AS q ON s.w IS NOT DISTINCT FROM q.w AND s.k0 IS NOT DISTINCT FROM q.k0 AND s.o IS NOT DISTINCT FROM q.o
LEFT JOIN _estimates AS e ON s.w IS NOT DISTINCT FROM e.w AND s.k0 IS NOT DISTINCT FROM e.k0 AND s.o IS NOT DISTINCT FROM e.o)
SELECT w AS "window_start", k0 AS "endpoint", s0 AS "requests", ((CAST(s1 AS DOUBLE) / 1e3) / nullif(s2, 0)) AS "response_ms_avg", (CAST((((2 * (CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) - greatest((CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) // 64) - 1, 0) * 64) + 1) << CAST(greatest((CAST(CASE WHEN q0_99_100 < 0 THEN -1 - q0_99_100 ELSE q0_99_100 END AS BIGINT) // 64) - 1, 0) AS INTEGER)) - 1) AS DOUBLE) * (CASE WHEN q0_99_100 < 0 THEN -0.5e0 ELSE 0.5e0 END) / 1e3) AS "response_ms_p99", s3 AS "server_errors", CAST(round(CASE WHEN (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) <= 10240.0e0 AND (4096 - coalesce(u0, 0)) > 0 THEN (4096 * ln(4096.0e0 / nullif((4096 - coalesce(u0, 0)), 0))) ELSE (0.7211100396160289e0 * 16777216 * 1.152921504606847e+18 / CAST(coalesce(z0, 0) + CAST((4096 - coalesce(u0, 0)) AS HUGEINT) * 1152921504606846976 AS DOUBLE)) END) AS BIGINT) AS "visitors", s4 AS "response_ms_min", s5 AS "response_ms_max", CAST(s1 * CAST(0.001 AS DECIMAL(3,3)) AS DECIMAL(38,3)) AS "response_ms_sum", CAST(CASE WHEN o THEN (SELECT greatest(count(*) - 3, 0) FROM _top) ELSE 0 END AS BIGINT) AS _others
FROM _answer
ORDER BY w ASC NULLS LAST, o ASC NULLS LAST, k0 ASC NULLS LAST;

