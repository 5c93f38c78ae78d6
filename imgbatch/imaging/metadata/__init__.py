"""Metadata: what is found besides the pixels, and what each policy keeps of it."""

from imgbatch.imaging.metadata.geometry_signs import tells_places
from imgbatch.imaging.metadata.policy import (
    EVERY_POLICY,
    Found,
    found,
    header,
    select,
)

__all__ = [
    "EVERY_POLICY",
    "Found",
    "found",
    "header",
    "select",
    "tells_places",
]
