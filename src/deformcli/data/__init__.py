"""Data sets. `spec` opens `--data KIND:ROOT` by the adapter of its kind, one file each; every adapter gives `Pictures`
or `Pairs` (`sources`) of a split; `masked` and `pairs` make items for training and testing of them.
"""
