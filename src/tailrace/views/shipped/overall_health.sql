-- All requests together: how many, how slow, how many failed.
CREATE VIEW overall_health AS
SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start,
       count(*) AS requests,
       avg(response_ms) AS response_ms_avg,
       quantile(response_ms, 0.5) AS response_ms_p50,
       quantile(response_ms, 0.99) AS response_ms_p99,
       max(response_ms) AS response_ms_max,
       count(*) FILTER (WHERE status >= 500) AS server_errors
FROM logs
GROUP BY ALL;
