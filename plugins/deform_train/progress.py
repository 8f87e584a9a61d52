"""What is seen of a run while it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from deformcli.training import Losses, Trainer


@contextmanager
def progress(trainer: Trainer, bar: bool) -> Iterator[Callable[[int, Losses], None]]:
    """A bar with pace and loss on a terminal, a line now and then elsewhere; nothing from processes that follow."""
    from rich.console import Console

    console = Console(stderr=True)
    if not trainer.processes.leading:
        yield lambda step, numbers: None
    elif bar and console.is_terminal:
        yield from _bar(trainer, console)
    else:
        yield lambda step, numbers: _line(trainer, step, numbers)


def _line(trainer: Trainer, step: int, numbers: Losses) -> None:
    config = trainer.config
    if step == config.steps or (config.log_every and step % config.log_every == 0):
        text = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        typer.echo(f"step {step}/{config.steps}  {text}", err=True)


def _bar(trainer: Trainer, console: Console) -> Iterator[Callable[[int, Losses], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=console) as shown:
        task = shown.add_task("train", total=trainer.config.steps, completed=trainer.step, words="")

        def report(step: int, numbers: Losses) -> None:
            loss = f"loss {numbers['total']:.4f}" if "total" in numbers else "step skipped"
            shown.update(task, completed=step, words=f"{numbers['images_per_second']:.1f} images/s  {loss}")

        yield report
