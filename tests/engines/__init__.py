"""Real servers and clients of others, beside a real node. What they are and how they come here: `make engines`."""
