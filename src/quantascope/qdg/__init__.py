"""Floor 2: quanta discovery from gradients, from gradients to ranked clusters."""
