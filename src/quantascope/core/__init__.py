"""Floor 0: axes, units, randomness, errors, progress; imports nothing of the project."""
