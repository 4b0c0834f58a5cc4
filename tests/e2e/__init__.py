"""A real node as a user meets it: processes, HTTP, files. The expected numbers come from plain SQL and from the model."""
