"""What synthesis sees of a datapath, and what that costs on a target."""
