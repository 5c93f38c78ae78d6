"""Sizes of every kind, for property tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st

from imgbatch.model import Size
from imgbatch.operations.geometry import (
    FITS,
    GRAVITIES,
    Resize,
)

ANY_FIT: Final = st.sampled_from(FITS)
ANY_GRAVITY: Final = st.sampled_from(GRAVITIES)


def needs(resize: Resize) -> Callable[[Size], Size]:
    """What a resize needs of pictures of a size, if nothing comes after it."""
    return lambda size: resize.needed_size(size, resize.output_size(size))
