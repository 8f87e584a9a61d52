"""What `deform evaluate` measures with."""
