"""SIGKILL on real processes while they work."""
