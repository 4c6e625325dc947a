"""Recover the accuracy after the norms were replaced."""
