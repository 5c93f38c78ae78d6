"""Times operations of libvips through pyvips, one thread, on a picture in memory.

python vips_operations.py PICTURE MARK ROUNDS; prints a JSON object of milliseconds by name.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

SEPIA = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]


def operations(pyvips: Any, image: Any, mark: Any) -> dict[str, Any]:
    """The same operations, or what photographers would use instead."""
    width, height = image.width, image.height
    levels = pyvips.Image.identity().linear(1.2, -10).cast("uchar")
    ramp = pyvips.Image.identity().linear(0.25, 0).cast("uchar").linear(4, 0).cast("uchar")
    distance = pyvips.Image.xyz(width, height).linear([1, 1], [-width / 2, -height / 2])
    radius = (distance**2)[0] + (distance**2)[1]
    mask = radius.linear(-1 / (width * width), 1).copy_memory()
    return {
        "invert": lambda: image.invert(),
        "brightness": lambda: image.linear(1.2, 0).cast("uchar"),
        "contrast": lambda: image.maplut(levels),
        "gamma": lambda: image.gamma(exponent=1.2),
        "levels": lambda: image.maplut(levels),
        "curves": lambda: image.maplut(levels),
        "exposure": lambda: image.maplut(levels),
        "posterize": lambda: image.maplut(ramp),
        "threshold": lambda: image.colourspace("b-w") > 128,
        "grayscale": lambda: image.colourspace("b-w"),
        "sepia": lambda: image.recomb(SEPIA).cast("uchar"),
        "saturation": lambda: image.recomb(SEPIA).cast("uchar"),
        "hue": lambda: image.recomb(SEPIA).cast("uchar"),
        "equalize": lambda: image.hist_equal(),
        "blur 0.7": lambda: image.gaussblur(0.7),
        "blur 2": lambda: image.gaussblur(2),
        "blur 20": lambda: image.gaussblur(20),
        "sharpen": lambda: image.sharpen(),
        "unsharp 1": lambda: image.sharpen(sigma=1),
        "unsharp 5": lambda: image.sharpen(sigma=5),
        "median": lambda: image.median(3),
        "watermark": lambda: image.composite2(
            mark, "over", x=width - mark.width, y=height - mark.height
        ),
        "vignette": lambda: (image * mask).cast("uchar"),
        "grain": lambda: (image + pyvips.Image.gaussnoise(width, height, sigma=8)).cast("uchar"),
        "border": lambda: image.embed(50, 50, width + 100, height + 100),
        "rotate": lambda: image.rotate(7, interpolate=pyvips.Interpolate.new("bicubic")),
        "flip": lambda: image.fliphor(),
        "crop": lambda: image.crop(100, 100, width - 200, height - 200),
        "smart-crop": lambda: image.smartcrop(height // 2, height // 2, interesting="attention"),
        "trim": lambda: image.crop(*image.find_trim()),
    }


def main(picture: str, marked: str, rounds: int) -> None:
    """Time each a few times; the best counts."""
    os.environ["VIPS_CONCURRENCY"] = "1"
    pyvips = importlib.import_module("pyvips")
    pyvips.cache_set_max(0)
    image = pyvips.Image.new_from_file(picture).copy_memory()
    mark = pyvips.Image.new_from_file(marked).copy_memory()
    found = {}
    for name, operation in operations(pyvips, image, mark).items():
        best = float("inf")
        for _ in range(rounds + 1):
            begun = time.process_time()
            operation().copy_memory()
            best = min(best, time.process_time() - begun)
        found[name] = 1000 * best
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
