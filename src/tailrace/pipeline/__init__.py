"""The composition root: the processes of a node, who starts them, and which backend each part gets.

`local` starts a node's processes through `supervisor`; `main` is what each of them runs, by role. Only this package names backends.
"""
