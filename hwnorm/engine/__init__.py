"""The accelerator: how its multipliers are shared, its registers."""
