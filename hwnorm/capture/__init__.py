"""Capture what each norm of a model does: forward hooks, streaming into profiles."""
