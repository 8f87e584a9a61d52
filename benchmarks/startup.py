"""How much deform adds to what its parts cost anyway: python benchmarks/startup.py [--weights FILE] [--rounds N]

Every pair is measured in turns, in fresh processes, and the least time of each side counts: the rest is others' doing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deformcli.cli import build_app

PHOTO = Path(__file__).parents[1] / "examples" / "three-quarter.jpg"
BARE = """
import sys
from typing import Annotated
import typer
app = typer.Typer(add_completion=True)
@app.callback(invoke_without_command=True)
def root(context: typer.Context, version: bool = False):
    if version:
        print("0.1.0")
    elif context.invoked_subcommand is None:
        print(context.get_help())
def work(x: Annotated[str, typer.Argument(help="A thing.")] = "", y: Annotated[int, typer.Option(help="More.")] = 1):
    "Does something with a thing."
for number in range({count}):
    app.command(f"command{{number}}")(work)
app(sys.argv[1:], prog_name="bare")
"""
NETWORK = """
import time, torch, torchvision, cv2
from pathlib import Path
from deformcli.faces.detect import Mtcnn
from deformcli.faces.crops import crop, square_around
from deform_frontalize.frontalizer import Frontalizer
from deformcli.images import read_image, to_tensor
rgb = read_image({photo!r}).rgb
detector, network = Mtcnn(), Frontalizer.from_weights(Path({weights!r}), torch.device("cpu"))
start = time.perf_counter()
network(to_tensor(crop(rgb, square_around(detector.find(rgb)[0]))))
print(time.perf_counter() - start)
"""


def seconds(command: list[str], **variables: str) -> float:
    """Wall-clock time of a process."""
    start = time.perf_counter()
    subprocess.run(command, env=os.environ | variables, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def least(rounds: int, *sides: Callable[[], float]) -> list[float]:
    """The least time of each side, measured in turns."""
    return [min(times) for times in zip(*([side() for side in sides] for _ in range(rounds)), strict=True)]


def row(what: str, ours: float, theirs: float, limit: float) -> None:
    print(f"{what:<44} {1000 * ours:8.0f} {1000 * theirs:8.0f} {ours / theirs:8.2f} {limit:8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="frontalize-128", help="id, or a file of frontalize weights")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    deform = [str(Path(sys.executable).with_name("deform"))]
    app = build_app()
    count = len(app.registered_commands) + sum(
        len(group.typer_instance.registered_commands) for group in app.registered_groups if group.typer_instance
    )
    bare = [sys.executable, "-c", BARE.format(count=count)]
    print(f"{'milliseconds':<44} {'deform':>8} {'other':>8} {'ratio':>8} {'at most':>8}")
    for arguments, others in (
        (["--help"], ["--help"]),
        (["--version"], ["--version"]),
        (["plugins", "list"], ["command1"]),
    ):
        pair = least(options.rounds, lambda a=arguments: seconds([*deform, *a]), lambda o=others: seconds([*bare, *o]))
        row(f"deform {' '.join(arguments)}, a bare Typer app", *pair, 1.5)
    words = {"COMP_WORDS": "deform\nfr", "COMP_CWORD": "1"}
    pair = least(
        options.rounds,
        lambda: seconds(deform, _DEFORM_COMPLETE="complete_bash", **words),
        lambda: seconds(bare, _BARE_COMPLETE="complete_bash", **words),
    )
    row("completing deform fr, a bare Typer app", *pair, 1.5)
    with tempfile.TemporaryDirectory() as folder:
        job = ["frontalize", str(PHOTO), "-o", f"{folder}/out.png", "--exists", "overwrite", "--device", "cpu"]
        path = subprocess.run(
            [*deform, "weights", "path", options.weights], capture_output=True, text=True, check=False
        )
        network = NETWORK.format(photo=str(PHOTO), weights=path.stdout.strip() or options.weights)

        def own_time() -> float:
            return float(subprocess.run([sys.executable, "-c", network], capture_output=True, check=True).stdout)

        ours, imports, work = least(
            options.rounds,
            lambda: seconds([*deform, *job, "--weights", options.weights]),
            lambda: seconds([sys.executable, "-c", "import torch, torchvision, cv2"]),
            own_time,
        )
    row("deform frontalize, imports + networks", ours, imports + work, 1.3)


if __name__ == "__main__":
    main()
