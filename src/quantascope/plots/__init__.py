"""Floor 2: figures from tables; no reading, no fitting, no saving."""
