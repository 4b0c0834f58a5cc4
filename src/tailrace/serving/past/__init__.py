"""Views as they stood at a position: `at=`. Runs in the query process, so that recomputing history keeps no live answer waiting."""
