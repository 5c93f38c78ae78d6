"""Targa: as Pillow reads and writes it."""

from __future__ import annotations

from typing import Final

from PIL import TgaImagePlugin  # noqa: F401

from imgbatch.imaging.codecs.base import Codec


class Tga(Codec):
    """Targa."""

    pillow = "TGA"


CODEC: Final = Tga()
