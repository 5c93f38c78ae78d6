"""How two encoded pictures differ: in size, levels and metadata."""

from __future__ import annotations

import math
import warnings
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence, TiffImagePlugin

with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()

# The pictures come from imgbatch, which has limits of its own.
Image.MAX_IMAGE_PIXELS = None

_BLOCKS: Final = {
    "icc_profile": "ICC",
    "exif": "EXIF",
    "xmp": "XMP",
    "XML:com.adobe.xmp": "XMP",
    "photoshop": "IPTC",
    "dpi": "resolution",
    "comment": "comment",
    "duration": "duration",
    "loop": "loop",
}
_TAGS: Final = {34675: "ICC", 700: "XMP", 33723: "IPTC"}
_DIRECTORIES: Final = {34665: "EXIF", 34853: "GPS"}
# StripOffsets, StripByteCounts, TileOffsets, TileByteCounts
_PLACES: Final = frozenset({273, 279, 324, 325})


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture's frames, and its other contents by name."""

    format: str
    mode: str
    frames: list[NDArray[Any]]
    blocks: dict[str, object]

    @property
    def size(self) -> str:
        """Width and height, and the number of frames if there are several."""
        height, width = self.frames[0].shape[:2]
        count = len(self.frames)
        return f"{width}x{height}" + (f" in {count} frames" if count > 1 else "")


def decoded(data: bytes) -> Decoded | None:
    """A picture as Pillow decodes it; None if it does not."""
    try:
        with warnings.catch_warnings(), Image.open(BytesIO(data)) as image:
            warnings.simplefilter("ignore")
            blocks = _blocks(image)
            mode = image.mode
            frames = [np.asarray(frame.copy()) for frame in ImageSequence.Iterator(image)]
            return Decoded(image.format or "?", mode, frames, blocks)
    except Exception:  # whatever codecs raise
        return None


def _blocks(image: Image.Image) -> dict[str, object]:
    blocks: dict[str, object] = {}
    for key, value in image.info.items():
        if key in _BLOCKS:
            blocks[_BLOCKS[key]] = value.encode() if isinstance(value, str) else value
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        for tag, value in image.tag_v2.items():
            if tag in _DIRECTORIES:
                blocks[_DIRECTORIES[tag]] = dict(image.getexif().get_ifd(tag))
            elif tag not in _PLACES:
                blocks[_TAGS.get(tag, f"tag {tag}")] = value
    return blocks


def summary(old: bytes, new: bytes) -> str:
    """How two unequal files differ, in a few words."""
    words = [f"{len(old)} → {len(new)} bytes"]
    before, after = decoded(old), decoded(new)
    if before is None and after is None:
        return ", ".join([*words, *_first_lines(old, new)])
    if before is None or after is None:
        return ", ".join([*words, f"only the {'new' if before is None else 'old'} one decodes"])
    for was, now in (
        (before.format, after.format),
        (before.mode, after.mode),
        (before.size, after.size),
    ):
        if was != now:
            words.append(f"{was} → {now}")
    if before.mode == after.mode and before.size == after.size:
        words.append(levels(before.frames, after.frames))
    words += [
        block(name, before.blocks.get(name), after.blocks.get(name))
        for name in sorted(before.blocks.keys() | after.blocks.keys())
        if before.blocks.get(name) != after.blocks.get(name)
    ]
    return ", ".join(words)


def block(name: str, old: object, new: object) -> str:
    """How two metadata blocks differ."""
    if old is None or new is None:
        return f"{name} only in the {'new' if old is None else 'old'} one"
    if not (isinstance(old, bytes) and isinstance(new, bytes)):
        return f"other {name}"
    if len(old) != len(new):
        return f"other {name} ({len(old)} → {len(new)} bytes)"
    first = next(at for at, (was, now) in enumerate(zip(old, new, strict=True)) if was != now)
    return f"other {name} (from byte {first} on)"


def levels(old: list[NDArray[Any]], new: list[NDArray[Any]]) -> str:
    """How far the levels of pictures of one size differ."""
    if len(old) != len(new) or any(
        one.shape != other.shape for one, other in zip(old, new, strict=True)
    ):
        return "other frames"
    gaps = [
        np.abs(one.astype(np.float64) - other.astype(np.float64))
        for one, other in zip(old, new, strict=True)
    ]
    largest = max(float(gap.max(initial=0)) for gap in gaps)
    if not largest:
        return "same pixels"
    square = sum(float((gap**2).sum()) for gap in gaps) / sum(gap.size for gap in gaps)
    kind = old[0].dtype
    peak = float(np.iinfo(kind).max) if kind.kind == "u" else 65_535.0
    return f"PSNR {10 * math.log10(peak**2 / square):.1f} dB, at most {largest:g} levels"


def _first_lines(old: bytes, new: bytes) -> list[str]:
    """The first line in which two texts differ."""
    with suppress(UnicodeDecodeError):
        was, now = old.decode().splitlines(), new.decode().splitlines()
        for number in range(max(len(was), len(now))):
            one, other = was[number : number + 1], now[number : number + 1]
            if one != other:
                return [f"line {number + 1}: {''.join(one)!r} → {''.join(other)!r}"]
    return []
