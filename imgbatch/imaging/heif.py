"""HEIC, through the extra `heif` (pillow-heif): its plugin for Pillow, and 10 bits per channel.

libheif turns and crops as the file says, so pictures come upright. What this module imports is
loaded only for such a file.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import pillow_heif

from imgbatch.model import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from imgbatch.imaging.deep import Deep

# One thread: the workers already share the processors between them. An embedded thumbnail is
# never taken for the picture.
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False)


def encoder() -> bool:
    """Whether this pillow-heif can write, too."""
    return bool(pillow_heif.libheif_info()["HEIF"])


def dropped(image: Image.Image) -> tuple[Notice, ...]:
    """Warnings about what an opened image has besides its main picture: others, and maps for it."""
    notices: tuple[Notice, ...] = ()
    count = getattr(image, "n_frames", 1)
    if count > 1:
        message = f"only the main one of {count} pictures was kept"
        notices += (Notice("frames-dropped", message),)
    if image.info.get("aux") or image.info.get("depth_images"):
        message = "a second picture in the file (gain map, depth map) was dropped"
        notices += (Notice("gain-map-dropped", message),)
    return notices


def bits_and_levels(data: bytes) -> tuple[int, NDArray[np.uint16], bool]:
    """The bits per channel, the levels, and whether alpha is premultiplied, in the main picture.

    Levels come as (height, width, channels).
    """
    import numpy as np

    file: Any = pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    image = file[file.primary_index]
    return image.info["bit_depth"], np.asarray(image), image.premultiplied_alpha


def encoded(deep: Deep, options: Mapping[str, Any]) -> bytes:
    """A file with 10 bits per channel, rounded; `options` as for Pillow's `save`."""
    import numpy as np

    buffer = BytesIO()
    levels = np.empty_like(deep.array)
    # Row by row, because the products take four bytes. It takes the upper 10 of 16 bits.
    for row, target in zip(deep.array, levels, strict=True):
        target[:] = (row.astype(np.uint32) * 1023 + 32_767) // 65_535 << 6
    pillow_heif.encode(deep.mode, deep.size, levels.tobytes(), buffer, **options)
    return buffer.getvalue()
