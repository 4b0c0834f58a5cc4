"""Where lines are sent: one file a target, each with its client."""
