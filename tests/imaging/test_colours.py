"""Palettes of a given number of colours (--colours): counts, bits, alpha, and how they look.

Errors are computed in float64, pixel by pixel and as seen from a distance (blurred by a Gaussian),
next to those of ImageMagick and of Pillow's octree; error diffusion is compared with a plain loop.
"""

from __future__ import annotations

import struct
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageSequence
from toolkit import ROOT, pictures, programs
from toolkit.commands import imgbatch

from imgbatch.imaging.containers import gif
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.encode import Encoded, encode
from imgbatch.imaging.picture import Picture, Series
from imgbatch.imaging.series import translucent
from imgbatch.model import Encoding

Pixels = NDArray[Any]
Floats = NDArray[np.float64]

FORMATS: Final = ("png", "gif", "tiff", "bmp", "tga")


def encoded(pixels: Pixels | Deep | Image.Image, target: str, colours: int, **more: Any) -> Encoded:
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    picture = Picture(image, "png", image.size, (0, 0, *image.size), icc=more.pop("icc", None))
    return encode(picture, Encoding(format=target, colours=colours, **more))


def shown(data: bytes) -> Pixels:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))


def count(pixels: Pixels) -> int:
    return len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0))


def patches(colours: int) -> Pixels:
    """Stripes in exactly so many colours."""
    levels = np.random.default_rng(4).permutation(256)[:colours].astype(np.uint8)
    row = np.repeat(levels, 3)
    return np.repeat(np.stack([row, 255 - row, row // 2], axis=-1)[None], 8, axis=0)


def shadow() -> Pixels:
    """An opaque photograph with a soft black shadow, RGBA."""
    down, across = np.mgrid[:140, :200].astype(np.float64)
    outside = np.hypot(np.maximum(0, abs(across - 100) - 50), np.maximum(0, abs(down - 70) - 30))
    alpha = np.clip(160 * (1 - outside / 35), 0, 255)
    pixels = np.dstack([*[np.zeros_like(alpha)] * 3, alpha]).astype(np.uint8)
    pixels[45:95, 55:145] = np.dstack([pictures.scene(90, 50), np.full((50, 90), 255, np.uint8)])
    return pixels


def blurred(errors: Floats, sigma: float = 1.5) -> Floats:
    taps = np.exp(-(np.arange(-6, 7) ** 2) / (2 * sigma**2))
    for axis in (0, 1):
        errors = np.apply_along_axis(np.convolve, axis, errors, taps / taps.sum(), "same")
    return errors


def over(pixels: Pixels, level: int) -> Floats:
    alpha = pixels[..., 3:] / 255
    return np.asarray(pixels[..., :3] * alpha + level * (1 - alpha))


def psnr(made: Pixels, meant: Pixels) -> tuple[float, float]:
    """In dB, pixel by pixel and as seen, over black and white."""
    errors = [over(made, level) - over(meant, level) for level in (0, 255)]
    seen = [blurred(one) for one in errors]
    first, second = (
        float(10 * np.log10(255**2 / np.mean(np.square(one)))) for one in (errors, seen)
    )
    return first, second


# How many


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("colours", [2, 3, 5, 17, 256])
def test_no_more_colours_than_asked_for(target: str, colours: int) -> None:
    made = encoded(pictures.scene(120, 80), target, colours)
    assert made.notices == ()
    assert colours // 2 <= count(shown(made.data)) <= colours
    with Image.open(BytesIO(made.data)) as image:
        assert image.mode in ("P", "L")


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("colours", [2, 4, 16, 100, 256])
def test_as_many_colours_as_there_are_stay_exact(target: str, colours: int) -> None:
    pixels = patches(colours)
    np.testing.assert_array_equal(shown(encoded(pixels, target, colours).data)[..., :3], pixels)


@pytest.mark.parametrize(
    ("colours", "bits"), [(2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8), (256, 8)]
)
@pytest.mark.parametrize("alpha", [False, True])
def test_png_has_as_few_bits_as_hold_the_palette(colours: int, bits: int, alpha: bool) -> None:
    """Depths of indices and the colour type 3 as in the PNG specification (table 11.1)."""
    pixels = patches(colours)
    if alpha:
        pixels = np.dstack([pixels, np.where(pixels[..., 0] == pixels[0, 0, 0], 99, 255)])
        pixels = pixels.astype(np.uint8)
    data = encoded(pixels, "png", colours).data
    assert struct.unpack(">BB", data[24:26]) == (bits, 3)
    assert (b"tRNS" in data) == alpha
    np.testing.assert_array_equal(shown(data)[..., : pixels.shape[2]], pixels)


def test_one_palette_for_all_frames() -> None:
    arrays = [np.roll(shadow(), 9 * step, axis=1) for step in range(3)]
    frames = [
        Picture(
            Image.fromarray(array),
            "gif",
            (200, 140),
            (0, 0, 200, 140),
            series=Series("animation", 3),
            duration=100,
        )
        for array in arrays
    ]
    for target, colours in (("png", 16), ("png", 256), ("gif", 16), ("gif", 5)):
        data = encode(
            frames[0], Encoding(format=target, colours=colours), following=frames[1:]
        ).data
        with Image.open(BytesIO(data)) as image:
            shots = [np.asarray(one.convert("RGBA")) for one in ImageSequence.Iterator(image)]
        assert len(shots) == 3
        if target == "png":
            assert count(np.concatenate(shots)) <= colours
            for shot, array in zip(shots, arrays, strict=True):
                assert psnr(shot, array)[1] >= (27 if colours == 16 else 38)
        else:
            tables = (frame.colours for frame in gif.read(data).frames)
            # Tables have a power of two.
            assert all(len(table) // 3 <= 2 ** (colours - 1).bit_length() for table in tables)
            assert all(count(shot) <= colours for shot in shots)


# How they look


@pytest.mark.external("imagemagick")
@pytest.mark.parametrize("colours", [256, 64, 16])
@pytest.mark.parametrize("name", ["mountains.jpg", "lake-with-gps.jpg", "gradient"])
def test_photographs_look_better_than_by_imagemagick(
    tmp_path: Path, name: str, colours: int
) -> None:
    down, across = np.mgrid[:200, :300]
    levels = np.dstack([across * 255 // 299, down * 255 // 199, 255 - (across + down) // 2])
    image = Image.fromarray(levels.astype(np.uint8))
    if name != "gradient":
        with Image.open(ROOT / "sample_images" / name) as photo:
            image = photo.convert("RGB").resize((300, 200))
    image.save(tmp_path / "a.png")
    command = [programs.path_of("imagemagick"), "a.png", "-dither", "FloydSteinberg"]
    subprocess.run([*command, "-colors", str(colours), "PNG8:theirs.png"], cwd=tmp_path, check=True)
    meant = np.asarray(image.convert("RGBA"))
    theirs = psnr(shown((tmp_path / "theirs.png").read_bytes()), meant)
    ours = psnr(shown(encoded(image, "png", colours).data), meant)
    assert ours[1] >= theirs[1]
    assert ours[0] >= theirs[0] - 1


@pytest.mark.parametrize("colours", [256, 64, 16])
def test_half_transparency_looks_better_than_by_an_octree(colours: int) -> None:
    meant = shadow()
    octree = Image.fromarray(meant).quantize(colours, Image.Quantize.FASTOCTREE)
    theirs = psnr(np.asarray(octree.convert("RGBA")), meant)
    ours = psnr(shown(encoded(meant, "png", colours).data), meant)
    assert ours[1] >= theirs[1] + 3


@pytest.mark.parametrize("alpha", [False, True])
def test_gradients_have_no_bands(alpha: bool) -> None:
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    level = np.full_like(ramp, 90)
    bands = [level, level, level, ramp] if alpha else [ramp, level, level, np.full_like(ramp, 255)]
    meant = np.repeat(np.stack(bands, axis=-1)[None], 64, axis=0)
    pixels = meant if alpha else meant[..., :3]
    worst = []
    for dither in (True, False):
        made = shown(encoded(pixels, "png", 8, dither=dither).data)
        inner = np.s_[8:-8, 16:-16]
        # Where there are many pixels of it, even a step of 36 levels is as it should be.
        worst.append(np.abs(blurred(over(made, 255) - over(meant, 255), 2.5)[inner]).max())
    assert worst[0] <= 6 < 10 <= worst[1]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("colours", [4, 16, 256])
def test_a_plain_background_stays_as_it_is(colours: int, alpha: bool) -> None:
    pixels = np.full((120, 160, 4), 255, np.uint8)
    pixels[..., :3] = (250, 251, 249)
    pixels[30:90, 40:120, :3] = pictures.scene(80, 60)
    if alpha:
        pixels[40:60, 50:90, 3] = 128
    made = shown(encoded(pixels if alpha else pixels[..., :3], "png", colours).data)
    assert (made[:28] == pixels[:28]).all()


def test_opaque_stays_opaque_and_clear_stays_clear() -> None:
    meant = shadow()
    for colours in (3, 8, 64):
        made = shown(encoded(meant, "png", colours).data)
        assert (made[meant[..., 3] == 0] == 0).all()
        assert (made[..., 3][meant[..., 3] == 255] == 255).all()
        assert (made[..., 3][(meant[..., 3] > 40) & (meant[..., 3] < 200)] < 255).any()


def test_hidden_colours_take_no_places() -> None:
    pixels = np.dstack([patches(4), np.full((8, 12), 255, np.uint8)])
    hidden = np.random.default_rng(5).integers(0, 256, (40, 12, 4), np.uint8)
    hidden[..., 3] = 0
    both = np.concatenate([pixels, hidden])
    made = shown(encoded(both, "png", 5).data)
    np.testing.assert_array_equal(made[:8], pixels)
    assert not made[8:].any()


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (3, 7), (24, 13), (7, 40)])
def test_error_diffusion_is_that_of_a_plain_loop(size: tuple[int, int]) -> None:
    """Floyd and Steinberg (1976), one pixel after the other."""
    rng = np.random.default_rng(6)
    width, height = size
    pixels = rng.integers(0, 256, (height, width, 4), np.uint8)
    pixels[..., 3] = rng.choice([0, 60, 200, 255], (height, width))
    palette = rng.integers(0, 256, (9, 4), np.uint8)
    palette[:, 3] = [0, 40, 90, 150, 220, 255, 255, 255, 255]
    dithered = width >= 3
    expected = diffused(pixels, palette, dithered=dithered)
    made = translucent.reduced(pixels, palette, dither=True)
    np.testing.assert_array_equal(palette[made], palette[expected])


def test_error_diffusion_clears_as_much_as_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each row once for each step of the whole picture."""
    cleared = 0

    class Watched(np.ndarray[Any, np.dtype[np.float32]]):
        def __setitem__(self, key: Any, value: Any, /) -> None:
            nonlocal cleared
            cleared += len(self[key]) if np.isscalar(value) else 0
            super().__setitem__(key, value)

    pixels = np.random.default_rng(7).integers(0, 256, (2_000, 3, 4), np.uint8)
    zeros = np.zeros
    monkeypatch.setattr(np, "zeros", lambda *args: zeros(*args).view(Watched))
    translucent.reduced(pixels, pixels[:9, 0], dither=True)
    assert 3 * 2_000 <= cleared < 3 * 3 * 2_000


def diffused(pixels: Pixels, palette: Pixels, *, dithered: bool) -> NDArray[np.intp]:
    points = palette.astype(np.float64)
    points[:, :3] *= points[:, 3:] / 255
    height, width = pixels.shape[:2]
    errors = np.zeros((height + 1, width + 2, 4))
    found = np.zeros((height, width), np.intp)
    for y in range(height):
        for x in range(width):
            if not pixels[y, x, 3]:
                continue
            wanted = pixels[y, x].astype(np.float64)
            wanted[:3] *= wanted[3] / 255
            wanted = np.clip(wanted + errors[y, x + 1], 0, 255)
            distances = ((wanted - points) ** 2).sum(axis=1)
            if pixels[y, x, 3] == 255:
                distances[palette[:, 3] < 255] = np.inf
            found[y, x] = distances.argmin()
            if dithered:
                left = wanted - points[found[y, x]]
                errors[y, x + 2] += left * 7 / 16
                errors[y + 1, x : x + 3] += left * np.array([[3], [5], [1]]) / 16
    return found


# What goes with them


@pytest.mark.parametrize("target", ["tiff", "bmp", "tga"])
def test_palettes_without_alpha_have_the_background_below(target: str) -> None:
    made = encoded(shadow(), target, 32, background=(0, 255, 0, 255))
    assert [notice.kind for notice in made.notices] == ["alpha-flattened"]
    assert shown(made.data)[0, 0].tolist() == [0, 255, 0, 255]


def test_16_bits_are_reduced_with_a_warning() -> None:
    deep = Deep(pictures.scene(60, 40).astype(np.uint16) * 257)
    grey = Image.fromarray(pictures.scene(60, 40)[..., 0].astype(np.uint16) * 257)
    for pixels in (deep, grey):
        made = encoded(pixels, "png", 256)
        assert [notice.kind for notice in made.notices] == ["depth-reduced"]
        assert made.data[24:26] == b"\x08\x03"


def test_a_palette_of_grey_has_no_profile_of_grey() -> None:
    profile = pictures.grey_profile()
    made = encoded(Image.fromarray(pictures.scene(60, 40)[..., 0]), "png", 16, icc=profile)
    with Image.open(BytesIO(made.data)) as image:
        icc = image.info.get("icc_profile")
    # PNG, 11.3.2.3: an indexed picture has a profile of RGB.
    if icc:
        assert ImageCms.ImageCmsProfile(BytesIO(icc)).profile.xcolor_space.strip() == "RGB"


def test_an_indexed_png_made_smaller_has_fewer_bytes(tmp_path: Path) -> None:
    image = Image.fromarray(pictures.scene(900, 600)).quantize(256)
    image.save(tmp_path / "a.png", optimize=True)
    for more, out in (((), "full"), (("--colours", "256"), "few")):
        done = imgbatch("resize", "a.png", "-s", "600", "-o", out, *more, cwd=tmp_path)
        assert done.returncode == 0
    before, full, few = (
        (tmp_path / name).stat().st_size for name in ("a.png", "full/a.png", "few/a.png")
    )
    assert few < 0.7 * before
    assert few < 0.5 * full


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("-f", "jpeg", "--colours", "16"), "JPEG has no colours setting: omit --colours"),
        (("-f", "ico", "--colours", "16"), "Windows icon has no colours setting"),
        (("-f", "png", "--colours", "1"), "found colours 1, expected 2 to 256"),
        (("-f", "png", "--colours", "257"), "found colours 257, expected 2 to 256"),
        (("-f", "png", "--no-dither"), "PNG has no dither setting: omit --no-dither"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, words: tuple[str, ...], problem: str
) -> None:
    (tmp_path / "a.png").write_bytes(pictures.saved(pictures.scene(60, 40), "PNG"))
    done = imgbatch("convert", "a.png", *words, "-o", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert problem in done.stderr.decode()


def test_dithering_can_be_switched_off(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(pictures.saved(pictures.scene(120, 80), "PNG"))
    sizes = []
    for out, more in (("dithered", ()), ("plain", ("--no-dither",))):
        words = ("convert", "a.png", "-f", "png", "--colours", "8", "-o", out, *more)
        assert imgbatch(*words, cwd=tmp_path).returncode == 0
        sizes.append((tmp_path / out / "a.png").stat().st_size)
    assert sizes[1] < 0.8 * sizes[0]
