"""Faces: found, cut out, aligned, recognised. All of their geometry, and its constants once."""
