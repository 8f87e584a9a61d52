"""`--data KIND:ROOT?option=value`, taken apart and opened; `--data KIND` looked for."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from deformcli import registry
from deformcli.errors import UsageError
from deformcli.runtime.tell import log

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


NAMED = ("folder", "hf")
"""Kinds that no layout tells, so that their root has to be named."""


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


def located(specs: Sequence[str]) -> list[str]:
    """Specs with their roots: a KIND alone is looked for in the folders of data, then in ./KIND and ./data/KIND.

    The folders are those that DEFORM_DATA_DIR names, and in each its folder KIND comes first. What is taken is said.

    Raises:
        UsageError: the data set is in none of them; it says where it comes from.
    """
    return [_located(text) for text in specs]


def _located(text: str) -> str:
    kind, question, options = text.partition("?")
    if kind in NAMED or kind not in _kinds():
        return text
    folders = [Path(name).expanduser() for name in os.environ.get("DEFORM_DATA_DIR", "").split(os.pathsep) if name]
    places = [*(place for folder in folders for place in (folder / kind, folder)), Path(kind), Path("data", kind)]
    refusals: dict[Path, UsageError] = {}
    for place, split in product(places, ("train", "test")):
        found = f"{kind}:{place}{question}{options}"
        try:
            open_source(found, split)
        except UsageError as error:
            refusals.setdefault(place, error)
        else:
            log.info("--data %s: found %s", text, found)
            return found
    first = next((error for place, error in refusals.items() if place.exists()), refusals[places[-1]])
    raise UsageError(f"--data {text}: {first.cause} (looked for in {', '.join(map(str, places))})", first.remedy)


def open_source(text: str, split: str) -> Source:
    """The pictures or pairs of a split ("train", "validation", "test") that a spec names; a KIND alone is `located`.

    Raises:
        UsageError: no such kind, root or option, or nothing is there.
    """
    kind, root, options = parse_spec(_located(text))
    opener = registry.choose("data set", kind, _kinds())
    share = _share(text, options.pop("share", None))
    known = [name for name, at in inspect.signature(opener).parameters.items() if at.kind is at.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise UsageError(f"--data {text}: no option {option!r}", f"options are: {', '.join([*known, 'share'])}")
    source = Source(text, opener(root, split, **options), share)
    log.debug("data %s, %s split: %s %s", text, split, len(source.data), type(source.data).__name__)
    return source


def _kinds() -> dict[str, str]:
    return {**registry.datasets(own=KINDS), **KINDS}


def _share(text: str, value: str | None) -> float | None:
    try:
        share = None if value is None else float(value)
    except ValueError:
        share = -1.0
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"--data {text}: share={value} is none", "write the part of all items, such as share=0.25")
    return share
