"""Networks' weights: listed in manifests, found or fetched, verified, shared. Imports no torch."""

from .manifest import WeightsEntry, all_weights, find_entry, read_manifest
from .store import local_file, parameter_counts, read_header, resolve_weights, verified_file

__all__ = [
    "WeightsEntry",
    "all_weights",
    "find_entry",
    "local_file",
    "parameter_counts",
    "read_header",
    "read_manifest",
    "resolve_weights",
    "verified_file",
]
