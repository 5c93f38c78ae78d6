"""What most people write first: Pillow's own calls in a multiprocessing.Pool.

python pillow_pool.py PHOTOS OUT SIZE QUALITY OPTIMIZE JOBS
"""

from __future__ import annotations

import multiprocessing
import sys
from functools import partial
from pathlib import Path

from PIL import Image, ImageOps


def shrink(path: Path, out: Path, size: int, quality: int, optimize: bool) -> None:
    """Shrink one photo into the folder `out`."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
    upright.thumbnail((size, size), Image.Resampling.LANCZOS)
    upright.save(out / path.name, quality=quality, optimize=optimize)


def main(photos: str, out: str, size: int, quality: int, optimize: bool, jobs: int) -> None:
    """Shrink every file in the folder `photos` into the folder `out`."""
    task = partial(shrink, out=Path(out), size=size, quality=quality, optimize=optimize)
    with multiprocessing.Pool(jobs) as pool:
        pool.map(task, sorted(Path(photos).iterdir()))


if __name__ == "__main__":
    first, second, *rest = sys.argv[1:]
    main(first, second, int(rest[0]), int(rest[1]), rest[2] == "1", int(rest[3]))
