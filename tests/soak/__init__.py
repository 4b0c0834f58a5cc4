"""A node under load for an hour, with everything done to it that a machine may do, and every number checked at the end."""
