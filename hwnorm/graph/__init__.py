"""A vision transformer as operations over tensors, in order of execution."""
