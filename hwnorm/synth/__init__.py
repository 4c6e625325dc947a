"""Synthesis and place and route with open tools: what a design really takes on a target."""
