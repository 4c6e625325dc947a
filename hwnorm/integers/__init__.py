"""A graph as integers: every tensor a fixed-point format, every step exact."""
