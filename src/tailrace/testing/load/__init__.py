"""A load whose every line follows from a seed, and what the views must say of it: nothing need be remembered to check an hour of it.

`plan` says what is sent, `sender` sends it, `ack_log` keeps what was acknowledged, `expected` and `compare` are the checker. None
of them uses the product's reading of lines, its views or its states.
"""
