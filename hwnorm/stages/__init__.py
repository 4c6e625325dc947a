"""The stages of a run, in order, and the main job that calls them all."""
