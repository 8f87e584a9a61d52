"""Faces: found, cut out, aligned, recognised. All of their geometry, and its constants once."""

from deformcli._lazy import attach

__getattr__, __all__ = attach(
    __name__,
    align=("face_view",),
    crops=("crop", "paste", "pasted"),
    detect=("FRONTAL", "Detector", "Face", "Mtcnn", "find_detector", "yunet_face"),
    framing=(
        "EYES",
        "EYES_TO_MOUTH",
        "SIZE",
        "Square",
        "crop_points",
        "frame_around",
        "frontal_square",
        "native_size",
        "square_around",
    ),
    identify=("NETWORKS", "Identifier"),
    mesh=("eyes_and_mouth", "outline"),
    mesh_finder=("Mesh", "MeshFinder"),
    pose=("Pose", "eye_distance", "fit_pose"),
    surface=("thin_plate",),
    symmetry=("mirror_flow",),
    upright=("AnyWayUp",),
)
