"""scripts/tool fuzz_jpeg_native [--count 100000] [--seed 1] [--keep FOLDER]: a decoder's manners.

Damages small JPEGs of all kinds where their structure is (markers, lengths, tables, samplings,
restarts, padding, data), and decodes each natively and through libjpeg. A crash ends the program;
what is decoded natively must be sound in libjpeg's eyes, too, and at 1/8 look the same.

Prints how many were decoded natively, and a line for each file of which that is not so; the exit
code is 1 then. With --keep these files are written to a folder.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from PIL import Image
from toolkit import jpeg_coding, pictures
from toolkit.jpeg_scaled import by_native, by_pillow

from imgbatch.errors import PictureError
from imgbatch.imaging.codecs import jpeg_native

SCALES: Final = (2, 4, 8)
SIZES: Final = ((1, 1), (16, 16), (39, 21), (70, 50))
MARKERS: Final = (
    *(0x00, 0x01, 0xC0, 0xC1, 0xC2, 0xC4, 0xC9, 0xCC, 0xD0, 0xD3, 0xD7, 0xD8, 0xD9, 0xDA),
    *(0xDB, 0xDC, 0xDD, 0xDE, 0xE0, 0xE1, 0xEE, 0xFE, 0xFF),
)
LARGE: Final = 4_000_000
"""Pixels of pictures that would only take time."""

WORTH: Final = (0, 1, 2, 3, 8, 12, 0x10, 0x11, 0x12, 0x21, 0x22, 0x41, 0x7F, 0x80, 0xFE, 0xFF)
ADOBE: Final = jpeg_coding.segment(0xEE, b"Adobe\0\x64\0\0\0\0")


def specimens() -> Iterator[bytes]:
    """Sound files of all samplings."""
    for size in SIZES:
        scene = pictures.scene(*size) if min(size) > 1 else np.full((1, 1, 3), 77, np.uint8)
        for quality, interval, padding in ((20, 0, "1"), (75, 2, "0"), (96, 1, "1")):
            steps = [jpeg_coding.quantisation(quality, chroma=one) for one in (False, True, True)]
            for luma in ((1, 1), (2, 1), (1, 2), (2, 2)):
                factors = (luma, (1, 1), (1, 1))
                coded = jpeg_coding.coded(scene, steps, factors, interval)
                yield jpeg_coding.written(coded, padding=padding)
            coded = jpeg_coding.coded(scene[:, :, 1], steps[:1], ((1, 1),), interval)
            yield jpeg_coding.written(coded, padding=padding)
            yield jpeg_coding.written(coded, before=ADOBE + bytes((quality % 3,)), padding=padding)


def parts(data: bytes) -> list[bytes]:
    """The segments of a file, and the pieces of its data between markers."""
    found, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        found.append(data[at:stop])
        at, is_scan = stop, data[at + 1] == 0xDA
        if is_scan:
            break
    while at < len(data):
        stop = at + 1
        while stop < len(data) and not (data[stop] == 0xFF and data[stop + 1 : stop + 2] != b"\0"):
            stop += 1
        found.append(data[at:stop])
        at = stop
    return found


def damaged(data: bytes, random: Random) -> bytes:
    """A file with one to three kinds of damage."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        pieces = parts(data)
        if len(pieces) == 1:
            break
        place = random.randrange(1, len(pieces))
        random.choice(DAMAGE)(pieces, place, random)
        data = b"".join(pieces)
    return data


def _byte(pieces: list[bytes], place: int, random: Random) -> None:
    """Another value for one byte, mostly near the beginning, where the fields are."""
    piece = bytearray(pieces[place])
    if not piece:
        return
    at = random.randrange(min(len(piece), random.choice((4, 8, 24, 10_000))))
    flipped = piece[at] ^ 1 << random.randrange(8)
    changed = (flipped, random.randrange(256), random.choice(WORTH), piece[at] + 1, piece[at] - 1)
    piece[at] = random.choice(changed) & 0xFF
    pieces[place] = bytes(piece)


def _end(pieces: list[bytes], place: int, random: Random) -> None:
    """Another last byte of some data: the padding."""
    pieces[place] = pieces[place][:-1] + bytes((random.randrange(255),))


def _marker(pieces: list[bytes], place: int, random: Random) -> None:
    pieces[place] = b"\xff" + bytes((random.choice(MARKERS),)) + pieces[place][2:]


def _drop(pieces: list[bytes], place: int, random: Random) -> None:
    del pieces[place]


def _repeat(pieces: list[bytes], place: int, random: Random) -> None:
    pieces.insert(random.randrange(1, len(pieces)), pieces[place])


def _swap(pieces: list[bytes], place: int, random: Random) -> None:
    other = random.randrange(1, len(pieces))
    pieces[place], pieces[other] = pieces[other], pieces[place]


def _cut(pieces: list[bytes], place: int, random: Random) -> None:
    pieces[place] = pieces[place][: random.randrange(len(pieces[place]) + 1)]


def _insert(pieces: list[bytes], place: int, random: Random) -> None:
    at = random.randrange(len(pieces[place]) + 1)
    new = random.choice((b"\xff", b"\0", b"\xff\0", b"\xff\xff", b"\0" * 40, random.randbytes(3)))
    pieces[place] = pieces[place][:at] + new + pieces[place][at:]


def _segment(pieces: list[bytes], place: int, random: Random) -> None:
    """A new segment: an interval, a height, Adobe's, or an empty one."""
    new = random.choice(
        (
            jpeg_coding.segment(0xDD, bytes((0, random.choice(WORTH)))),
            jpeg_coding.segment(0xDC, bytes((0, random.choice(WORTH)))),
            ADOBE[:3] + bytes((ADOBE[3] + random.choice((0, 1)),)) + ADOBE[4:] + b"\1",
            jpeg_coding.segment(random.choice(MARKERS), b""),
        )
    )
    pieces.insert(place, new)


DAMAGE: Final = (
    *(_byte, _byte, _byte, _byte, _end, _marker, _drop, _repeat, _swap, _cut, _insert, _segment),
)


@dataclass
class Found:
    """How many files were decoded natively, and what is wrong with some of them."""

    taken: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)


def problem(data: bytes, scale: int) -> tuple[bool, str | None]:
    """Whether a file is decoded natively, and what is wrong with that."""
    try:
        with Image.open(BytesIO(data)) as image:
            is_large = image.width * image.height > LARGE
        pixels = None if is_large else by_native(data, scale)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # Pillow does not even open it.
        return False, None
    if pixels is None:
        return False, None
    try:
        expected = by_pillow(data, scale)
    except (OSError, PictureError, Warning) as error:
        return True, f"libjpeg refuses it: {error}"
    if pixels.shape != expected.shape:
        return True, f"it has the size {pixels.shape}, not {expected.shape}"
    away = np.abs(pixels.astype(int) - expected).max()
    if scale == 8 and pixels.ndim == 2 and away > 1:
        return True, f"it is {away} levels away from libjpeg's"
    return True, None


def fuzz(count: int, seed: int) -> Found:
    """Damage so many files, and decode them."""
    random, found, whole = Random(seed), Found(), list(specimens())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            data, scale = damaged(random.choice(whole), random), random.choice(SCALES)
            taken, wrong = problem(data, scale)
            found.taken[scale] += taken
            if wrong is not None:
                found.problems.append(f"{number} at 1/{scale}: {wrong}")
                found.files.append(data)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    if jpeg_native.library() is None:
        print("error: the native decoder was not built (scripts/setup does, with cargo)")
        return 2
    found = fuzz(options.count, options.seed)
    for place, (words, data) in enumerate(zip(found.problems, found.files, strict=True)):
        print(words)
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{place}.jpg").write_bytes(data)
    counts = ", ".join(f"{count} at 1/{scale}" for scale, count in sorted(found.taken.items()))
    print(f"Of {options.count} damaged files, decoded natively: {counts}")
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
