"""Runs every kind of picture into every format, and writes docs/formats.md.

Each cell is what another program finds in the output of a real run: Pillow, tifffile and
imagecodecs read the pixels, exiftool the metadata (it has to be installed). The exit code is 1 if
anything was lost without a warning. Warnings of losses that did not occur are listed, too.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageSequence
from PIL import __version__ as pillow_version
from PIL.PngImagePlugin import PngInfo
from toolkit import ROOT, pictures, programs
from toolkit.pictures import saved, scene, with_metadata
from toolkit.raw import dng

import imgbatch
from imgbatch.imaging import formats, limits
from imgbatch.imaging.codecs import beside
from imgbatch.model import NOTICES, Notice

SIZE: Final = (96, 64)
SMALLER: Final = (72, 48)
COMMENT: Final = "A comment"
TABLE: Final = ROOT / "docs" / "formats.md"
SILENT: Final = "SILENT"
UNFOUNDED: Final = "UNFOUNDED"

EXACT: Final = 0.75
LOSSY: Final = {"jpeg": 6, "webp": 6, "avif": 6, "heif": 6, "jxl": 6, "jpeg2000": 2, "gif": 3}
"""The allowed error of their pixels, in levels; an ignored profile gives 8 or more."""

WITHOUT_RESOLUTION: Final = frozenset({"gif", "ppm", "qoi", "ico", "tga"})
"""The formats that cannot hold it, not even in EXIF."""

ASPECTS: Final = (
    *("pixels", "alpha", "depth", "ICC", "EXIF", "XMP", "IPTC", "resolution", "comment", "frames"),
)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A kind of source: its suffix, its bytes, and what it has beyond opaque 8-bit pixels."""

    name: str
    suffix: str
    data: bytes
    has: frozenset[str] = frozenset()
    depth: int = 8
    frames: int = 1
    alpha: bool = False


# Sources


def alpha_ramp() -> NDArray[np.uint8]:
    return np.tile(np.clip(np.linspace(-128, 383, SIZE[0]), 0, 255).astype(np.uint8), (SIZE[1], 1))


def rgba() -> NDArray[np.uint8]:
    return np.dstack([scene(*SIZE), alpha_ramp()])


def holes() -> NDArray[np.uint8]:
    """Binary transparency."""
    return np.dstack([scene(*SIZE), np.where(alpha_ramp() < 128, 0, 255).astype(np.uint8)])


def moving(pixels: NDArray[np.uint8], format_name: str, **options: Any) -> bytes:
    frames = [Image.fromarray(np.roll(pixels, 16 * step, axis=1)) for step in range(3)]
    return saved(
        frames[0], format_name, save_all=True, append_images=frames[1:], duration=120, **options
    )


def with_everything(format_name: str) -> bytes:
    """A JPEG, PNG, WebP, AVIF or TIFF file with everything that it can hold."""
    colours = scene(*SIZE)
    exif = pictures.exif_block(orientation=1, thumbnail=b"", size=SIZE).block
    packet, icc = pictures.xmp_packet(), pictures.wide_gamut_profile()
    records = pictures.iptc_records()
    if format_name == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        info.add_text("Comment", COMMENT)
        info.add_text("Raw profile type iptc", pictures.raw_profile("iptc", records), zip=True)
        return saved(colours, "PNG", exif=exif, pnginfo=info, icc_profile=icc, dpi=(300, 300))
    if format_name == "TIFF":
        tags = Image.Exif()
        tags.load(exif)
        for tag in (0x0100, 0x0101):
            del tags[tag]
        tags[0x02BC], tags[0x83BB] = packet, records
        return saved(colours, "TIFF", exif=tags, icc_profile=icc, dpi=(300, 300))
    dpi = (300, 300) if format_name == "JPEG" else None
    data = with_metadata(colours, format_name, exif=exif, xmp=packet, icc=icc, dpi=dpi)
    if format_name != "JPEG":
        return data
    resource = pictures.image_resource(0x0404, records)
    segments = [pictures.photoshop_segment(resource), (0xFFFE, COMMENT.encode())]
    return pictures.with_segments(data, segments)


def deep_file(suffix: str, channels: int, icc: bytes | None = None) -> bytes:
    import imagecodecs
    import tifffile

    levels = rgba().astype(np.uint16)[:, :, :channels] * 257
    if suffix == ".png":
        return bytes(imagecodecs.png_encode(levels))
    file = BytesIO()
    extra = ["unassalpha"] if channels == 4 else None
    tifffile.imwrite(
        file,
        levels,
        photometric="rgb",
        extrasamples=extra,
        iccprofile=icc,
        metadata=None,
        software=False,
    )
    return file.getvalue()


def with_gamma(png: bytes, gamma: float) -> bytes:
    """A PNG with a gAMA chunk (PNG, 11.3.2.2) after its header."""
    chunk = b"gAMA" + struct.pack(">I", round(gamma * 100_000))
    return png[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


def heic(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    formats.codec(formats.BY_NAME["heif"])
    return saved(pixels, "HEIF", quality=95, **options)


def kinds() -> Iterator[Kind]:
    colours, grey = scene(*SIZE), scene(*SIZE)[:, :, 1]
    most = frozenset({"ICC", "EXIF", "XMP"})
    full = most | {"IPTC", "resolution"}
    yield Kind("JPEG with everything", ".jpg", with_everything("JPEG"), full | {"comment"})
    yield Kind(
        "JPEG, grey, with a grey profile",
        ".jpg",
        saved(grey, "JPEG", quality=95, icc_profile=pictures.grey_profile()),
        frozenset({"ICC"}),
    )
    inks = Image.fromarray(np.dstack([255 - colours, grey // 4]), "CMYK")
    yield Kind("JPEG, CMYK", ".jpg", saved(inks, "JPEG", quality=95))
    yield Kind(
        "JPEG, CMYK with a profile",
        ".jpg",
        saved(inks, "JPEG", quality=95, icc_profile=pictures.cmyk_profile()),
        frozenset({"ICC"}),
    )
    other = Image.fromarray(255 - colours)
    yield Kind(
        "JPEG with a second picture (MPO, Ultra HDR)",
        ".jpg",
        saved(colours, "MPO", save_all=True, append_images=[other], quality=95),
        frames=2,
    )
    yield Kind("PNG with everything", ".png", with_everything("PNG"), full | {"comment"})
    yield Kind("PNG with gAMA only", ".png", with_gamma(saved(colours, "PNG"), 1 / 1.4))
    yield Kind("PNG with alpha", ".png", saved(rgba(), "PNG"), alpha=True)
    indexed = Image.fromarray(holes()).quantize(64)
    yield Kind("PNG, palette with transparency", ".png", saved(indexed, "PNG"), alpha=True)
    yield Kind("PNG, black and white", ".png", saved(Image.fromarray(grey > 128), "PNG"))
    yield Kind("PNG, 16-bit grey", ".png", saved(grey.astype(np.uint16) * 257, "PNG"), depth=16)
    yield Kind("PNG, 16-bit RGB", ".png", deep_file(".png", 3), depth=16)
    yield Kind("PNG, 16-bit RGBA", ".png", deep_file(".png", 4), depth=16, alpha=True)
    yield Kind("PNG, animated", ".png", moving(rgba(), "PNG"), frames=3, alpha=True)
    yield Kind("WebP with everything", ".webp", with_everything("WEBP"), most)
    yield Kind("WebP with alpha", ".webp", saved(rgba(), "WEBP", lossless=True), alpha=True)
    yield Kind(
        "WebP, animated", ".webp", moving(rgba(), "WEBP", lossless=True), frames=3, alpha=True
    )
    yield Kind("AVIF with everything", ".avif", with_everything("AVIF"), most)
    yield Kind("AVIF with alpha", ".avif", saved(rgba(), "AVIF", quality=95), alpha=True)
    yield Kind("AVIF, animated", ".avif", moving(colours, "AVIF", quality=95), frames=3)
    yield Kind(
        "HEIC with everything",
        ".heic",
        heic(
            colours,
            exif=b"Exif\0\0" + pictures.exif_block(orientation=1, thumbnail=b"").block,
            xmp=pictures.xmp_packet(),
            icc_profile=pictures.wide_gamut_profile(),
        ),
        most,
    )
    formats.codec(formats.BY_NAME["jxl"])
    yield Kind("JPEG XL with everything", ".jxl", with_everything("JXL"), most)
    yield Kind("JPEG XL with alpha", ".jxl", saved(rgba(), "JXL"), alpha=True)
    yield Kind("TIFF with everything", ".tif", with_everything("TIFF"), full)
    yield Kind("TIFF, CMYK", ".tif", saved(inks, "TIFF"))
    yield Kind("TIFF, Lab", ".tif", saved(_lab(colours), "TIFF"))
    yield Kind("TIFF, 16-bit grey", ".tif", saved(grey.astype(np.uint16) * 257, "TIFF"), depth=16)
    yield Kind("TIFF, 16-bit RGB", ".tif", deep_file(".tif", 3), depth=16)
    yield Kind(
        "TIFF, 16-bit RGB with a profile",
        ".tif",
        deep_file(".tif", 3, pictures.wide_gamut_profile()),
        frozenset({"ICC"}),
        depth=16,
    )
    yield Kind("TIFF, floating point grey", ".tif", saved(grey / np.float32(255), "TIFF"), depth=16)
    yield Kind("TIFF of three pages", ".tif", moving(colours, "TIFF"), frames=3)
    yield Kind("GIF", ".gif", saved(Image.fromarray(colours).quantize(200), "GIF"))
    yield Kind(
        "GIF, animated, with a comment",
        ".gif",
        moving(holes(), "GIF", comment=COMMENT.encode(), disposal=2),
        frozenset({"comment"}),
        frames=3,
        alpha=True,
    )
    yield Kind("BMP", ".bmp", saved(colours, "BMP"))
    yield Kind("JPEG 2000", ".jp2", saved(colours, "JPEG2000"))
    yield Kind("PPM", ".ppm", saved(colours, "PPM"))
    yield Kind("QOI", ".qoi", saved(rgba(), "QOI"), alpha=True)
    yield Kind("Windows icon", ".ico", saved(rgba(), "ICO", sizes=[SIZE]), alpha=True)
    yield Kind("Targa", ".tga", saved(rgba(), "TGA"), alpha=True)
    yield Kind("camera raw (DNG)", ".dng", dng(), frozenset({"EXIF"}))


def _lab(colours: NDArray[np.uint8]) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(srgb, ImageCms.createProfile("LAB"), "RGB", "LAB")
    return transform.apply(Image.fromarray(colours))


# Reading files, without imgbatch


@dataclass(frozen=True)
class Seen:
    """What other programs find in a file: frames as sRGB and alpha (0 to 255), and the rest.

    `depth` is 16 only if there are levels between those of 8 bits; `milliseconds` is of all frames.
    """

    frames: tuple[Floats, ...]
    depth: int
    icc: bytes | None
    milliseconds: float = 0


def seen(data: bytes, suffix: str) -> Seen:
    """A file as read by Pillow, or for 16-bit colour by tifffile and imagecodecs."""
    deep = _deep(data, suffix)
    with Image.open(BytesIO(data)) as image:
        icc = image.info.get("icc_profile")
        image.load()
        if deep is not None:
            depth = 16 if _between(deep) else 8
            if icc is not None:
                rounded = Image.fromarray(np.rint(deep[:, :, :3]).astype(np.uint8))
                deep = np.dstack([_colours(rounded, icc)[:, :, :3], deep[:, :, 3]])
            return Seen((deep,), depth, icc)
        if image.format in ("MPO", "ICO", "HEIF"):
            frame = _colours(image, icc)
            return Seen((frame,), 16 if _between(frame) else 8, icc)
        frames, milliseconds = [], 0.0
        for one in ImageSequence.Iterator(image):
            frames.append(_colours(one, icc))
            milliseconds += one.info.get("duration", 0)
    return Seen(tuple(frames), 16 if _between(frames[0]) else 8, icc, milliseconds)


def _between(frame: Floats) -> bool:
    return bool((np.abs(frame - np.rint(frame)) > 1e-6).any())


def _deep(data: bytes, suffix: str) -> Floats | None:
    import imagecodecs
    import tifffile

    if suffix == ".png" and data[24] == 16 and data[25] in (2, 6):
        levels: Any = imagecodecs.png_decode(data)
    elif suffix in (".tif", ".tiff"):
        levels = tifffile.imread(BytesIO(data), key=0)
        if levels.dtype != np.uint16 or levels.ndim != 3:
            return None
    elif suffix == ".jxl":
        levels = imagecodecs.jpegxl_decode(data)
        if levels.dtype != np.uint16 or levels.ndim != 3 or levels.shape[2] == 2:
            return None
    elif suffix == ".heic":
        import pillow_heif

        file = pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=False)
        if file.info.get("bit_depth", 8) == 8:
            return None
        levels = np.asarray(file)
    else:
        return None
    floats: Floats = levels.astype(np.float64) / 257
    if floats.shape[2] == 3:
        floats = np.dstack([floats, np.full(floats.shape[:2], 255.0)])
    return floats


def _colours(image: Image.Image, icc: bytes | None) -> Floats:
    """RGBA in sRGB."""
    if image.mode in ("I;16", "I;16B", "I", "F"):
        grey = np.asarray(image).astype(np.float64)
        grey *= 255 if image.mode == "F" else 1 / 257
        return np.dstack([grey, grey, grey, np.full(grey.shape, 255.0)])
    alpha = None
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"))[:, :, 3].astype(np.float64)
    opaque = image
    if image.mode == "P" and "transparency" in image.info:
        opaque = image.convert("RGBA").convert("RGB")
    elif image.mode in ("P", "1", "LA", "PA", "RGBA"):
        opaque = image.convert("L" if image.mode in ("1", "LA") else "RGB")
    if image.mode == "LAB":
        source: Any = ImageCms.createProfile("LAB")
    else:
        source = ImageCms.ImageCmsProfile(BytesIO(icc)) if icc else None
    if source is not None:
        opaque = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            opaque.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        ).apply(opaque)
    colours = np.asarray(opaque.convert("RGB")).astype(np.float64)
    gamma = image.info.get("gamma")
    if gamma and not icc and "srgb" not in image.info:
        linear = (colours / 255) ** (1 / gamma)
        curved = 1.055 * linear ** (1 / 2.4) - 0.055
        # IEC 61966-2-1; whole levels, as files of 8 bits have them.
        colours = np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, curved))
    if alpha is None:
        alpha = np.full(colours.shape[:2], 255.0)
    return np.dstack([colours, alpha])


def smaller(frame: Floats) -> Floats:
    """Resized by Pillow in floating point, with alpha premultiplied."""
    share = frame[:, :, 3:] / 255
    planes = np.dstack([frame[:, :, :3] * share, frame[:, :, 3]])
    resized = [
        Image.fromarray(planes[:, :, band].astype(np.float32)).resize(
            SMALLER, Image.Resampling.LANCZOS
        )
        for band in range(4)
    ]
    return np.clip(np.dstack([np.asarray(one).astype(np.float64) for one in resized]), 0, 255)


def on_white(frame: Floats) -> Floats:
    """Straight colours and alpha, composited over white."""
    share = frame[:, :, 3:] / 255
    return frame[:, :, :3] * share + 255 * (1 - share)


def exiftool_tags(folder: Path) -> dict[str, dict[str, Any]]:
    """The tags of every file below a folder, by relative path."""
    run = subprocess.run(
        [programs.path_of("exiftool"), "-json", "-G1", "-a", "-n", "-r", "-ee", str(folder)],
        capture_output=True,
        check=False,
    )
    return {
        str(Path(tags["SourceFile"]).relative_to(folder)): tags for tags in json.loads(run.stdout)
    }


def _exif(key: str) -> bool:
    """Whether a tag belongs to EXIF, but does not concern the layout or size of pixels, which
    change.

    DCF's index R98 ("sRGB") does not: it is removed if there is a profile of other colours.
    """
    directory, _, name = key.partition(":")
    if directory == "IFD0":
        return name in ("Make", "Model", "Artist", "Copyright")
    return directory in ("ExifIFD", "GPS") and name not in ("ExifImageWidth", "ExifImageHeight")


_TOLD: Final[dict[str, Callable[[str], bool]]] = {
    "EXIF": _exif,
    "XMP": lambda key: key.startswith("XMP-") and not key.startswith("XMP-x:"),
    "IPTC": lambda key: key.startswith("IPTC:"),
    "comment": lambda key: key.endswith(":Comment"),
}
# A format's own resolution, and its unit in inches; else it is in EXIF or TIFF.
_RESOLUTIONS: Final = {
    "jpeg": ("JFIF:XResolution", 1),
    "png": ("PNG-pHYs:PixelsPerUnitX", 0.0254),
    "bmp": ("File:PixelsPerMeterX", 0.0254),
}


def values_of(aspect: str, tags: dict[str, Any]) -> dict[str, str]:
    """The values that belong to an aspect, by name; the same in all formats."""
    belongs = _TOLD[aspect]
    return {
        key.rpartition(":")[2] if aspect == "comment" else key: str(value)
        for key, value in tags.items()
        if belongs(key)
    }


def at_300_dpi(tags: dict[str, Any], target: str) -> bool:
    key, inches = _RESOLUTIONS.get(target, ("IFD0:XResolution", 1))
    return abs(float(tags.get(key, 0)) * inches - 300) <= 1


# One pair


@dataclass
class Pair:
    """What a kind of source became in a format: a cell for each aspect."""

    kind: Kind
    target: str
    cells: dict[str, str]
    warnings: list[str]


def run(folder: Path, sources: list[Kind], targets: list[str]) -> Iterator[Pair]:
    """Make every pair, and inspect all outputs."""
    results = {}
    for number, kind in enumerate(sources):
        source = folder / "in" / f"{number:02}{kind.suffix}"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(kind.data)
        for target in targets:
            recipe = imgbatch.Recipe.from_options(
                sizes=[f"{SMALLER[0]}x{SMALLER[1]}"], fit="exact", enlarge=True, format=target
            )
            (results[number, target],) = imgbatch.run(
                recipe, [source], output=folder / "out" / target, jobs=1
            )
    told, tags = exiftool_tags(folder / "in"), exiftool_tags(folder / "out")
    for (number, target), result in results.items():
        kind = sources[number]
        warnings: list[str] = sorted({notice.kind for notice in result.notices})
        if result.failure is not None:
            yield Pair(kind, target, {"pixels": f"failed: {result.failure.message}"}, warnings)
            continue
        path = Path(result.written[0].path)
        found = tags.get(str(path.relative_to(folder / "out")), {})
        try:
            had = told.get(f"{number:02}{kind.suffix}", {})
            looked_at = Look(kind, target, path, had, found)
            made = looked_at.cells(result.notices)
        except (OSError, ValueError) as error:
            yield Pair(kind, target, {"pixels": f"failed: output unreadable: {error}"}, warnings)
            continue
        founded = [one if one in looked_at.founded else f"{one} {UNFOUNDED}" for one in warnings]
        yield Pair(kind, target, made, founded)


@dataclass
class Look:
    """An inspection of an output: its tags and those of its source, as exiftool lists them.

    `founded` are the kinds of warnings about losses that did occur.
    """

    kind: Kind
    target: str
    path: Path
    had: dict[str, Any]
    has: dict[str, Any]
    founded: set[str] = field(default_factory=set)

    def cells(self, notices: Sequence[Notice]) -> dict[str, str]:
        """What each aspect of the source became."""
        kind, target = self.kind, self.target
        after = seen(self.path.read_bytes(), self.path.suffix)
        before = seen(kind.data, kind.suffix) if kind.suffix != ".dng" else None
        told: dict[str, str] = {}

        def lost(words: str, warning: str, named: str = "") -> str:
            if any(one.kind == warning and named in one.message for one in notices):
                self.founded.add(warning)
                return f"{words}, warned"
            return f"{words}, {SILENT}"

        told["pixels"] = "developed" if before is None else _closeness(before, after, target)
        if kind.alpha and before is not None:
            told["alpha"] = _alpha(before, after, target)
            if told["alpha"] == "all or nothing" and kind.suffix == ".gif":
                told["alpha"] = "kept"
            elif told["alpha"] in ("flattened", "all or nothing"):
                told["alpha"] = lost(told["alpha"], "alpha-flattened")
        if kind.depth == 16:
            bits = 10 if self.path.suffix == ".heic" and after.depth == 16 else after.depth
            told["depth"] = "16 bits" if bits == 16 else lost(f"{bits} bits", "depth-reduced")
        if "ICC" in kind.has:
            if before is None or before.icc is None:
                raise ValueError(f"{kind.name} has no profile")
            # Whether colours are the same is seen in the pixels.
            told["ICC"] = "kept" if after.icc == before.icc else "converted"
        for aspect in ("EXIF", "XMP", "IPTC", "comment"):
            if aspect in kind.has:
                what = self._values(aspect)
                told[aspect] = what
                if what != "kept":
                    told[aspect] = lost(what, "metadata-dropped", aspect)
        if "resolution" in kind.has:
            silently = "dropped" if target in WITHOUT_RESOLUTION else f"dropped, {SILENT}"
            told["resolution"] = "kept" if at_300_dpi(self.has, target) else silently
        if kind.frames > 1:
            told["frames"] = f"{len(after.frames)} of {kind.frames}"
            if len(after.frames) != kind.frames:
                warning = "gain-map-dropped" if kind.suffix == ".jpg" else "frames-dropped"
                told["frames"] = lost(told["frames"], warning)
            elif before is not None and after.milliseconds != before.milliseconds:
                told["frames"] += f" in {after.milliseconds:g} ms, {SILENT}"
        return told

    def _values(self, aspect: str) -> str:
        had, has = values_of(aspect, self.had), values_of(aspect, self.has)
        if not had:
            raise ValueError(f"{self.kind.name} has no {aspect}")
        if (aspect, self.target) == ("comment", "jpeg2000"):
            # exiftool does not look into the codestream.
            with Image.open(self.path) as image:
                has = {"Comment": image.info.get("comment", b"").decode()}
        missing = [key for key, value in had.items() if has.get(key) != value]
        if not missing:
            return "kept"
        return "dropped" if len(missing) == len(had) else f"without {', '.join(missing)}"


def _alpha(before: Seen, after: Seen, target: str) -> str:
    alphas = [frame[:, :, 3] for frame in after.frames]
    if all(alpha.min() == 255 for alpha in alphas):
        return "flattened"
    if target == "gif":
        return "all or nothing"
    off = max(
        np.abs(smaller(frame)[:, :, 3] - alpha).mean()
        for frame, alpha in zip(before.frames, alphas, strict=False)
    )
    return "kept" if off < 2 else f"{off:.1f} off, {SILENT}"


def _closeness(before: Seen, after: Seen, target: str) -> str:
    """The mean error in levels of sRGB, of all frames that exist, over white."""
    errors = []
    for frame, made in zip(before.frames, after.frames, strict=False):
        if made.shape[:2] != SMALLER[::-1]:
            return f"{made.shape[1]} x {made.shape[0]} pixels, {SILENT}"
        wanted = smaller(frame)
        off = np.abs(on_white(made) - (wanted[:, :, :3] + 255 - wanted[:, :, 3:]))
        if target == "gif":
            # The lack of partial transparency is reported in another column.
            off = off[np.isin(np.rint(wanted[:, :, 3]), (0, 255))]
        errors.append(off.mean())
    worst = max(errors)
    if worst < EXACT:
        return "exact"
    words = f"{worst:.1f} off"
    return words if worst <= LOSSY.get(target, 0) else f"{words}, {SILENT}"


# The page


def page(pairs: list[Pair]) -> str:
    lines = [
        "# What is kept from format to format",
        "",
        "Made by `scripts/tool make_format_table` from real runs, with all the optional parts "
        f"installed ({', '.join(formats.EXTRAS)}): each kind of picture, made smaller, into each "
        "format; what the cells say was found in the outputs by other programs. "
        f"This is of imgbatch {imgbatch.__version__} with Pillow {pillow_version}.",
        "",
        "- **pixels**: `exact` within rounding of a resize in floating point; else the mean error "
        "in levels of 255, as seen in sRGB on white. JPEG, WebP, AVIF, HEIC, JPEG XL and JPEG "
        "2000 are lossy at their default quality, GIF has 256 colours.",
        "- **depth**: `16 bits` if there are levels between those of 8 bits.",
        "- **ICC**: `kept` bit for bit, or `converted`: the colours are the same in another space.",
        "- **EXIF, XMP, IPTC, comment**: `kept` if every value is (but for those on the size and "
        "the layout of the pixels); **frames**: of the same duration together.",
        "- **warned**: a warning says so, and with `--strict` the picture fails.",
        f"- **{UNFOUNDED}**: that warning tells of a loss that was not found.",
        "- A resolution that a format cannot hold is dropped without a warning.",
        "- A picture that needs nothing done is copied byte for byte, and keeps everything.",
        "",
        "## Formats",
        "",
        "| format | suffixes | holds | settings | optional part |",
        "|---|---|---|---|---|",
        *(_row_of(row) for row in formats.FORMATS),
        "",
        "## Warnings",
        "",
        "Every warning is of one of these kinds; the list is closed.",
        "",
        "| kind | meaning |",
        "|---|---|",
        *(f"| `{kind}` | {meaning} |" for kind, meaning in NOTICES.items()),
        "",
        "### How much is read",
        "",
        "A small file can hold metadata that cost thousands of times its size to take apart.",
        "Beyond these bounds they are dropped with a warning, and the picture is made.",
        "",
        "| bound | at most | what it counts |",
        "|---|---|---|",
        *(f"| {name} | {most:,} | {meaning} |" for name, most, meaning in _bounds()),
        "",
        "### What else is in files",
        "",
        "Pixels and metadata apart, files hold what cameras and programs put there for themselves.",
        "What is not listed here as without worth is dropped with a warning, known or not. A copy",
        "of a file keeps all of it, and `--metadata none` tells of none but pictures and videos.",
        "",
        "| file | part | what it is | in outputs |",
        "|---|---|---|---|",
        *_beside(),
    ]
    for kind in dict.fromkeys(pair.kind.name for pair in pairs):
        own = [pair for pair in pairs if pair.kind.name == kind]
        aspects = [one for one in ASPECTS if any(one in pair.cells for pair in own)]
        lines += ["", f"## {kind}", "", f"| to | {' | '.join(aspects)} | warnings |"]
        lines.append("|" + "---|" * (len(aspects) + 2))
        for pair in own:
            told = " | ".join(pair.cells.get(aspect, "") for aspect in aspects)
            warnings = ", ".join(pair.warnings)
            lines.append(f"| {pair.target} | {told} | {warnings} |")
    return "\n".join(lines) + "\n"


def _bounds() -> Iterator[tuple[str, int, str]]:
    """The limits of `imaging/limits.py`, with their descriptions there."""
    body = ast.parse(Path(limits.__file__).read_text("utf-8")).body
    for bound, said in itertools.pairwise(body):
        if isinstance(bound, ast.AnnAssign) and isinstance(said, ast.Expr):
            name, text = ast.unparse(bound.target), ast.literal_eval(said.value)
            yield (
                name.lower().replace("_", " "),
                getattr(limits, name.upper()),
                " ".join(text.split()),
            )


def _beside() -> Iterator[str]:
    """What `imaging/codecs/beside.py` says about each part that is not carried along."""
    tables = (
        ("JPEG", beside.JPEG),
        ("HEIC, AVIF, JPEG 2000, JPEG XL", beside.BOXES),
        ("PNG", beside.PNG),
        ("WebP", beside.WEBP),
        ("GIF", beside.GIF),
        ("TIFF", beside.TIFF),
    )
    for file, parts in tables:
        rows: dict[tuple[str, str], list[str]] = {}
        for one in parts:
            if one.reason is not None:
                fate = f"without worth: {one.reason}" if one.reason else f"dropped: `{one.kind}`"
                rows.setdefault((one.name, fate), []).append(f"{one.place} {_sign(one.begins)}")
        for (name, fate), places in rows.items():
            where = ", ".join(place.strip() for place in places)
            yield f"| {file} | {where} | {name} | {fate} |"
    for numbers, name, reason in beside.RESOURCES:
        if reason is not None:
            where = ", ".join(_ranges(numbers))
            yield f"| Photoshop's resources | {where} | {name} | without worth: {reason} |"


def _sign(begins: bytes) -> str:
    """The beginning of a part, in letters."""
    if len(begins) == len(beside.C2PA_UUID):
        return begins.hex()
    letters = "".join(re.findall(r"[\w .]", begins.decode("ascii", "ignore"))).strip()
    return f"{letters} a JPEG".strip() if begins.endswith(b"\xff\xd8\xff") else letters


def _ranges(numbers: Iterable[int]) -> Iterator[str]:
    """Numbers in hexadecimal digits, those that follow each other as ranges."""
    for _, group in itertools.groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        yield f"{run[0]:04X}" if len(run) == 1 else f"{run[0]:04X}-{run[-1]:04X}"


def _row_of(row: formats.Format) -> str:
    held: list[str] = [part for part in formats.PARTS if part in row.holds]
    held += ["alpha"] if row.alpha else []
    held += ["CMYK"] if "CMYK" in row.modes else []
    held += ["16-bit grey"] if "I;16" in row.modes else []
    held += [f"{row.deep_bits}-bit colour (`deep`)"] if row.deep_modes else []
    held += [row.series] if row.series else []
    if row.becomes:
        held = [f"read only, becomes {row.becomes}"]
    settings = " ".join(f"`--{word.replace('_', '-')}`" for word in sorted(row.settings))
    suffixes = " ".join((*row.suffixes, *row.read_suffixes))
    extra = f"`{row.extra}`" if row.extra else ""
    return f"| {row.name} | {suffixes} | {', '.join(held)} | {settings} | {extra} |"


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    lacking = programs.why_lacking("exiftool")
    if lacking:
        sys.exit(lacking)
    for extra in formats.EXTRAS:
        if not formats.installed(extra):
            sys.exit(f"all optional parts are needed: pip install 'imgbatch[{extra}]'")
    with tempfile.TemporaryDirectory() as folder:
        pairs = list(run(Path(folder), list(kinds()), list(formats.WRITABLE)))
    TABLE.write_text(page(pairs), encoding="utf-8")
    silent = [
        f"{pair.kind.name} to {pair.target}: {aspect}: {cell}"
        for pair in pairs
        for aspect, cell in pair.cells.items()
        if SILENT in cell or "failed" in cell
    ]
    unfounded = [
        f"{pair.kind.name} to {pair.target}: {warning}"
        for pair in pairs
        for warning in pair.warnings
        if UNFOUNDED in warning
    ]
    for line in silent + unfounded:
        print(line, file=sys.stderr)
    print(f"{len(pairs)} pairs in {TABLE.relative_to(ROOT)}")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
