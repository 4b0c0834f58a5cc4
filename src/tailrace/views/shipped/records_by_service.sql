-- What each service logged: records and the time they stand for.
CREATE VIEW records_by_service AS
SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start,
       service,
       endpoint,
       status,
       count(*) AS records,
       sum(response_ms) AS response_ms_sum
FROM logs
GROUP BY ALL;
