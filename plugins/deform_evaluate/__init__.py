"""`deform evaluate RECIPE`: measure weights on held-out data. Light: torch is imported when the command runs."""
