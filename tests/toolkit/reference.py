"""Shared by tests of operations: pictures of all kinds of colours, and comparisons."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from imgbatch.cli.commands import group
from imgbatch.errors import UsageError
from imgbatch.imaging.picture import Picture
from imgbatch.model import Notice
from imgbatch.operations import parse
from toolkit import pictures

Floats = NDArray[np.float64]
Reference = Callable[[Floats], Floats]
"""From colours (height, width, 1 or 3) in 0 to 255 to colours, unrounded, perhaps out of range."""

MODES: Final = ("L", "LA", "RGB", "RGBA")

NEAREST: Final = 0.501
"""The largest distance of an exact value from a whole level, and a margin for float32."""
DEPTH_NOTICE: Final = Notice("depth-reduced", "16-bit grey was reduced to 8 bits for an operation")


def luma(colours: Floats) -> Floats:
    """Rec. ITU-R BT.601, in whole levels as in an 8-bit grey picture."""
    if colours.shape[2] == 1:
        return colours
    red, green, blue = (colours[:, :, [band]] for band in range(3))
    return np.floor(0.299 * red + 0.587 * green + 0.114 * blue + 0.5)


def in_colour(colours: Floats) -> Floats:
    return np.broadcast_to(colours, (*colours.shape[:2], 3)).astype(np.float64)


@dataclass(frozen=True)
class Row:
    """What a user types, and the expected result."""

    words: str
    reference: Reference
    to_srgb: bool = False

    @property
    def name(self) -> str:
        return self.words.partition(":")[0]


def levels_of_all_kinds(bands: int, width: int = 83, height: int = 61) -> NDArray[np.uint8]:
    """Every level, gradients, edges and noise; no two channels alike."""
    return _levels_of_all_kinds(bands, width, height).copy()


@functools.cache
def _levels_of_all_kinds(bands: int, width: int, height: int) -> NDArray[np.uint8]:
    # The only generator whose numbers NumPy promises never to change.
    chance = np.random.RandomState(7)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    layers = []
    for band in range(bands):
        layer = 40 + 150 * (x / width + (band - 1) * y / height / 3)
        layer += 60 * (np.hypot(x - width / 2, y - height / (2 + band)) < height / 4)
        layer += chance.normal(0, 5, x.shape)
        layer[: height // 4] = chance.randint(0, 256, (height // 4, width))
        layer[height // 2, : min(width, 256)] = (np.arange(min(width, 256)) * 3 + band) % 256
        layers.append(layer)
    levels: NDArray[np.uint8] = np.rint(np.clip(np.stack(layers, axis=-1), 0, 255)).astype(np.uint8)
    return without_doubtful_luma(levels)


def without_doubtful_luma(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without colours whose luma lies between two levels, where either is right."""
    if levels.shape[2] >= 3:
        thousandths = levels[:, :, :3].astype(int) @ np.array([299, 587, 114]) % 1000
        levels[:, :, 2] ^= (np.abs(thousandths - 500) < 20).astype(np.uint8)
    return levels


def image_of(mode: str, pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())


def picture_of(mode: str, icc: bytes | None = None) -> Picture:
    return Picture.of(image_of(mode, levels_of_all_kinds(len(mode))), icc=icc)


def sixteen_bits() -> Picture:
    """Noise in 16-bit grey."""
    fine = np.random.RandomState(3).randint(0, 65_536, (61, 83)).astype(np.uint16)
    return Picture.of(Image.fromarray(fine))


def planes_of(image: Image.Image) -> Floats:
    width, height = image.size
    return np.asarray(image).astype(np.float64).reshape(height, width, -1)


def mode_of(bands: int, alpha: bool) -> str:
    return ("L" if bands == 1 else "RGB") + ("A" if alpha else "")


def check(row: Row, mode: str) -> None:
    """Compare an operation with its row, on colours in which each level occurs."""
    picture = picture_of(mode)
    after = parse(row.words).apply(picture)
    before = planes_of(picture.image)
    bands = before.shape[2] - picture.has_alpha
    expected = np.clip(row.reference(before[:, :, :bands]), 0, 255)
    assert after.image.mode == mode_of(expected.shape[2], picture.has_alpha)
    found = planes_of(after.image)
    assert np.abs(found[:, :, : expected.shape[2]] - expected).max() <= NEAREST
    if picture.has_alpha:
        assert np.array_equal(found[:, :, -1], before[:, :, -1])
    assert after.notices == ()


def check_depth_reduced(words: str, reference: Reference) -> None:
    """Compare an operation with a reference on 16-bit grey, which it has to reduce to 8."""
    picture = sixteen_bits()
    after = parse(words).apply(picture)
    expected = np.clip(reference(np.rint(planes_of(picture.image) / 257)), 0, 255)
    assert after.image.mode == mode_of(expected.shape[2], alpha=False)
    assert np.abs(planes_of(after.image) - expected).max() <= NEAREST
    assert after.notices == (DEPTH_NOTICE,)


def check_refused(words: str, parts: list[str]) -> None:
    """Check that the text is refused with a message that contains all the parts."""
    with pytest.raises(UsageError) as caught:
        parse(words)
    for part in parts:
        assert part in str(caught.value)


def check_each_frame(folder: Path, words: str) -> None:
    """Check that the command changes each frame of an animation as if it were alone."""
    frames = [image_of("L", levels_of_all_kinds(1, 40, 30)[::step]) for step in (1, -1)]
    data = pictures.saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    (folder / "a.gif").write_bytes(data)
    out = folder / "out"
    options = ["filter", str(folder / "a.gif"), "--filter", words, "-o", str(out)]
    done = CliRunner().invoke(group, options)
    assert done.exit_code == 0, done.output
    with Image.open(BytesIO((out / "a.gif").read_bytes())) as image:
        for place, frame in enumerate(frames):
            image.seek(place)
            alone = parse(words).apply(Picture.of(frame)).image
            assert np.array_equal(np.asarray(image.convert("L")), np.asarray(alone))
            assert not np.array_equal(np.asarray(alone), np.asarray(frame))
