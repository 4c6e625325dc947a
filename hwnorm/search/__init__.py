"""Genetic programming for one layer's function: error against hardware cost. DEAP lives here alone."""
