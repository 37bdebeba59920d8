"""Floor 1: manifests, tables, arrays, the run folder."""
