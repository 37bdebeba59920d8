"""Floor 1: closed forms of scaling theories."""
