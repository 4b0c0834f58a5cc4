"""Makes of the stream. Only the composition root names one; they do not know each other."""
