"""scripts/tool damage_jpegs FOLDER [--count 1000] [--seed 1]: how much damage to JPEGs is noticed.

Takes the photographs in FOLDER as they are and re-encoded (baseline, progressive, with restart
markers), damages one chosen by chance, anywhere behind its header, and asks djpeg (Debian:
libjpeg-turbo-progs) and imgbatch. Prints a line for each kind of damage: how many files djpeg warns
of, how many of these imgbatch refuses or warns of, and of how many it alone does so.

The exit code is 1 if less than 95 % of what djpeg warns of is noticed, or if one of the files is
refused as it was before.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, Final

from PIL import Image
from toolkit import programs

from imgbatch.errors import PictureError
from imgbatch.imaging.containers import jpeg
from imgbatch.imaging.decode import decode

LONGEST_SIDE: Final = 1_600
"""Of re-encoded photographs: larger ones only take longer."""
GOAL: Final = 0.95

CODINGS: Final[dict[str, dict[str, Any]]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "frequent restarts": {"restart_marker_blocks": 5},
    "progressive, restarts": {"progressive": True, "restart_marker_rows": 2},
}


def overwritten(data: bytearray, at: int, new: bytes) -> None:
    end = min(len(data), at + len(new))
    data[at:end] = new[: end - at]


def flip(data: bytearray, at: int, random: Random) -> None:
    data[at] ^= random.randrange(1, 256)


def flips(data: bytearray, at: int, random: Random) -> None:
    for _ in range(8):
        flip(data, min(len(data) - 1, at + random.randrange(512)), random)


def hole(size: int) -> Callable[[bytearray, int, Random], None]:
    def zero(data: bytearray, at: int, random: Random) -> None:
        overwritten(data, at // size * size, bytes(size))

    return zero


def swap(size: int) -> Callable[[bytearray, int, Random], None]:
    def exchange(data: bytearray, at: int, random: Random) -> None:
        first, second = (place // size * size for place in (at, random.randrange(at, len(data))))
        one, other = bytes(data[first : first + size]), bytes(data[second : second + size])
        overwritten(data, second, one)
        overwritten(data, first, other)

    return exchange


def cut(data: bytearray, at: int, random: Random) -> None:
    del data[at:]


def zero_tail(data: bytearray, at: int, random: Random) -> None:
    overwritten(data, at, bytes(len(data) - at))


DAMAGE: Final[dict[str, Callable[[bytearray, int, Random], None]]] = {
    "a byte changed": flip,
    "8 bytes changed": flips,
    "a hole of 512 bytes": hole(512),
    "a hole of 4 kB": hole(4096),
    "blocks of 512 bytes swapped": swap(512),
    "blocks of 4 kB swapped": swap(4096),
    "cut short": cut,
    "zeros to the end": zero_tail,
}


@dataclass
class Outcomes:
    """For each kind of damage: of how many files djpeg warns, and what imgbatch says of them."""

    warned: Counter[str] = field(default_factory=Counter)
    noticed: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    """Those that imgbatch refuses though djpeg is content."""

    missed: list[str] = field(default_factory=list)

    @property
    def suffice(self) -> bool:
        return self.noticed.total() >= GOAL * self.warned.total()


def encoded(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    """A picture in each coding."""
    for coding, options in CODINGS.items():
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=90, **options)
        yield coding, buffer.getvalue()


def photographs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every photograph as it is, and in each coding, with words for it."""
    for path in sorted(folder.rglob("*.jp*g")):
        yield f"{path.name}, as it is", path.read_bytes()
        with Image.open(path) as image:
            image.draft(None, (LONGEST_SIDE, LONGEST_SIDE))
            image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            for coding, data in encoded(image):
                yield f"{path.name}, {coding}", data


def damaged(data: bytes, kind: str, random: Random) -> bytes:
    """A file with one damage, not in its header, without what is behind its picture."""
    *_, scan = jpeg.walk(BytesIO(data))
    harmed = bytearray(data.removesuffix(jpeg.behind(data)))
    DAMAGE[kind](harmed, random.randrange(scan.stop, len(harmed) - 2), random)
    return bytes(harmed)


def djpeg_warns(data: bytes) -> bool:
    command = [programs.path_of("djpeg"), "-scale", "1/8", "-outfile", os.devnull]
    return subprocess.run(command, input=data, capture_output=True, check=False).returncode != 0


def notices(data: bytes, path: Path) -> bool:
    """Whether imgbatch refuses a file, or warns of it."""
    path.write_bytes(data)
    try:
        return bool(decode(str(path), lambda size: (1, 1)).notices)
    except PictureError:
        return True


def outcomes(
    whole: Sequence[tuple[str, bytes]], count: int, random: Random, path: Path
) -> Outcomes:
    """Damage files chosen by chance, which are written to `path` one after the other."""
    found = Outcomes()
    for number in range(count):
        kind = list(DAMAGE)[number % len(DAMAGE)]
        name, data = random.choice(whole)
        harmed = damaged(data, kind, random)
        warned, noticed = djpeg_warns(harmed), notices(harmed, path)
        found.warned[kind] += warned
        found.noticed[kind] += warned and noticed
        found.alone[kind] += noticed and not warned
        if warned and not noticed:
            found.missed.append(f"{name}: {kind}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    whole = [one for one in photographs(options.folder) if not djpeg_warns(one[1])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        refused = [name for name, data in whole if notices(data, path)]
        found = outcomes(whole, options.count, Random(options.seed), path)
    print("| damage | djpeg warns | of these noticed | noticed alone |")
    print("|---|--:|--:|--:|")
    for kind in DAMAGE:
        print(f"| {kind} | {found.warned[kind]} | {found.noticed[kind]} | {found.alone[kind]} |")
    totals = (one.total() for one in (found.warned, found.noticed, found.alone))
    print("| all {} | {} | {} | {} |".format(options.count, *totals))
    print("Not noticed:", *found.missed, sep="\n    ")
    print(f"Of {len(whole)} undamaged files {len(refused)} were refused:", *refused, sep="\n    ")
    return 1 if refused or not found.suffice else 0


if __name__ == "__main__":
    sys.exit(main())
