"""Pictures of a run, and one self-contained HTML page that holds them."""
