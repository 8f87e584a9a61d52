"""Templates of HTML, in which everything that is put is escaped."""

from __future__ import annotations

from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


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
