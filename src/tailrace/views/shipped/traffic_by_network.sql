-- Where traffic comes from: IPv4 /24 and IPv6 /48 networks.
CREATE VIEW traffic_by_network AS
SELECT time_bucket(INTERVAL '1 minute', timestamp) AS window_start,
       network(ip) AS network,
       count(*) AS requests,
       approx_count_distinct(ip) AS visitors
FROM logs
GROUP BY ALL;
