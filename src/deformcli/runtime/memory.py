"""Running out of memory, and how many items at a time would have fitted. Imports torch late."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

WORDS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""How torch and its libraries say it where they have no class for it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or this machine has no memory left."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in WORDS)


def free_memory() -> None:
    """Give back what Python and a GPU's allocator hold without need."""
    gc.collect()
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        torch.cuda.empty_cache()


def largest_that_fits(attempt: Callable[[int], object], items: int) -> int:
    """Half of `items`, a quarter and so on: the first number that `attempt` has memory for; 0 if there is none."""
    while items := items // 2:
        free_memory()
        try:
            attempt(items)
            break
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
    return items
