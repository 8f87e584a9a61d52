"""What networks say of true pictures is kept."""

from __future__ import annotations

import torch

from deformcli.evaluation.describers import Remembered


def test_features_of_true_pictures_are_kept(tmp_path, monkeypatch):
    """By content: the same pictures are described once, others anew, and a damaged file does not matter."""
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path / "cache"))
    calls = []

    def level(image, batch, method):
        calls.append(method)
        return {"level": image.mean((2, 3))}

    first, second = torch.rand(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    remembered = Remembered(level, "sha")
    found = [remembered(image, {}, method)["level"] for image in (first, second, first) for method in ("target", "x")]
    assert calls == ["target", "x", "target", "x", "x"]
    assert torch.equal(found[0], found[4])
    for file in (tmp_path / "cache").rglob("*.safetensors"):
        file.write_bytes(b"damaged")
    assert torch.equal(remembered(first, {}, "target")["level"], found[0])
    assert Remembered(level, "another network")(first, {}, "target")["level"].shape == (4, 3)
    assert calls[5:] == ["target", "target"]
