"""Data sets. `spec` opens `--data KIND:ROOT` by the adapter of its kind, one file each; every adapter gives `Pictures`
or `Pairs` (`sources`) of a split; `masked` and `pairs` make items for training and testing of them.
"""

from deformcli._lazy import attach

__getattr__, __all__ = attach(
    __name__,
    files=("read_picture",),
    folder=("picture_files",),
    loading=("Batch", "InOrder", "to_device"),
    masked=("MaskedPictures",),
    masks=("mask_names",),
    pairs=("FacePairs",),
    rendered=("Sample", "person_file", "write_index", "write_person"),
    rotated=("near_frontal", "read_head"),
    sources=("Pair", "Pairs", "Pictures", "Source"),
    spec=("located", "open_source"),
    turning=("CROP", "MARGIN", "WORLD", "make_pair", "rotation"),
)
