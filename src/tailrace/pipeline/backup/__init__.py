"""A copy of a data folder, taken under load, from which a node goes on exactly where the copy was taken.

`places` are where a backup may lie, `plan` says what is copied in which order and why, `taking` and `restoring` do it.
"""
