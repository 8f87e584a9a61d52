"""Networks' weights: listed in manifests, found or fetched, verified, shared, made into networks.

torch and the Hub's client are imported when they are used.
"""

from deformcli._lazy import attach

__getattr__, __all__ = attach(
    __name__,
    archive=("read_archive", "write_archive"),
    checksum=("file_sha256",),
    hub=("hub_file", "remove", "superfluous", "upload"),
    manifest=("WeightsEntry", "all_weights", "find_entry", "own_manifest", "read_manifest", "weights_dir"),
    networks=(
        "build_generator",
        "export_generator",
        "fill_network",
        "from_dict",
        "load_frozen",
        "load_generator",
        "load_tensors",
        "save_tensors",
    ),
    own=("add_run", "as_toml", "forget", "is_own", "put"),
    pickles=("convert",),
    store=("local_file", "named_files", "own_file", "parameter_counts", "resolve_weights", "verified_file"),
)
