"""Vibrance, hue and colour lookup tables against float64 NumPy."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from toolkit import ROOT, pictures
from toolkit.commands import imgbatch, imgbatch_here
from toolkit.folders import plant
from toolkit.reference import (
    MODES,
    NEAREST,
    Floats,
    Row,
    check,
    check_refused,
    image_of,
    picture_of,
    planes_of,
)

from imgbatch.imaging import colour
from imgbatch.imaging.picture import Picture
from imgbatch.operations import parse
from imgbatch.operations.colour import Lut

FILM: Final = ROOT / "sample_images" / "film.cube"


def _hue(degrees: float) -> Floats:
    """W3C Filter Effects 1, section 9.6 (feColorMatrix, hueRotate)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix: Floats = (
        np.array([[0.213, 0.715, 0.072]] * 3)
        + c * np.array([[0.787, -0.715, -0.072], [-0.213, 0.285, -0.072], [-0.213, -0.715, 0.928]])
        + s * np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])
    )
    return matrix


def hue_row(degrees: float) -> Row:
    matrix = _hue(degrees)
    return Row(
        f"hue:angle={degrees:g}",
        lambda colours: colours if colours.shape[2] == 1 else colours @ matrix.T,
    )


def _vibrance(colours: Floats, amount: float) -> Floats:
    if colours.shape[2] == 1:
        return colours
    red, green, blue = np.moveaxis(colours, 2, 0)
    most, least = colours.max(axis=2), colours.min(axis=2)
    strength = (most - least) / 255
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    # Degrees of the hue where red is the largest: 60 (g - b) / (max - min).
    spread = np.where(most > least, most - least, 1)
    degrees = 60 * (green - blue) / spread
    skin = np.clip(1 - np.abs(degrees - 25) / 25, 0, 1) * (red == most)
    factor = 1 + amount * (1 - strength) * (1 - skin / 2 if amount > 0 else 1)
    changed: Floats = luma[..., None] + (colours - luma[..., None]) * factor[..., None]
    return changed


def vibrance_row(amount: float) -> Row:
    return Row(f"vibrance:amount={amount:g}", lambda colours: _vibrance(colours, amount))


ROWS: Final = (
    *map(hue_row, (15, -180, 180, 90, -33.5, 0)),
    *map(vibrance_row, (0.4, 1, -1, -0.5, 0.05)),
)
WORDS: Final = (
    *(row.words for row in ROWS),
    f"lut:file={FILM}",
    f"lut:file={FILM},amount=0.5",
)
NEUTRAL: Final = {
    "hue": "hue:angle=0",
    "vibrance": "vibrance:amount=0",
    "lut": f"lut:file={FILM},amount=0",
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.words)
def test_hue_and_vibrance_match_their_definitions(row: Row, mode: str) -> None:
    check(row, mode)


def test_hue_rotates_red_to_green_and_keeps_greys() -> None:
    pixels = np.array([[[200, 40, 40], [90, 90, 90]]], np.uint8)
    after = planes_of(parse("hue:angle=120").apply(Picture.of(image_of("RGB", pixels))).image)
    assert after[0, 0].argmax() == 1
    assert after[0, 1].tolist() == [90, 90, 90]


def test_vibrance_spares_skin_and_saturated_colours() -> None:
    #           skin             sky              pure red       grey
    pixels = np.array([[[200, 160, 140], [140, 160, 200], [255, 0, 0], [80, 80, 80]]], np.uint8)
    after = planes_of(parse("vibrance:amount=1").apply(Picture.of(image_of("RGB", pixels))).image)
    gain = np.ptp(after, axis=2)[0] / np.maximum(np.ptp(pixels.astype(float), axis=2)[0], 1)
    assert gain[0] < 1.5 < 1.7 < gain[1]
    assert after[0, 2].tolist() == [255, 0, 0]
    assert after[0, 3].tolist() == [80, 80, 80]


# Tables


def written(folder: Path, values: NDArray[np.float64], *head: str) -> Path:
    """A .cube from (size, size, size, 3), or (size, 3), blue first and red last."""
    size, dimensions = len(values), values.ndim - 1
    rows = [" ".join(f"{part:.8f}" for part in row) for row in values.reshape(-1, 3)]
    path = folder / "table.cube"
    path.write_text("\n".join([*head, f"LUT_{dimensions}D_SIZE {size}", *rows]))
    return path


def any_table(size: int) -> NDArray[np.float64]:
    """A random look, so that a wrong index shows."""
    chance = np.random.default_rng(size)
    values: NDArray[np.float64] = chance.uniform(-0.1, 1.1, (size, size, size, 3))
    return values


def identity(size: int) -> NDArray[np.float64]:
    steps = np.linspace(0, 1, size)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    return np.stack([red, green, blue], axis=-1)


def trilinear(
    values: NDArray[np.float64],
    colours: Floats,
    low: tuple[float, ...] = (0, 0, 0),
    high: tuple[float, ...] = (1, 1, 1),
) -> Floats:
    """The eight neighbours, each weighted by the volume of the box opposite to it."""
    size = len(values)
    places = (colours / 255 - low) / (np.array(high) - low) * (size - 1)
    places = np.clip(places, 0, size - 1)
    before = np.minimum(places.astype(int), size - 2)
    share = places - before
    found = np.zeros_like(colours)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, share, 1 - share), axis=-1)
        red, green, blue = np.moveaxis(before + corner, 2, 0)
        found += weight[..., None] * values[blue, green, red]
    return 255 * found


# To the half of rounding, Pillow adds 1/128 of a level for its table's precision, 1/64 for each of
# three axes, and 1/2048 of a step of the table: in a random one, 0.15 of a level.
NEARLY: Final = 0.71


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("amount", [1.0, 0.35])
@pytest.mark.parametrize("size", [2, 7, 33])
def test_table_is_interpolated_between_its_eight_neighbours(
    tmp_path: Path, size: int, amount: float, mode: str
) -> None:
    values = any_table(size)
    picture = picture_of(mode)
    after = Lut(str(written(tmp_path, values)), amount).apply(picture)
    before = planes_of(picture.image)
    colours = before[..., :-1] if picture.has_alpha else before
    colours = np.broadcast_to(colours, (*colours.shape[:2], 3)).astype(np.float64)
    expected = np.clip(colours + amount * (trilinear(values, colours) - colours), 0, 255)
    assert after.mode == ("RGBA" if picture.has_alpha else "RGB")
    assert np.abs(planes_of(after.image)[..., :3] - expected).max() <= NEARLY
    if picture.has_alpha:
        assert np.array_equal(planes_of(after.image)[..., 3], before[..., -1])


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 17, 65])
def test_identity_table_changes_nothing(tmp_path: Path, size: int) -> None:
    picture = picture_of("RGB")
    after = Lut(str(written(tmp_path, identity(size)))).apply(picture)
    assert np.array_equal(planes_of(after.image), planes_of(picture.image))


def test_values_beyond_white_are_clipped_after_interpolation(tmp_path: Path) -> None:
    # 0.5 lies midway between -0.25 and 1.25, and 0.75 a quarter before the latter.
    values = identity(2) * 1.5 - 0.25
    greys = np.array([[[0, 0, 0], [64, 64, 64], [127, 128, 191], [255, 255, 255]]], np.uint8)
    after = Lut(str(written(tmp_path, values))).apply(Picture.of(image_of("RGB", greys)))
    expected = np.clip(greys * 1.5 - 63.75, 0, 255)
    assert np.abs(planes_of(after.image) - expected).max() <= NEARLY


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_picture_gets_the_colours_of_its_greys(tmp_path: Path, mode: str) -> None:
    lut = Lut(str(written(tmp_path, any_table(6))), 0.7)
    picture = picture_of(mode)
    wanted = lut.apply(Picture.of(picture.image.convert("RGB" if mode == "L" else "RGBA")))
    after = lut.apply(picture)
    assert after.mode == wanted.mode
    assert np.array_equal(planes_of(after.image), planes_of(wanted.image))


@pytest.mark.slow
def test_large_table_is_resampled(tmp_path: Path) -> None:
    # Smooth, as looks are: between its steps, 70 and 65 colours a side are equivalent.
    values = identity(70) ** np.array([0.8, 1.3, 1.1])
    picture = picture_of("RGB")
    after = planes_of(Lut(str(written(tmp_path, values))).apply(picture).image)
    expected = trilinear(values, planes_of(picture.image))
    assert np.abs(after - expected)[planes_of(picture.image) > 8].max() <= 1


def test_domain_gives_the_range_of_a_table(tmp_path: Path) -> None:
    values = identity(5) ** 2
    head = ("DOMAIN_MIN 0 -0.5 0.25", "DOMAIN_MAX 2 1 0.75")
    picture = picture_of("RGB")
    after = planes_of(Lut(str(written(tmp_path, values, *head))).apply(picture).image)
    expected = trilinear(values, planes_of(picture.image), (0, -0.5, 0.25), (2, 1, 0.75))
    assert np.abs(after - expected).max() <= 1.5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("amount", [1.0, 0.5])
def test_one_dimensional_table_is_a_curve_per_channel(
    tmp_path: Path, amount: float, mode: str
) -> None:
    steps = np.linspace(0, 1, 10)
    values = np.stack([steps**2, 1.2 - 1.5 * steps, steps * 0.5 + 0.3], axis=-1)
    picture = picture_of(mode)
    after = Lut(str(written(tmp_path, values)), amount).apply(picture)
    before = planes_of(picture.image)
    for band in range(3):
        channel = before[..., band if mode.startswith("RGB") else 0]
        curved = 255 * np.interp(channel / 255, steps, values[:, band])
        expected = np.clip(channel + amount * (curved - channel), 0, 255)
        assert np.abs(planes_of(after.image)[..., band] - expected).max() <= NEAREST


def test_picture_in_another_profile_is_converted_first(tmp_path: Path) -> None:
    wide = pictures.wide_gamut_profile()
    picture = picture_of("RGB", wide)
    after = Lut(str(written(tmp_path, any_table(5)))).apply(picture)
    same = Lut(str(written(tmp_path, any_table(5)))).apply(colour.to_srgb(picture))
    assert after.icc is None
    assert np.array_equal(planes_of(after.image), planes_of(same.image))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("lut", ["lut: found no file", "a .cube file"]),
        ("lut:file=none.cube", ["lut: file", "cannot read none.cube"]),
        (f"lut:file={FILM},amount=2", ["lut: amount: found '2'", "from 0 to 1"]),
        ("hue:angle=200", ["hue: angle: found '200'", "from -180 to 180 degrees"]),
        ("vibrance:amount=2", ["vibrance: amount: found '2'", "from -1 to 1"]),
    ],
)
def test_wrong_setting_is_refused_with_the_right_one(words: str, parts: list[str]) -> None:
    check_refused(words, parts)


def test_broken_table_is_refused_with_its_line_before_any_work(tmp_path: Path) -> None:
    plant(tmp_path / "photos", "a.jpg")
    (tmp_path / "bad.cube").write_text("LUT_3D_SIZE 2\n0 0 0\nx 1\n")
    run = imgbatch_here("filter", "photos", "--filter", "lut:file=bad.cube", cwd=tmp_path)
    assert run.returncode == 2
    assert b"lut: file: bad.cube: " in run.stderr
    assert not (tmp_path / "photos-filtered").exists()


def test_table_is_identified_by_its_bytes_not_its_path(tmp_path: Path) -> None:
    other = tmp_path / "other.cube"
    other.write_bytes(FILM.read_bytes())
    one, same = Lut(str(FILM)), Lut(str(other))
    assert one == same
    assert hash(one) == hash(same)
    assert pickle.loads(pickle.dumps(one)) == one
    other.write_bytes(FILM.read_bytes() + b"\n# another\n")
    assert Lut(str(other)) != one


@pytest.mark.slow
@pytest.mark.parametrize("words", ["hue:angle=60", "vibrance:amount=1", f"lut:file={FILM}"])
def test_every_frame_of_an_animation_is_changed(tmp_path: Path, words: str) -> None:
    frames = [Image.fromarray(np.roll(pictures.scene(), 8 * n, 1)) for n in range(3)]
    data = pictures.saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    plant(tmp_path / "photos", "a.webp", data=data)
    run = imgbatch(
        *("filter", "photos", "--filter", words, "--lossless", "-f", "webp", "-o", "out"),
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr.decode()
    made = pictures.opened((tmp_path / "out/a.webp").read_bytes())
    found = [planes_of(frame.convert("RGB")) for frame in ImageSequence.Iterator(made)]
    expected = [planes_of(parse(words).apply(Picture.of(frame)).image) for frame in frames]
    assert len(found) == 3
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
