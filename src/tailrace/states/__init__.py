"""Mergeable states on disk: immutable segments, and the one manifest that says which of them count.

`tables` are the three state tables of a view, `segment` their files, `manifest` the row that is swapped by compare-and-swap,
`compaction` the plan that keeps their number small. Speed and batch write segments, serving reads them.
"""
