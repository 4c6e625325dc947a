"""Measuring a target by synthesis."""
