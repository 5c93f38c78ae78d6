"""Pictures whose files must fit a limit in bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from imgbatch.model import Result
from toolkit.pictures import (
    saved,
    scene,
)


def grainy(width: int = 160, height: int = 120) -> Image.Image:
    """A picture with so much detail that its size in bytes reveals its quality."""
    chance = np.random.RandomState(3)
    pixels = scene(width, height) + chance.normal(0, 12, (height, width, 1))
    return Image.fromarray(np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))


def by_pillow(image: Image.Image, format_name: str, quality: int) -> bytes:
    """What a user of Pillow would save, with what is documented for each format."""
    if format_name == "jpeg":
        return saved(image, "JPEG", quality=quality, subsampling=0 if quality >= 90 else 2)
    rgb = image if image.mode == "RGBA" else image.convert("RGB")
    return saved(rgb, "WEBP", quality=quality, method=4)


def made(result: Result) -> bytes:
    assert result.failure is None, result.failure
    return Path(result.written[0].path).read_bytes()
