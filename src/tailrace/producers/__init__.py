"""Sources of log lines and the ways to send them: a traffic model, replay of a real log, sinks with retries.

A source is an iterator of `Post`s that says when each is due; `feed` waits for that moment and hands it to a sink. Used by `demo`,
`produce` and tests; it never reads what a node stores.
"""
