"""Floor 2: corpora, language models, training, losses, selection."""
