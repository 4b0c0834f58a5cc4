"""The front door of a node: takes posts of log lines and answers once they are durable, and passes all else to the node.

Runs in processes of its own on the inherited listening socket. It never reads the stream, and holds nothing that a kill
could lose: what was acknowledged is on disk.
"""
