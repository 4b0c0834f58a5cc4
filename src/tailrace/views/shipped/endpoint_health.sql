-- Each endpoint: traffic, response times, failures and visitors.
CREATE VIEW endpoint_health AS
SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start,
       endpoint,
       count(*) AS requests,
       avg(response_ms) AS response_ms_avg,
       quantile(response_ms, 0.99) AS response_ms_p99,
       count(*) FILTER (WHERE status >= 500) AS server_errors,
       approx_count_distinct(ip) AS visitors,
       min(response_ms) AS response_ms_min,
       max(response_ms) AS response_ms_max,
       sum(response_ms) AS response_ms_sum
FROM logs
GROUP BY ALL;
