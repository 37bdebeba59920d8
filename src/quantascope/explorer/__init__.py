"""Floor 4: web pages over a run, read only."""
