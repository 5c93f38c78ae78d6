"""Backgrounds and transparency: names of colours, no fringes, flattening."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.colours import (
    CMYK,
    GREY,
    PRIMARIES,
    WIDE,
    deep_picture,
    made,
    profile_of,
    seen_as_srgb,
    srgb_decoded,
)
from toolkit.pictures import opened
from toolkit.resampling import convolved

from imgbatch.errors import UsageError
from imgbatch.imaging import colour
from imgbatch.imaging.picture import Picture
from imgbatch.model import Colour
from imgbatch.operations.geometry import Resize, SizeSpec

Floats = NDArray[np.float64]


# Words for colours


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("white", (255, 255, 255, 255)),
        ("Black", (0, 0, 0, 255)),
        ("#fff", (255, 255, 255, 255)),
        ("#1e90ff", (30, 144, 255, 255)),
        ("#1e90ff80", (30, 144, 255, 128)),
        ("dodgerblue", (30, 144, 255, 255)),
        ("rgb(20,20,30)", (20, 20, 30, 255)),
        ("rgb(100%, 0%, 0%)", (255, 0, 0, 255)),
        ("hsl(120, 100%, 50%)", (0, 255, 0, 255)),
        ("transparent", (255, 255, 255, 0)),
        (" Transparent ", (255, 255, 255, 0)),
    ],
)
def test_css_colours_are_accepted(word: str, meant: Colour) -> None:
    assert colour.parse_colour(word) == meant


@pytest.mark.parametrize("word", ["", "whit", "#12", "#gggggg", "rgb(1,2)", "12", "rgb(300,a,b)"])
def test_invalid_colour_is_refused_with_an_example(word: str) -> None:
    with pytest.raises(UsageError, match="#1e90ff"):
        colour.parse_colour(word)


# Backgrounds


BLUE: Final[Colour] = (30, 144, 255, 255)


@pytest.mark.parametrize("space", PRIMARIES)
@pytest.mark.parametrize("kind", ["flatten", "pad"])
def test_background_is_the_requested_colour_in_any_space(space: str, kind: str) -> None:
    clear = Image.new("RGBA", (16, 8), (255, 0, 0, 0 if kind == "flatten" else 255))
    picture = Picture.of(clear, icc=profile_of(space))
    if kind == "flatten":
        after = colour.flatten(picture, BLUE)
    else:
        after = Resize(SizeSpec(16, 16), "pad", background=BLUE).apply(picture)
    assert after.icc == profile_of(space)
    found = np.asarray(after.image.convert("RGB"))[0, 0].astype(np.float64)
    # Rounded to whole levels; one level of ProPhoto is up to three of sRGB.
    assert np.abs(seen_as_srgb(found, space) - BLUE[:3]).max() <= (3 if space == "ProPhoto" else 2)
    assert np.abs(found - BLUE[:3]).max() > 5


def test_grey_background_is_the_requested_grey() -> None:
    """Level 100 of sRGB is 0.1274 of the light; at gamma 461/256, level 81.1."""
    for mode in ("LA", "LA;16"):
        pixels = np.zeros((4, 4, 2), np.uint8)
        clear = Image.frombytes("LA", (4, 4), pixels.tobytes())
        picture = Picture.of(clear, icc=GREY)
        if mode == "LA;16":
            picture = deep_picture(pixels.astype(np.uint16), GREY)
        flat = colour.flatten(picture, (100, 100, 100, 255))
        levels = np.asarray(flat.image).astype(np.float64)
        exact = srgb_decoded(np.array(100 / 255)) ** (1 / pictures.GREY_GAMMA)
        assert flat.mode == ("L" if mode == "LA" else "I;16")
        most = 255 if mode == "LA" else 65_535
        assert np.abs(levels - exact * most).max() <= most / 255
        assert flat.icc == GREY


def test_background_under_a_broken_profile_keeps_its_numbers() -> None:
    broken = WIDE[:132] + bytes(len(WIDE) - 132)
    picture = Picture.of(Image.new("RGB", (4, 4)), icc=broken)
    assert colour.levels_of(BLUE, picture) == BLUE[:3]


@pytest.mark.parametrize(
    ("background", "inks"),
    [
        ((255, 255, 255, 255), (0, 0, 0, 0)),
        ((0, 0, 0, 255), (0, 0, 0, 255)),
        ((255, 0, 0, 255), (0, 255, 255, 0)),
        ((100, 50, 25, 255), (0, 127, 191, 155)),
    ],
)
def test_cmyk_background_looks_like_its_colour(background: Colour, inks: tuple[int, ...]) -> None:
    picture = Picture.of(Image.new("CMYK", (4, 4)))
    assert colour.levels_of(background, picture) == inks
    back = colour.to_srgb(Picture.of(Image.new("CMYK", (1, 1), inks))).image.getpixel((0, 0))
    assert np.abs(np.array(back) - background[:3]).max() <= 1
    white = colour.levels_of((255, 255, 255, 255), Picture.of(picture.image, icc=CMYK))
    assert max(white) <= 1


@pytest.mark.parametrize("channels", [2, 4])
def test_16_bit_colours_are_flattened_and_padded_in_16_bits(channels: int) -> None:
    rng = np.random.default_rng(5)
    array = rng.integers(0, 65_536, (20, 30, channels), dtype=np.uint16)
    background = (200, 200, 200, 255) if channels == 2 else (200, 100, 50, 255)
    flat = colour.flatten(deep_picture(array), background)
    share = array[..., -1:] / 65_535
    below = np.array(background[: channels - 1]) * 257.0
    expected = array[..., :-1] * share + below * (1 - share)
    found = flat.deep.array if flat.deep else np.asarray(flat.image)[..., None]
    assert np.abs(found - expected).max() <= 0.5
    assert [notice.kind for notice in flat.notices] == ["alpha-flattened"]
    opaque = array.copy()
    opaque[..., -1] = 65_535
    plain = colour.flatten(deep_picture(opaque), background)
    assert (plain.has_alpha, plain.notices) == (False, ())
    padded = Resize(SizeSpec(40, 40), "pad", background=background, enlarge=True).apply(
        deep_picture(array)
    )
    assert padded.deep is not None
    assert padded.mode == deep_picture(array).mode
    assert padded.deep.array[0, 0].tolist() == [*below.astype(int), 65_535]
    clear = Resize(SizeSpec(30, 40), "pad", background=(0, 0, 0, 0)).apply(
        deep_picture(np.ascontiguousarray(array[..., :1].repeat(3, axis=2)))
    )
    assert clear.mode == "RGBA;16"
    assert clear.deep is not None
    assert clear.deep.array[0, 0].tolist() == [0, 0, 0, 0]
    assert clear.deep.array[20, 0, 3] == 65_535


# Alpha: no fringes


def red_on_clear_green(kind: str) -> bytes:
    """An opaque red square on invisible green."""
    red = np.zeros((64, 64), bool)
    red[17:47, 17:47] = True
    if kind == "RGBA":
        pixels = np.where(red[..., None], (255, 0, 0, 255), (0, 255, 0, 0)).astype(np.uint8)
        return pictures.saved(pixels, "PNG")
    if kind == "LA":
        pixels = np.where(red[..., None], (0, 255), (255, 0)).astype(np.uint8)
        return pictures.saved(Image.frombytes("LA", (64, 64), pixels.tobytes()), "PNG")
    if kind == "L with a transparent level":
        return pictures.saved(np.where(red, 0, 255).astype(np.uint8), "PNG", transparency=255)
    if kind == "RGB with a transparent colour":
        pixels = np.where(red[..., None], (255, 0, 0), (0, 255, 0)).astype(np.uint8)
        return pictures.saved(pixels, "PNG", transparency=(0, 255, 0))
    image = Image.fromarray(red.astype(np.uint8), mode=None)
    indexed = image.convert("P")
    indexed.putdata(red.astype(np.uint8).ravel().tolist())
    indexed.putpalette([0, 255, 0, 255, 0, 0])
    return pictures.saved(indexed, "PNG", transparency=0)


KINDS_OF_ALPHA: Final = (
    *("RGBA", "LA", "L with a transparent level", "RGB with a transparent colour", "palette"),
)

HOW: Final[dict[str, dict[str, Any]]] = {
    "resize": {"sizes": ["24"]},
    "linear resize": {"sizes": ["24"], "linear": True},
    "blur": {"filters": ["blur"]},
}


@pytest.mark.parametrize("kind", KINDS_OF_ALPHA)
@pytest.mark.parametrize("how", HOW)
def test_hidden_colours_leave_no_fringe(tmp_path: Path, kind: str, how: str) -> None:
    """Colours are weighted by alpha: every visible pixel is red, however faint."""
    data, warnings = made(tmp_path, red_on_clear_green(kind), ".png", **HOW[how])
    image = opened(data).convert("RGBA")
    pixels = np.asarray(image).astype(np.float64)
    seen = pixels[pixels[..., 3] > 0]
    hidden_channel = 1
    assert seen[:, hidden_channel].max() == 0
    partly = seen[(seen[:, 3] > 20) & (seen[:, 3] < 235)]
    assert len(partly) > 20
    if not kind.startswith("L"):
        # As red as before: alpha near 0 leaves few levels for the colour.
        assert partly[:, 0].min() >= 250
    exact = np.zeros((64, 64))
    exact[17:47, 17:47] = 255
    if how != "blur":
        whole = (0.0, 0.0, 64.0, 64.0)
        exact = np.clip(convolved(exact[..., None], (24, 24), "lanczos", whole)[..., 0], 0, 255)
        # In 8 bits, overshoots are clipped between the two passes: at the corners.
        assert np.quantile(np.abs(pixels[..., 3] - exact), 0.97) <= 1
    else:
        assert abs(pixels[..., 3].mean() - exact.mean()) <= 0.5
    assert warnings == []


# Flattening


def see_through() -> NDArray[np.uint8]:
    alpha = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    return np.dstack([pictures.scene(), alpha])


@pytest.mark.parametrize("background", [(255, 255, 255, 255), (30, 144, 255, 255), (0, 0, 0, 0)])
def test_flattening_composites_over_the_background(background: Colour) -> None:
    pixels = see_through()
    flat = colour.flatten(Picture.of(Image.fromarray(pixels)), background)
    share = pixels[..., 3:].astype(np.float64) / 255
    expected = pixels[..., :3] * share + np.array(background[:3]) * (1 - share)
    assert flat.image.mode == "RGB"
    assert np.abs(np.asarray(flat.image) - expected).max() <= 1
    assert [notice.kind for notice in flat.notices] == ["alpha-flattened"]


@pytest.mark.parametrize(
    ("background", "mode"), [((200, 200, 200, 255), "L"), ((30, 144, 255, 255), "RGB")]
)
def test_grey_stays_grey_only_over_a_grey_background(background: Colour, mode: str) -> None:
    grey, alpha = see_through()[..., 0], see_through()[..., 3]
    image = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))
    flat = colour.flatten(Picture.of(image), background)
    share = alpha.astype(np.float64) / 255
    for channel, below in zip(flat.image.split(), background[: len(mode)], strict=True):
        expected = grey * share + below * (1 - share)
        assert np.abs(np.asarray(channel) - expected).max() <= 1
    assert flat.image.mode == mode


@pytest.mark.parametrize(("mode", "opaque"), [("RGBA", "RGB"), ("LA", "L")])
def test_opaque_alpha_channel_is_dropped_without_a_warning(mode: str, opaque: str) -> None:
    image = Image.fromarray(pictures.scene()).convert(mode)
    flat = colour.flatten(Picture.of(image), (255, 0, 0, 255))
    assert flat.image.tobytes() == image.convert(opaque).tobytes()
    assert flat.notices == ()


def test_hidden_colours_do_not_show_through(tmp_path: Path) -> None:
    hidden = pictures.saved(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG")
    data, warnings = made(tmp_path, hidden, ".png", format="bmp", background="#1e90ff")
    assert opened(data).getpixel((4, 4)) == (30, 144, 255)
    assert warnings == ["alpha-flattened"]


def test_flattening_keeps_the_profile(tmp_path: Path) -> None:
    source = pictures.saved(see_through(), "PNG", icc_profile=WIDE)
    data, _ = made(tmp_path, source, ".png", format="jpeg")
    assert opened(data).info["icc_profile"] == WIDE
