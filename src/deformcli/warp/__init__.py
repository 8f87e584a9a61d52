"""The forward-warp core: the operator, its samplers' helpers and hole fills. Knows nothing above it."""

from .backward import backward_warp
from .fill import nearest_fill, pyramid_fill, smooth_fill
from .flow import flow_to_rgb, mesh_grid, resize_flow
from .forward import forward_warp
from .patch_fill import patch_fill
from .shift_map import dominant_offsets, shift_map

SAMPLERS = {"forward": forward_warp, "backward": backward_warp}
"""The interchangeable samplers of the ablations, by the name that configs call them."""

__all__ = [
    "SAMPLERS",
    "backward_warp",
    "dominant_offsets",
    "flow_to_rgb",
    "forward_warp",
    "mesh_grid",
    "nearest_fill",
    "patch_fill",
    "pyramid_fill",
    "resize_flow",
    "shift_map",
    "smooth_fill",
]
