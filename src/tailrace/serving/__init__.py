"""The one merged view: pin a manifest and the speed states above it, merge, finalize; move the frontier; keep the ledger.

`pin`, `merge`, `explain`, `subscribe` and `tail` run in the node; `handover` runs in the batch process; `sql` is the query process.
"""
