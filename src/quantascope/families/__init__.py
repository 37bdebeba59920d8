"""Floor 2: loss curves over sizes, steps and seeds."""
