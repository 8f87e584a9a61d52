"""Filled templates of HTML, and lines over an axis as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

WIDTH, HEIGHT = 420, 220  # of the field that the lines are in
COLOURS = 8  # the classes s0, s1, ... of templates/base.css


def render(package: str, template: str, **values: object) -> Markup:
    """`templates/TEMPLATE` of a package, filled with values; it may extend and include those of this package.

    Raises:
        jinja2.TemplateError: there is none, or it is wrong, or asks for a value that is not given.
    """
    return Markup(_environment(package).get_template(template).render(values))  # everything in it is escaped


@cache
def _environment(package: str) -> Environment:
    loader = ChoiceLoader([PackageLoader(package), PackageLoader(__package__)])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


class Line(NamedTuple):
    """One line of a chart."""

    points: Sequence[tuple[float, float]]
    """(x, y), from left to right."""
    intervals: Sequence[tuple[float, float, float]] = ()
    """(x, low, high): what is drawn upright through it."""


def line_chart(
    title: str, lines: Sequence[Line], *, over: str, ends: tuple[float, float], ticks: Sequence[tuple[float, str]]
) -> Markup:
    """A figure with a chart of lines, of which at least one has a point.

    Args:
        title: of the figure.
        lines: the colour of each is that of its place among them.
        over: what x is, for readers who do not see it.
        ends: least and largest x of the field.
        ticks: (x, text) below the field.
    """
    ys = [y for line in lines for _, y in line.points]
    ys += [bound for line in lines for _, *bounds in line.intervals for bound in bounds]
    low, high = min(ys), max(ys)

    def x(value: float) -> str:
        return f"{(value - ends[0]) / ((ends[1] - ends[0]) or 1) * WIDTH:.1f}"

    def y(value: float) -> str:
        return f"{(high - value) / ((high - low) or 1) * HEIGHT:.1f}"

    values = {"title": title, "lines": lines, "over": over, "ticks": ticks, "levels": (low, (low + high) / 2, high)}
    return render(__package__, "chart.html", x=x, y=y, width=WIDTH, height=HEIGHT, colours=COLOURS, **values)


def legend(names: Sequence[str]) -> Markup:
    """The names of a chart's lines in their colours."""
    return render(__package__, "legend.html", names=names, colours=COLOURS)
