"""Pages for toys: folders of a world whose quanta are known, a kind each."""
