"""The built-in commands."""

import json
from collections.abc import Iterable
from typing import Any

import typer


def show(data: Any, lines: Iterable[str], as_json: bool) -> None:
    """Write data to stdout as JSON, or the lines that tell it."""
    text = json.dumps(data, indent=2, default=str) if as_json else "\n".join(lines)
    typer.echo(text, nl=bool(text))
