"""The Kinesis API on the embedded stream.

`endpoint` takes a request apart (`wire`, `sigv4`, `validation`) and gives it to one of the families: `puts`, `reads`, `subscribe`,
`describe` run in the ingest process that the request came to; `control` runs in the node, which owns what it changes.
"""
