"""Messages about alerts: which alerts go together, when they are sent, to whom, and in which form."""
