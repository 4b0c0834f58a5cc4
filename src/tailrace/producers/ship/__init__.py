"""Ships log files to a node: follows them over rotation, and sends each line exactly once. Used by `tailrace ship`."""
