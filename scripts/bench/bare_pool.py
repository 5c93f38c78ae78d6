"""A bare multiprocessing.Pool around imgbatch's own steps, without any supervision.

python bare_pool.py PHOTOS OUT SIZE JOBS
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from functools import partial
from pathlib import Path

from imgbatch.imaging import decode, encode
from imgbatch.recipes.recipe import Recipe


def make(path: str, out: str, recipe: Recipe) -> int:
    """Make one picture and write it straight to its target."""
    picture = decode.decode(path, recipe.needed_size)
    (output,) = recipe.outputs
    for operation in output.operations:
        picture = operation.apply(picture)
    encoded = encode.encode(picture.upright(), output.encoding)
    return Path(out, os.path.basename(path)).write_bytes(encoded.data)


def main(photos: str, out: str, size: str, jobs: int) -> None:
    """Process every file in the folder `photos` at `size` into the folder `out`."""
    paths = sorted(entry.path for entry in os.scandir(photos))
    os.makedirs(out)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["imgbatch.running.worker"])
    task = partial(make, out=out, recipe=Recipe.from_options(sizes=[size]))
    with context.Pool(jobs) as pool:
        done = sum(1 for _ in pool.imap_unordered(task, paths, chunksize=50))
    print(f"{done} done")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
