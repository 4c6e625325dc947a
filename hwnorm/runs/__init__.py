"""Runs: the folder that the stages share, and the main job that calls them all."""
