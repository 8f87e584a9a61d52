"""Frozen configs: changed by "key=value", read back from JSON, and shown with the meaning of every field."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from deformcli.errors import UsageError


def override(config: Any, assignments: Sequence[str]) -> Any:
    """Apply "key=value" or "section.key=value" to a frozen config. Raises UsageError naming the key."""
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator:
            raise UsageError(f"--set {assignment}: expected key=value", "write for example --set batch_size=8")
        config = _replace(config, key.split("."), text, key)
    return config


def _replace(config: Any, path: Sequence[str], text: str, key: str) -> Any:
    fields = {field.name for field in dataclasses.fields(config)}
    if path[0] not in fields:
        raise UsageError(f"--set {key}: no field {path[0]!r}", f"fields are: {', '.join(sorted(fields))}")
    value = getattr(config, path[0])
    if dataclasses.is_dataclass(value) != (len(path) > 1):
        problem = "has no fields" if len(path) > 1 else f"has fields: {', '.join(vars(value))}"
        raise UsageError(f"--set {key}: {path[0]} {problem}", "see --show-config for all keys")
    if len(path) > 1:
        return dataclasses.replace(config, **{path[0]: _replace(value, path[1:], text, key)})
    try:
        return dataclasses.replace(config, **{path[0]: _parse(text, get_type_hints(type(config))[path[0]])})
    except ValueError as error:
        raise UsageError(f"--set {key}={text}: {error}", f"it is now {value!r}") from error


def _parse(text: str, kind: Any) -> Any:
    """`text` as a value of type `kind`. Raises ValueError saying what was expected."""
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ValueError(f"{text!r} is none of {', '.join(get_args(kind))}")
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is not true or false")
        return text.lower() == "true"
    if get_origin(kind) is tuple:
        return tuple(_parse(part, get_args(kind)[0]) for part in text.split(","))
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is no {kind.__name__}") from None


def flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Each field of a nested config as (key, value, meaning), the key with dots."""
    meanings = _meanings(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from flat(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value, meanings.get(field.name, "")


def _meanings(kind: type) -> dict[str, str]:
    """What the comments behind a dataclass's fields say: there each meaning is written, and nowhere else."""
    try:
        return dict(re.findall(r"^    (\w+): .*?  # (.+)$", inspect.getsource(kind), re.MULTILINE))
    except OSError:  # installed without its source
        return {}
