"""Decodes JPEGs at a fraction of their size, natively and through libjpeg."""

from __future__ import annotations

import math
import warnings
from io import BytesIO
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgbatch.imaging.codecs import jpeg_native, jpeg_pixels

Levels = NDArray[np.uint8]


def opened(data: bytes, scale: int) -> Any:
    """An opened picture that is asked for 1/`scale`, however small that is.

    Raises OSError, SyntaxError or ValueError if Pillow cannot open it.
    """
    image: Any = Image.open(BytesIO(data))
    if not image.tile:
        raise OSError("no scan")
    size = tuple(math.ceil(one / scale) for one in image.size)
    # As `draft` does, which would refuse some of them.
    image._size = size
    image.tile = [image.tile[0]._replace(extents=(0, 0, *size))]
    image.decoderconfig = (scale, 0)
    return image


def by_native(data: bytes, scale: int) -> Levels | None:
    """The pixels; None if the file is left to Pillow."""
    image = opened(data, scale)
    if not jpeg_native.load(image, image.fp, image.fp.tell()):
        return None
    return np.asarray(image)


def by_pillow(data: bytes, scale: int) -> Levels:
    """The pixels, with all that is looked at to find damage.

    Raises OSError or PictureError, as `jpeg_pixels.load` does.
    """
    image = opened(data, scale)
    with patch.object(jpeg_native, "library", lambda: None), warnings.catch_warnings():
        warnings.simplefilter("error")
        jpeg_pixels.load(image, salvage=False)
    return np.asarray(image)
