"""BMP: as Pillow reads and writes it."""

from __future__ import annotations

from typing import Final

from PIL import BmpImagePlugin  # noqa: F401

from imgbatch.imaging.codecs.base import Codec


class Bmp(Codec):
    """BMP."""

    pillow = "BMP"


CODEC: Final = Bmp()
