-- How each endpoint answered, by status code.
CREATE VIEW status_by_endpoint AS
SELECT time_bucket(INTERVAL '10 seconds', timestamp) AS window_start,
       endpoint,
       status,
       count(*) AS requests
FROM logs
GROUP BY ALL;
