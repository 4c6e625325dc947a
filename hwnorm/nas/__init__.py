"""Architecture search: a space file, its folder, the search, and the points of the front."""
