"""What is seen of a run while it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deformcli.runtime import bar, is_shown, log

if TYPE_CHECKING:
    from deformcli.training import Losses, Trainer


@contextmanager
def progress(trainer: Trainer, wanted: bool) -> Iterator[Callable[[int, Losses], None]]:
    """A bar with pace and loss on a terminal, a line now and then elsewhere; nothing from processes that follow."""
    wanted = wanted and trainer.processes.leading
    with bar(trainer.config.steps, trainer.step, wanted=wanted, what="train") as advance:

        def report(step: int, numbers: Losses) -> None:
            loss = f"loss {numbers['total']:.4f}" if "total" in numbers else "step skipped"
            advance(f"{numbers['images_per_second']:.1f} images/s  {loss}")
            if trainer.processes.leading and not is_shown(wanted):
                _tell(trainer, step, numbers)

        yield report


def _tell(trainer: Trainer, step: int, numbers: Losses) -> None:
    config = trainer.config
    if step == config.steps or (config.log_every and step % config.log_every == 0):
        text = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        log.info("step %s/%s  %s", step, config.steps, text)
