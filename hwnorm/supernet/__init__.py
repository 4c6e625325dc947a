"""Subnets of one trained network: which there are, what each costs, and the search among them."""
