"""Probes: questions with known answers, sorted by skill, and how a model scores on them."""
