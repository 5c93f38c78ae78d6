"""Checks a tool's outputs: all there, of the right size, and looking right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from bench import reference
from bench.reference import Floats
from bench.works import Make

LEAST_DB = 24.0
"""Below this it is a different picture. Thumbnails differ most, by the decoder's own scaling."""

SAMPLES = 6
SMALL_SAMPLES = 20
"""This many where all outputs are small."""
LARGE_SAMPLES = 2
"""This many where nothing is resized: 24 MP in float64 take 200 MB."""

_SMALL_SIDE = 200
_ORIENTATION = 0x0112
_QUARTER_TURNS = (5, 6, 7, 8)

UNFAIR = ("drops EXIF", "drops ICC", "orientation left as a tag")
"""Shortcuts that a tool may take."""

Size = tuple[int, int]


class BrokenPhotoError(Exception):
    """A photo is not fit to measure with."""


@dataclass(frozen=True)
class Reference:
    """The expected outputs of a photo; `lumas` exist for the photos of the sample.

    One size and one luma for each output size; a luma that is too large to keep is None.
    """

    photo: Path
    sizes: tuple[Size, ...]
    orientation: int
    has_exif: bool
    has_icc: bool
    sampled: bool = False
    lumas: tuple[Floats, ...] = ()

    def luma(self, place: int) -> Floats:
        """The luma of the size at index `place`."""
        return self.lumas[place] if self.lumas else reference.luma(self.photo, self.sizes[place])


@dataclass(frozen=True)
class Verdict:
    """Findings; `problem` is empty if all is well. dB and SSIM are the lowest of the sample.

    They are None where nothing was compared.
    """

    total_bytes: int = 0
    least_db: float | None = None
    least_ssim: float | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()


def upright_size(image: Image.Image) -> Size:
    """The size at which a viewer shows `image`, from its header alone."""
    width, height = image.size
    turned = image.getexif().get(_ORIENTATION, 1) in _QUARTER_TURNS
    return (height, width) if turned else (width, height)


def target_size(source: Size, box: int) -> Size:
    """`source` shrunk into `box` x `box`, never enlarged."""
    scale = min(1.0, box / max(source))
    return max(1, round(source[0] * scale)), max(1, round(source[1] * scale))


def make_references(photos: Sequence[Path], make: Make) -> list[Reference]:
    """What to expect from each photo: all sizes, and pictures for a sample."""
    plain = [_plain_reference(number, photo, make) for number, photo in enumerate(photos)]
    if make.sharpen:
        # Every tool sharpens differently.
        return plain
    if not make.sizes:
        count = LARGE_SAMPLES
    else:
        count = SMALL_SAMPLES if make.sizes[0] < _SMALL_SIDE else SAMPLES
    sample = _sampled(plain, count)
    return [_with_lumas(one, make) if one.photo in sample else one for one in plain]


@contextmanager
def _opened(number: int, photo: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(photo) as image:
            yield image
    except (OSError, SyntaxError, ValueError) as error:
        message = f"photo {number + 1} in the order of their paths cannot be read: {error}"
        raise BrokenPhotoError(message) from error


def _plain_reference(number: int, photo: Path, make: Make) -> Reference:
    with _opened(number, photo) as image:
        # Pillow's getexif() of a PNG decodes all of it; those made here have none.
        exif = {} if image.format == "PNG" else dict(image.getexif())
        orientation = exif.get(_ORIENTATION, 1)
        width, height = image.size
        full = (height, width) if orientation in _QUARTER_TURNS else (width, height)
        return Reference(
            photo,
            tuple(target_size(full, size) for size in make.sizes) or (full,),
            orientation,
            "exif" in image.info,
            "icc_profile" in image.info,
        )


def _sampled(references: Sequence[Reference], count: int) -> set[Path]:
    """One photo of each orientation, then others spread over the folder."""
    by_orientation = {one.orientation: one.photo for one in reversed(references)}
    chosen = list(by_orientation.values())[:count]
    step = max(1, len(references) // count)
    chosen += [one.photo for one in references[::step] if one.photo not in chosen]
    return set(chosen[:count])


def _with_lumas(one: Reference, make: Make) -> Reference:
    if not make.sizes:
        return replace(one, sampled=True)
    try:
        lumas = tuple(reference.luma(one.photo, size) for size in one.sizes)
    except (OSError, SyntaxError, ValueError) as error:
        raise BrokenPhotoError(f"{one.photo} cannot be read: {error}") from error
    return replace(one, sampled=True, lumas=lumas)


def check(
    references: Sequence[Reference], outputs: Sequence[Sequence[Path]], make: Make
) -> Verdict:
    """Compare every output with the expected one: for each photo, its sizes in order."""
    wanted = [path for paths in outputs for path in paths]
    missing = [path.name for path in wanted if not path.is_file()]
    if missing:
        return Verdict(problem=f"{len(missing)} of {len(wanted)} outputs missing ({missing[0]})")
    decibels, similarities = [math.inf], [1.0]
    notes: dict[str, None] = {}
    for one, paths in zip(references, outputs, strict=True):
        for place, (size, path) in enumerate(zip(one.sizes, paths, strict=True)):
            try:
                with Image.open(path) as image:
                    shown = image.size if image.format == "PNG" else upright_size(image)
                    away = max(abs(shown[0] - size[0]), abs(shown[1] - size[1]))
                    if away > 1:
                        said = f"{path.name} is {_said(shown)}, expected {_said(size)}"
                        return Verdict(problem=said)
                    if away:
                        notes["a side 1 pixel off"] = None
                    notes |= dict.fromkeys(_differences(image, one, make))
                    if one.sampled:
                        found = reference.shown_luma(image)
                        expected = one.luma(place)
                        if away:
                            expected = reference.luma(one.photo, shown)
                        decibels.append(reference.psnr(expected, found))
                        similarities.append(reference.ssim(expected, found))
            except OSError as error:
                return Verdict(problem=f"{path.name} is broken: {error}")
    total = sum(path.stat().st_size for path in wanted)
    if not any(one.sampled for one in references):
        return Verdict(total, notes=tuple(notes))
    least = min(decibels)
    problem = f"PSNR of {least:.1f} dB" if least < LEAST_DB else ""
    return Verdict(total, least, min(similarities), problem, tuple(notes))


def _said(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def _differences(image: Image.Image, one: Reference, make: Make) -> list[str]:
    """How the file differs from the request: upright, with the source's metadata."""
    layers = getattr(image, "layer", [])
    is_png = image.format == "PNG"
    found = {
        f"a {image.format}": image.format != make.format.upper(),
        "not 4:2:0": len(layers) == 3 and tuple(layers[0][1:3]) != (2, 2),
        "progressive": bool(image.info.get("progressive")),
        "orientation left as a tag": not is_png and image.getexif().get(_ORIENTATION, 1) != 1,
        "drops EXIF": one.has_exif and "exif" not in image.info,
        "drops ICC": one.has_icc and "icc_profile" not in image.info,
    }
    return [words for words, true in found.items() if true]
