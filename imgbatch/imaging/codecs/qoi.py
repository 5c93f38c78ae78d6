"""QOI: as Pillow reads and writes it."""

from __future__ import annotations

from typing import Final

from PIL import QoiImagePlugin  # noqa: F401

from imgbatch.imaging.codecs.base import Codec


class Qoi(Codec):
    """QOI."""

    pillow = "QOI"


CODEC: Final = Qoi()
