"""BMP: as Pillow reads and writes it, with its resolution."""

from __future__ import annotations

from typing import Final

from PIL import BmpImagePlugin  # noqa: F401

from imgbatch.imaging.codecs.base import Codec, Options
from imgbatch.imaging.picture import Metadata


class Bmp(Codec):
    """BMP."""

    pillow = "BMP"

    def metadata_options(self, kept: Metadata) -> Options:
        return {"dpi": kept.dpi} if kept.dpi else {}


CODEC: Final = Bmp()
