"""Pictures are resized, padded and cut according to their placement."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from toolkit.resampling import convolved, planes, rmse
from toolkit.sizes import ANY_FIT, ANY_GRAVITY, needs

from imgbatch.imaging.colour import is_srgb
from imgbatch.imaging.decode import decode
from imgbatch.imaging.picture import Box, Picture
from imgbatch.model import Colour, Fit, Gravity, Size
from imgbatch.operations.geometry import (
    FITS,
    GRAVITIES,
    KERNELS,
    Resize,
    SizeSpec,
)

Floats = NDArray[np.float64]
PROPERTY: Final = settings(max_examples=200, deadline=None, database=None, derandomize=True)


# Resizing


def _solid(mode: str, size: Size, colour: tuple[int, ...]) -> Image.Image:
    dtype = np.uint16 if mode == "I;16" else np.uint8
    pixels = np.broadcast_to(np.array(colour, dtype), (size[1], size[0], len(colour)))
    return Image.frombytes(mode, size, pixels.tobytes())


RED: Final = (255, 0, 0)
GREEN: Final = (0, 255, 0)
BLUE: Final = (0, 0, 255)
YELLOW: Final = (255, 255, 0)
WHITE: Final = (255, 255, 255)


def _quarters(width: int, height: int) -> Picture:
    """Red and green above, blue and yellow below."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = YELLOW
    return Picture.of(Image.fromarray(pixels))


def _smooth(width: int, height: int, wave: float) -> Floats:
    """Waves of `wave` pixels in both directions, each channel shifted against the others."""
    x, y, band = np.arange(width)[:, None], np.arange(height)[:, None], np.arange(3)[None, :]
    across = 55 * np.sin(x * 2 * np.pi / wave + band)
    down = 50 * np.sin(y * 2.2 * np.pi / wave + 2 * band)
    waves: Floats = 128.0 + across[None, :, :] + down[:, None, :]
    return waves


@pytest.mark.parametrize(
    ("size", "gravity", "corners"),
    [
        ((120, 60), "west", [RED, RED, BLUE, BLUE]),
        ((120, 60), "northwest", [RED, RED, BLUE, BLUE]),
        ((120, 60), "center", [RED, GREEN, BLUE, YELLOW]),
        ((120, 60), "north", [RED, GREEN, BLUE, YELLOW]),
        ((120, 60), "east", [GREEN, GREEN, YELLOW, YELLOW]),
        ((120, 60), "southeast", [GREEN, GREEN, YELLOW, YELLOW]),
        ((60, 120), "north", [RED, GREEN, RED, GREEN]),
        ((60, 120), "northeast", [RED, GREEN, RED, GREEN]),
        ((60, 120), "center", [RED, GREEN, BLUE, YELLOW]),
        ((60, 120), "east", [RED, GREEN, BLUE, YELLOW]),
        ((60, 120), "south", [BLUE, YELLOW, BLUE, YELLOW]),
        ((60, 120), "southwest", [BLUE, YELLOW, BLUE, YELLOW]),
    ],
)
@pytest.mark.parametrize("side", [60, 30])
def test_cover_keeps_the_part_that_gravity_points_to(
    side: int, size: Size, gravity: Gravity, corners: list[tuple[int, int, int]]
) -> None:
    resize = Resize(SizeSpec(side, side), "cover", gravity=gravity, kernel="box")
    after = resize.apply(_quarters(*size))
    assert after.image.size == (side, side)
    near, far = side // 4, side - side // 4
    places = [(near, near), (far, near), (near, far), (far, far)]
    assert [after.image.getpixel(place) for place in places] == corners


@pytest.mark.parametrize(
    ("size", "word", "result"),
    [((301, 200), "100", (100, 66)), ((200, 301), "100", (66, 100)), ((211, 157), "40%", (84, 63))],
)
def test_whole_picture_is_resampled(size: Size, word: str, result: Size) -> None:
    pixels = np.rint(_smooth(*size, wave=40))
    after = Resize(SizeSpec.parse(word)).apply(Picture.of(Image.fromarray(pixels.astype(np.uint8))))
    assert after.image.size == after.full_size == result
    assert (after.area, after.orientation) == ((0, 0, *result), 1)
    exact = convolved(pixels, result, "lanczos", (0, 0, *size))
    assert rmse(planes(after.image), exact) <= 0.5


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel != "nearest"])
def test_requested_kernel_is_used(kernel: str) -> None:
    pixels = np.random.RandomState(2).randint(40, 200, (61, 91, 3)).astype(np.uint8)
    resize = Resize(SizeSpec(31, 21), "exact", kernel=kernel)  # type: ignore[arg-type]
    found = planes(resize.apply(Picture.of(Image.fromarray(pixels))).image)
    errors: dict[str, float] = {
        name: rmse(found, convolved(pixels.astype(np.float64), (31, 21), name, (0, 0, 91, 61)))
        for name in KERNELS
        if name != "nearest"
    }
    assert errors.pop(kernel) <= 0.5
    assert min(errors.values()) > 0.5


def test_small_enough_picture_keeps_its_pixels() -> None:
    picture = _quarters(50, 40)
    assert Resize(SizeSpec(50, 40)).apply(picture).image is picture.image
    assert Resize(SizeSpec(1600, 1600)).apply(picture).image is picture.image


def test_given_picture_is_not_changed() -> None:
    picture = _quarters(120, 60)
    before = picture.image.tobytes()
    for fit in FITS:
        Resize(SizeSpec(50, 40), fit, background=(1, 2, 3, 0)).apply(picture)
    assert (picture.image.tobytes(), picture.image.size) == (before, (120, 60))


@pytest.mark.parametrize(
    ("gravity", "left", "top"),
    [
        ("northwest", 0, 0),
        ("north", 0, 0),
        ("west", 0, 20),
        ("center", 0, 20),
        ("southeast", 0, 40),
    ],
)
def test_pad_adds_background_above_and_below(gravity: Gravity, left: int, top: int) -> None:
    picture = Picture.of(_solid("RGB", (160, 80), RED))
    resize = Resize(SizeSpec(80, 80), "pad", gravity=gravity, background=(0, 0, 255, 255))
    expected = np.empty((80, 80, 3))
    expected[:] = BLUE
    expected[top : top + 40, left : left + 80] = RED
    assert np.array_equal(planes(resize.apply(picture).image), expected)


@pytest.mark.parametrize(("gravity", "left"), [("west", 0), ("center", 20), ("northeast", 40)])
def test_pad_adds_background_at_the_sides(gravity: Gravity, left: int) -> None:
    picture = Picture.of(_solid("RGB", (80, 160), RED))
    resize = Resize(SizeSpec(80, 80), "pad", gravity=gravity)
    expected = np.full((80, 80, 3), 255.0)
    expected[:, left : left + 40] = RED
    assert np.array_equal(planes(resize.apply(picture).image), expected)


@pytest.mark.parametrize(
    ("mode", "colour", "background", "after_mode", "inside", "outside"),
    [
        ("L", (90,), (255, 255, 255, 255), "L", (90,), (255,)),
        ("L", (90,), (255, 0, 0, 255), "RGB", (90, 90, 90), (255, 0, 0)),
        ("L", (90,), (0, 0, 0, 0), "LA", (90, 255), (0, 0)),
        ("L", (90,), (255, 0, 0, 128), "RGBA", (90, 90, 90, 255), (255, 0, 0, 128)),
        ("LA", (90, 50), (7, 7, 7, 255), "LA", (90, 50), (7, 255)),
        ("LA", (90, 50), (7, 8, 9, 255), "RGBA", (90, 90, 90, 50), (7, 8, 9, 255)),
        ("RGB", (1, 2, 3), (7, 8, 9, 255), "RGB", (1, 2, 3), (7, 8, 9)),
        ("RGB", (1, 2, 3), (7, 8, 9, 10), "RGBA", (1, 2, 3, 255), (7, 8, 9, 10)),
        ("RGBA", (1, 2, 3, 0), (7, 8, 9, 255), "RGBA", (1, 2, 3, 0), (7, 8, 9, 255)),
        ("RGBA", (1, 2, 3, 50), (0, 0, 0, 0), "RGBA", (1, 2, 3, 50), (0, 0, 0, 0)),
        # As much black as possible: 9 of 255 is its light, and 7/9 of that the red.
        ("CMYK", (51, 0, 255, 102), (7, 8, 9, 255), "CMYK", (51, 0, 255, 102), (57, 28, 0, 246)),
        # (1 - 0.2) * (1 - 0.4) of 255
        ("CMYK", (51, 0, 255, 102), (7, 8, 9, 0), "RGBA", (122, 153, 0, 255), (7, 8, 9, 0)),
    ],
)
def test_pad_changes_the_mode_only_as_far_as_the_background_needs(
    mode: str,
    colour: tuple[int, ...],
    background: Colour,
    after_mode: str,
    inside: tuple[int, ...],
    outside: tuple[int, ...],
) -> None:
    picture = Picture.of(_solid(mode, (40, 20), colour))
    after = Resize(SizeSpec(40, 40), "pad", background=background).apply(picture)
    assert (after.image.mode, after.notices) == (after_mode, ())
    expected = np.empty((40, 40, len(inside)))
    expected[:] = outside
    expected[10:30] = inside
    assert np.array_equal(planes(after.image), expected)


def test_pad_keeps_16_bit_grey() -> None:
    picture = Picture.of(_solid("I;16", (40, 20), (12_345,)))
    after = Resize(SizeSpec(40, 40), "pad", background=(7, 7, 7, 255)).apply(picture)
    assert (after.image.mode, after.notices) == ("I;16", ())
    found = [after.image.getpixel((20, y)) for y in (9, 10, 29, 30)]
    assert found == [7 * 257, 12_345, 12_345, 7 * 257]


@pytest.mark.parametrize("mode", ["CMYK", "I;16"])
def test_pad_keeps_the_mode_if_there_is_nothing_to_fill(mode: str) -> None:
    colour = (9, 8, 7, 6) if mode == "CMYK" else (12_345,)
    picture = Picture.of(_solid(mode, (80, 40), colour))
    after = Resize(SizeSpec(40, 20), "pad").apply(picture)
    assert (after.image.mode, after.image.size, after.notices) == (mode, (40, 20), ())
    assert np.array_equal(planes(after.image)[5, 5], colour)


def _grey_profile(gamma_in_256ths: int) -> bytes:
    """A grey display profile (ICC.1:2001-04) of one plain gamma curve."""
    white = bytes.fromhex("58595A20 00000000 0000F6D6 00010000 0000D32D")
    curve = b"curv" + bytes(7) + b"\1" + gamma_in_256ths.to_bytes(2, "big") + bytes(2)
    start = 128 + 4 + 2 * 12
    table = (2).to_bytes(4, "big")
    for tag, offset, length in ((b"wtpt", start, 20), (b"kTRC", start + 20, 14)):
        table += tag + offset.to_bytes(4, "big") + length.to_bytes(4, "big")
    total = start + 20 + 16
    header = total.to_bytes(4, "big") + bytes(4) + bytes.fromhex("02400000") + b"mntrGRAYXYZ "
    header += bytes(12) + b"acsp" + bytes(28) + white[8:]
    return header.ljust(128, b"\0") + table + white + curve


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_picture_on_a_coloured_background_is_converted_from_its_own_profile(
    mode: str,
) -> None:
    """Level 100 at gamma 1.8 is 0.1854 of the light, which is level 119.4 of sRGB."""
    grey = _solid(mode, (40, 20), (100, 255)[: len(mode)])
    picture = Picture.of(grey, icc=_grey_profile(461))
    after = Resize(SizeSpec(40, 40), "pad", background=(255, 0, 0, 255)).apply(picture)
    assert after.icc is not None
    assert is_srgb(after.icc)
    found = planes(after.image)
    assert found[0, 0, :3].tolist() == [255, 0, 0]
    assert np.abs(found[20, 20, :3] - 119.4).max() <= 1


@pytest.mark.slow
@PROPERTY
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    wanted=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    fit=ANY_FIT,
    gravity=ANY_GRAVITY,
    enlarge=st.booleans(),
    kernel=st.sampled_from(KERNELS),
    mode=st.sampled_from(["L", "LA", "RGB", "RGBA", "CMYK", "I;16"]),
)
def test_any_small_picture_gets_the_announced_size_and_keeps_its_one_colour(
    size: Size, wanted: Size, fit: Fit, gravity: Gravity, enlarge: bool, kernel: str, mode: str
) -> None:
    colour = {"LA": (90, 255), "RGBA": (90, 90, 90, 255), "CMYK": (0, 0, 0, 165)}.get(
        mode, (90 * 257,) if mode == "I;16" else (90,) * len(mode)
    )
    grey = (90, 90, 90, 255)
    resize = Resize(SizeSpec(*wanted), fit, enlarge, gravity, grey, kernel)  # type: ignore[arg-type]
    after = resize.apply(Picture.of(_solid(mode, size, colour)))
    assert after.image.size == resize.output_size(size)
    found = {tuple(pixel) for row in planes(after.image).tolist() for pixel in row}
    expected = {
        "L": (90,),
        "LA": (90, 255),
        "RGB": (90, 90, 90),
        "RGBA": grey,
        "CMYK": (0, 0, 0, 165),
        "I;16": (90 * 257,),
    }
    assert found == {expected[after.image.mode]}


# Pictures that were shrunk on load, or are stored rotated


# From an upright picture to what a camera stores with that orientation (CIPA DC-008).
STORED: Final[dict[int, Callable[[Floats], Floats]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
UPRIGHT: Final = {**STORED, 6: STORED[8], 8: STORED[6]}
ODD_WIDTH, ODD_HEIGHT = 501, 333


def _camera_file(path: Path, orientation: int, wave: float) -> Floats:
    """Write a JPEG with odd sides; return its upright pixels, decoded in full by Pillow."""
    pixels = STORED[orientation](np.rint(_smooth(ODD_WIDTH, ODD_HEIGHT, wave)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(pixels).astype(np.uint8))
    image.save(path, quality=97, subsampling=0, exif=exif)
    with Image.open(path) as full:
        return UPRIGHT[orientation](planes(full))


@pytest.mark.slow
@pytest.mark.parametrize("turned", ["afterwards", "before"])
@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    ("word", "fit", "gravity", "scale", "result", "box"),
    [
        # The sides of 501 x 333 at 1/2, 1/4 and 1/8 all end in a fraction of a pixel.
        pytest.param("225", "inside", "center", 2, (225, 150), None, id="half"),
        pytest.param("110", "inside", "center", 4, (110, 73), None, id="quarter"),
        pytest.param("55", "inside", "center", 8, (55, 37), None, id="eighth"),
        pytest.param("50x50", "cover", "east", 4, (50, 50), (168, 0, 501, 333), id="right square"),
        # 333 * 25 / 40 = 208.125
        pytest.param("25x40", "cover", "west", 8, (25, 40), (0, 0, 208.125, 333), id="left strip"),
        # 501 * 15 / 60 = 125.25
        pytest.param(
            "60x15", "cover", "south", 8, (60, 15), (0, 207.75, 501, 333), id="lower strip"
        ),
    ],
)
def test_jpeg_shrunk_on_load_gives_the_same_picture_as_decoded_in_full(
    tmp_path: Path,
    word: str,
    fit: Fit,
    gravity: Gravity,
    scale: int,
    result: Size,
    box: Box | None,
    orientation: int,
    turned: str,
) -> None:
    """Waves of ten pixels after the resize: an eighth of a pixel off would make five levels."""
    path = tmp_path / "camera.jpg"
    kept = ODD_WIDTH if box is None else box[2] - box[0]
    full = _camera_file(path, orientation, wave=10 * kept / result[0])
    resize = Resize(SizeSpec.parse(word), fit, gravity=gravity)
    picture = decode(str(path), needs(resize))
    if turned == "before":
        picture = picture.upright()
    # It was indeed shrunk on load; otherwise this test would prove nothing.
    sides = (math.ceil(ODD_WIDTH / scale), math.ceil(ODD_HEIGHT / scale))
    assert sorted(picture.image.size) == sorted(sides)
    assert picture.full_size == (ODD_WIDTH, ODD_HEIGHT)

    after = resize.apply(picture)
    assert (after.image.size, after.full_size, after.orientation) == (result, result, 1)
    exact = convolved(full, result, "lanczos", box or (0, 0, ODD_WIDTH, ODD_HEIGHT))
    found = planes(after.image)
    assert rmse(found, exact) <= 2
    # A shift would show most at the edges, where the last pixels are only half there.
    for edge in (np.s_[:4], np.s_[-4:], np.s_[:, :4], np.s_[:, -4:]):
        assert rmse(found[edge], exact[edge]) <= 3


@pytest.mark.parametrize("orientation", STORED)
def test_rotated_picture_is_padded_upright(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "camera.jpg"
    full = _camera_file(path, orientation, wave=100)
    resize = Resize(SizeSpec(100, 100), "pad", gravity="south", background=(0, 0, 0, 255))
    after = planes(resize.apply(decode(str(path), needs(resize))).image)
    # 333 * 100 / 501 = 66.47
    assert after.shape == (100, 100, 3)
    assert after[:34].max() == 0
    exact = convolved(full, (100, 66), "lanczos", (0, 0, ODD_WIDTH, ODD_HEIGHT))
    assert rmse(after[34:], exact) <= 2


@pytest.mark.parametrize("orientation", STORED)
def test_rotated_picture_is_turned_even_if_its_size_is_kept(orientation: int) -> None:
    upright = np.random.RandomState(4).randint(0, 256, (30, 50, 3)).astype(np.float64)
    stored = np.ascontiguousarray(STORED[orientation](upright)).astype(np.uint8)
    image = Image.fromarray(stored)
    picture = Picture(image, "jpeg", (50, 30), (0, 0, *image.size), orientation)
    # With nothing to resample it is left alone, for whoever needs it upright.
    same = Resize(SizeSpec(50, 50)).apply(picture)
    assert same is picture
    for after in (same.upright(), Resize(SizeSpec(50, 30), "exact", True).apply(same.upright())):
        assert (after.full_size, after.area, after.orientation) == ((50, 30), (0, 0, 50, 30), 1)
        assert np.array_equal(planes(after.image), upright)


def test_picture_shrunk_on_load_for_a_larger_output_serves_a_smaller_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "camera.jpg"
    full = _camera_file(path, 6, wave=100)
    picture = decode(str(path), needs(Resize(SizeSpec(225, 225))))
    after = Resize(SizeSpec(100, 100)).apply(picture)
    exact = convolved(full, (100, 66), "lanczos", (0, 0, ODD_WIDTH, ODD_HEIGHT))
    assert rmse(planes(after.image), exact) <= 2


def test_every_kernel_and_fit_has_a_name() -> None:
    assert FITS == ("inside", "outside", "cover", "pad", "exact")
    assert set(KERNELS) == {
        *("lanczos", "bicubic", "mitchell", "bilinear", "hamming", "box", "nearest")
    }
    assert len(set(GRAVITIES)) == 9
    assert Resize(SizeSpec(1, 1)) == Resize(
        SizeSpec(1, 1), "inside", False, "center", (255, 255, 255, 255), "lanczos"
    )
