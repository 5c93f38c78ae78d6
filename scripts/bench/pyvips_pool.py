"""libvips through pyvips, one thread in each process of a pool.

python pyvips_pool.py TASK, a JSON object: photos and out (folders), jobs, size (the side of a box,
or null), suffix with the encoder's options, sharpen, flatten.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
from functools import partial
from typing import Any


def make(path: str, task: dict[str, Any]) -> None:
    """Make one picture; rotate it upright and keep its metadata."""
    # Only in the workers: libvips must not be running when they are forked.
    pyvips = importlib.import_module("pyvips")
    size = task["size"]
    if size is None:
        image = pyvips.Image.new_from_file(path, access="sequential")
        if image.get_typeof("orientation") and image.get("orientation") != 1:
            # Rotated pixels are read in another order than they come.
            image = image.copy_memory().autorot()
    else:
        image = pyvips.Image.thumbnail(path, size, height=size, size="down")
    if task["sharpen"]:
        image = image.sharpen(sigma=1)
    if task["flatten"] and image.hasalpha():
        image = image.flatten(background=255)
    stem = os.path.splitext(os.path.basename(path))[0]
    image.write_to_file(os.path.join(task["out"], stem + task["suffix"]), **task["options"])


def main(task: dict[str, Any]) -> None:
    os.environ["VIPS_CONCURRENCY"] = "1"  # read when libvips starts
    paths = sorted(os.path.join(task["photos"], name) for name in os.listdir(task["photos"]))
    with multiprocessing.get_context("fork").Pool(task["jobs"]) as pool:
        for _ in pool.imap_unordered(partial(make, task=task), paths):
            pass


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
