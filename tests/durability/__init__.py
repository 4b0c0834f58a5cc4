"""Power cuts, damage and failing disks: what was acknowledged is there, and nothing false is served."""
