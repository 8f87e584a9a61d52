"""`--data KIND:ROOT?option=value`, taken apart and opened."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import NamedTuple

from deformcli import registry
from deformcli.errors import UsageError

from .sources import Source

KINDS = {
    "celeba": "deformcli.data.celeba:open_celeba",
    "deepfashion": "deformcli.data.deepfashion:open_deepfashion",
    "fairface": "deformcli.data.fairface:open_fairface",
    "folder": "deformcli.data.folder:open_folder",
    "hf": "deformcli.data.hf:open_hf",
    "london": "deformcli.data.london:open_london",
    "multipie": "deformcli.data.multipie:MultiPie",
    "rendered": "deformcli.data.rendered:RenderedPairs",
    "rotated": "deformcli.data.rotated:RotatedPhotos",
    "views": "deformcli.data.views:open_views",
}
"""Kind -> "module:function" of (root, split, **options) -> Pictures or Pairs; plugins add theirs in the same form."""


class Spec(NamedTuple):
    """`KIND:ROOT?option=value&...` in parts."""

    kind: str
    root: str
    options: dict[str, str]


def parse_spec(text: str) -> Spec:
    """Take a spec apart; a bare existing folder counts as `folder:`. Raises UsageError if it is none."""
    if text and Path(text).is_dir():
        return Spec("folder", text, {})
    place, _, options = text.partition("?") if re.search(r"\?\w+=[^?]*$", text) else (text, "", "")
    kind, separator, root = place.partition(":")
    if not separator or not root:
        raise UsageError(f"--data {text}: expected KIND:PATH", "write for example --data folder:photos")
    return Spec(kind, root, dict(option.partition("=")[::2] for option in options.split("&") if option))


def open_source(text: str, split: str) -> Source:
    """The pictures or pairs of a split ("train", "validation", "test") that a spec names.

    Raises:
        UsageError: no such kind, root or option, or nothing is there.
    """
    kind, root, options = parse_spec(text)
    opener = registry.choose("data set", kind, {**registry.datasets(own=KINDS), **KINDS})
    share = _share(text, options.pop("share", None))
    known = [name for name, at in inspect.signature(opener).parameters.items() if at.kind is at.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise UsageError(f"--data {text}: no option {option!r}", f"options are: {', '.join([*known, 'share'])}")
    return Source(text, opener(root, split, **options), share)


def _share(text: str, value: str | None) -> float | None:
    try:
        share = None if value is None else float(value)
    except ValueError:
        share = -1.0
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"--data {text}: share={value} is none", "write the part of all items, such as share=0.25")
    return share
