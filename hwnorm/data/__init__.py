"""Images: the subset that is shipped, and the folders that a user brings."""
