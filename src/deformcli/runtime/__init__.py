"""What a process has: devices, memory, signals, a terminal, a disk."""
