"""Files of tensors: read back as written, whole or not at all, and a clear no to everything else."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import save_file

from deformcli.errors import UsageError, WeightsError
from deformcli.training.checkpoint import find_checkpoint, optimizer_tensors, restore_optimizer
from deformcli.weights.networks import export_generator, fill_network, load_generator, load_tensors, save_tensors

TENSORS = {"a": torch.arange(6.0).view(2, 3).T, "b": torch.tensor(7), "c": torch.zeros(0)}
ABOUT = {"task": "inpaint", "config": {"widths": [1, 2]}, "word": "ä"}


def test_reads_what_it_wrote(tmp_path):
    save_tensors(tmp_path / "x.safetensors", TENSORS, ABOUT)
    tensors, about = load_tensors(tmp_path / "x.safetensors")
    assert about == ABOUT
    assert {key: value.tolist() for key, value in tensors.items()} == {k: v.tolist() for k, v in TENSORS.items()}
    assert os.listdir(tmp_path) == ["x.safetensors"]


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS, ABOUT)
    before = path.read_bytes()

    def half(temporary, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", half)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(path, TENSORS, {})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.safetensors"]


def damage(path, fault: str) -> None:
    """Make `path` something that is no weights file of deform."""
    save_tensors(path, TENSORS, ABOUT)
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:-8])
    elif fault == "no header":
        path.write_bytes(path.read_bytes()[:20])
    elif fault == "text":
        path.write_text("these are no weights")
    elif fault == "empty":
        path.write_bytes(b"")
    elif fault == "another program's":
        save_file({"x": torch.zeros(2)}, path)
    elif fault == "no description":
        save_file({"x": torch.zeros(2)}, path, {"format": "pt"})
    elif fault == "missing":
        path.unlink()
    elif fault == "folder":
        path.unlink()
        path.mkdir()


FAULTS = ("truncated", "no header", "text", "empty", "another program's", "no description", "missing", "folder")


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_weights_file_is_named(tmp_path, fault):
    path = tmp_path / "bad.safetensors"
    damage(path, fault)
    for read in (load_tensors, lambda p: load_generator(p, "inpaint")):
        with pytest.raises(WeightsError, match=r"bad\.safetensors"):
            read(path)


def test_generators_are_half_as_large_and_come_back_as_float32(tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    network(torch.randn(5, 3))
    export_generator(tmp_path / "w.safetensors", network, "inpaint", {"width": 3}, 7)
    assert load_tensors(tmp_path / "w.safetensors")[0]["0.weight"].dtype == torch.float16
    state, config = load_generator(tmp_path / "w.safetensors", "inpaint")
    assert config == {"width": 3}
    for key, value in network.state_dict().items():
        assert state[key].dtype == value.dtype
        assert torch.allclose(state[key].double(), value.double(), atol=1e-3)


def test_other_tasks_and_checkpoints_are_no_generators(tmp_path):
    export_generator(tmp_path / "w.safetensors", torch.nn.Linear(1, 1), "inpaint", {}, 7)
    with pytest.raises(WeightsError, match="is a network for inpaint, not frontalize"):
        load_generator(tmp_path / "w.safetensors", "frontalize")
    save_tensors(tmp_path / "c.safetensors", TENSORS, {"task": "inpaint", "config": {}, "step": 3})
    with pytest.raises(WeightsError, match="checkpoint"):
        load_generator(tmp_path / "c.safetensors", "inpaint")


@pytest.mark.parametrize("state", [{}, {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}, {"w": torch.zeros(1)}])
def test_state_of_another_network_is_refused(tmp_path, state):
    with pytest.raises(WeightsError, match=r"file\.safetensors: does not fit"):
        fill_network(torch.nn.Linear(3, 2), state, tmp_path / "file.safetensors")


def test_optimizer_goes_on_as_if_it_had_not_stopped():
    def network() -> torch.nn.Linear:
        torch.manual_seed(0)
        return torch.nn.Linear(2, 2)

    def steps(net, optimizer, count) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            net(torch.ones(1, 2)).square().sum().backward()
            optimizer.step()

    whole = network()
    steps(whole, torch.optim.Adam(whole.parameters(), 0.1), 5)

    first = network()
    optimizer = torch.optim.Adam(first.parameters(), 0.1)
    steps(first, optimizer, 3)
    second = network()
    second.load_state_dict(first.state_dict())
    resumed = torch.optim.Adam(second.parameters(), 0.1)
    restore_optimizer(resumed, optimizer_tensors(optimizer))
    steps(second, resumed, 2)
    assert torch.equal(second.weight, whole.weight)


def test_where_to_go_on_from(tmp_path):
    out, other = tmp_path / "run", tmp_path / "other"
    assert find_checkpoint(out, None) is find_checkpoint(out, "auto") is None
    out.mkdir()
    (out / "run.json").write_text("{}")
    (out / "log.jsonl").write_text("")
    assert find_checkpoint(out, None) is find_checkpoint(out, "auto") is None  # nothing was learnt there
    save_tensors(out / "checkpoint.safetensors", TENSORS, ABOUT | {"step": 3})
    last = str(out / "checkpoint.safetensors")
    assert (
        str(find_checkpoint(out, "auto"))
        == str(find_checkpoint(out, last))
        == str(find_checkpoint(other, last))
        == last
    )
    other.mkdir()
    (other / "notes.txt").write_text("precious")
    for folder, resume in ((out, None), (other, None), (other, last)):
        with pytest.raises(UsageError, match="is not empty"):
            find_checkpoint(folder, resume)
    with pytest.raises(UsageError, match="is a folder") as caught:
        find_checkpoint(out, str(out))
    assert caught.value.remedy == f"write --out {out} --resume auto"


def test_the_newest_whole_checkpoint_is_taken(tmp_path, capfd):
    last, best = tmp_path / "checkpoint.safetensors", tmp_path / "checkpoint-best.safetensors"
    (tmp_path / "log.jsonl").write_text('{"step": 9, "total": 1.0}\n')
    for path, step in ((last, 9), (best, 4), (tmp_path / "checkpoint-0000007.safetensors", 7)):
        save_tensors(path, TENSORS, ABOUT | {"step": step})
    assert find_checkpoint(tmp_path, "auto") == last
    last.write_bytes(last.read_bytes()[:-8])
    assert find_checkpoint(tmp_path, "auto").name == "checkpoint-0000007.safetensors"
    assert "warning: " in (said := capfd.readouterr().err) and "checkpoint.safetensors" in said
    last.unlink()
    (tmp_path / "checkpoint-0000007.safetensors").unlink()
    assert find_checkpoint(tmp_path, "auto") == best
    best.unlink()
    with pytest.raises(UsageError, match="holds a run without a whole checkpoint"):
        find_checkpoint(tmp_path, "auto")
