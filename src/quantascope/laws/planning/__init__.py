"""Planning: a budget's optimum, three approaches to it, steps and batch, what to be warned of."""
