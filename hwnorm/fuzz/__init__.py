"""Random expressions through every rendering of them, and the smallest case for each that fails."""
