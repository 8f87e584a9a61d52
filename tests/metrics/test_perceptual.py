"""LPIPS is LPIPS: torchmetrics' numbers with its learned weights, on a network of random ones."""

from __future__ import annotations

import pytest
import torch
from torchmetrics.functional.image.lpips import _LPIPS

from deformcli.metrics import lpips
from deformcli.models.embedders import LpipsWeights, VGG16LpipsFeatures


@pytest.mark.filterwarnings("ignore")  # torchvision's, of how the network is asked for
def test_lpips_is_torchmetrics():
    torch.manual_seed(0)
    theirs = _LPIPS(pretrained=True, net="vgg", pnet_rand=True).eval()
    network, weights = VGG16LpipsFeatures(), LpipsWeights()
    network.load_state_dict(
        {f"features.{name.split('.', 1)[1]}": value for name, value in theirs.net.state_dict().items()}
    )
    learned = {name: value for name, value in theirs.state_dict().items() if name.startswith("lin")}
    weights.load_state_dict({name: learned[name] for name in weights.state_dict()})
    image, target = torch.rand(2, 3, 3, 40, 48) * 2 - 1
    with torch.no_grad():
        found = lpips(network(image), network(target), weights())
        expected = theirs(image, target).flatten()
    assert found.min() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
