import math

import torch

from deformcli.warp import flow_to_rgb, mesh_grid, resize_flow


def test_mesh_grid_runs_from_minus_one_to_one():
    grid = mesh_grid(3, 5, dtype=torch.float64)
    assert grid.shape == (1, 2, 3, 5) and grid.dtype == torch.float64
    assert grid[0, 0, 1].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert grid[0, 1, :, 2].tolist() == [-1, 0, 1]


def test_resized_flow_points_at_the_same_spot():
    flow = torch.stack([torch.full((4, 6), 3.0), torch.full((4, 6), -1.0)])[None]
    resized = resize_flow(flow, 8, 18)
    assert resized.shape == (1, 2, 8, 18)
    torch.testing.assert_close(resized[0, :, 3, 5], torch.tensor([9.0, -2.0]))


def test_flow_colors():
    flow = torch.zeros(1, 2, 1, 4)
    flow[0, :, 0, 1] = torch.tensor([2.0, 0.0])
    flow[0, :, 0, 2] = torch.tensor([-1.0, 0.0])
    flow[0, :, 0, 3] = math.nan
    rgb = flow_to_rgb(flow)
    assert rgb.shape == (1, 3, 1, 4) and rgb.abs().max() <= 1
    torch.testing.assert_close(rgb[0, :, 0, 0], torch.ones(3))  # no motion is white, and so is NaN
    torch.testing.assert_close(rgb[0, :, 0, 3], torch.ones(3))
    saturation = rgb.amax(1) - rgb.amin(1)
    torch.testing.assert_close(saturation[0, 0, 1:3], torch.tensor([2.0, 1.0]))
    assert not torch.allclose(rgb[..., 1], rgb[..., 2])  # opposite directions, opposite hues


def test_flow_colors_against_a_given_length():
    flow = torch.ones(2, 2, 3, 3)
    rgb = flow_to_rgb(flow, max_length=2 * math.sqrt(2))
    torch.testing.assert_close(rgb.amax(1) - rgb.amin(1), torch.ones(2, 3, 3))
