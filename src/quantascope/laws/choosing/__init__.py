"""Choosing and trusting: extrapolation, the leaderboard, the audit of published parameters."""
