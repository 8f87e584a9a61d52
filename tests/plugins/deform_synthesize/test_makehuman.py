"""MakeHuman's formats, and what is said about files that are not in them."""

from __future__ import annotations

import numpy as np
import pytest

from deform_synthesize.makehuman import read_binding, read_mesh, read_shape, read_texture
from deformcli.errors import UsageError

BOUND = """# clothes
name hat
x_scale 0 1 2.0
z_scale 0 2 1.0
y_scale 0 3 4.0
verts 0
0 1 2 0.5 0.25 0.25 0.1 0.2 0.3

material hat.mhmat
3
"""


@pytest.fixture
def write(tmp_path):
    def make(name: str, text: str):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return make


def test_quads_become_triangles_with_texture_places_and_groups(write):
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 1\ng a\nf 1/1 2/2 3/1 4/2\ng b\nf 3/2/7 2/1/7 1/1/7\n"
    mesh = read_mesh(write("a.obj", text))
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [2, 1, 0]]
    assert mesh.uv_triangles.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert mesh.groups.tolist() == ["a", "a", "b"]


@pytest.mark.parametrize(
    "text", ["", "v 0 0 0\nvt 0 0\n", "v 0 0 0\nvt 0 0\nf 1/1 2/1 1/1\n", "v 0 0 0\nf 1 1 1\n", "v 0 x 0\n"]
)
def test_what_is_no_mesh(write, text):
    with pytest.raises(UsageError, match=r"bad\.obj: not a MakeHuman file"):
        read_mesh(write("bad.obj", text))


def test_shape(write):
    shape = read_shape(write("a.target", "# words\n\n3 0.5 0 -.25\n7 1e-3 0 0\n"))
    assert shape.vertices.tolist() == [3, 7]
    assert shape.moves.tolist() == [[0.5, 0, -0.25], [np.float32(1e-3), 0, 0]]
    assert len(read_shape(write("empty.target", "# nothing moves\n")).vertices) == 0


@pytest.mark.parametrize("text", ["1 2 3\n", "1.5 0 0 0\n", "-1 0 0 0\n", "a 0 0 0\n"])
def test_what_is_no_shape(write, text):
    with pytest.raises(UsageError, match=r"bad\.target: not a MakeHuman file"):
        read_shape(write("bad.target", text))


def test_a_bound_vertex_follows_the_body_and_grows_with_it(write):
    binding = read_binding(write("hat.mhclo", BOUND))
    body = np.array([[0.0, 0, 0], [2, 0, 0], [0, 0, 1], [0, 4, 0]])
    assert np.allclose(binding.fit(body), [[0.6, 0.2, 0.55], [0, 4, 0]])
    assert np.allclose(binding.fit(body * 3 + 1), np.array([[0.6, 0.2, 0.55], [0, 4, 0]]) * 3 + 1)


@pytest.mark.parametrize("change", [("y_scale 0 3 4.0", ""), ("0.25 0.1", "0.1"), ("verts 0\n0 1 2", "verts 0\n0 x 2")])
def test_what_is_no_binding(write, change):
    with pytest.raises(UsageError, match=r"bad\.mhclo: not a MakeHuman file"):
        read_binding(write("bad.mhclo", BOUND.replace(*change)))


def test_missing_files_are_named(tmp_path):
    for read in (read_mesh, read_shape, read_binding, read_texture):
        with pytest.raises(UsageError, match="nowhere"):
            read(tmp_path / "nowhere")


def test_a_damaged_texture_is_named(write):
    with pytest.raises(UsageError, match=r"bad\.png"):
        read_texture(write("bad.png", "no picture"))
