"""The public API of a plugin's author: `hookimpl` marks a hook, `__version__` names the host. Imports no torch."""

import pluggy

from ._version import __version__

hookimpl = pluggy.HookimplMarker("deformcli")

__all__ = ["__version__", "hookimpl"]
