"""The lower bound for imgbatch: the same library calls in a bare loop, in one process.

python floor.py PHOTOS OUT SIZE QUALITY OPTIMIZE
"""

from __future__ import annotations

import ctypes
import os
import sys
from io import BytesIO
from typing import Any

from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions
from cykooz_resizer.resize import Resizer
from PIL import Image

ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LANCZOS = ResizeAlg.convolution(FilterType.lanczos3)

_core: Any = vars(Image)["core"]  # which the type stubs leave out


def main(photos: str, out: str, size: int, quality: int, optimize: bool) -> None:
    """Shrink every file in the folder `photos` into the folder `out`."""
    keep_freed_memory()
    resizer: Any = Resizer()  # type: ignore[no-untyped-call, unused-ignore]
    for name in sorted(os.listdir(photos)):
        data = shrunk(resizer, os.path.join(photos, name), size, quality, optimize)
        with open(os.path.join(out, name), "wb") as file:
            file.write(data)


def keep_freed_memory() -> None:
    """As imgbatch's workers do: memory that one picture no longer needs is kept for the next."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 256 << 20)
    else:
        _core.set_blocks_max(16)


def shrunk(resizer: Any, path: str, box: int, quality: int, optimize: bool) -> bytes:
    """The file `path` as a JPEG that fits into `box` x `box`."""
    with open(path, "rb") as file:
        image = Image.open(file, formats=("JPEG",))
        scale = min(1.0, box / max(image.size))
        target = round(image.width * scale), round(image.height * scale)
        exif = image.getexif()
        turn = UPRIGHT.get(exif.get(ORIENTATION, 1))
        exif[ORIENTATION] = 1
        image.draft(None, target)
        image.load()
    pixels: Image.Image = image
    if pixels.size != target:
        resized = Image.new(pixels.mode, target, None)
        resizer.resize_pil(pixels, resized, ResizeOptions(LANCZOS))
        pixels = resized
    if turn is not None:
        # Last, when there are the fewest pixels to rotate: the box is square.
        pixels = pixels.transpose(turn)
    buffer = BytesIO()
    pixels.save(
        buffer,
        "JPEG",
        quality=quality,
        subsampling="4:2:0",
        optimize=optimize,
        exif=exif.tobytes(),
        icc_profile=image.info.get("icc_profile"),
    )
    return buffer.getvalue()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "1")
