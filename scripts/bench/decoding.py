"""scripts/tool bench.decoding PHOTOS [--rounds 5]: the native JPEG decoder against libjpeg's.

Decodes the JPEGs in a folder at 1/2, 1/4 and 1/8, as imgbatch does it, in turn natively and through
Pillow, in one thread. Prints milliseconds of CPU for a photo, medians, and the medians of the
ratios within a round, which vary less on a busy machine; and how many photos the native decoder
leaves to Pillow, without measuring these.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch

from PIL import Image

from imgbatch.imaging.codecs import jpeg_native, jpeg_pixels

SCALES: Final = (2, 4, 8)


def milliseconds(path: Path, scale: int, *, native: bool) -> float | None:
    """CPU time that the pixels of a photo take; None if they are left to the other decoder."""
    with Image.open(path) as image:
        opened: Any = image
        opened.draft(None, (opened.width // scale, opened.height // scale))
        start = time.thread_time()
        if native:
            done = jpeg_native.load(opened, opened.fp, opened.fp.tell())
        else:
            done = True
            jpeg_pixels.load(opened, salvage=False)
        return 1_000 * (time.thread_time() - start) if done else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    library = jpeg_native.library()
    if library is None:
        print(f"error: JPEGs are {jpeg_native.use()}", file=sys.stderr)
        return 2
    photos = sorted(options.folder.rglob("*.jp*g"))
    left = [one for one in photos if milliseconds(one, 2, native=True) is None]
    photos = [one for one in photos if one not in left]
    print("| scale | native, ms | libjpeg, ms | ratio |")
    print("|---|--:|--:|--:|")
    for scale in SCALES:
        found: list[tuple[float, float]] = []
        for photo in photos * options.rounds:
            own = milliseconds(photo, scale, native=True)
            with patch.object(jpeg_native, "library", lambda: None):
                other = milliseconds(photo, scale, native=False)
            if own is not None and other is not None:
                found.append((own, other))
        own, other = (median(pair[place] for pair in found) for place in (0, 1))
        ratio = median(own / other for own, other in found)
        print(f"| 1/{scale} | {own:.1f} | {other:.1f} | {ratio:.2f} |")
    print(f"{len(photos)} photos; {len(left)} left to libjpeg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
