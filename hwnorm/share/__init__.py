"""One function unit with a layer select for all functions of a network."""
