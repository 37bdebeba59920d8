"""Forms: each law a function of logarithms, its starts and its change of units; their table."""
