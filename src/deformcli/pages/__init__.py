"""HTML pages that need nothing else: filled templates, and charts to put into them. Jinja2 is imported when used."""

from deformcli._lazy import attach

__getattr__, __all__ = attach(__name__, html=("Line", "legend", "line_chart", "render"))
