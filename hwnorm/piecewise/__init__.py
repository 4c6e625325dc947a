"""Designing one piecewise unit: a table, folds, slopes."""
