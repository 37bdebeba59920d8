"""Floor 3: the stage graph, resume, executors."""
