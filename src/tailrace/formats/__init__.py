"""From bytes of a post to typed columns, one verdict a line. Pure: no I/O, no clock, no threads of its own.

Called by ingest (and by whoever decodes a file). A bad line never fails its neighbours: it becomes a dead letter.
"""
