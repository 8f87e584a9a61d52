"""Faces: found, cut out, aligned, recognised. All of their geometry, and its constants once."""

from deformcli._lazy import attach

__getattr__, __all__ = attach(
    __name__,
    align=("crop_points", "face_view"),
    crops=("SIZE", "Square", "crop", "native_size", "paste", "square_around"),
    detect=("FRONTAL", "Detector", "Face", "FacePoints", "Mtcnn", "find_detector"),
    identify=("NETWORKS", "Identifier"),
)
