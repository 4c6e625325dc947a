"""From an expression to a scheduled datapath."""
