"""Values that every layer shares: fields, shards, positions, blocks, windows. No I/O, no clock."""
