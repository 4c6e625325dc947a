"""Sweeps: studies of many trials, their table, and their front."""
