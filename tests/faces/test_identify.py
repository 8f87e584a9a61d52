"""Faces as their networks want them: points come where they belong, and the same person is recognised."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from deformcli.errors import WeightsError
from deformcli.faces import Mtcnn, crop_points
from deformcli.faces.align import align
from deformcli.faces.framing import ARCFACE
from deformcli.faces.identify import NETWORKS, Identifier
from deformcli.images import read_image
from deformcli.metrics.recognition import rank1
from deformcli.models.light_cnn import LightCNN29

CPU = torch.device("cpu")


def dots(points: np.ndarray, side: int) -> torch.Tensor:
    """A black picture (1, 3, side, side) with a soft white dot at each point."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    spots = [torch.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (side / 80) ** 2)) for px, py in points]
    return torch.stack(spots).amax(0).expand(1, 3, -1, -1) * 2 - 1


@pytest.mark.parametrize(("side", "turn", "scale"), [(112, 0, 1), (160, 20, 1.3), (900, -15, 7)])
def test_points_come_to_their_places(side, turn, scale):
    """Turned, enlarged, moved: each dot is found again within half a pixel of where the network wants it."""
    angle = np.radians(turn)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (ARCFACE - ARCFACE.mean(0)) @ rotation.T + (side * 0.48, side * 0.53)
    aligned = align(dots(points, side), points[None], ARCFACE, 112)
    assert aligned.shape == (1, 3, 112, 112)
    weight = (aligned[0, 0] + 1).clamp_min(0) ** 4
    for x, y in ARCFACE:
        corner = int(y) - 5, int(x) - 5
        spot = weight[corner[0] : corner[0] + 12, corner[1] : corner[1] + 12]
        grid = torch.arange(12)
        found = [(spot.sum(axis) * grid).sum() / spot.sum() + start for axis, start in ((1, corner[0]), (0, corner[1]))]
        assert found == pytest.approx([y, x], abs=0.5)


def test_stretch_widens_about_the_eyes():
    wide = align(dots(ARCFACE, 112), ARCFACE[None], ARCFACE, 112, stretch=1.5)[0, 0].clamp_min(-0.9)
    (y,), columns = divmod(wide.argmax().item(), 112)[:1], (wide.amax(0) > 0).nonzero().flatten()
    plain = (dots(ARCFACE, 112)[0, 0].amax(0) > 0).nonzero().flatten()
    assert (columns.max() - columns.min()) / (plain.max() - plain.min()) == pytest.approx(1.5, abs=0.1)
    assert min(abs(ARCFACE[:, 1] - y)) < 1.5


def test_every_picture_is_aligned_by_its_own_points():
    images = torch.rand(3, 3, 90, 90, generator=torch.Generator().manual_seed(0)) * 2 - 1
    points = ARCFACE * 0.7 + np.arange(3).reshape(3, 1, 1) * 3
    together = align(images, points, ARCFACE, 112)
    alone = [align(images[i : i + 1], points[i : i + 1], ARCFACE, 112) for i in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_points_of_a_face_and_of_none():
    from skimage.data import astronaut

    crop = torch.from_numpy(astronaut()[20:276, 98:354]).permute(2, 0, 1)[None].float() / 127.5 - 1
    noise = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    face, nothing = Mtcnn().points(torch.cat([crop, noise]))
    assert nothing is None
    left, right, nose, mouth_left, mouth_right = face
    assert left[0] < nose[0] < right[0]
    assert mouth_left[0] < mouth_right[0]
    assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
    assert Mtcnn().points(noise[..., :16, :16]) == [None]


def test_rank1_of_mobilefacenet(shared, converted):
    """Smiling faces among neutral ones of 10 people, each found by MTCNN: nearly all are recognised."""
    identifier = Identifier("mobilefacenet", converted(shared / "weights/mobilefacenet_foamliu.pth"), CPU)
    files = sorted((shared / "data/london/neutral_front").glob("*.jpg"))[:10]
    embedded = {}
    for folder, take in (("neutral_front", "_03"), ("smiling_front", "_08")):
        faces = [read_image(file.parents[1] / folder / file.name.replace("_03", take)).rgb[::3, ::3] for file in files]
        images = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float() / 127.5 - 1
        points = np.stack(Mtcnn().points(images))
        embedded[take] = identifier(images, points).numpy()
    assert rank1(embedded["_08"], embedded["_03"], np.arange(10)).mean() >= 0.9


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_give_unit_vectors(name):
    kind = NETWORKS[name]
    torch.manual_seed(0)
    embedding = kind.build().eval()(torch.rand(2, 3, kind.side, kind.side) * 2 - 1)
    assert embedding.shape[0] == 2
    assert torch.allclose(embedding.norm(dim=1), torch.ones(2), atol=1e-5)


@pytest.mark.parametrize(("name", "classifier"), [("inception-resnet-v1", "logits"), ("light-cnn-29", "fc2")])
def test_published_files_carry_a_classifier_too(name, classifier, tmp_path):
    torch.manual_seed(0)
    kind = NETWORKS[name]
    network = kind.build().eval()
    state = {key.removeprefix("network."): value for key, value in network.state_dict().items()}
    save_file({**state, f"{classifier}.weight": torch.zeros(3, 3)}, tmp_path / "w.safetensors")
    identifier = Identifier(name, tmp_path / "w.safetensors", CPU)
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    points = crop_points(128, 128)[None]
    assert torch.equal(identifier(image, points), network(align(image, points, kind.points, kind.side, kind.stretch)))


def test_light_cnn_has_the_published_layers():
    """AlfredXiangWu/LightCNN, 29 layers: names and shapes of some."""
    shapes = {key: tuple(value.shape) for key, value in LightCNN29().state_dict().items()}
    assert shapes["conv1.filter.weight"] == (96, 1, 5, 5)
    assert shapes["block3.2.conv2.filter.weight"] == (384, 192, 3, 3)
    assert shapes["group3.conv.filter.weight"] == (256, 192, 3, 3)
    assert shapes["fc.filter.weight"] == (512, 8192)


def test_a_file_of_another_network_is_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    for name in NETWORKS:
        with pytest.raises(WeightsError, match="not the weights of"):
            Identifier(name, tmp_path / "w.safetensors", CPU)
