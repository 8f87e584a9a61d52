"""Running out of memory, and how many items at a time would have fitted."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or this machine has no memory left; torch says it of the latter in words alone."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def largest_that_fits(attempt: Callable[[int], object], items: int) -> int:
    """Half of `items`, a quarter and so on: the first number that `attempt` has memory for; 0 if there is none."""
    while items := items // 2:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            attempt(items)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            break
    return items
