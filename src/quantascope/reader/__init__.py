"""Floor 3: reads runs; Run, Cluster, Pred, report."""
