"""Rules judged on the merged views, the states that follow, and the messages about them.

`rule` and `rule_files` say what is wanted, `sources` and `frame` fetch numbers, `judge` and `state` decide (pure), `replay` decides
about the past, `engine` keeps it going in the node, `store` remembers, `notify` tells people.
"""
