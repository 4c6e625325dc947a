"""What each norm layer would take as LayerNorm, DyT, Derf, a table, and as the function that was chosen."""
