"""libvips through pyvips, one thread in each process of a pool.

python pyvips_pool.py PHOTOS OUT SIZE QUALITY OPTIMIZE JOBS [sharpen]
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from functools import partial


def shrink(path: str, out: str, size: int, quality: int, optimize: bool, sharpened: bool) -> None:
    """Shrink one photo into the folder `out`; turns it upright and keeps its metadata."""
    # In the workers alone: libvips must not be running when they are forked.
    pyvips = importlib.import_module("pyvips")
    image = pyvips.Image.thumbnail(path, size, height=size, size="down")
    if sharpened:
        image = image.sharpen(sigma=1)
    target = os.path.join(out, os.path.basename(path))
    image.jpegsave(target, Q=quality, optimize_coding=optimize, subsample_mode="on")


def main(
    photos: str, out: str, size: int, quality: int, optimize: bool, jobs: int, sharpened: bool
) -> None:
    """Shrink every file in the folder `photos` into the folder `out`."""
    os.environ["VIPS_CONCURRENCY"] = "1"  # read when libvips starts
    paths = sorted(os.path.join(photos, name) for name in os.listdir(photos))
    task = partial(
        shrink, out=out, size=size, quality=quality, optimize=optimize, sharpened=sharpened
    )
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for _ in pool.imap_unordered(task, paths):
            pass


if __name__ == "__main__":
    first, second, *rest = sys.argv[1:]
    main(
        first,
        second,
        int(rest[0]),
        int(rest[1]),
        rest[2] == "1",
        int(rest[3]),
        rest[4:] == ["sharpen"],
    )
