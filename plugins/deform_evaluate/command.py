"""The commands behind `deform evaluate`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from deformcli import options, registry
from deformcli.errors import NothingToDoError, UsageError

from .options import MetricOptions, TableOptions, listed

Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights", metavar="ID|PATH", help="What to measure; may repeat.", autocompletion=options.weights_ids
    ),
]
Baseline = Annotated[
    list[str] | None,
    typer.Option(
        help="copy, mirror, mean, telea, navier-stokes, biharmonic, patchmatch or shift-map; may repeat. "
        "Default: the task's."
    ),
]
Gallery = Annotated[
    list[str] | None,
    typer.Option(metavar="KIND:ROOT", help="Rank-1 among the people of this training data too; may repeat."),
]
Split = Annotated[
    Literal["test", "validation"],
    typer.Option(help="Whom to measure on: people who had no part in training, or those who chose the best weights."),
]
By = Annotated[
    str,
    typer.Option(
        "--by", metavar="LABEL,...", help="Rows for groups too, by columns of labels.csv beside the pictures: race,age."
    ),
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
    metrics: MetricOptions,
    tables: TableOptions,
    weights: Weights = None,
    baseline: Baseline = None,
    masks: options.Masks = None,
    gallery: Gallery = None,
    split: Split = "test",
    by: By = "",
    size: Size = 128,
) -> None:
    """Measure weights and baselines on items that were not trained on: same items, same masks, same seed."""
    kind = registry.choose("recipe", recipe, registry.recipes())

    from deformcli.data import InOrder, located
    from deformcli.evaluation import training_people
    from deformcli.recipes import open_items
    from deformcli.runtime import choose_device

    from .methods import choose_baselines, find_labels, open_predictors
    from .run import run

    data, gallery = located(data), located(gallery or [])
    device = choose_device(metrics.device)
    changes = [f"training.size={size}", f"training.seed={metrics.seed}", *([f"masks={masks}"] if masks else [])]
    names = weights or [kind.predictor.default_weights]
    predictors, hashes = open_predictors(kind, names, changes, device, metrics.offline)
    first = next(iter(predictors.values()))
    items = open_items(kind, first.config, data, split)
    methods = {name: predictor.predict for name, predictor in predictors.items()}
    methods |= choose_baselines(kind, first, baseline, data, device)
    about: dict[str, Any] = {
        "recipe": recipe,
        "data": data,
        "split": split,
        "pictures": f"{size} x {size}, resized by area",
        "weights": hashes,
    }
    about |= {"gallery": gallery} if gallery else {}
    about |= {"by": by} if by else {}
    batches, people = InOrder(items, 16), list(training_people(gallery or [], size))
    given = {"predictors": predictors, "gallery": people, "labels": find_labels(items, listed(by))}
    run(first, batches, methods, metrics, tables, about, holes=_holes(items), left_out=batches.left_out, **given)


def _holes(items: Any) -> bool:
    """Whether items have holes, as the first that can be read tells. Raises NothingToDoError if none can."""
    for index in range(len(items)):
        with suppress(UsageError):
            return "known" in items[index]
    raise NothingToDoError("there is no item to evaluate", "name data that has some which can be read")


@app.command()
@options.spread
def dirs(
    predictions: Annotated[Path, typer.Argument(metavar="PRED", help="Folder of pictures to measure.")],
    truths: Annotated[Path, typer.Argument(metavar="GT", help="Folder of true pictures of the same names.")],
    metrics: MetricOptions,
    tables: TableOptions,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Search the folders below too: the same paths are compared.")
    ] = False,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Measure the sets, whatever the names: fid and kid, or is; --features.")
    ] = False,
) -> None:
    """Compare two folders of pictures by file name, whatever the suffix."""
    from .folders import Folder, Folders
    from .run import run, run_sets

    name = f"{predictions.resolve().name}/"  # no baseline's name
    about: dict[str, Any] = {"folders": [str(predictions), str(truths)], "pictures": "as they are, not resized"}
    if unpaired:
        made, true = (Folder(folder, recursive=recursive) for folder in (predictions, truths))
        run_sets(name, made, true, metrics, tables, about | {"unpaired": f"{len(made)} against {len(true)} pictures"})
        return
    folders = Folders(predictions, truths, recursive=recursive)
    run(folders, folders, {name: lambda batch: batch["image"]}, metrics, tables, about)


@app.command()
def sweep(
    recipe: options.Recipe,
    data: options.Data,
    setting: Annotated[str, typer.Option("--set", metavar="KEY=A,B,...", help="A setting, and its values.")],
    runs: Annotated[list[Path], typer.Option(metavar="DIR", help="A trained run, or a folder of runs; may repeat.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The picture to write.")],
    items: Annotated[int, typer.Option(min=1, help="How many items are shown.")] = 3,
    split: Split = "test",
    size: Size = 128,
    seed: options.Seed = 0,
    device: options.Device = "auto",
) -> None:
    """Lay runs side by side with their warped pictures w1..wK: what one setting does."""
    kind = registry.choose("recipe", recipe, registry.recipes())

    from deformcli.data import located
    from deformcli.images import write_image
    from deformcli.runtime import choose_device

    from .sweep import lay_out, runs_with

    changes = [f"training.size={size}", f"training.seed={seed}"]
    sheet = lay_out(kind, runs_with(kind, setting, runs), located(data), split, changes, items, choose_device(device))
    write_image(sheet, output)
