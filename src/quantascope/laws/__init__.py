"""Floor 1: laws as functions, fits and intervals."""
