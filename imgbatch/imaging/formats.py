"""The table of formats. A new format is one row here, and the codec that it names.

The table is also the allow-list: nothing that is not in it is ever opened, so a PostScript file
named .jpg starts no interpreter. A file's format is decided by its first bytes alone; only
formats without a signature (TGA) go by the file's suffix. PIL is not imported here.

Other packages add rows through the entry point `imgbatch.codecs`. Looking for those takes time, so
it is done only when a name, a suffix or a file is none of ours; and ours always come first.
"""

from __future__ import annotations

import copy
import difflib
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, get_args

from msgspec import Struct
from msgspec.structs import force_setattr

from imgbatch import entry_points
from imgbatch.errors import PictureError, UsageError

if TYPE_CHECKING:
    from imgbatch.imaging.codecs.base import Codec

Signature = tuple[tuple[int, bytes], ...]
"""Offset and bytes that must all be found in a file's head."""

Part = Literal["exif", "xmp", "iptc", "icc", "dpi", "comment", "paths"]
"""What a file can hold besides pixels."""

Setting = Literal[
    "quality",
    "max_bytes",
    "lossless",
    "subsampling",
    "progressive",
    "effort",
    "compression",
    "dither",
    "dpi",
    "colours",
]
"""What can be set for an encoder: fields of Encoding."""

SeriesKind = Literal["animation", "pages"]
"""What several frames in one file are."""

HEAD_BYTES: Final = 32


ROW_BY_ROW: Final = (7.5, 13.0)
"""The file; a copy converted to sRGB; flattening alpha takes the most."""


class Format(Struct, frozen=True, kw_only=True):
    """One row: how a format is recognised, named, and what it can hold.

    `mime` is its media type (IANA's, or the usual one), empty if it has none. `codec` is the module
    that reads and writes it (`codecs.base`); it may need the packages that
    imgbatch's `extra` installs, or a `feature` of Pillow. A read-only format `becomes` another one.
    If it is `opened_in_c`, even its header is read by a library that nobody can interrupt.

    `suffixes` are those that an output may keep, the first for new files; a scan also selects
    `read_suffixes`. `modes` are the Pillow modes that the encoder accepts directly, `deep_modes`
    those with 16 bits per channel that it accepts with the extra `deep`, keeping `deep_bits` of
    them. `series` is what several frames in it can be. `settings` are what can be set for the
    encoder. `quality` is the default (None: there is none), `max_side` the longest side in pixels,
    `encoding` the bytes per pixel that the encoder takes besides the pixels, including the finished
    file, for 8-bit RGB and RGBA (`memory.encoding` derives the other modes); of more than `at_once`
    pixels the others take `ROW_BY_ROW`. The decoder takes
    `decoding` times the loaded pixels besides these and the file.
    """

    name: str
    label: str
    codec: str
    mime: str = ""
    suffixes: tuple[str, ...]
    signatures: tuple[Signature, ...] = ()
    read_suffixes: tuple[str, ...] = ()
    modes: frozenset[str] = frozenset({"L", "RGB"})
    deep_modes: frozenset[str] = frozenset()
    deep_bits: int = 16
    holds: frozenset[Part] = frozenset()
    series: SeriesKind | None = None
    settings: frozenset[Setting] = frozenset()
    quality: int | None = None
    max_side: int = 65_535
    decoding: float = 0.0
    encoding: tuple[float, float] = ROW_BY_ROW
    at_once: int = sys.maxsize
    feature: str | None = None
    extra: str | None = None
    becomes: str | None = None
    opened_in_c: bool = False

    def __post_init__(self) -> None:
        if self.holds & {"dpi", "exif"}:
            force_setattr(self, "settings", self.settings | {"dpi"})

    @property
    def alpha(self) -> bool:
        """Whether it has an alpha channel."""
        return "RGBA" in self.modes

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with `head` is of this format."""
        return any(
            all(head[offset : offset + len(magic)] == magic for offset, magic in signature)
            for signature in self.signatures
        )

    def suffix_for(self, suffix: str) -> str:
        """`suffix` itself if outputs of this format may have it, otherwise the usual one."""
        return suffix if suffix.lower() in self.suffixes else self.suffixes[0]


def begins(*magics: bytes) -> tuple[Signature, ...]:
    """The signatures of files that begin with one of these bytes."""
    return tuple(((0, magic),) for magic in magics)


PARTS: Final[tuple[Part, ...]] = get_args(Part)
_EVERYTHING: Final = frozenset(PARTS)
_DEEP: Final = frozenset({"LA;16", "RGB;16", "RGBA;16"})

FORMATS: Final[tuple[Format, ...]] = (
    Format(
        name="jpeg",
        label="JPEG",
        mime="image/jpeg",
        codec="imgbatch.imaging.codecs.jpeg",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
        read_suffixes=(".mpo",),
        signatures=begins(b"\xff\xd8\xff"),
        settings=frozenset({"quality", "max_bytes", "subsampling", "progressive", "effort"}),
        modes=frozenset({"L", "RGB", "CMYK"}),
        holds=_EVERYTHING,
        quality=85,
        max_side=65_500,
        # Little but the file; flattening alpha takes the most.
        encoding=(2, 13),
    ),
    Format(
        name="png",
        label="PNG",
        mime="image/png",
        codec="imgbatch.imaging.codecs.png",
        suffixes=(".png",),
        read_suffixes=(".apng",),
        signatures=begins(b"\x89PNG\r\n\x1a\n"),
        settings=frozenset({"effort", "colours"}),
        modes=frozenset({"L", "LA", "RGB", "RGBA", "I;16"}),
        deep_modes=_DEEP,
        holds=_EVERYTHING,
        max_side=2**31 - 1,
        # The bytes of RGB.
        decoding=0.75,
        # The file, at most as large as the pixels, and a copy of these.
        encoding=(9, 15),
        series="animation",
    ),
    Format(
        name="webp",
        opened_in_c=True,
        label="WebP",
        mime="image/webp",
        codec="imgbatch.imaging.codecs.webp",
        suffixes=(".webp",),
        signatures=(((0, b"RIFF"), (8, b"WEBP")),),
        settings=frozenset({"quality", "max_bytes", "lossless", "effort"}),
        modes=frozenset({"RGB", "RGBA"}),
        holds=frozenset({"exif", "xmp", "icc"}),
        quality=80,
        max_side=16_383,
        # Two canvases for an animation even if there is none, and the frame's bytes.
        decoding=3,
        # Photographs take 9 to 13, pure noise 21; alpha is coded losslessly.
        encoding=(16, 50),
        series="animation",
        feature="webp",
    ),
    Format(
        name="avif",
        opened_in_c=True,
        label="AVIF",
        mime="image/avif",
        codec="imgbatch.imaging.codecs.avif",
        suffixes=(".avif",),
        read_suffixes=(".avifs",),
        # The brand comes first, or after the one of the whole family (ISO 14496-12, 4.3).
        signatures=(
            ((4, b"ftypavif"),),
            ((4, b"ftypavis"),),
            *(((4, b"ftypmif1"), (at, b"avif")) for at in range(16, HEAD_BYTES, 4)),
            *(((4, b"ftypmsf1"), (at, b"avis")) for at in range(16, HEAD_BYTES, 4)),
        ),
        settings=frozenset({"quality", "max_bytes", "subsampling", "effort"}),
        modes=frozenset({"RGB", "RGBA"}),
        holds=frozenset({"exif", "xmp", "icc"}),
        quality=65,
        max_side=65_535,
        # Frames of colours and alpha, 10-bit 4:4:4 or composed of cells, and bytes.
        decoding=4,
        # libaom's own frames, whatever the quality.
        encoding=(29, 36),
        series="animation",
        feature="avif",
    ),
    Format(
        name="heif",
        opened_in_c=True,
        label="HEIC",
        mime="image/heic",
        codec="imgbatch.imaging.codecs.heif",
        suffixes=(".heic", ".heif", ".hif"),
        signatures=tuple(
            ((4, b"ftyp" + brand),)
            for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
        ),
        settings=frozenset({"quality", "max_bytes", "lossless", "subsampling", "effort"}),
        modes=frozenset({"L", "RGB", "RGBA"}),
        deep_modes=frozenset({"RGB;16", "RGBA;16"}),
        deep_bits=10,
        holds=frozenset({"exif", "xmp", "icc"}),
        quality=65,
        max_side=16_384,
        # The file again, the frame as it is coded, and the bytes.
        decoding=2.5,
        # x265's own frames; alpha has some, too. Grey takes more than half of colours.
        encoding=(43, 94),
        extra="heif",
    ),
    Format(
        name="jxl",
        opened_in_c=True,
        label="JPEG XL",
        mime="image/jxl",
        codec="imgbatch.imaging.codecs.jxl",
        suffixes=(".jxl",),
        signatures=begins(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
        settings=frozenset({"quality", "max_bytes", "lossless", "effort"}),
        modes=frozenset({"L", "LA", "RGB", "RGBA", "I;16"}),
        deep_modes=_DEEP,
        holds=frozenset({"exif", "xmp", "icc"}),
        quality=85,
        max_side=2**30,
        # A frame before it, where several are composed; photographs take less.
        decoding=2,
        # Floats in its own colours, which grey has, too; from 2048 x 2048 on a part at a time.
        encoding=(115, 150),
        at_once=2048 * 2048,
        series="animation",
        extra="jxl",
    ),
    Format(
        name="tiff",
        label="TIFF",
        mime="image/tiff",
        codec="imgbatch.imaging.codecs.tiff",
        suffixes=(".tif", ".tiff"),
        signatures=begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        settings=frozenset({"compression", "quality", "colours"}),
        modes=frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "I;16"}),
        deep_modes=_DEEP,
        holds=_EVERYTHING - {"comment"},
        max_side=2**31 - 1,
        # The file twice: libtiff writes it into its own memory.
        encoding=(9.8, 10),
        series="pages",
    ),
    Format(
        name="gif",
        label="GIF",
        mime="image/gif",
        codec="imgbatch.imaging.codecs.gif",
        suffixes=(".gif",),
        signatures=begins(b"GIF87a", b"GIF89a"),
        modes=frozenset({"L", "RGB", "RGBA"}),
        settings=frozenset({"dither", "colours"}),
        # Median cut counts all colours that occur: the fewer the pixels, the more for each.
        encoding=(38, 38),
        holds=frozenset({"comment"}),
        series="animation",
    ),
    Format(
        name="bmp",
        label="BMP",
        mime="image/bmp",
        # Run lengths are decoded in Python, into an array that is copied.
        decoding=2,
        codec="imgbatch.imaging.codecs.bmp",
        suffixes=(".bmp",),
        signatures=begins(b"BM"),
        settings=frozenset({"colours"}),
        holds=frozenset({"dpi"}),
        max_side=2**31 - 1,
    ),
    Format(
        name="jpeg2000",
        label="JPEG 2000",
        mime="image/jp2",
        codec="imgbatch.imaging.codecs.jpeg2000",
        suffixes=(".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
        signatures=begins(b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
        settings=frozenset({"quality", "lossless"}),
        modes=frozenset({"L", "LA", "RGB", "RGBA", "I;16"}),
        holds=frozenset({"exif", "xmp", "iptc", "comment"}),
        quality=85,
        max_side=2**31 - 1,
        # OpenJPEG's int32 for each sample, and up to 16 bits again.
        decoding=6,
        # OpenJPEG's samples and wavelets, 32 bits each; and a copy converted to sRGB.
        encoding=(42, 63),
        feature="jpg_2000",
    ),
    Format(
        name="ppm",
        label="PPM, PGM, PBM",
        mime="image/x-portable-anymap",
        # Everything except plain bytes is decoded in Python.
        decoding=2,
        codec="imgbatch.imaging.codecs.ppm",
        suffixes=(".ppm", ".pgm", ".pnm"),
        read_suffixes=(".pbm", ".pfm"),
        signatures=begins(*(b"P" + kind for kind in (b"1", b"2", b"3", b"4", b"5", b"6", b"f"))),
        modes=frozenset({"L", "RGB", "I;16"}),
        max_side=2**31 - 1,
    ),
    Format(
        name="qoi",
        label="QOI",
        mime="image/qoi",
        codec="imgbatch.imaging.codecs.qoi",
        suffixes=(".qoi",),
        signatures=begins(b"qoif"),
        modes=frozenset({"RGB", "RGBA"}),
        max_side=2**31 - 1,
        # In Python, into an array that grows by an eighth.
        decoding=1.25,
        # Packed in Python, from a copy of the bytes; and a copy converted to sRGB.
        encoding=(10.5, 15),
    ),
    Format(
        name="ico",
        label="Windows icon",
        mime="image/vnd.microsoft.icon",
        # A bitmap's alpha is cut out of its bytes, and pasted into a copy of the pixels.
        decoding=1.25,
        codec="imgbatch.imaging.codecs.ico",
        suffixes=(".ico",),
        signatures=begins(b"\0\0\1\0"),
        modes=frozenset({"L", "RGB", "RGBA"}),
        max_side=256,
    ),
    Format(
        name="tga",
        label="Targa",
        mime="image/x-tga",
        codec="imgbatch.imaging.codecs.tga",
        suffixes=(".tga",),
        read_suffixes=(".icb", ".vda", ".vst"),
        encoding=(7.5, 10),
        settings=frozenset({"colours"}),
        modes=frozenset({"L", "LA", "RGB", "RGBA"}),
    ),
    Format(
        name="raw",
        opened_in_c=True,
        label="camera raw",
        # Samples, and four channels with 16 bits while they are developed.
        decoding=2.1,
        codec="imgbatch.imaging.codecs.raw",
        suffixes=(),
        read_suffixes=(
            *(".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".dng", ".raf"),
            *(".orf", ".rw2", ".pef", ".srw", ".raw", ".rwl", ".3fr", ".fff", ".iiq", ".mrw"),
            *(".x3f", ".erf", ".kdc", ".dcr", ".mef", ".mos"),
        ),
        modes=frozenset(),
        extra="raw",
        becomes="jpeg",
    ),
)

ENTRY_POINTS: Final = "imgbatch.codecs"
"""The group of entry points for rows of other packages."""


class _Rows(dict[str, Format]):
    def __missing__(self, name: str) -> Format:
        unloadable()
        if name not in self:
            raise KeyError(name)
        return self[name]


_rows: Final = _Rows((row.name, row) for row in FORMATS)
_others: Final[list[Format]] = []
_loading: Final = Lock()
_suffixes: Final = {
    suffix: row for row in FORMATS for suffix in (*row.suffixes, *row.read_suffixes)
}

BY_NAME: Final = MappingProxyType(_rows)
"""Every row by its name, also those of other packages once they are asked for."""

SUFFIXES: Final = MappingProxyType(_suffixes)
"""Every suffix that a scan selects, lower case with its dot, and its format.

Those of other packages are there once `of_suffix` had to look for one.
"""

RAW: Final = BY_NAME["raw"]

WRITABLE: Final = tuple(row.name for row in FORMATS if row.becomes is None)
"""The names of our formats that can be written."""


def every() -> tuple[Format, ...]:
    """All rows, also those of other packages."""
    unloadable()
    return tuple(_rows.values())


def of_suffix(suffix: str) -> Format | None:
    """The format of files with this suffix (lower case), if it is that of a picture."""
    if suffix and suffix not in _suffixes:
        unloadable()
    return _suffixes.get(suffix)


_KEEP: Final = "keep"
_SPELLINGS: Final = MappingProxyType(
    {
        "jpg": "jpeg",
        "tif": "tiff",
        "jp2": "jpeg2000",
        "j2k": "jpeg2000",
        "pgm": "ppm",
        "heic": "heif",
        "hif": "heif",
        "apng": "png",
    }
)


def unloadable() -> dict[str, str]:
    """Why the formats of other packages cannot be loaded, by entry point; loads them once."""
    with _loading:
        return _load_installed()


@cache
def _load_installed() -> dict[str, str]:
    return entry_points.load(ENTRY_POINTS, "format", _add)


def _add(row: Format) -> None:
    """Add the row of another package. Raises ValueError or TypeError if it is not suited."""
    if not isinstance(row, Format):
        raise TypeError(f"found {row!r}, expected a Format")
    if row.name in _rows or row.name in _SPELLINGS or row.name == _KEEP:
        raise ValueError(f"there is already a format {row.name}")
    if not row.name.isascii() or not row.name.isidentifier() or row.name != row.name.lower():
        raise ValueError(f"found the name {row.name!r}, expected lower-case letters and digits")
    magics = [part for signature in row.signatures for part in signature]
    if not magics or not all(magic and at + len(magic) <= HEAD_BYTES for at, magic in magics):
        raise ValueError(f"a format is known by what its first {HEAD_BYTES} bytes contain")
    suffixes = (*row.suffixes, *row.read_suffixes)
    if not (row.suffixes or row.becomes in WRITABLE):
        raise ValueError("a format has a suffix for its outputs, or becomes one that is written")
    for suffix in suffixes:
        if suffix in _suffixes or suffix != suffix.lower() or not suffix.startswith("."):
            raise ValueError(f"found the suffix {suffix!r}, expected a new one, such as .xyz")
    if row.extra is not None or row.feature is not None:
        raise ValueError("extras and features are those of imgbatch")
    _rows[row.name] = row
    _others.append(row)
    _suffixes.update(dict.fromkeys(suffixes, row))


_FOREIGN: Final[tuple[tuple[Signature, str], ...]] = (
    (((0, b"%!PS"),), "PostScript"),
    (((0, b"\xc5\xd0\xd3\xc6"),), "PostScript"),
    (((0, b"%PDF"),), "a PDF document"),
    (((0, b"8BPS"),), "a Photoshop document"),
    (((4, b"ftyp"),), "a video or another file of the MP4 family"),
    (((0, b"\x1aE\xdf\xa3"),), "a Matroska video"),
    (((0, b"PK\x03\x04"),), "a ZIP archive"),
    (((0, b"<svg"),), "an SVG drawing"),
    (((0, b"<?xml"),), "an XML file"),
    (((0, b"<!DOCTYPE"),), "a web page"),
    (((0, b"<html"),), "a web page"),
)


def lookup(word: str) -> Format:
    """The row for a user's name of a format to write (`jpg` and `.JPG` are jpeg).

    Raises UsageError for an unknown name, with the nearest one.
    """
    name = word.lower().removeprefix(".")
    name = _SPELLINGS.get(name, name)
    if name in WRITABLE:
        return BY_NAME[name]
    writable = [row.name for row in every() if row.becomes is None]
    if name in writable:
        return BY_NAME[name]
    # `mp4` is not a misspelt bmp.
    near = difflib.get_close_matches(name, writable, n=1)
    if near and near[0][:1] != name[:1]:
        near = []
    hint = f"did you mean {near[0]}?" if near else f"one of: {_KEEP}, {', '.join(writable)}"
    if "," in name:
        hint = "one is written at a time: run a recipe with an [[output]] for each, or run it twice"
    # It may be one of these.
    more = "".join(f"; {trouble}" for trouble in unloadable().values())
    raise UsageError(f"unknown format {word!r}: {hint}{more}")


def writes(row: Format, suffix: str) -> bool:
    """Whether files of a format may be written with this suffix (lower case)."""
    return suffix in row.suffixes or _SPELLINGS.get(suffix.removeprefix(".")) == row.name


def recognise(head: bytes, suffix: str) -> Format | None:
    """The format of a file from its first `HEAD_BYTES` bytes, or None.

    `suffix` (lower case) decides only for formats that have no signature.
    """
    row_by_suffix = SUFFIXES.get(suffix)
    if row_by_suffix is RAW and _may_be_raw(head):
        # Most of them look like TIFFs, with a small preview where a TIFF has its picture.
        return RAW
    for row in FORMATS:
        if row.matches(head):
            return row
    if row_by_suffix and not row_by_suffix.signatures and not describe_foreign(head):
        return row_by_suffix
    unloadable()
    return next((row for row in _others if row.matches(head)), None)


def _may_be_raw(head: bytes) -> bool:
    """Whether these are not the first bytes of some other picture under a raw file's name."""
    others = (row for row in FORMATS if row.name != "tiff")
    return bool(head) and not any(row.matches(head) for row in others)


def describe_foreign(head: bytes) -> str | None:
    """What a file is that imgbatch does not open, if that is known."""
    for signature, what in _FOREIGN:
        if all(head[offset : offset + len(magic)] == magic for offset, magic in signature):
            return what
    return None


@cache
def codec(row: Format) -> Codec:
    """The codec of one format, which must be `available`; no other is loaded.

    Left to itself, Pillow imports all of its forty plugins for a format it has not loaded yet.
    Raises PictureError if it cannot be loaded.
    """
    try:
        # A copy: two rows may name one codec.
        found: Codec = copy.copy(import_module(row.codec).CODEC)
    except (Exception, SystemExit) as error:
        message = f"{row.label}: its codec cannot be loaded ({type(error).__name__}: {error})"
        raise PictureError("open", "no-codec", message) from error
    found.row = row
    return found


@cache
def installed(extra: str) -> bool:
    """Whether the packages of one of imgbatch's extras are installed."""
    return all(find_spec(package) is not None for package in EXTRAS[extra])


EXTRAS: Final = MappingProxyType(
    {
        "heif": ("pillow_heif",),
        "raw": ("rawpy",),
        "jxl": ("imagecodecs",),
        "deep": ("imagecodecs", "tifffile"),
    }
)
"""The packages that each extra installs."""


def available(row: Format) -> bool:
    """Whether this installation has the format's codec."""
    if row.extra is not None:
        return installed(row.extra)
    if row.feature is None:
        return True
    from PIL import features

    return bool(features.check(row.feature))


def encodes(row: Format) -> bool:
    """Whether this installation can write the format, too."""
    return row.becomes is None and available(row) and codec(row).can_encode()


def remedy(row: Format) -> str:
    """What to do if a format is not available, for the end of a sentence."""
    if row.extra is None:
        return f"this installation's Pillow was built without {row.label}"
    return f"it needs: pip install 'imgbatch[{row.extra}]'"
