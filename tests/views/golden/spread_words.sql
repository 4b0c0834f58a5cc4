-- The aggregates that keep a spread, an order or a list.
CREATE VIEW spread_words AS
SELECT time_bucket(INTERVAL '1 minute', timestamp) AS minute,
       endpoint,
       lower(service) AS service,
       stddev(response_ms) AS response_ms_dev,
       var_pop(status) FILTER (WHERE status >= 400) AS status_var,
       bool_and(status < 500) AS all_well,
       bool_or(starts_with(message, 'panic')) AS some_panic,
       first(ip) AS first_ip,
       arg_max(upper(level), timestamp) FILTER (WHERE status >= 500) AS last_level,
       max(response_ms, 5) AS slowest,
       min(length(message), 2) AS shortest
FROM logs
GROUP BY ALL;
