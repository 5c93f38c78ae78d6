"""The settings of outputs, for the command line, recipes and Python alike.

Nothing here loads Pillow: `steps` turns the settings of an output into what is done.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypedDict, get_args

from imgbatch.imaging import formats
from imgbatch.model import (
    METADATA_POLICIES,
    PLACES,
    PROFILES,
    Compression,
    Fit,
    Gravity,
    Intent,
    Kernel,
    ProfileName,
    Subsampling,
)
from imgbatch.recipes.declarations import (
    Amount,
    Choice,
    Flag,
    Measure,
    Several,
    Text,
    Whole,
    setting,
)

Step = str | Mapping[str, Any]
"""An operation: `NAME:key=value,…`, or a table with its `name` and settings."""

SIZE: Final = "Size"
FORMAT: Final = "Format and quality"
OPERATIONS: Final = "Operations and colours"
METADATA: Final = "Metadata"
NAMES: Final = "Where pictures go"
SOURCES: Final = "Which pictures"

*_FIRST, _LAST = METADATA_POLICIES

RESIZING: Final = ("fit", "enlarge", "gravity", "kernel", "linear")
"""The settings that say how an output's size is reached, and mean nothing without one."""

_FIT_HINTS: Final = MappingProxyType(
    {
        "fill": "fill means different things in different tools: choose cover (fill and crop), "
        "pad (with background) or exact (ignore the ratio)",
        "contain": "contain is called inside here, or pad with background around it",
        "crop": "cropping to fill is called cover",
    }
)


KEEP: Final = "keep"
SRGB: Final = "srgb"


def profile_name(word: str) -> Literal["keep", "srgb"] | ProfileName | None:
    """What a word for a profile means, however it is spelled; None if it is a file."""
    if os.path.dirname(word):
        return None
    known = _PUNCTUATION.sub("", word.lower())
    if known == KEEP:
        return KEEP
    return SRGB if known == SRGB else PROFILES.get(known)


_PUNCTUATION: Final = re.compile(r"[\s().,_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSettings:
    """The settings that an output and a whole recipe have in common."""

    fit: str = setting(
        "inside",
        Choice(get_args(Fit), "fit", _FIT_HINTS),
        SIZE,
        "inside, outside, cover (fill and crop), pad (with background) or exact "
        "(ignore the ratio).",
        metavar="MODE",
    )
    enlarge: bool = setting(False, Flag(), SIZE, "Allow enlarging; by default images only shrink.")
    gravity: str = setting(
        "center",
        Choice(get_args(Gravity), "gravity", synonyms=PLACES),
        SIZE,
        "What cover keeps and where pad puts the picture: center, north, northeast, …",
        metavar="PLACE",
    )
    kernel: str = setting(
        "lanczos",
        Choice(get_args(Kernel), "kernel"),
        SIZE,
        "lanczos, bicubic, mitchell, bilinear, hamming, box or nearest.",
        metavar="NAME",
    )
    linear: bool = setting(
        False,
        Flag(),
        SIZE,
        "Resample in linear light.",
        more="As light itself mixes: fine bright detail keeps its brightness.",
    )
    format: str = setting(
        "keep",
        Text(once=True, known=("keep", *formats.WRITABLE)),
        FORMAT,
        f"keep, or {', '.join(formats.WRITABLE)}.",
        short="-f",
        metavar="FORMAT",
    )
    quality: int | None = setting(
        None,
        Whole(1, 100, unit="%"),
        FORMAT,
        "1 to 100.",
        short="-q",
        metavar="N",
        unset="the format's own; for a JPEG whose size stays, its own",
        more="The format's own is 85 for JPEG and JPEG XL, 80 for WebP, 65 for AVIF and HEIC. A "
        "JPEG whose size stays keeps its own quantisation tables and subsampling.",
    )
    max_bytes: int | str | None = setting(
        None,
        Amount(
            "B",
            "found max-bytes {value!r}, expected bytes, as in 500000 or '500KB'",
            doubtful=1000,
            likely="KB",
        ),
        FORMAT,
        "Find the highest quality for files no larger than this, such as 500KB (JPEG, WebP, AVIF, "
        "HEIC): up to --quality, or 95; below 40 the picture is made smaller.",
        metavar="SIZE",
        more="Metadata counts, too.",
    )
    keep_smaller: bool = setting(
        False,
        Flag(),
        FORMAT,
        "Copy the source if only its coding would change, and the result would be larger.",
    )
    lossless: bool = setting(
        False, Flag(), FORMAT, "Lossless compression, where the format has it (WebP, JPEG 2000)."
    )
    subsampling: str | None = setting(
        None,
        Choice(get_args(Subsampling), "subsampling"),
        FORMAT,
        "Chroma subsampling in JPEG, AVIF and HEIC: 4:4:4, 4:2:2 or 4:2:0.",
        metavar="RATIO",
        unset="4:2:0; for JPEG 4:4:4 from quality 90 up",
    )
    progressive: bool = setting(False, Flag(), FORMAT, "Write progressive JPEG.")
    effort: int | None = setting(
        None,
        Whole(1, 10),
        FORMAT,
        "1 (fast) to 10 (small files), for JPEG, PNG, WebP, AVIF, HEIC and JPEG XL.",
        metavar="N",
        more="In JPEG it affects the Huffman tables; PNG is written by zlib from 4 up, and "
        "faster by default.",
    )
    compression: str | None = setting(
        None,
        Choice(get_args(Compression), "compression"),
        FORMAT,
        "For TIFF: none, packbits, lzw, deflate, zstd or jpeg.",
        metavar="NAME",
        unset="deflate",
    )
    colours: int | None = setting(
        None,
        Whole(2, 256),
        FORMAT,
        "A palette of at most so many colours, 2 to 256, for PNG, GIF, TIFF, BMP and Targa.",
        metavar="N",
        unset="full colours, or 256 for GIF",
        more="A PNG of 256 colours has about a third of the bytes. PNG keeps half transparency, "
        "GIF makes it all or nothing, the others lay it over --background. Sources with a palette "
        "only keep it if they are not resized: give it again.",
    )
    dither: bool = setting(True, Flag(), FORMAT, "Dither GIFs, and what --colours reduces.")
    background: str = setting(
        "white",
        Text(),
        OPERATIONS,
        "A CSS colour, for pad, and under transparency that a format cannot hold.",
        metavar="COLOUR",
    )
    metadata: str = setting(
        "all",
        Choice(tuple(METADATA_POLICIES), "metadata policy"),
        METADATA,
        f"{', '.join(_FIRST)} or {_LAST}. Orientation is always applied.",
        metavar="POLICY",
        more="`no-gps` also drops MakerNotes, which may hold a position; `no-location` does, too, "
        "and drops names of places. Orientation is reset, too, and an embedded thumbnail is always "
        "dropped.",
    )
    artist: str | None = setting(
        None,
        Text(may_be_empty=True),
        METADATA,
        "Record who took the pictures.",
        metavar="TEXT",
        more="Into EXIF and XMP, whatever --metadata lets through.",
    )
    copyright: str | None = setting(
        None,
        Text(may_be_empty=True),
        METADATA,
        "Record who owns the rights.",
        metavar="TEXT",
        more="Into EXIF and XMP, whatever --metadata lets through.",
    )
    dpi: int | None = setting(
        None,
        Whole(1, 65_535, unit="dpi"),
        METADATA,
        "Pixels per inch, whatever --metadata says.",
        metavar="N",
    )
    profile: str = setting(
        "keep",
        Text(known=(KEEP, SRGB, *get_args(ProfileName)), or_file=True),
        OPERATIONS,
        f"Colour profile: keep, or what to convert to: srgb, {', '.join(get_args(ProfileName))} or "
        "an ICC file.",
        metavar="PROFILE",
        more="`keep` keeps it bit for bit. Names may be in any case, and come before files: a file "
        "called `prophoto` is `./prophoto`.",
    )
    intent: str = setting(
        "relative",
        Choice(get_args(Intent), "intent"),
        OPERATIONS,
        "How colours are converted: relative, perceptual, saturation or absolute.",
        metavar="NAME",
        more="`relative` includes black-point compensation.",
    )
    template: str | None = setting(
        None,
        Text(),
        NAMES,
        "File names: {stem} {ext} {dir} {parent} {output} {width} {height} {seq} {date} "
        "{camera}; with formats, such as {seq:04d} or {date:%Y/%m}, and in lower or upper case, as "
        "in {ext!l} or {stem!u}.",
        option="name",
        key="path",
        metavar="TEMPLATE",
        unset="{stem}{ext}; with several sizes {stem}-{output}{ext}",
        each_run="names depend on what is made; a recipe of yours can say them",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings(SharedSettings):
    """The settings of one output.

    `operations` are in order; files that they name are looked for in `folder` first. A `size` of
    None keeps the size.
    """

    size: str | None = setting(None, Measure(), SIZE, "A single size.", metavar="SPEC")
    operations: Sequence[Step] = setting((), Several(), OPERATIONS, "Operations, in order.")
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSettings(SharedSettings):
    """The settings of a whole recipe, from options or Python: one output for each of `sizes`.

    Without `sizes` the size stays.
    """

    sizes: Sequence[str | int] | str | int = setting(
        (),
        Several(),
        SIZE,
        "1600 (long edge), 1600x1200, 1600x, x1200, 50% or 2MP. Repeatable, and may be named: "
        "web=1600.",
        short="-s",
        option="size",
        key="size",
        metavar="SPEC",
        unset="2048",
    )
    filters: Iterable[str] | str = setting(
        (),
        Several(),
        OPERATIONS,
        "An operation, such as sharpen:amount=0.8. Repeatable, in order; `imgbatch operations` "
        "lists them.",
        option="filter",
        key="operations",
        metavar="NAME[:k=v,…]",
        more="They come after the resize, unless `--filter resize` says where that goes. "
        "[operations.md](operations.md) shows them.",
        each_run="put operations into a recipe, which `presets` can offer by its name",
    )
    raw_preview: bool = setting(
        False,
        Flag(),
        SOURCES,
        "Use the JPEG inside a camera's raw file instead of developing it.",
        more="Many times faster. In a recipe it goes in `[prepare]`.",
    )


class RecipeWords(TypedDict, total=False):
    """The arguments of `Recipe.from_options`, for type checkers: the fields of RecipeSettings."""

    sizes: Sequence[str | int] | str | int
    fit: str
    enlarge: bool
    gravity: str
    background: str
    kernel: str
    linear: bool
    format: str
    quality: int | None
    max_bytes: int | str | None
    keep_smaller: bool
    subsampling: str | None
    progressive: bool
    lossless: bool
    effort: int | None
    compression: str | None
    colours: int | None
    dither: bool
    filters: Iterable[str] | str
    metadata: str
    artist: str | None
    copyright: str | None
    dpi: int | None
    profile: str
    intent: str
    raw_preview: bool
    template: str | None


class OutputWords(TypedDict, total=False):
    """A table of `Recipe.of`, for type checkers: the fields of OutputSettings, and its name."""

    name: str
    size: str | int
    operations: Sequence[Step]
    fit: str
    enlarge: bool
    gravity: str
    background: str
    kernel: str
    linear: bool
    format: str
    quality: int
    max_bytes: int | str
    keep_smaller: bool
    subsampling: str
    progressive: bool
    lossless: bool
    effort: int
    compression: str
    colours: int
    dither: bool
    metadata: str
    artist: str
    copyright: str
    dpi: int
    profile: str
    intent: str
    template: str


class PrepareWords(TypedDict, total=False):
    """What `Recipe.of` does once for all outputs: the keys of `[prepare]` in a recipe file."""

    profile: str
    intent: str
    raw_preview: bool
    operations: Sequence[Step]


class ResizeWords(TypedDict, total=False):
    """The arguments of `Picture.resize`, for type checkers: fields of OutputSettings."""

    fit: str
    enlarge: bool
    gravity: str
    background: str
    kernel: str
    linear: bool


class SaveWords(TypedDict, total=False):
    """The arguments of `Picture.save`, for type checkers: fields of OutputSettings."""

    format: str | None
    quality: int | None
    max_bytes: int | str | None
    keep_smaller: bool
    lossless: bool
    subsampling: str | None
    progressive: bool
    effort: int | None
    compression: str | None
    colours: int | None
    dither: bool
    background: str
    metadata: str
    artist: str | None
    copyright: str | None
    dpi: int | None
