"""Floor 4: one file per experiment; `registry.RECIPES` lists them."""
