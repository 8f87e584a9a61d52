"""Recipes: what a task trains on and by which losses, and a network in use."""
