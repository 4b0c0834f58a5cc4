"""Whether a node has counted what manifests say was acknowledged: once, no less and no more. Pure; the command asks the node."""
