"""The forward-warp core: the operator, its samplers' helpers and hole fills. Knows nothing above it."""

from .backward import backward_warp
from .fill import nearest_fill, pyramid_fill, smooth_fill
from .flow import flow_to_rgb, mesh_grid, resize_flow
from .forward import forward_warp

SAMPLERS = {"forward": forward_warp, "backward": backward_warp}
"""The interchangeable samplers of the ablations, by the name that configs call them."""

__all__ = [
    "SAMPLERS",
    "backward_warp",
    "flow_to_rgb",
    "forward_warp",
    "mesh_grid",
    "nearest_fill",
    "pyramid_fill",
    "resize_flow",
    "smooth_fill",
]
