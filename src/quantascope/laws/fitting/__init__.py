"""The fitter: checked points, one minimiser, a global search, intervals, the result."""
