"""Forecasts of group losses at sizes or steps not yet seen: one file a method, and their scores."""
