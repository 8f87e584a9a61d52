"""`facemesh.npz`: the face meshes of a folder of photos, by which `rotated:` and `deform synthesize photos` turn them.

One row a photo, sorted by name; `name` is the photo's path in the folder, the other arrays are those of COLUMNS.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from deformcli.errors import DeformError, NothingToDoError, UsageError, one_line
from deformcli.faces import Detector, MeshFinder, fit_pose
from deformcli.models.face_mesh import POINTS
from deformcli.runtime.storage import write_atomic, writing

from .files import read_picture
from .folder import picture_files

MESHES = "facemesh.npz"
COLUMNS = {
    "points": (POINTS, 3),  # pixels, x right, y down, the first pixel's middle at 0.5; z smaller = nearer
    "score": (),  # the mesh network's confidence, 0..1
    "box": (4,),  # left, top, right, bottom, as the detector has it
    "eyes_mouth": (5, 2),  # eyes, nose, corners of the mouth, image left first, as the detector has them
    "det_score": (),  # the detector's confidence, 0..1
    "yaw_pitch_roll": (3,),  # degrees, by all three axes: `faces.pose`
    "yaw_pitch_roll_2d": (3,),  # degrees, by x and y alone
    "fit_error": (),  # of the canonical face, in distances of the outer eye corners
    "spread": (),  # of the views that were averaged, likewise
}
LEAST_REACH = 2.0  # pixels; a face in the picture's own units, 0 to 1, is smaller
Row = Mapping[str, np.ndarray | float]
Columns = Mapping[str, np.ndarray]


def read_meshes(path: Path) -> dict[str, Row]:
    """Photo -> row; nothing where there is no file. Raises UsageError if it is not one that `write_meshes` wrote."""
    if not path.exists():
        return {}
    columns = read_columns(path, ("name", *COLUMNS), "name another file with -o, or remove it")
    return {str(name): {key: columns[key][row] for key in COLUMNS} for row, name in enumerate(columns["name"])}


def read_columns(path: Path, needed: Iterable[str], remedy: str = "make it anew: deform data mesh") -> Columns:
    """All columns of a file, `name` and `points` among those `needed`.

    Raises:
        UsageError: it is none, a needed column is missing, one has another shape, or the points are no pixels.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            columns = {key: stored[key] for key in {*needed, *stored.files}}
    except (OSError, TypeError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UsageError(f"{path} is no file of meshes with all their columns: {one_line(error)}", remedy) from error
    for key, shape in ((key, shape) for key, shape in COLUMNS.items() if key in columns):
        expected = (len(columns["name"]), *shape)
        if columns[key].shape != expected:
            raise UsageError(f"{path}: {key} has the shape {columns[key].shape} instead of {expected}", remedy)
    reach = np.ptp(columns["points"][..., :2], axis=1).max(1)
    for name in columns["name"][~(reach > LEAST_REACH)]:  # NaN too
        raise UsageError(f"{path}: the points of {name} are not in pixels", remedy)
    return columns


def write_meshes(path: Path, rows: Mapping[str, Row]) -> None:
    """Write the rows, sorted by name. Raises DeformError if that cannot be done."""
    names = sorted(rows)
    arrays = {
        key: np.array([rows[name][key] for name in names], np.float32).reshape(len(names), *shape)
        for key, shape in COLUMNS.items()
    }
    held = io.BytesIO()
    np.savez_compressed(held, allow_pickle=False, name=np.array(names, dtype=np.str_), **arrays)
    with writing(path, "choose another place with -o"):
        write_atomic(path, held.getvalue())


def photo_names(root: Path) -> list[str]:
    """The photos below a folder, as `name` has them. Raises NothingToDoError if there is none."""
    names = [path.relative_to(root).as_posix() for path in picture_files(root)]
    if not names:
        raise NothingToDoError(f"{root}: no photo there", "name a folder of photos")
    return names


def find_meshes(
    root: Path, names: Iterable[str], detector: Detector, finder: MeshFinder
) -> Iterator[tuple[str, Row | DeformError]]:
    """Each photo's row, of its largest face, or why it has none: UsageError, or NothingToDoError without a face."""
    for name in names:
        try:
            yield name, _row(root / name, detector, finder)
        except DeformError as error:
            yield name, error


def _row(path: Path, detector: Detector, finder: MeshFinder) -> Row:
    rgb = read_picture(path)[..., :3]
    faces = detector.find(rgb)
    if not faces:
        raise NothingToDoError(f"{path}: no face found", "try --detector yunet, or leave the photo out")
    mesh = finder.find(rgb, faces[0])
    pose = fit_pose(mesh.points)
    return {
        "points": mesh.points,
        "score": mesh.score,
        "box": faces[0].box,
        "eyes_mouth": np.full((5, 2), np.nan) if faces[0].points is None else faces[0].points,
        "det_score": faces[0].score,
        "yaw_pitch_roll": pose.angles,
        "yaw_pitch_roll_2d": pose.angles_2d,
        "fit_error": pose.fit_error,
        "spread": mesh.spread,
    }
