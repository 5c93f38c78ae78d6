"""Checks what a tool has written: all there, of the right size, and looking right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageChops, ImageOps, ImageStat

LEAST_DB = 30.0
SAMPLES = 6

_ORIENTATION = 0x0112
_QUARTER_TURNS = (5, 6, 7, 8)

Size = tuple[int, int]


class BrokenPhotoError(Exception):
    """A photo is not fit to measure with."""


@dataclass(frozen=True)
class Reference:
    """What an output should be; `luma` is there for the photos of the sample."""

    photo: Path
    size: Size
    orientation: int
    has_exif: bool
    has_icc: bool
    luma: Image.Image | None = None


@dataclass(frozen=True)
class Verdict:
    """What was found; `problem` is empty if all is well."""

    total_bytes: int = 0
    least_db: float = math.inf
    problem: str = ""
    notes: tuple[str, ...] = ()


def upright_size(image: Image.Image) -> Size:
    """The size in which a viewer shows `image`, from its header alone."""
    width, height = image.size
    turned = image.getexif().get(_ORIENTATION, 1) in _QUARTER_TURNS
    return (height, width) if turned else (width, height)


def target_size(source: Size, box: int) -> Size:
    """`source` shrunk into `box` x `box`, never enlarged."""
    scale = min(1.0, box / max(source))
    return max(1, round(source[0] * scale)), max(1, round(source[1] * scale))


def make_references(photos: Sequence[Path], box: int) -> list[Reference]:
    """What to expect from each photo: all sizes, and pictures for a sample."""
    plain = [_plain_reference(photo, box) for photo in photos]
    sample = _sampled(plain)
    return [_with_luma(one) if one.photo in sample else one for one in plain]


@contextmanager
def _opened(photo: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(photo) as image:
            yield image
    except (OSError, SyntaxError, ValueError) as error:
        number = int(photo.stem) + 1
        message = f"photo {number} in the order of their paths cannot be read: {error}"
        raise BrokenPhotoError(message) from error


def _plain_reference(photo: Path, box: int) -> Reference:
    with _opened(photo) as image:
        return Reference(
            photo,
            target_size(upright_size(image), box),
            image.getexif().get(_ORIENTATION, 1),
            "exif" in image.info,
            "icc_profile" in image.info,
        )


def _sampled(references: Sequence[Reference]) -> set[Path]:
    """One photo of each orientation, then others spread over the folder."""
    by_orientation = {one.orientation: one.photo for one in reversed(references)}
    chosen = list(by_orientation.values())[:SAMPLES]
    step = max(1, len(references) // SAMPLES)
    chosen += [one.photo for one in references[::step] if one.photo not in chosen]
    return set(chosen[:SAMPLES])


def _with_luma(reference: Reference) -> Reference:
    with _opened(reference.photo) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    shrunk = upright.resize(reference.size, Image.Resampling.LANCZOS)
    return replace(reference, luma=shrunk.convert("L"))


def check(references: Sequence[Reference], outputs: Sequence[Path]) -> Verdict:
    """Compare every output with what was expected of it."""
    missing = [path.name for path in outputs if not path.is_file()]
    if missing:
        return Verdict(problem=f"{len(missing)} of {len(outputs)} outputs missing ({missing[0]})")
    least_db = math.inf
    notes: dict[str, None] = {}
    for reference, path in zip(references, outputs, strict=True):
        try:
            with Image.open(path) as image:
                size = upright_size(image)
                away = max(abs(size[0] - reference.size[0]), abs(size[1] - reference.size[1]))
                if away > 1:
                    return Verdict(
                        problem=f"{path.name} is {_said(size)}, expected {_said(reference.size)}"
                    )
                if away:
                    notes["a side 1 pixel off"] = None
                notes |= dict.fromkeys(_differences(image, reference))
                if reference.luma is not None:
                    least_db = min(least_db, _psnr(reference.luma, image))
        except OSError as error:
            return Verdict(problem=f"{path.name} is broken: {error}")
    total = sum(path.stat().st_size for path in outputs)
    problem = f"PSNR of {least_db:.1f} dB" if least_db < LEAST_DB else ""
    return Verdict(total, least_db, problem, tuple(notes))


def _said(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def _differences(image: Image.Image, reference: Reference) -> list[str]:
    """In what the file differs from baseline 4:2:0, upright, with the source's metadata."""
    layers = getattr(image, "layer", [])
    found = {
        f"a {image.format}": image.format != "JPEG",
        "not 4:2:0": len(layers) == 3 and tuple(layers[0][1:3]) != (2, 2),
        "progressive": bool(image.info.get("progressive")),
        "orientation left as a tag": image.getexif().get(_ORIENTATION, 1) != 1,
        "drops EXIF": reference.has_exif and "exif" not in image.info,
        "drops ICC": reference.has_icc and "icc_profile" not in image.info,
    }
    return [words for words, true in found.items() if true]


def _psnr(luma: Image.Image, output: Image.Image) -> float:
    shown = ImageOps.exif_transpose(output).convert("L")
    if shown.size != luma.size:
        luma = luma.resize(shown.size, Image.Resampling.LANCZOS)
    deviation = ImageStat.Stat(ImageChops.difference(luma, shown))
    mean_square = deviation.sum2[0] / deviation.count[0]
    return 10 * math.log10(255**2 / mean_square) if mean_square else math.inf
