"""Floor 2: worlds in which the quanta are known."""
