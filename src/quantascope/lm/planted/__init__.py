"""Planted text: documents in which a known skill rules every word that can be predicted."""
