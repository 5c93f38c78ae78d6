"""The work that is measured: what is made of which photos, by which tools, and the goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Source = Literal["photos", "one photo", "png", "small", "mixed"]
Measure = Literal["wall", "cpu", "memory"]
Format = Literal["jpeg", "png", "webp", "avif"]

SUFFIXES: dict[Format, str] = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "avif": ".avif"}

WEBP_EFFORT = 4
"""libwebp's method: the default of Pillow, sharp and libvips."""
AVIF_SPEED = 6
"""libaom's: sharp's and libvips' effort 3 (9 - effort), imgbatch's effort 5 (11 - effort). Their
defaults differ: 8 for imgbatch (effort 3), 5 for sharp (effort 4)."""
PNG_LEVEL = 2
"""zlib's, with all filters allowed: for libvips the fastest way to files as small as imgbatch's."""


@dataclass(frozen=True)
class Make:
    """What is made of each source. `sizes` are sides of boxes, the largest first; none: unchanged.

    `quality` is the encoder's own number; PNG has none. `format` None keeps the source's.
    """

    sizes: tuple[int, ...] = (1600,)
    format: Format = "jpeg"
    quality: int = 85
    sharpen: bool = False
    flatten: bool = False

    @property
    def suffix(self) -> str:
        return SUFFIXES[self.format]

    @property
    def size(self) -> int | None:
        """The largest size, if there is one."""
        return self.sizes[0] if self.sizes else None


@dataclass(frozen=True)
class Work:
    """A row of the table: `goal` is the highest acceptable ratio of `ours` ÷ best peer.

    With `at_least` it is the lowest. `size_goal` is the same for the bytes written. `cold` empties
    the page cache before each run; `rerun` keeps what the previous run has made; `unfair` names the
    peers that do something else, and says what.
    """

    row: str
    title: str
    make: Make
    peers: tuple[str, ...]
    goal: float
    source: Source = "photos"
    measure: Measure = "wall"
    ours: str = "imgbatch"
    at_least: bool = False
    size_goal: float | None = None
    cold: bool = False
    rerun: bool = False
    unfair: tuple[tuple[str, str], ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        return (self.ours, *self.peers)


_ALL = ("sharp", "pyvips", "vipsthumbnail", "gm", "imagemagick", "imgp", "pillow")
_WEB = Make()
_SMALL = Make((80,))

WORKS: tuple[Work, ...] = (
    Work("1", "24 MP JPEG to 1600 px JPEG", _WEB, _ALL, 0.80),
    Work("2", "24 MP JPEG to 256 px JPEG", Make((256,)), _ALL, 1.0),
    Work(
        "3",
        "24 MP JPEG to 2400, 1600, 800 and 320 px",
        Make((2400, 1600, 800, 320)),
        ("sharp", "sharp-chained", "vipsthumbnail"),
        0.45,
        unfair=(("sharp-chained", "goes on from the pixels of the largest, without metadata"),),
    ),
    Work(
        "4",
        "24 MP JPEG to 1600 px, sharpened",
        Make(sharpen=True),
        ("sharp", "sharp-mild", "pyvips"),
        0.60,
        unfair=(("sharp-mild", "a mild 3 x 3 kernel"),),
    ),
    Work("5a", "24 MP JPEG to WebP", Make((), "webp", 80), ("sharp", "pyvips"), 1.0),
    Work(
        "5b",
        "24 MP JPEG to 1600 px WebP",
        Make(format="webp", quality=80),
        ("sharp", "pyvips"),
        1.0,
    ),
    Work(
        "5c",
        "24 MP JPEG to 1600 px AVIF",
        Make(format="avif", quality=65),
        ("sharp", "pyvips"),
        1.0,
    ),
    Work(
        "6a",
        "PNG of 8 to 16 MP, half with alpha, to 1600 px PNG",
        Make(format="png"),
        ("sharp", "sharp-adaptive", "pyvips", "vipsthumbnail"),
        1.0,
        source="png",
        size_goal=1.03,
    ),
    Work(
        "6b",
        "the same to 1600 px JPEG on white",
        Make(flatten=True),
        ("sharp", "pyvips", "vipsthumbnail"),
        1.0,
        source="png",
    ),
    Work(
        "7",
        "JPEG of 160 px to 80 px",
        _SMALL,
        ("gm", "imagemagick", "sharp"),
        1.0,
        source="small",
    ),
    Work(
        "8",
        "a second run: all is up to date",
        _SMALL,
        ("find",),
        10.0,
        source="small",
        rerun=True,
    ),
    Work(
        "9",
        "one 24 MP JPEG to 1600 px, cold cache",
        _WEB,
        ("vipsthumbnail",),
        2.5,
        source="one photo",
        cold=True,
    ),
    Work(
        "9w",
        "one 24 MP JPEG to 1600 px, warm cache",
        _WEB,
        ("vipsthumbnail",),
        2.5,
        source="one photo",
    ),
    Work("10", "mixed files to 1600 px JPEG", Make(flatten=True), ("sharp",), 0.85, source="mixed"),
    Work(
        "11",
        "peak memory of row 1",
        _WEB,
        ("sharp", "pyvips", "vipsthumbnail"),
        1.0,
        measure="memory",
    ),
    Work(
        "12",
        "CPU of row 1 with one job ÷ the bare loop",
        _WEB,
        ("floor",),
        1.04,
        measure="cpu",
        ours="imgbatch-1",
    ),
    Work(
        "13",
        "row 1 with one job ÷ with two",
        _WEB,
        ("imgbatch",),
        1.9,
        ours="imgbatch-1",
        at_least=True,
    ),
)

ROWS = {work.row: work for work in WORKS}


def chosen(text: str) -> tuple[Work, ...]:
    """The works of a list such as `1,5,6a`, or of `all`; a number alone means all its letters.

    Raises KeyError with the word that is not a row.
    """
    if text == "all":
        return WORKS
    found: dict[str, Work] = {}
    for word in filter(None, (one.strip() for one in text.split(","))):
        works: Sequence[Work] = [
            one for one in WORKS if one.row == word or one.row.rstrip("abcw") == word
        ]
        if not works:
            raise KeyError(word)
        found |= {one.row: one for one in works}
    return tuple(found.values())
