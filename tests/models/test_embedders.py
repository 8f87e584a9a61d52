"""The frozen helper networks: right outputs from real weights, and a clear no to other files."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import vgg16

from deformcli.data.files import read_picture
from deformcli.data.turning import lay_out, make_pair
from deformcli.errors import WeightsError
from deformcli.faces.align import face_view
from deformcli.models.embedders import CompactVGG19Features, MobileFaceNet, VGG16Features
from deformcli.weights.networks import load_frozen


def test_mobilefacenet_knows_the_same_person(shared, converted):
    """Neutral against smiling pictures of people in our own crops: near for one person, far for two."""
    data = np.load(shared / "data/london/facemesh.npz", allow_pickle=False)
    meshes = dict(zip(map(str, data["name"]), data["points"].astype(np.float64), strict=True))
    crops = {}
    for folder, take in (("neutral_front", "03"), ("smiling_front", "08")):
        for person in ("001", "002", "003", "004"):
            name = f"{folder}/{person}_{take}.jpg"
            head = lay_out(read_picture(shared / "data/london" / name), meshes[name])
            crops[person, take] = make_pair(head, 0, 0, 0, 128, None).target
    network = load_frozen(MobileFaceNet(), converted(shared / "weights/mobilefacenet_foamliu.pth"))
    embedded = dict(zip(crops, network(face_view(torch.stack(list(crops.values())))), strict=True))

    people = ("001", "002", "003", "004")
    same = [float(embedded[a, "03"] @ embedded[a, "08"]) for a in people]
    other = [float(embedded[a, "03"] @ embedded[b, "08"]) for a, b in permutations(people, 2)]
    assert min(same) > 0.7
    assert max(other) < 0.5
    assert np.mean(same) > 0.8
    assert np.mean(other) < 0.2


def test_mobilefacenet_gives_unit_vectors():
    torch.manual_seed(0)
    embedding = MobileFaceNet().eval()(torch.rand(2, 3, 112, 112))
    assert embedding.shape == (2, 128)
    assert torch.allclose(embedding.norm(dim=1), torch.ones(2))


def test_compact_vgg_with_its_weights_prefers_the_alike(shared, converted):
    network = load_frozen(CompactVGG19Features(), converted(shared / "weights/vgg19_cd16x_r51.pth"))
    picture = read_picture(shared / "data/portraits/A000022.jpg")[100:164, 80:144]
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    noisy, flipped = (image + 0.05 * torch.randn_like(image)).clamp(-1, 1), image.flip(-2)
    features = network(torch.cat([image, noisy, flipped]))
    assert [tuple(f.shape[1:]) for f in features] == [(16, 64, 64), (32, 32, 32), (64, 16, 16), (128, 8, 8)]
    for layer in features:
        assert (layer >= 0).all()
        assert (layer[0] - layer[1]).norm() < (layer[0] - layer[2]).norm()


def test_vgg16_features_are_the_relus_before_the_pools():
    network = VGG16Features().eval()
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    features = network(image)
    assert [tuple(f.shape) for f in features] == [(1, 64, 32, 32), (1, 128, 16, 16), (1, 256, 8, 8), (1, 512, 4, 4)]
    normalised = ((image + 1) / 2 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    assert torch.allclose(features[0], network.features[:4](normalised), atol=1e-6)


def test_vgg16_takes_a_whole_torchvision_file(tmp_path):
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in vgg16().state_dict().items() if key.startswith("features.")}
    state = {key: torch.randn(shape) for key, shape in shapes.items()}
    save_file({**state, "classifier.0.weight": torch.zeros(2, 2)}, tmp_path / "vgg16.safetensors")
    network = load_frozen(VGG16Features(), tmp_path / "vgg16.safetensors")
    assert torch.equal(network.features[0].weight, state["features.0.weight"])
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("kind", [VGG16Features, CompactVGG19Features, MobileFaceNet])
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("another network", "not the weights of"),
        ("missing", "no such file"),
        ("text", "not a safetensors file"),
        ("pickled code", "is refused"),
        ("truncated", "not the weights of"),
    ],
)
def test_wrong_file_is_refused_in_a_short_line(tmp_path, kind, fault, says):
    path = tmp_path / ("weights.pth" if fault == "pickled code" else "weights.safetensors")
    if fault == "another network":
        save_file({"stem.weight": torch.zeros(3)}, path)
    elif fault == "text":
        path.write_text("no weights")
    elif fault == "pickled code":
        torch.save({"stem": print}, path)
    elif fault == "truncated":
        save_file({"stem.weight": torch.zeros(300)}, path)
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=says) as caught:
        load_frozen(kind(), path)
    assert str(path) in caught.value.cause
    assert len(caught.value.cause) < 400
