"""PQ and HLG: kept by their numbers in AVIF and HEIC, brought to the standard range elsewhere.

Expected levels are computed here in float64, step by step as in ITU-R BT.2100 and BT.2390; avifdec
(libavif) and exiftool say what is in the files.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import programs
from toolkit.decoding import decoded

import imgbatch
from imgbatch.imaging import colour
from imgbatch.imaging.colour import high_range, icc
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.encode import encode
from imgbatch.imaging.picture import Picture
from imgbatch.model import Encoding

PQ, HLG = 16, 18
Light = NDArray[np.float64]
both = pytest.mark.parametrize("transfer", [PQ, HLG])

# BT.2087, 3.2 and BT.2100, table 5.
TO_709: Final = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
LUMINANCES: Final = np.array([0.2627, 0.6780, 0.0593])


def pq_light(coded: Light) -> Light:
    root = np.power(coded, 32 / 2523)
    base = np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)
    light: Light = np.power(base, 8192 / 1305) * 10_000
    return light


def pq_coded(light: Light | float) -> Light:
    powered = np.power(np.asarray(light) / 10_000, 1305 / 8192)
    return np.power((107 / 128 + 2413 / 128 * powered) / (1 + 2392 / 128 * powered), 2523 / 32)


def hlg_light(coded: Light) -> Light:
    a = 0.17883277
    b, c = 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    light: Light = 1000 * (scene @ LUMINANCES)[..., None] ** 0.2 * scene
    return light


def bt_2390(light: Light) -> Light:
    """From 1000 cd/m2 to 203."""
    part = np.clip(pq_coded(light) / pq_coded(1000), 0, 1)
    top = pq_coded(203) / pq_coded(1000)
    knee = 1.5 * top - 0.5
    t = (part - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
    spline += (-2 * t**3 + 3 * t**2) * top
    return pq_light(np.where(part < knee, part, spline) * pq_coded(1000))


def standard(coded: Light, transfer: int) -> Light:
    """Levels from 0 to 255."""
    light = pq_light(coded) if transfer == PQ else hlg_light(coded)
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-9)
    linear = np.clip((light * bt_2390(brightest) / brightest) @ TO_709.T / 203, 0, 1)
    levels: Light = np.where(
        linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear
    )
    levels *= 255
    return levels


def ramps() -> NDArray[np.uint16]:
    """Ten bits of different ramps, with black and white."""
    down, across = np.mgrid[0:64, 0:96]
    channels = [across * 8 + down * 4, across * 5 + down * 8, (across * 7 + down * 3) % 1024]
    levels = np.stack(channels, -1).astype(np.uint16)
    levels[:4], levels[-4:] = 0, 1023
    return np.minimum(levels, 1023)


def avif(transfer: int) -> bytes:
    options: dict[str, Any] = {"primaries": 9, "transfer": transfer, "matrix": 0, "speed": 8}
    return bytes(
        imagecodecs.avif_encode(
            ramps(), level=100, bitspersample=10, pixelformat="444", numthreads=1, **options
        )
    )


def kinds(thing: Any) -> list[str]:
    return [notice.kind for notice in thing.notices]


def made(folder: Path, data: bytes, **words: Any) -> tuple[Path, list[str]]:
    (folder / "photo.avif").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**words)
    (result,) = imgbatch.run(recipe, [folder / "photo.avif"], output=folder / "out", jobs=1)
    assert result.failure is None, result.failure
    return Path(result.written[0].path), kinds(result)


@both
def test_levels_are_brought_to_the_standard_range(transfer: int) -> None:
    rng = np.random.default_rng(5)
    levels = rng.integers(0, 65_536, (40, 50, 3)).astype(np.uint16)
    levels[0] = np.linspace(0, 65_535, 50)[:, None]
    found = high_range.to_standard(levels, icc.CodePoints(9, transfer)) / 257
    # The matrix of BT.2087 has four digits.
    assert np.abs(found - standard(levels / 65_535, transfer)).max() <= 0.3


def test_greys_stay_grey_and_the_brightest_is_white() -> None:
    greys = np.repeat(np.linspace(0, 65_535, 256).astype(np.uint16)[None, :, None], 3, axis=2)
    for transfer in (PQ, HLG):
        found = high_range.to_standard(greys, icc.CodePoints(9, transfer))
        assert np.ptp(found, axis=2).max() <= 2
        assert (found[0, 0, 0], found[0, -1, 0]) == (0, 65_535)
        assert np.all(np.diff(found[0, :, 0].astype(int)) >= 0)


@both
def test_standard_levels_come_back(transfer: int) -> None:
    """Those below the knee of the curve: it bends what is brighter than 93 cd/m2."""
    rng = np.random.default_rng(6)
    levels = rng.integers(2000, 42_000, (30, 30, 3)).astype(np.uint16)
    points = icc.CodePoints(9, transfer)
    back = high_range.to_standard(high_range.from_standard(levels, points), points)
    assert np.abs(back.astype(int) - levels).max() <= 80


@both
@pytest.mark.parametrize("target", ["png", "jpeg", "tiff", "webp"])
def test_other_formats_get_the_standard_range(tmp_path: Path, transfer: int, target: str) -> None:
    picture = decoded(tmp_path, avif(transfer), "photo.avif")
    assert (picture.mode, kinds(picture)) == ("RGB;16", [])
    encoded = encode(picture, Encoding(target, quality=100 if target in ("jpeg", "webp") else None))
    assert "tone-mapped" in kinds(encoded)
    again = decoded(tmp_path, encoded.data, f"again.{target}")
    assert again.icc is None
    found = again.deep.array / 257 if again.deep else np.asarray(again.image, np.float64)
    exact = standard(ramps() / 1023, transfer)
    assert np.abs(found - exact).mean() <= (0.2 if target in ("png", "tiff") else 6)


@pytest.mark.external("avifdec", "exiftool")
@both
def test_avif_keeps_its_numbers(tmp_path: Path, transfer: int) -> None:
    path, warnings = made(tmp_path, avif(transfer), sizes=["48"], metadata="none")
    assert warnings == ["depth-reduced"]
    info = subprocess.run(
        [programs.path_of("avifdec"), "--info", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = dict(line.strip(" *").split(":", 1) for line in info.splitlines() if ":" in line)
    found = {name.strip(): value.split() for name, value in lines.items()}
    assert (found["Color Primaries"], found["Transfer Char."]) == (["9"], [str(transfer)])
    assert found["ICC Profile"] == ["Absent"]
    # Its levels are those of the file, made smaller.
    small = np.asarray(Image.fromarray((ramps() >> 2).astype(np.uint8)).resize((48, 32), 1))
    with Image.open(path) as image:
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - small).mean() < 3


@both
def test_heic_keeps_the_numbers_and_ten_bits(tmp_path: Path, transfer: int) -> None:
    path, warnings = made(tmp_path, avif(transfer), sizes=["48"], format="heif")
    assert warnings == []
    file: Any = pillow_heif.open_heif(path)
    points = file.info["nclx_profile"]
    assert points["color_primaries"] == 9
    assert points["transfer_characteristics"] == transfer
    assert file.info["bit_depth"] == 10
    again = decoded(tmp_path, path.read_bytes(), "again.heic")
    assert again.icc == icc.from_cicp(9, transfer)


@both
def test_tone_operations_work_on_the_standard_range(tmp_path: Path, transfer: int) -> None:
    path, warnings = made(tmp_path, avif(transfer), filters=["invert"])
    assert warnings == ["tone-mapped", "depth-reduced"]
    with Image.open(path) as image:
        found = np.asarray(image.convert("RGB")).astype(np.float64)
    assert np.abs(255 - found - standard(ramps() / 1023, transfer)).mean() <= 3


@both
def test_background_is_reference_white(transfer: int) -> None:
    profile = icc.from_cicp(9, transfer)
    picture = Picture.of(Image.new("RGB", (8, 8)), icc=profile)
    (level, *others) = colour.levels_of((255, 255, 255, 255), picture)
    # 58 % and 75 % (BT.2408, table 1).
    assert level == pytest.approx(255 * (0.58 if transfer == PQ else 0.75), abs=1)
    assert others == [level] * 2


def test_profile_that_says_so_counts_like_numbers() -> None:
    wide = icc.from_cicp(9, PQ)
    assert wide is not None
    assert icc.high_range(wide) == (9, PQ)
    assert icc.high_range(wide.replace(b"cicp", b"cixx")) is None
    assert icc.high_range(icc.adobe_rgb()) is None


def test_twelve_bits_are_more_than_a_heic_holds(tmp_path: Path) -> None:
    for bits, warned in ((10, []), (12, ["depth-reduced"])):
        levels = (ramps() << bits - 10).astype(np.uint16)
        data = imagecodecs.avif_encode(levels, level=95, bitspersample=bits, speed=9, numthreads=1)
        picture = decoded(tmp_path, bytes(data), "photo.avif")
        smaller = picture.with_image(Deep(picture.deep.array[::2, ::2].copy()))  # type: ignore[union-attr]
        encoded = encode(smaller, Encoding("heif"))
        assert kinds(encoded) == warned
        assert all("12-bit" in notice.message for notice in encoded.notices)
