"""How fast a run is, and how long it waits for data."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

from deformcli.data.loading import Batch


class Pace:
    """Of the last `window` steps."""

    def __init__(self, window: int) -> None:
        self.steps: deque[tuple[float, float]] = deque(maxlen=max(1, window))  # when a batch was asked for, and came

    def watch(self, source: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of a source, on their way to a step."""
        asked = time.monotonic()
        for batch in source:
            self.steps.append((asked, time.monotonic()))
            yield batch
            asked = time.monotonic()

    def read(self, batch_size: int) -> dict[str, float]:
        """Images a second, and the share of the time that went by waiting for data."""
        total = time.monotonic() - self.steps[0][0]
        waited = sum(came - asked for asked, came in self.steps)
        return {
            "images_per_second": round(len(self.steps) * batch_size / total, 2),
            "waiting": round(waited / total, 3),
        }
