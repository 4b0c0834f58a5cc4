"""Names of metrics, as constants, and the counters behind them. Names: `tailrace_<part>_<noun>_<unit>[_total]`."""
