"""The trainer: one loop, its step, its files."""
