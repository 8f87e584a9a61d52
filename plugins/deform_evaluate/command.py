"""The commands behind `deform evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deformcli import options, registry

from .options import Judging, Tables

Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights", metavar="ID|PATH", help="What to measure; may repeat.", autocompletion=options.weights_ids
    ),
]
Baseline = Annotated[
    list[str] | None,
    typer.Option(help="copy, mirror, telea, navier-stokes, biharmonic or mean; may repeat. Default: the task's."),
]
Size = Annotated[int, typer.Option(min=32, help="Side of the pictures in pixels.")]


class _RecipeByDefault(typer.core.TyperGroup):
    """`deform evaluate inpaint ...` is `deform evaluate recipe inpaint ...`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["recipe", *args]
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        recipes = self.commands["recipe"].params[0].shell_complete(ctx, incomplete)
        return [*super().shell_complete(ctx, incomplete), *recipes]


app = typer.Typer(cls=_RecipeByDefault, no_args_is_help=True, help="Measure pictures against the truth.")


@app.command()
@options.spread
def recipe(
    recipe: options.Recipe,
    data: options.Data,
    judging: Judging,
    tables: Tables,
    weights: Weights = None,
    baseline: Baseline = None,
    masks: options.Masks = None,
    size: Size = 128,
) -> None:
    """Measure weights and baselines on the held-out items of a task: same items, same masks, same seed."""
    kind = registry.choose("recipe", recipe, registry.recipes())

    from deformcli.data.loading import InOrder
    from deformcli.data.spec import open_items
    from deformcli.runtime.device import choose_device

    from .methods import choose_baselines, open_tasks
    from .run import judge

    device = choose_device(judging.device)
    changes = [f"training.size={size}", f"training.seed={judging.seed}", *([f"masks={masks}"] if masks else [])]
    tasks, hashes = open_tasks(kind, weights or [kind.default_weights], changes, device, judging.offline)
    task = next(iter(tasks.values()))
    items = open_items(task, data, "test")
    methods = {name: one.predict for name, one in tasks.items()} | choose_baselines(task, baseline, data, device)
    about = {"recipe": recipe, "data": data, "pictures": f"{size} x {size}, resized by area", "weights": hashes}
    judge(task, InOrder(items, 16), methods, judging, tables, about, holes="known" in items[0], recipes=tasks)


@app.command()
@options.spread
def dirs(
    predictions: Annotated[Path, typer.Argument(metavar="PRED", help="Folder of pictures to judge.")],
    truths: Annotated[Path, typer.Argument(metavar="GT", help="Folder of true pictures of the same names.")],
    judging: Judging,
    tables: Tables,
) -> None:
    """Compare two folders of pictures by file name, whatever the suffix."""
    from .folders import Folders
    from .run import judge

    folders = Folders(predictions, truths)
    methods = {f"{predictions.resolve().name}/": lambda batch: batch["image"]}  # no baseline's name
    about = {"folders": [str(predictions), str(truths)], "pictures": "as they are, not resized"}
    judge(folders, folders, methods, judging, tables, about, holes=False, recipes={})


@app.command()
def sweep(
    recipe: options.Recipe,
    data: options.Data,
    setting: Annotated[str, typer.Option("--set", metavar="KEY=A,B,...", help="A setting, and its values.")],
    runs: Annotated[list[Path], typer.Option(metavar="DIR", help="A trained run, or a folder of runs; may repeat.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The picture to write.")],
    items: Annotated[int, typer.Option(min=1, help="How many held-out items are shown.")] = 3,
    size: Size = 128,
    seed: options.Seed = 0,
    device: options.Device = "auto",
) -> None:
    """Lay runs side by side with their warped pictures w1..wK: what one setting does."""
    kind = registry.choose("recipe", recipe, registry.recipes())

    from deformcli.images import write_image
    from deformcli.runtime.device import choose_device

    from .sweep import find_runs, lay_out

    changes = [f"training.size={size}", f"training.seed={seed}"]
    sheet = lay_out(kind, find_runs(kind, setting, runs), data, changes, items, choose_device(device))
    write_image(sheet, output)
