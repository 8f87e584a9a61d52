"""What a process has: devices, memory, signals, a terminal, a disk. torch is imported when it is used."""

from deformcli._lazy import attach

__getattr__, __all__ = attach(
    __name__,
    device=("autocast", "choose_device", "has_fast_bfloat16", "network_layout"),
    memory=("free_memory", "is_out_of_memory", "largest_that_fits"),
    stop=("asked_to_stop", "ignore_signals", "time_limit"),
    storage=("cache_dir", "renamed_into", "write_atomic", "writing"),
    tell=("bar", "is_shown", "log"),
)
