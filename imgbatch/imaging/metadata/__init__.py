"""Metadata: what is found beside the pixels, and what of it goes along by which policy."""

from imgbatch.imaging.metadata.policy import (
    EVERY_POLICY,
    NOTHING,
    Found,
    found,
    header,
    select,
)

__all__ = [
    "EVERY_POLICY",
    "NOTHING",
    "Found",
    "found",
    "header",
    "select",
]
